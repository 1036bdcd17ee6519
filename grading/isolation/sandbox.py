"""The grader's side of zygote.py: run a probe on a submission, get arrays back."""

import contextlib
import fcntl
import os
import pickle
import select
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from autograder import harness, settings
from given.images.data.imageset import find_set
from given.runtime.submission import ROOT
from grading.isolation import arrays, confine, runtime
from grading.isolation.attempts import ATTEMPTS, Attempts
from grading.isolation.zygote import TODO, VALUES

FIRST_UID, UIDS = 60600, 200  # a user for each sandbox; none of them exists on a usual system
# A name of the user, which has no entry of its own, for libraries that ask for one.
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1"}
ENVIRONMENT |= {"USER": "student", "LOGNAME": "student", "MPLBACKEND": "Agg"}
SYSTEM: tuple[str, ...] = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime")
SYSTEM += ("/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu")  # which torch asks


def take_uid() -> tuple[int, int]:
    """The descriptor of a locked file, and a user id that is ours as long as it is open."""
    for uid in range(FIRST_UID, FIRST_UID + UIDS):
        path = Path(tempfile.gettempdir()) / f"course-user-{os.getuid()}-{uid}.lock"
        with contextlib.suppress(OSError):  # locked, or another user's
            lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return lock, uid
            except OSError:
                os.close(lock)
    raise SystemExit(f"{UIDS} sandboxes run already on this machine.")


class Sandbox:
    """Runs probes one after another, each in a process of its own.

    Args:
        hidden: folders that no submission may see, besides the answers of the course.
    """

    def __init__(self, hidden: Iterable[Path] = ()) -> None:
        os.umask(0o022)  # what is written for a submission must be readable by its user
        self._box = tempfile.TemporaryDirectory(prefix="course-")
        self.box = Path(self._box.name)
        self.box.chmod(0o711)  # names in it are random: no other sandbox can find a submission
        self._lock, self.uid = take_uid()
        self.zygote: Any = None
        inside = {Path(sys.prefix), *Path(sys.prefix).parents}  # the course may hold its Python
        self.hidden = [str(p) for p in ROOT.iterdir() if p.is_dir() and p not in inside]
        self.hidden += [str(folder) for folder in hidden]
        runtime.build(self.box / "runtime")
        packages = {path for path in sys.path if path.endswith("-packages")}
        prefixes = {sys.prefix, sys.base_prefix, os.path.realpath(sys.base_prefix)}
        self.python = sorted(filter(os.path.isdir, prefixes | packages))

    def start(self) -> None:
        """Start the zygote: a Python that sees the runtime and installed packages, nothing else."""
        start = (
            "import sys; home, out = sys.argv[1:]; "
            "sys.path[:] = [home] + [p for p in sys.path if p.rstrip('/') != out]; "
            "from grading.isolation import zygote; zygote.main()"
        )
        self.zygote = subprocess.Popen(
            [sys.executable, "-I", "-c", start, str(self.box / "runtime"), str(ROOT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=self.box,
            env=ENVIRONMENT,
            start_new_session=True,
        )
        if self._receive(120) != b"ready":
            raise RuntimeError("The process in which submissions run could not be started.")

    def probe(
        self,
        test: Any,
        inputs: dict[str, Any],
        seed: int,
        tree: Path,
        limits: dict[str, Any],
        samples: Path | None = None,
        environment: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        """Run the probe of a test on the modules in `tree`; return a dict of arrays.

        Args:
            test: a graded test or a picture.
            inputs: of its `inputs`.
            seed: of torch.
            tree: folder with the TODO modules (see `grading/submission.py`).
            limits: as LIMITS of autograder/settings.py, with WAITING, the seconds until it must
                end.
            samples: a file or folder of the submission that the probe may read besides, or None.

        Raises:
            harness.Open, harness.Wrong: as `harness.run_probe`, or no result came back.
        """
        request = {
            "module": test.__module__,
            "source": runtime.hidden_source(test),
            "name": test.__name__,
            "inputs": inputs,
            "seed": seed,
            "tree": str(tree),
            "work": str(self._empty_work()),
            "uid": self.uid,
            "limits": limits,
            "hidden": self.hidden,
            "needed": [*self.python, str(self.box)],
            "readable": [*SYSTEM, *self.python, str(self.box / "runtime"), str(tree)]
            + ([str(samples)] if samples else []),
            "environment": ENVIRONMENT | (environment or {}),
        }
        data = self._ask(request, limits["WAITING"] + 60)
        kind, body = data[:1], data[1:]
        if kind == VALUES:
            try:
                return arrays.unpack(body)
            except ValueError as error:
                raise harness.Wrong(f"What came back is no set of arrays: {error}.") from None
        raise (harness.Open if kind == TODO else harness.Wrong)(body.decode("utf-8", "replace"))

    def add_images(self, dataset: str) -> None:
        """Put the test images of a set into the runtime, once."""
        if not (self.box / "runtime" / "data" / find_set(dataset)[0]).exists():
            runtime.add_images(self.box / "runtime", dataset)

    def warn(self) -> None:
        """Say on the error stream what the isolation lacks on this machine."""
        for sentence in self.weaknesses():
            print(f"Warning: here a submission can: {sentence}", file=sys.stderr)

    def weaknesses(self) -> list[str]:
        """What a submission could do here, found out by trying; best an empty list of sentences.

        Raises:
            SystemExit: no submission can run at all.
        """
        with socket.create_server(("127.0.0.1", 0)) as server:
            inputs = {"place": str(ROOT), "port": server.getsockname()[1], "grader": os.getpid()}
            try:
                done = self.probe(Attempts, inputs, 0, self.box, settings.LIMITS | {"WAITING": 60})
            except (harness.Wrong, RuntimeError) as error:
                raise SystemExit(
                    f"No submission can run here: {error} (with root and without namespaces, "
                    f"other users must be able to read {sys.base_prefix})"
                ) from None
        return [str(ATTEMPTS[name].__doc__) for name in ATTEMPTS if done[name]]

    def _empty_work(self):
        """A fresh folder to write in, which belongs to the user that will run there."""
        work = self.box / "work"
        if work.exists():
            subprocess.run(["rm", "-rf", str(work)], check=True)  # a tree may be deep
        work.mkdir(mode=0o700)
        if os.getuid() == 0:
            os.chown(work, self.uid, self.uid)
        return work

    def _ask(self, request, seconds):
        if self.zygote is None or self.zygote.poll() is not None:
            self.start()
        data = pickle.dumps(request)
        try:
            self.zygote.stdin.write(struct.pack("Q", len(data)) + data)
            self.zygote.stdin.flush()
            return self._receive(seconds)
        except (OSError, EOFError, TimeoutError) as error:
            self.stop()
            raise harness.Wrong(f"This test brought no result ({error}).") from None

    def _receive(self, seconds):
        """One message of the zygote, in time and not longer than a probe may answer."""
        size = struct.unpack("Q", self._read(8, seconds))[0]
        if size > 2 * arrays.MOST:
            raise EOFError("its answer is too long")
        return self._read(size, seconds)

    def _read(self, count, seconds):
        data, pipe = b"", self.zygote.stdout.fileno()
        while len(data) < count:
            if not select.select([pipe], [], [], seconds)[0]:
                raise TimeoutError("it did not end in time")
            piece = os.read(pipe, count - len(data))
            if not piece:
                raise EOFError("the process that runs it has ended")
            data += piece
        return data

    def stop(self) -> None:
        """End the zygote and what it runs."""
        if self.zygote is not None:
            confine.kill_group(self.zygote.pid)
            self.zygote.communicate()
            self.zygote = None
            if os.getuid() == 0 and confine.LINUX:
                confine.kill_user(self.uid)

    def close(self) -> None:
        """Stop, and remove every file."""
        self.stop()
        subprocess.run(["rm", "-rf", str(self.box / "work")], check=False)
        self._box.cleanup()
        os.close(self._lock)

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_):
        self.close()
