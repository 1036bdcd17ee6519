"""The examples for Slurm call the commands as these want it; Slurm itself is a stand-in here."""

import os
import shutil
import subprocess

import pytest

from experiments.images import train
from given.runtime.submission import ROOT
from grading import commands

TRAIN = ROOT / "experiments" / "slurm" / "train.sbatch"
GRADE = ROOT / "grading" / "slurm" / "grade.sbatch"
SAYS = '#!/bin/bash\n{ printf "%s\\t" "${0##*/}" "$@"; echo; } >> "$SAID"\n'
JOB = {"SLURM_JOB_ID": "77", "SLURM_JOB_NODELIST": "n[3-4]", "SLURM_JOB_NUM_NODES": "2"}
JOB |= {"SLURM_GPUS_ON_NODE": "4", "SLURM_CPUS_PER_TASK": "4"}

pytestmark = pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash")


@pytest.fixture
def job(tmp_path):
    """job(script, *words, **environment): its status, and the programs that it starts."""

    def run(script, *words, srun="", **environment):
        said = tmp_path / "said"
        said.unlink(missing_ok=True)
        programs = {"srun": SAYS + srun, "python": SAYS}
        programs["scontrol"] = SAYS + '[ "$1" = requeue ] || printf "%s\\n" n3 n4\n'
        for name, text in programs.items():
            (tmp_path / name).write_text(text)
            (tmp_path / name).chmod(0o755)
        environment |= JOB | {"SAID": str(said), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
        done = subprocess.run(["bash", script, *map(str, words)], env=environment, timeout=60)
        return done.returncode, [line.split("\t")[:-1] for line in said.read_text().splitlines()]

    return run


@pytest.mark.parametrize("script", [TRAIN, GRADE], ids=lambda path: path.stem)
def test_a_job_is_valid_bash_and_tells_slurm_all_before_its_first_command(script):
    assert not subprocess.run(["bash", "-n", script]).returncode
    lines = script.read_text().splitlines()
    first = next(k for k, line in enumerate(lines) if not line.startswith("#"))
    assert not [line for line in lines[first:] if line.startswith("#SBATCH")]


def test_training_starts_on_all_nodes_and_goes_on_from_its_checkpoint(job, tmp_path):
    words = (tmp_path / "run", "--dataset", "afhq", "--use_cfg")
    for resumed in (False, True):
        status, calls = job(TRAIN, *words)
        assert status == 0 and [call[0] for call in calls] == ["scontrol", "srun"]
        launcher, options = calls[1][:8], calls[1][8:]
        assert launcher[1:4] == ["torchrun", "--nnodes=2", "--nproc_per_node=4"]
        assert launcher[4:7] == ["--rdzv_backend=c10d", "--rdzv_id=77", "--rdzv_endpoint=n3:20077"]
        assert (ROOT / launcher[7]).is_file()
        args = train.parse(options)
        assert args.save_dir == tmp_path / "run" and args.dataset == "afhq" and args.use_cfg
        assert args.resume == resumed
        (tmp_path / "run").mkdir(exist_ok=True)
        (tmp_path / "run" / "last.ckpt").touch()


def test_a_job_whose_time_is_nearly_up_is_queued_again_and_waits_for_training(job, tmp_path):
    """A failure of training is no reason to queue it again, and is not hidden."""
    save = f'kill -USR1 $PPID; sleep .2; touch "{tmp_path}/saved"\n'
    _, calls = job(TRAIN, tmp_path / "run", srun=save)
    assert ["scontrol", "requeue", "77"] in calls and (tmp_path / "saved").exists()
    status, calls = job(TRAIN, tmp_path / "run", srun="exit 3\n")
    assert status == 3 and len(calls) == 2


def test_an_array_grades_the_shares_of_a_class_and_a_job_after_it_merges(job, tmp_path):
    array = {"SLURM_ARRAY_TASK_ID": "2", "SLURM_ARRAY_TASK_COUNT": "8"}
    for more, shard in ((array, (2, 8)), ({}, (1, 1))):
        status, ((program, *words),) = job(GRADE, "class", "out", "--pages", **more)
        assert status == 0 and program == "python" and words[:2] == ["-m", "grading"]
        args = commands.parse(words[2:])
        assert args.shard == shard and args.merge == (not more) and args.all and args.pages
        assert (str(args.submission), str(args.out), args.jobs) == ("class", "out", 4)
