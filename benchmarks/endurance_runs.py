"""The runs that `endurance.py` torments, each in a process of its own, and the disks it takes away.

A run is whole when its command ends with status 0; what it wrote then has a digest, by which
a tormented run is compared with an undisturbed one, bit for bit.
"""

import contextlib
import hashlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch

from given.runtime.checkpoint import read_checkpoint

ROOT = Path(__file__).resolve().parents[1]
MEGABYTE = 2**20

# Runs a command of the course as `python -m` does; pictures that take seconds are skipped.
CHILD = """
import random, runpy, sys, time, warnings
warnings.simplefilter("ignore", RuntimeWarning)  # runpy, of a module that is loaded already
kind, module, clock = (sys.argv.pop(1) for _ in range(3))
if clock:
    rng, real, shift = random.Random(clock), time.time, [0.0]
    def jumping():
        if rng.random() < 0.05:
            shift[0] += rng.choice((-86_400.0, 31_536_000.0))
        return real() + shift[0]
    time.time = jumping
    sys.stderr.isatty = lambda: True  # so that the bars, which ask for the time, are drawn
if kind == "images":
    import numpy
    from experiments.images import training_progress
    training_progress.draw_images = lambda *_, **__: numpy.zeros((40, 28, 28, 1), "uint8")
elif kind == "bridge":
    from experiments.bridges import plane
    plane.SET_SIZE, plane.EVAL_SIZE = 2000, 50
    plane.bridge_figures.figures = lambda *_: {}
    plane.bridge_figures.animate = lambda *_: None
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""

# What a user of the plain loop would write; it has no command of its own.
PLANE = """
import sys
import torch
from given.plane.point_sets import Batches, make_points
from given.runtime.cli import one_line_errors
from sde_todo import loss, network, sde, train
def main():
    torch.manual_seed(0)
    model = network.SimpleNet(2, (64,), (64,), 64)
    ema, opt = train.EMA(model), torch.optim.Adam(model.parameters(), lr=1e-2)
    schedule = train.warmup_linear(opt, 200, 10)
    process, loader = sde.VPSDE(), Batches(make_points("moons", 500), 32, 0)
    step = train.get_sde_step_fn(model, ema, opt, loss.DSMLoss(), process, "noise",
                                 schedule=schedule)
    options = {"checkpoint": sys.argv[1], "save_every": 0.01, "threads": 1}
    losses = train.train_diffusion(loader, step, 200, **options)
    sys.exit(0 if len(losses) == 200 else 3)
if __name__ == "__main__":
    with one_line_errors():
        main()
"""

MODULES = {
    "images": "image_diffusion.train",
    "sampling": "image_diffusion.sampling",
    "bridge": "sde_todo",
    "plane": "endurance_plane",
}
OPTIONS = {
    "images": "--batch_size 4 --steps 40 --save_every 2 --sample_every 15 --threads 1",
    "sampling": "--batch_size 4 --num_samples 32 --steps 4 --guidance_scale 1.5",
    "bridge": "--num_steps 8 --batch_size 16 --cache_size 16 --iters 64 --rounds 2 "
    "--num_samples 50 --exp_name run --save_every 0.02",
    "plane": "",
}
FILES = {
    "images": "run/last.ckpt",
    "bridge": "results/bridge/run/last.ckpt",
    "plane": "run/last.ckpt",
}
# What marks the end of training, where a signal only stops it and the status is 0 all the same.
FINISHED = {"images": "steps. Checkpoint:", "bridge": "Pictures, samples.npz"}


class Job:
    """One kind of run. data: root of the image sets. scratch: folder of a module for the child."""

    def __init__(self, kind, data, scratch):
        self.kind, self.data, self.scratch = kind, data, scratch
        (scratch / "endurance_plane.py").write_text(PLANE)

    def checkpoint(self, folder):
        """The file a run goes on from, or None where it starts from scratch."""
        return folder / FILES[self.kind] if self.kind in FILES else None

    def arguments(self, folder, data=None, model=None):
        """The command line for results in `folder`; with --resume where there is what to resume."""
        own = {
            "images": ["--save_dir", folder / "run", "--data_root", data or self.data],
            "sampling": ["--save_dir", folder / "run"],
            "bridge": ["bridge"],
            "plane": [folder / "run" / "last.ckpt"],
        }[self.kind]
        if self.kind == "sampling":
            own += ["--ckpt_path", model or ROOT / "given/images/assets/fashion_ddpm.ckpt"]
        if self.kind != "plane":
            own += [*OPTIONS[self.kind].split(), "--device", "cpu"]
        if self.kind in ("images", "bridge") and self.checkpoint(folder).exists():
            own.append("--resume")
        return list(map(str, own))

    def start(self, folder, more=(), clock="", plain=False, limit=None, **places):
        """Start the command with results in `folder`.

        Args:
            more: arguments. clock: seed of its jumps, if any. plain: run it as it is, with all of
                its pictures. limit: bytes that a file may have. places: see `arguments`.
        """
        module = MODULES[self.kind]
        code = ["-m", module] if plain else ["-c", CHILD, self.kind, module, clock]
        paths = os.pathsep.join(map(str, (ROOT, self.scratch)))
        environment = {"COURSE": str(ROOT / "solutions"), "PYTHONPATH": paths}
        size = limit and (lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
        return subprocess.Popen(
            [sys.executable, *code, *self.arguments(folder, **places), *more],
            cwd=folder,
            env=os.environ | environment | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=size,
        )

    def whole(self, done):
        """Whether a run that ended came to its end."""
        return done.rc == 0 and FINISHED.get(self.kind, "") in done.text

    def digest(self, folder):
        """What a whole run wrote, as dict from a name to a hash."""
        if self.kind == "sampling":
            files = [folder / "run.png", *(folder / "run").rglob("*.png")]
            return {str(file.relative_to(folder)): hash_of(file.read_bytes()) for file in files}
        state = load(self.checkpoint(folder))
        parts = {name: hash_of(repr(list(flat(part))).encode()) for name, part in state.items()}
        if self.kind == "bridge":
            file = self.checkpoint(folder).with_name("samples.npz")
            parts["samples"] = hash_of(file.read_bytes())
        return parts


def load(checkpoint):
    """The dict of a checkpoint; that of the plain loop is of a form of its own."""
    try:
        return read_checkpoint(checkpoint)
    except ValueError as error:
        if "not a checkpoint of this course" not in str(error):
            raise
    return torch.load(checkpoint, weights_only=True)


def flat(value, name=""):
    """Pairs of a place and what is there, for whatever a checkpoint nests."""
    if isinstance(value, dict | list | tuple):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in pairs:
            yield from flat(part, f"{name}.{key}")
    elif isinstance(value, torch.Tensor):
        yield name, str(value.dtype), tuple(value.shape), hash_of(value.contiguous().numpy())
    else:
        yield name, repr(value)


def hash_of(data):
    return hashlib.sha256(data).hexdigest()[:16]


def can_mount():
    """Whether this process may mount."""
    return bool(shutil.which("mount") and os.environ.get("ENDURANCE_MOUNTS"))


def own_mounts():
    """Begin again in a namespace of mounts of its own: whatever ends it, they are gone with it."""
    if os.environ.get("ENDURANCE_MOUNTS") or not shutil.which("unshare"):
        return
    for way in (["unshare", "-m"], ["unshare", "-rm"]):
        probe = [*way, "sh", "-c", "mount -t tmpfs none /mnt"]
        if subprocess.run(probe, capture_output=True).returncode == 0:
            os.environ["ENDURANCE_MOUNTS"] = " ".join(way)
            os.execvp(way[0], [*way, sys.executable, *sys.argv])


class Disk:
    """A folder whose size and rights can be taken away and given back."""

    def __init__(self, folder, size):
        self.folder, self.size, self.mounts = folder, size, can_mount()
        folder.mkdir(parents=True)
        if self.mounts:
            self._mount("-t", "tmpfs", "-o", f"size={size}", "none")

    def _mount(self, *arguments):
        subprocess.run(["mount", *arguments, str(self.folder)], check=True, capture_output=True)

    def limit(self):
        """The bytes that a file of a run may have, where only that can be limited."""
        return None if self.mounts else self.size

    def free(self):
        """Make space, and let be written again."""
        if self.mounts:
            self._mount("-o", f"remount,rw,size={256 * MEGABYTE}")
        for path in (self.folder, *self.folder.rglob("*")) if not self.mounts else ():
            path.chmod(0o755)

    def lock(self):
        """Let nothing be written any more."""
        if self.mounts:
            self._mount("-o", "remount,ro")
        for path in [*self.folder.rglob("*"), self.folder] if not self.mounts else ():
            if path.is_dir():
                path.chmod(0o555)

    def close(self):
        if self.mounts:
            subprocess.run(["umount", "-l", str(self.folder)], capture_output=True)


class Done:
    """How a process ended: status, all it said, and the lines of its errors without bars."""

    def __init__(self, process, seconds):
        try:
            out, errors = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            out, errors = process.communicate()
            errors += f"\nIt hangs: ended after {seconds} seconds."
        self.text, self.rc = out + errors, process.returncode
        lines = (line.strip() for line in re.split(r"[\r\n]+", errors))
        self.lines = [line for line in lines if line and not re.search(r"\d%\|| [\d?]+it", line)]

    def brief(self):
        """Status and the ends of what was said, for the list of failures."""
        return f"status {self.rc}, {len(self.lines)} lines: {' | '.join(self.lines[-2:])}"

    def one_line(self):
        """Whether it failed with one line, and no more."""
        return self.rc > 0 and len(self.lines) == 1 and "Traceback" not in self.text


def wait_for(process, what, seconds=60):
    """Wait until `what()` is true, or the process has ended, or the time is over."""
    end = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end and not what():
        time.sleep(0.002)


@contextlib.contextmanager
def ended(processes):
    """End at the end whatever of these processes still runs."""
    try:
        yield
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
