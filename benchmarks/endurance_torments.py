"""The torments of `endurance.py`: each takes a Trial and does one thing to its run."""

import os
import shutil
import signal
import time

import numpy as np

from benchmarks import endurance_runs as runs
from benchmarks.endurance_runs import Disk, Done

LIMIT = 180  # seconds after which a run hangs
POLITE = (signal.SIGINT, signal.SIGTERM)


class Trial:
    """One torment of one job: what was started, said and found wrong.

    Args:
        job: a Job. rng: random.Random. folder: an empty one. right: digest of an undisturbed run.
    """

    def __init__(self, job, rng, folder, right):
        self.job, self.rng, self.folder, self.right = job, rng, folder, right
        self.started, self.said, self.wrong = [], [], []
        self.what = ""  # the torment in words, for the list of failures

    def start(self, **options):
        self.started.append(self.job.start(self.folder, **options))
        return self.started[-1]

    def end(self, process):
        """Wait for the end of a process; no run may show a traceback."""
        done = Done(process, LIMIT)
        self.said += done.lines if done.rc else []
        if "Traceback" in done.text or "It hangs" in done.text:
            self.blame(done.brief())
        self.check_readable()
        return done

    def blame(self, text):
        self.wrong.append(f"{self.what}: {text}" if self.what else text)

    def check_readable(self):
        path = self.job.checkpoint(self.folder)
        try:
            if path and path.exists():
                runs.load(path)
        except ValueError as error:
            self.blame(f"a checkpoint that cannot be read: {error}")

    def finish(self, **options):
        """The documented command, until the end; then everything must be as undisturbed."""
        done = self.end(self.start(**options))
        if not self.job.whole(done):
            return self.blame(f"does not go on: {done.brief()}")
        self.check_same()
        litter = [p.name for p in self.folder.rglob("*") if ".part" in p.name]
        if litter:
            self.blame(f"litter stays: {', '.join(litter[:3])}")

    def check_same(self):
        found = self.job.digest(self.folder)
        other = [k for k in found.keys() | self.right.keys() if found.get(k) != self.right.get(k)]
        if other:
            self.blame(f"other bits in {', '.join(sorted(other)[:4])}")

    def expect(self, done):
        """A run is right, or says in one line why not; a signal's end without words is neither."""
        if self.job.whole(done):
            self.check_same()
        elif not done.one_line():
            self.blame(done.brief())

    def begun(self, process):
        """Wait until a run has written a part of its results."""
        path = self.job.checkpoint(self.folder) or self.folder / "run"
        begin = path.stat().st_mtime_ns if path.exists() else 0
        runs.wait_for(process, lambda: path.exists() and path.stat().st_mtime_ns > begin)


def kill(trial):
    """SIGKILL at random times, two or three times."""
    for _ in range(trial.rng.randint(2, 3)):
        process = trial.start()
        if trial.rng.random() < 0.9:
            trial.begun(process)
        time.sleep(trial.rng.uniform(0, 0.5))
        process.kill()
        trial.end(process)
    trial.finish()


def stop(trial):
    """SIGINT or SIGTERM at a random time, twice; at most one line."""
    for _ in range(2):
        number, process = trial.rng.choice(POLITE), trial.start()
        trial.begun(process)
        time.sleep(trial.rng.uniform(0, 0.5))
        trial.what = number.name
        process.send_signal(number)
        if len((done := trial.end(process)).lines) > 1:
            trial.blame(done.brief())
    trial.finish()


def stop_import(trial):
    """SIGINT before anything has begun; at most one line."""
    process, wait = trial.start(plain=True), trial.rng.uniform(0.4, 3)
    time.sleep(wait)
    process.send_signal(signal.SIGINT)
    trial.what = f"SIGINT after {wait:.2f} s"
    if len((done := trial.end(process)).lines) > 1:
        trial.blame(done.brief())
    trial.finish()


def stop_writing(trial):
    """A signal while a checkpoint is being written, three times."""
    for _ in range(3):
        number, process = trial.rng.choice((*POLITE, signal.SIGKILL)), trial.start()
        trial.what = number.name
        runs.wait_for(process, lambda: any(trial.folder.rglob("*.part*")))
        process.send_signal(number)
        trial.end(process)
    trial.finish()


def full_disk(trial):
    """No space left at a random place; after space is made it goes on."""
    sizes = [p.stat().st_size for p in trial.right_folder.rglob("*") if p.is_file()]
    size = int(trial.rng.uniform(0.2, 1.05) * max(sum(sizes), 2 * max(sizes), 64_000))
    places = {"data": trial.folder / "data"} if trial.rng.random() < 0.2 else {}
    places = places if trial.job.kind == "images" else {}
    trial.what = f"{size:,} bytes, {', '.join(['results', *places])}"
    trial.folder.rmdir()
    disk = Disk(trial.folder, size)
    try:
        trial.expect(trial.end(trial.start(limit=disk.limit(), **places)))
        disk.free()
        trial.finish(**places)
    finally:
        disk.close()


def read_only(trial):
    """A folder of results that cannot be written to, from the start or after a while."""
    trial.folder.rmdir()
    disk = Disk(trial.folder, 256 * runs.MEGABYTE)
    try:
        if trial.rng.random() < 0.6:
            process = trial.start()
            trial.begun(process)
            process.kill()
            trial.end(process)
        disk.lock()
        done = trial.end(trial.start())
        if not done.one_line():
            trial.blame(done.brief())
        disk.free()
        trial.finish()
    finally:
        disk.close()


def harm(trial, file):
    """Harm a file of the data set in one of the ways in which files come to harm."""
    way = trial.rng.choice(("cut", "emptied", "deleted", "replaced", "overwritten"))
    trial.what = f"{file.name} {way}"
    size = file.stat().st_size
    if way in ("cut", "emptied"):
        os.truncate(file, 0 if way == "emptied" else trial.rng.randrange(1, size))
    elif way == "deleted":
        file.unlink()
    elif way == "replaced" and file.suffix == ".npy":
        other = file.with_name("other.npy")
        np.save(other, 255 - np.load(file))
        other.rename(file)
    else:
        with open(file, "r+b") as stream:
            stream.seek(size // 3)
            stream.write(bytes(size // 2))


def data_lost(trial):
    """A data file cut, emptied, deleted, replaced or overwritten while a run reads it or before."""
    data = trial.folder / "data"
    shutil.copytree(trial.job.data, data)
    process, between = trial.start(data=data), trial.rng.random() < 0.5
    trial.begun(process)
    if between:
        process.kill()
        trial.end(process)
    files = sorted((data / "fashion").glob("train_28*"))
    harm(trial, trial.rng.choice([*files, *files[:1]]))
    trial.what += " between two runs" if between else " while it is read"
    trial.expect(trial.end(trial.start(data=data) if between else process))
    shutil.rmtree(data)
    shutil.copytree(trial.job.data, data)
    trial.finish(data=data)


def model_lost(trial):
    """The checkpoint that is sampled from, cut or deleted while it is read or before."""
    model = trial.folder / "model.ckpt"
    assets = runs.ROOT / "image_diffusion/assets"
    shutil.copy(assets / "fashion_ddpm.ckpt", model)
    process = trial.start(model=model)
    time.sleep(trial.rng.uniform(0, 4))
    harm(trial, model)
    trial.expect(trial.end(process))
    trial.finish()


def clock(trial):
    """A clock that jumps back by a day or on by a year, with a kill on the way."""
    process = trial.start(clock=str(trial.rng.random()))
    trial.begun(process)
    process.kill()
    trial.end(process)
    process = trial.start(clock=str(trial.rng.random()))
    done = trial.end(process)
    if "-1 day" in done.text or any(line.startswith("-") for line in done.lines):
        trial.blame(f"negative times: {done.text[-200:]!r}")
    trial.expect(done)
    trial.finish()


def two_runs(trial):
    """Two runs on the same folder at once: both right, or one line from one of them."""
    first = trial.start()
    time.sleep(trial.rng.uniform(0, 4))
    second = trial.start()
    for process in (first, second):
        done = trial.end(process)
        if not trial.job.whole(done) and not done.one_line():
            trial.blame(done.brief())
    trial.finish()


def cut_checkpoint(trial):
    """A checkpoint that was cut by hand: one line; deleted, it starts from scratch."""
    process = trial.start()
    trial.begun(process)
    process.kill()
    trial.end(process)
    path = trial.job.checkpoint(trial.folder)
    size = trial.rng.randrange(path.stat().st_size)
    os.truncate(path, size)
    trial.what = f"cut to {size:,} bytes"
    done = Done(trial.start(), LIMIT)
    trial.said += done.lines
    if not done.one_line():
        trial.blame(done.brief())
    path.unlink()
    trial.finish()


TRAINED = ("images", "bridge", "plane")
TORMENTS = {
    "killed at random": (kill, (*TRAINED, "sampling")),
    "SIGINT or SIGTERM": (stop, (*TRAINED, "sampling")),
    "Ctrl-C before it begins": (stop_import, ("images", "bridge", "sampling")),
    "signal while writing": (stop_writing, TRAINED),
    "full disk": (full_disk, (*TRAINED, "sampling")),
    "read-only folder": (read_only, (*TRAINED, "sampling")),
    "data lost": (data_lost, ("images",)),
    "model lost": (model_lost, ("sampling",)),
    "clock jumps": (clock, TRAINED),
    "two at once": (two_runs, TRAINED),
    "checkpoint cut": (cut_checkpoint, TRAINED),
}
