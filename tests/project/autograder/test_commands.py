"""Commands: their list and help screens, old spellings, and Ctrl-C while torch is loaded."""

import os
import re
import signal
import subprocess
import sys

import pytest

from given.runtime import cli
from given.runtime.submission import ROOT
from grading import commands as grading_commands
from image_diffusion.__main__ import COMMANDS as IMAGES
from sde_todo.__main__ import COMMANDS as PLANE

PACKAGES = {"sde_todo": PLANE, "image_diffusion": IMAGES}
# Python warns of a module that runs and is imported, as it is here.
pytestmark = pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")

COMMANDS = [f"{package} {name}" for package, names in PACKAGES.items() for name in names]
DOORS = {
    "image_diffusion/train.py": "experiments.images.train",
    "image_diffusion/sampling.py": "experiments.images.sample",
    "image_diffusion/dataset.py": "given.images.data.eval_folder",
    "image_diffusion/fid/measure_fid.py": "given.images.fid.measure",
}
# Doors that are the old spelling of a command.
OLD_DOORS = {
    "image_diffusion/inpaint.py": "image_diffusion inpaint",
    "image_diffusion/inpainting.py": "image_diffusion inpaint",
    "image_diffusion/fid/train_classifier.py": "image_diffusion classifier",
}


@pytest.fixture(autouse=True)
def keep_sigint():
    handler = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, handler)


@pytest.fixture
def called(monkeypatch):
    """Commands are noted here, as (module, command line), and not run."""
    calls = []
    monkeypatch.setattr(cli, "run_command", lambda module, *_: calls.append((module, [*sys.argv])))
    return calls


def run(*arguments, **environment):
    """Run Python in the course's folder."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("COURSE", "PYTEST"))}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def help_of(command, monkeypatch, capsys):
    """The help screen of a command, such as "sde_todo demo", or of a door."""
    if command in DOORS:
        monkeypatch.setattr(sys, "argv", [command, "--help"])
        start = lambda: cli.run_command(DOORS[command])  # noqa: E731
    else:
        package, name = command.split()
        monkeypatch.setattr(sys, "argv", [package, name, "--help"])
        start = lambda: cli.run_package(package, PACKAGES[package])  # noqa: E731
    with pytest.raises(SystemExit) as ended:
        start()
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_a_help_screen_begins_with_what_to_type(command, monkeypatch, capsys):
    text = help_of(command, monkeypatch, capsys)
    assert text.startswith(f"usage: python -m {command} [-h]")


@pytest.mark.parametrize("door", DOORS)
def test_the_help_of_a_door_begins_with_its_name(door, monkeypatch, capsys):
    name = door.rpartition("/")[2]
    assert help_of(door, monkeypatch, capsys).startswith(f"usage: {name} [-h]")


def test_a_flag_has_one_spelling_in_all_commands(monkeypatch, capsys):
    texts = [help_of(command, monkeypatch, capsys) for command in (*COMMANDS, *DOORS)]
    flags = {flag for text in texts for flag in re.findall(r"--(\w+)", text)}
    assert "num_samples" in flags and "seed" in flags
    assert not {f for f in flags if f"{f}s" in flags}
    assert not flags & {"num_sample", "use_amp", "batch", "samples", "checkpoint_path", "ckpt"}


@pytest.mark.parametrize("flags", [[], ["--num_sample", "7", "--use_amp"]])
def test_flags_of_bridges_in_their_old_spelling(flags):
    from experiments.bridges import images, plane

    for module in (images, plane):
        args = module.parse(flags)
        assert bool(args.bf16) == bool(flags) and (args.num_samples == 7) == bool(flags)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_without_a_command_lists_its_commands(package, called, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [package])
    with pytest.raises(SystemExit) as ended:
        cli.run_package(package, PACKAGES[package])
    assert ended.value.code == 2 and not called
    text = capsys.readouterr().out
    assert re.findall(r"^(\w+)  ", text, re.MULTILINE) == list(PACKAGES[package])


def test_grading_without_a_command_lists_its_commands(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["grading"])
    with pytest.raises(SystemExit):
        grading_commands.main()
    assert "usage: python -m grading" in (text := capsys.readouterr().out)
    assert re.findall(r"^    (\w+)", text, re.MULTILINE) == [
        *("grade", "isolation", "package", "stubs"),
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_an_unknown_command_is_one_sentence_with_those_that_exist(package, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [package, "nonsense"])
    with pytest.raises(SystemExit):
        cli.run_package(package, PACKAGES[package])
    last = capsys.readouterr().err.splitlines()[-1]
    assert "'nonsense'" in last and all(name in last for name in PACKAGES[package])


@pytest.mark.parametrize("module", cli.OLD_SPELLINGS)
def test_an_old_spelling_names_the_new_one_and_runs_it(module, called, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["-m"])  # as it is while Python looks for the module of -m
    monkeypatch.setattr(sys, "orig_argv", ["python", "-u", "-m", module, "--seed", "3"])
    with pytest.raises(SystemExit) as ended:
        cli.run_old_spelling()
    new = cli.OLD_SPELLINGS[module]
    assert ended.value.code is None
    assert capsys.readouterr().err == f"This command is now: python -m {new}\n"
    package, name = new.split()
    wanted = PACKAGES[package][name][0] if package in PACKAGES else "grading.commands"
    ((module, argv),) = called
    assert module == wanted and argv[-2:] == ["--seed", "3"]
    if package in PACKAGES:
        assert argv[0] == f"python -m {new}"


@pytest.mark.parametrize("door", OLD_DOORS)
def test_an_old_door_names_the_new_spelling_and_runs_it(door, called, monkeypatch, capsys):
    import runpy

    monkeypatch.setattr(sys, "argv", [door, "--seed", "3"])
    monkeypatch.setenv("COURSE", "solutions")
    path = ROOT / door
    path = ROOT / "solutions" / door if "BEGIN" in path.read_text(encoding="utf-8") else path
    with pytest.raises(SystemExit):
        runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().err == f"This command is now: python -m {OLD_DOORS[door]}\n"
    package, name = OLD_DOORS[door].split()
    assert called == [(PACKAGES[package][name][0], [f"python -m {package} {name}", "--seed", "3"])]


@pytest.mark.parametrize("words", [["-m", "sde_todo.check"], ["-msde_todo.check"]])
def test_python_itself_finds_an_old_spelling(words):
    done = run(*words, "--help")
    assert done.returncode == 0 and done.stdout.startswith("usage: python -m sde_todo check")
    assert done.stderr == "This command is now: python -m sde_todo check\n"


STOPPED = [f"-m {command}" for command in COMMANDS if command != "sde_todo check"]
STOPPED += ["-m autograder 1.1a", "-m grading grade mine", *DOORS]


@pytest.mark.parametrize("command", STOPPED)
def test_ctrl_c_while_torch_is_loaded_is_one_line(command, tmp_path):
    (tmp_path / "torch.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\n")
    paths = os.pathsep.join(map(str, (tmp_path, ROOT)))
    done = run(*command.split(), COURSE="solutions", PYTHONPATH=paths)
    assert done.returncode == 1 and done.stderr.startswith("Stopped"), done.stderr
    assert len(done.stderr.splitlines()) == 1 and not done.stdout


def test_ctrl_c_in_a_command_is_the_line_of_that_command(monkeypatch):
    def stop():
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("given.runtime.check.main", stop)
    with pytest.raises(SystemExit, match=r"^Stopped; nothing was saved\.$"):
        cli.run_command("given.runtime.check", "Stopped; nothing was saved.")


def test_the_course_is_known_by_its_folder_not_by_a_word_in_the_path(tmp_path):
    assert cli._is_own(ROOT / "given" / "noise.py")
    assert cli._is_own(tmp_path / "sde_todo" / "sde.py")
    assert not cli._is_own(tmp_path / "experiments" / "venv" / "numpy" / "core.py")
