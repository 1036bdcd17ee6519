"""What a newcomer opens first: the notebook, the demo, and how they meet an open TODO."""

import json
import os
import re
import shutil
import subprocess
import sys

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from given.runtime.submission import ROOT
from given.runtime.todo import todo_line
from tests.project.trees import run_module

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def run_demo(*arguments, course=None):
    return run_module("sde_todo demo", *arguments, course=course)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_are_committed_without_outputs(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        assert not cell.get("outputs") and cell.get("execution_count") is None


FIRST_TODO = {
    "HelloScore": "TODO 1.1a: OU.marginal_prob is still open: write it in sde_todo/sde.py, line",
    "SchroedingerBridge": "TODO 1.6a: flow_path is still open: write it in sde_todo/flow.py, line",
    "Likelihood": "TODO 1.5a: trace is still open: write it in sde_todo/likelihood.py, line",
    "Control": "TODO 2.5a: Gray.measure is still open: write it in image_diffusion/guidance.py,",
    "DDPM": "TODO 2.1a: make_betas is still open: write it in image_diffusion/scheduler.py, line",
}


SLOW = [pytest.param(path, marks=pytest.mark.slow) for path in NOTEBOOKS[1:]]


@pytest.mark.parametrize("path", [NOTEBOOKS[0], *SLOW], ids=lambda path: path.name)
def test_on_the_stubs_a_notebook_names_the_first_todo_in_one_line(path, monkeypatch):
    monkeypatch.delenv("COURSE", raising=False)
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, resources={"metadata": {"path": ROOT / "notebooks"}})
    with pytest.raises(CellExecutionError):
        client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    errors = [output for output in outputs if output.output_type == "error"]
    assert len(errors) == 1
    shown = errors[0].traceback
    assert len(shown) == 1 and "\n" not in shown[0]
    assert FIRST_TODO.get(path.stem, FIRST_TODO["DDPM"]) in shown[0]
    if path.stem == "HelloScore":  # a picture comes before the first TODO
        assert any(output.output_type == "display_data" or "data" in output for output in outputs)


@pytest.mark.slow
def test_on_the_stubs_the_demo_names_the_first_todo_in_one_line(tmp_path):
    done = run_demo("--out", str(tmp_path))
    assert done.returncode == 1
    line = done.stderr.strip().splitlines()[-1]
    assert "TODO" in line and "sde_todo/" in line and "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "course", "said"),
    [
        (["--device", "warp"], "solutions", "The device 'warp' cannot be used here"),
        (["--out", "/proc/nowhere"], "solutions", "Cannot write to"),
        ([], "nowhere", "there is no folder"),
    ],
)
def test_bad_options_of_the_demo_are_one_clear_sentence(arguments, course, said):
    done = run_demo(*arguments, course=course)
    assert done.returncode != 0 and said in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr


EDITED = """
import os, shutil, sys, time
from pathlib import Path
from IPython.core.interactiveshell import InteractiveShell

root, tree = Path(sys.argv[1]), Path(sys.argv[2])
shell = InteractiveShell.instance()

def run(code):
    shell.run_cell(code).raise_error() if "marginal" not in code else shell.run_cell(code)

run("import torch")
run("from given.runtime.todo import friendly_todos; friendly_todos()")
run("from sde_todo.sde import OU; from sde_todo.train import EMA; process = OU()")
run("print(process.marginal_prob(torch.ones(1), torch.ones(1, 1)))")
for name in ("sde", "train"):  # the student writes both files and saves them
    shutil.copy(root / "solutions/sde_todo" / (name + ".py"), tree / "sde_todo" / (name + ".py"))
    later = time.time() + 10
    os.utime(tree / "sde_todo" / (name + ".py"), (later, later))
run("print('mean', process.marginal_prob(torch.ones(1), torch.ones(1, 1))[0].item())")
run("EMA(torch.nn.Linear(1, 1)).update(); print('updated')")
"""


def test_edits_are_seen_by_objects_that_exist_without_a_restart(tmp_path):
    shutil.copytree(ROOT / "sde_todo", tmp_path / "sde_todo")
    done = subprocess.run(
        [sys.executable, "-c", EDITED, str(ROOT), str(tmp_path)],
        env=os.environ | {"COURSE": str(tmp_path), "IPYTHONDIR": str(tmp_path / "ipython")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    output = done.stdout + done.stderr
    assert "TODO 1.1a: OU.marginal_prob is still open" in output
    assert "mean 0.606" in output and "updated" in output, output


def test_other_errors_are_no_todo():
    assert todo_line(ValueError("TODO 1.1a: x")) is None
    assert todo_line(NotImplementedError("abstract")) is None


def test_a_slip_in_a_students_code_says_where_and_a_sentence_of_the_course_does_not():
    from given.runtime.cli import one_line_errors
    from sde_todo.bridge import gamma_schedule
    from sde_todo.flow import flow_path

    with pytest.raises(SystemExit) as stopped, one_line_errors():
        gamma_schedule("nonsense", 4)
    assert str(stopped.value).endswith("as in linear_0.001_0.02.")

    class Slip:
        def __getattr__(self, name):
            raise ValueError("a shape that numpy does not like")

    with pytest.raises(SystemExit) as stopped, one_line_errors():
        flow_path(Slip(), Slip(), Slip())
    place = r"numpy does not like \(solutions/sde_todo/flow.py, line \d+\)"
    assert re.search(place, str(stopped.value))
