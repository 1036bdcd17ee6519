"""Fetch an archive and unpack it, so that nothing is ever half there.

A download that breaks off goes on where it stopped, what has arrived is checked against a known
hash, and an archive is unpacked beside its place and moved there when it is whole.
"""

import hashlib
import http.client
import os
import shutil
import stat
import tarfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from tqdm import tqdm

from given.runtime.checkpoint import blamed_on

CHUNK = 2**20
TIMEOUT = 30  # seconds without an answer


def download(url: str, path: Path | str, checksum: str) -> None:
    """Fetch a file; go on with `<path>.partial` where an earlier try broke off.

    Args:
        url: where it is.
        path: where it goes.
        checksum: "sha256:..." or "md5:...".

    Raises:
        ConnectionError: the host cannot be reached or stopped early; what came is kept.
        ValueError: what came is not what the hash says; it is deleted.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".partial")
    try:
        _fetch_rest(url, part)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise ConnectionError(
            f"{url} could not be fetched ({reason}); the same command goes on where this stopped."
        ) from error
    algorithm, expected = checksum.split(":")
    found = file_hash(part, algorithm)
    if found != expected:
        with open(part, "rb") as file:
            page = file.read(500).lstrip().startswith(b"<")
        part.unlink()
        what = "a web page and not the file" if page else "another file than"
        raise ValueError(
            f"{url} gave {what} expected (hash {found}, not {expected}); it was deleted."
        )
    os.replace(part, path)


def _fetch_rest(url, part):
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "Mozilla/5.0"}  # some hosts refuse Python's own name
    request = urllib.request.Request(url, headers=headers | {"Range": f"bytes={have}-"})
    try:
        reply = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # no bytes after those that are here
            return
        raise
    with reply:
        resumed = reply.status == 206
        left = int(reply.headers.get("Content-Length", 0))
        with open(part, "ab" if resumed else "wb") as file:
            came = _copy(reply, file, have if resumed else 0, left)
    if came < left:
        raise ConnectionError(f"it broke off after {came} of {left} bytes")


def _copy(reply, file, have, left):
    came = 0
    total = have + left if left else None
    with tqdm(total=total, initial=have, unit="B", unit_scale=True, disable=None) as bar:
        while chunk := reply.read(CHUNK):
            file.write(chunk)
            came += len(chunk)
            bar.update(len(chunk))
    return came


def file_hash(path: Path | str, algorithm: str) -> str:
    """The hash of a file as hexadecimal digits; algorithm: "sha256" or "md5"."""
    digest = hashlib.new(algorithm, usedforsecurity=False)  # md5 is all that some authors give
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def check_hash(path: Path | str, checksum: str, remedy: str = "fetch it again") -> None:
    """Raise a ValueError that names the file unless its hash is the expected "sha256:..."."""
    algorithm, expected = checksum.split(":")
    found = file_hash(path, algorithm)
    if found != expected:
        raise ValueError(
            f"{path} is not the file that is expected (its hash is {found}, not {expected}); "
            f"delete it and {remedy}."
        )


@dataclass(frozen=True)
class Member:
    """A file or folder in an archive; `open()` returns its bytes as a stream."""

    name: str
    kind: str  # "file", "folder", or "link", devices included
    open: Callable


def unpack(archive: Path | str, folder: Path | str, inner: str = ".") -> None:
    """Unpack a zip or tar archive into a new folder that appears when it is whole.

    Args:
        archive: the file.
        folder: must not exist yet.
        inner: the folder of the archive that becomes `folder`; what lies beside it is dropped.

    Raises:
        ValueError: the archive is damaged, has no such inner folder, or holds a link or a path that
            leads out of its folder; nothing is unpacked then.
    """
    archive, folder = Path(archive), Path(folder)
    part = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
    remedy = "where it is damaged, delete it and fetch it again"
    try:
        with blamed_on(archive, remedy), _open_archive(archive) as file:
            members = list(_members(file))
            for member in members:
                _refuse_escape(archive, member)
            part.mkdir(parents=True)
            for member in tqdm(members, f"unpacking {archive.name}", leave=False, disable=None):
                _write(member, part / member.name)
        if not (part / inner).is_dir():
            raise ValueError(f"{archive} holds no folder {inner!r}; fetch it again.")
        os.replace(part / inner, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _open_archive(archive):
    return zipfile.ZipFile(archive) if zipfile.is_zipfile(archive) else tarfile.open(archive)


def _members(file):
    if isinstance(file, zipfile.ZipFile):
        for entry in file.infolist():
            linked = stat.S_ISLNK(entry.external_attr >> 16)  # the upper half holds the Unix mode
            kind = "link" if linked else "folder" if entry.is_dir() else "file"
            yield Member(entry.filename, kind, lambda entry=entry: file.open(entry))
    else:
        for entry in file.getmembers():
            kind = "file" if entry.isfile() else "folder" if entry.isdir() else "link"
            yield Member(entry.name, kind, lambda entry=entry: file.extractfile(entry))


def _refuse_escape(archive, member):
    # As Windows reads a name, both / and \ separate, and C: is a place; so it is refused anywhere.
    path = PureWindowsPath(member.name)
    if member.kind == "link" or path.anchor or ".." in path.parts:
        what = "a link or device" if member.kind == "link" else "a path that leads out of it"
        raise ValueError(f"{archive} holds {member.name!r}, {what}; nothing was unpacked.")


def _write(member, target):
    if member.kind == "folder":
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with member.open() as source, open(target, "wb") as out:
        shutil.copyfileobj(source, out, CHUNK)
