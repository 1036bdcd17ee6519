"""What keeps a submission's code in: limits, another uid, Linux namespaces and Landlock.

Every measure is tried where the system has it. What really holds is found out by trying it:
`python -m grading isolation` runs attempts.py inside and reports what succeeded.

Sources: setrlimit(2), prctl(2), unshare(2), mount(2), pid_namespaces(7), landlock(7).
"""

import contextlib
import ctypes
import os
import platform
import resource
import signal
import struct
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

LINUX = sys.platform.startswith("linux")
libc = ctypes.CDLL(None, use_errno=True)

CLONE_NEWNS, CLONE_NEWIPC = 0x00020000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 4, 36, 38
LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446
READ, READ_FILE = 0b1101, 0b0101  # execute, read files, list folders; a file has no list
WRITE = 0b1111111111111  # every right of Landlock's first version
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# What no homework needs, and what memory, other processes and the network could be reached by:
# add_key request_key keyctl memfd_create memfd_secret ptrace bpf io_uring_setup userfaultfd socket
REFUSED = {
    "x86_64": (248, 249, 250, 319, 447, 101, 321, 425, 323, 41),
    "aarch64": (217, 218, 219, 279, 447, 117, 280, 425, 282, 198),
}
DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")


def prctl(option: int, value: int) -> Any:
    """prctl(2) with one argument; nothing elsewhere than on Linux."""
    if LINUX:
        libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0)


def close_door() -> None:
    """Keep other processes of the same user out of this one's memory and /proc entry."""
    prctl(PR_SET_DUMPABLE, 0)


def enter_user_namespace() -> None:
    """Without root: go on in a child in which this user may make namespaces, where it may at all.

    There it is the first process of a process namespace; its uid stays what it was. The parent
    waits, and ends with the child.
    """
    uid, gid = os.getuid(), os.getgid()
    if not LINUX or uid == 0 or libc.unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0:
        return
    with contextlib.suppress(OSError):
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    child = os.fork()
    if child:
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def fork_apart() -> tuple[int, bool]:
    """Fork, the child as the first process of a namespace of its own where that is possible.

    Returns:
        the process id (0 in the child), and whether it is in a namespace that dies with it.
    """
    home = os.open("/proc/self/ns/pid_for_children", os.O_RDONLY) if LINUX else None
    separate = home is not None and libc.unshare(CLONE_NEWPID) == 0
    child = os.fork()
    if child and separate:
        libc.setns(home, CLONE_NEWPID)
    if home is not None:
        os.close(home)
    return child, separate


def leave_network() -> None:
    """In a fork apart: no network, no shared memory and no mounts in common with anyone.

    Raises:
        OSError: the system refuses it after it has allowed a process namespace.
    """
    done = libc.unshare(CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWIPC) == 0
    if not (done and mount(None, "/", None, MS_REC | MS_PRIVATE)):
        raise OSError(ctypes.get_errno(), "namespaces could not be entered")


def mount(source: Any, target: Any, kind: Any, flags: int, options: str | None = None) -> bool:
    """mount(2); return whether it worked."""
    names = [None if name is None else str(name).encode() for name in (source, target, kind)]
    return libc.mount(*names, flags, options.encode() if options else None) == 0


def furnish(work: Any, hidden: Iterable, needed: Iterable, megabytes: int) -> None:
    """In a mount namespace: a small disk in memory at `work`, empty folders over `hidden`.

    Args:
        work: the only folder that may be written to.
        hidden: folders to cover.
        needed: folders that must stay readable, whoever owns the folders above them.
        megabytes: size of `work`.
    """
    for folder in hidden:
        mount("none", folder, "tmpfs", MS_NOSUID | MS_NODEV, "size=4k,mode=755")
    if os.getuid() == 0:
        open_ways(needed)
    options = f"size={megabytes}m,nr_inodes=2000,mode=777"
    mount("none", work, "tmpfs", MS_NOSUID | MS_NODEV, options)


def closed_above(folder: Path) -> Path | None:
    """The highest folder above `folder` (or itself) that other users may not enter, or None."""
    chain = [folder, *folder.parents][::-1]
    return next((each for each in chain if not each.stat().st_mode & 0o001), None)


def open_ways(folders: Iterable) -> None:
    """Show `folders` to every user though ones above them are closed, and nothing else of those."""
    closed = {folder: closed_above(folder) for folder in map(Path, folders) if folder.exists()}
    handles = {folder: os.open(folder, os.O_RDONLY) for folder, top in closed.items() if top}
    for top in set(closed.values()) - {None}:
        mount("none", top, "tmpfs", MS_NOSUID | MS_NODEV, "size=64k,mode=755")
    for folder, handle in handles.items():
        folder.mkdir(parents=True, exist_ok=True)
        mount(f"/proc/self/fd/{handle}", folder, None, MS_BIND | MS_REC)
        os.close(handle)


def set_limits(limits: dict[str, int], private: bool) -> None:
    """Limit time, memory, the size of files and the number of files and processes.

    Args:
        limits: as LIMITS in autograder/settings.py, with SECONDS of processor time.
        private: whether the user, or its namespace, has no other processes to count.
    """
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if LINUX else 0
    memory = pages * resource.getpagesize() + (limits["MEMORY_MB"] << 20)
    processes = 8 if private else 64 + len(os.listdir("/proc")) if LINUX else 512
    for name, value in (
        ("RLIMIT_CPU", limits["SECONDS"]),
        ("RLIMIT_AS", memory),
        ("RLIMIT_FSIZE", limits["FILES_MB"] << 20),
        ("RLIMIT_NOFILE", 128),
        ("RLIMIT_NPROC", processes),
        ("RLIMIT_CORE", 0),
    ):
        with contextlib.suppress(ValueError, OSError, AttributeError):  # macOS has not all
            resource.setrlimit(getattr(resource, name), (value, value))


def drop_rights(uid: int | None) -> None:
    """Become another user where a uid is given, and give up every capability for good."""
    if uid:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    if LINUX:
        with contextlib.suppress(OSError):  # where memory runs out, let it be this one
            Path("/proc/self/oom_score_adj").write_text("1000")
        # capset(2), version 3: two sets of effective, permitted and inheritable, all empty
        header, none = struct.pack("Ii", 0x20080522, 0), bytes(24)
        libc.capset(header, none)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def landlock(readable: Iterable, writable: Iterable) -> int:
    """Allow nothing of the file system but what is listed, no TCP, and no signal to others.

    Returns:
        the version of Landlock that holds, 0 where there is none.
    """
    version = libc.syscall(LANDLOCK_CREATE_RULESET, None, 0, 1) if LINUX else -1
    if version < 1:
        return 0
    rights = WRITE | (1 << 13 if version >= 2 else 0) | (1 << 14 if version >= 3 else 0)
    attributes = struct.pack("QQQ", rights, 0b11, 0b11)  # files; TCP; sockets and signals
    size = 8 if version < 4 else 16 if version < 6 else 24
    rules = libc.syscall(LANDLOCK_CREATE_RULESET, attributes, size, 0)
    for path in [*readable, *DEVICES]:
        allow(rules, path, READ if os.path.isdir(path) else READ_FILE)
    allow(rules, "/dev/null", 0b0110)
    allow(rules, writable, rights)
    held = libc.syscall(LANDLOCK_RESTRICT_SELF, rules, 0) == 0
    os.close(rules)
    return version if held else 0


def allow(rules: int, path: Any, rights: int) -> None:
    """Add a path to a Landlock ruleset; one that is not there needs no rule."""
    with contextlib.suppress(OSError):
        handle = os.open(path, getattr(os, "O_PATH", os.O_RDONLY))
        libc.syscall(LANDLOCK_ADD_RULE, rules, 1, struct.pack("=Qi", rights, handle), 0)
        os.close(handle)


def refuse_calls() -> None:
    """Let the system calls of `REFUSED` fail with EPERM, by a seccomp filter (seccomp(2))."""
    machine = platform.machine()
    if not LINUX or machine not in REFUSED:
        return
    calls = REFUSED[machine]
    n, load, equal, at_least, give = len(calls), 0x20, 0x15, 0x35, 0x06
    allow_it, refuse_it = (give, 0, 0, 0x7FFF0000), (give, 0, 0, 0x00050001)
    code = [(load, 0, 0, 4), (equal, 0, n + 3, ARCHITECTURES[machine])]  # another one: refuse
    code += [(load, 0, 0, 0), (at_least, n + 1, 0, 1 << 30)]  # calls of x32: refuse
    code += [(equal, n - k, 0, call) for k, call in enumerate(calls)]
    code += [allow_it, refuse_it]
    text = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
    program = struct.pack("HP", len(code), ctypes.addressof(text))
    libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0)


def kill_group(leader: int) -> None:
    """Kill a process and its group; in a process namespace, all that is in it."""
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(OSError):
            kill(leader, signal.SIGKILL)


def kill_rest(uid: int | None) -> None:
    """Kill every process of `uid`, and every orphan that came to us as the subreaper."""
    if uid:
        kill_user(uid)
    if LINUX:
        reap_orphans()


def kill_user(uid: int) -> None:
    """As root: kill every process of a user, at once."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(OSError):
            os.setuid(uid)
            os.kill(-1, signal.SIGKILL)
        os._exit(0)
    os.waitpid(child, 0)


def reap_orphans(seconds: float = 5.0) -> None:
    """Kill and wait for children until none is left; as subreaper, all descendants are ours."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for child in children():
            with contextlib.suppress(OSError):
                os.kill(child, signal.SIGKILL)
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return


def children() -> list[int]:
    """Process ids of this process's children."""
    parents = {pid: fields[1] for pid, fields in processes()}
    return [pid for pid, parent in parents.items() if int(parent) == os.getpid()]


def processes() -> Iterator[tuple[int, list[str]]]:
    """(process id, the fields of /proc/ID/stat after the name) for all processes in sight."""
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            yield int(name), Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()


def memory_below() -> int:
    """Bytes that the processes below this one hold beyond what each has from this one."""
    if not LINUX:
        return 0
    top = int(os.readlink("/proc/self"))  # in a namespace, getpid() is another number
    stats = dict(processes())
    own, below, total = int(stats[top][21]), {top}, 0
    for _ in stats:
        new = {p for p, fields in stats.items() if int(fields[1]) in below} - below
        if not new:
            break
        below |= new
        total += sum(max(0, int(stats[p][21]) - own) for p in new)
    return total * resource.getpagesize()
