"""What a submission is: the named TODO files out of a folder or a zip, and nothing else of it."""

import contextlib
import re
import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from autograder.handed_in import LARGEST, Unreadable, text_of
from given.images.data.image_files import SUFFIXES
from given.runtime.submission import TODO_MODULES

TODO_FILES = tuple(f"{package}/{m}.py" for package, names in TODO_MODULES.items() for m in names)
MEMBERS = 20_000  # of an archive or a folder
IMAGES, ALL_IMAGES = 20_000, 200 << 20  # number of images, and the bytes of all of them
CHECKPOINT = 300 << 20


def member_path(name: str) -> PurePosixPath | None:
    """Where a member of a submission lies, or None where it does not count.

    Backslashes separate folders, as in zips of PowerShell 5.1 and in what such a zip unpacks to.
    What leads out of the submission does not count, nor what is hidden or of macOS's Finder.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    outside = PureWindowsPath(name).anchor or path.is_absolute() or ".." in path.parts
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    return None if outside or hidden or not path.parts else path


class Folder:
    """A folder of a submission; links are not followed, nor is anything that is no plain file."""

    def __init__(self, path: Path) -> None:
        self.path, self.members = path, {}
        waiting = [path]
        while waiting:
            for item, mode in _inside(waiting.pop()):
                member = member_path(item.relative_to(path).as_posix())
                if member and stat.S_ISDIR(mode):
                    waiting.append(item)
                elif member and stat.S_ISREG(mode):
                    self.members[member] = item
                if len(self.members) + len(waiting) > MEMBERS:
                    raise Unreadable(f"The submission holds more than {MEMBERS:,} files.")

    def read(self, name: PurePosixPath, most: int) -> bytes:
        """The bytes of a file, one more than `most` where it is longer."""
        try:
            with open(self.members[name], "rb") as file:
                return file.read(most + 1)
        except OSError as error:
            raise Unreadable(f"{name} cannot be read ({error.strerror}).") from None


def _inside(folder):
    """What a folder holds, with its mode; what cannot be looked at is not there for us."""
    try:
        items = sorted(folder.iterdir())
    except OSError:
        return
    for item in items:
        with contextlib.suppress(OSError):
            yield item, item.lstat().st_mode


class Archive:
    """A zip; members that lead out of it, links and encrypted ones are not there for us."""

    def __init__(self, path: Path) -> None:
        try:
            self.zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise Unreadable(f"The zip cannot be read ({error}).") from None
        entries = self.zip.infolist()
        if len(entries) > MEMBERS:
            raise Unreadable(f"The zip holds {len(entries):,} entries, more than {MEMBERS:,}.")
        placed = [(member_path(e.filename), e) for e in entries if self._is_plain(e)]
        self.members = {path: entry for path, entry in placed if path}

    def _is_plain(self, entry):
        kind = stat.S_IFMT(entry.external_attr >> 16)
        return kind in (0, stat.S_IFREG) and not entry.filename.endswith(("/", "\\"))

    def read(self, name: PurePosixPath, most: int) -> bytes:
        """The bytes of a member, one more than `most` where it is longer, however it is packed."""
        try:
            with self.zip.open(self.members[name]) as file:
                return file.read(most + 1)
        except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, EOFError) as error:
            raise Unreadable(f"{name} cannot be unpacked ({error}).") from None
        except Exception as error:  # zlib, lzma and bz2 have errors of their own
            raise Unreadable(f"{name} is damaged ({type(error).__name__}).") from None


def open_submission(path: Path | str) -> Folder | Archive:
    """A `Folder` or an `Archive`.

    Raises:
        Unreadable: there is nothing, or it is neither.
    """
    path = Path(path)
    try:
        if path.is_dir() and not path.is_symlink():
            return Folder(path)
        if path.is_file() and not path.is_symlink():
            return Archive(path)
    except OSError as error:
        raise Unreadable(f"The submission cannot be read ({error.strerror}).") from None
    raise Unreadable(f"There is no folder or zip {path.name}.")


def find_root(members: Any) -> dict[str, Any]:
    """The folder of a submission with sde_todo/ and image_diffusion/, or with loose files.

    Of several, the one with most TODO files counts, then the highest, then the first by name.

    Returns:
        dict from TODO file, such as "sde_todo/sde.py", to the member that it is.
    """
    found: dict[tuple, dict[str, Any]] = {}
    for member in members:
        if member.suffix != ".py":
            continue
        for file in TODO_FILES:
            for tail in (PurePosixPath(file).parts, PurePosixPath(file).parts[-1:]):
                if member.parts[-len(tail) :] == tail:
                    root = PurePosixPath(*member.parts[: -len(tail)])
                    found.setdefault((len(tail), root), {})[file] = member
    if not found:
        return {}
    # Loose files count only where there is no package: image_diffusion/train.py is no sde_todo one.
    best = min(found, key=lambda key: (-key[0], -len(found[key]), len(key[1].parts), str(key[1])))
    return found[best]


def read(path: Path | str) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """Read the TODO files of a submission.

    Returns:
        files: dict from TODO file to its text.
        problems: dict from TODO file to why there is no text.
        notes: sentences for the student on what was read otherwise than it is written.

    Raises:
        Unreadable: nothing can be read, or it holds no TODO file at all.
    """
    source = open_submission(path)
    where = find_root(source.members)
    if not where:
        names = ", ".join(TODO_FILES)
        inner = next((m for m in source.members if m.suffix.lower() in (".zip", ".gz")), None)
        more = f" It holds {inner}: hand in what is in there." if inner else ""
        raise Unreadable(f"The submission holds none of the files to hand in: {names}.{more}")
    files, problems, notes = {}, {}, []
    for file in TODO_FILES:
        try:
            if file not in where:
                raise Unreadable(f"{file} is not in the submission{_renamed(file, source)}.")
            files[file], said = text_of(file, source.read(where[file], LARGEST))
            notes += said
        except Unreadable as error:
            problems[file] = str(error)
    return files, problems, notes


def _renamed(file, source):
    """A remark on a member that may be a TODO file under another name, or ""."""
    stem = PurePosixPath(file).stem
    like = re.compile(rf"(.*[^a-z])?{stem}[^a-z]*([ _-]*(copy|final|new)\W*)?\.py(\.txt)?", re.I)
    found = [m for m in source.members if like.fullmatch(m.name) and m.name != f"{stem}.py"]
    return f", but {found[0]} is: it must be called {stem}.py" if found else ""


def write_tree(files: dict[str, str], folder: Path) -> None:
    """Write TODO files into a folder in which nobody may change them."""
    for file, text in files.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
        path.chmod(0o444)
    for place in (folder, *filter(Path.is_dir, folder.iterdir())):
        place.chmod(0o755)


def copy_images(path: Path | str, name: str, folder: Path) -> None:
    """Copy the images of a submission that lie under the folder `name` into `folder`.

    Raises:
        Unreadable: there are none, or too many; then `folder` is not there.
    """
    try:
        if not _copy_images(open_submission(path), name, folder):
            raise Unreadable(f"The submission has no folder {name}/ with images.")
    except (OSError, Unreadable) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise Unreadable(str(error)) from None


def _copy_images(source, name, folder):
    total, count = 0, 0
    for member in source.members:
        inside = _below(member, name)
        if inside is None or member.suffix.lower() not in SUFFIXES:
            continue
        data = source.read(member, ALL_IMAGES - total)
        total, count = total + len(data), count + 1
        if total > ALL_IMAGES or count > IMAGES:
            raise Unreadable(f"{name}/ holds more than {ALL_IMAGES >> 20} MB or {IMAGES:,} images.")
        target = folder / inside
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return count


def listing(path: Path | str) -> list[list]:
    """Names of all files of a submission with what changes when they do, for a fingerprint."""
    members = open_submission(path).members
    return [
        [str(name), m.CRC] if isinstance(m, zipfile.ZipInfo) else [str(name), *m.lstat()[6:9:2]]
        for name, m in members.items()
    ]


def copy_checkpoint(path: Path | str, name: str, target: Path) -> None:
    """Copy the file `name` of a submission to `target`.

    Raises:
        Unreadable: it is not there, or too long.
    """
    source = open_submission(path)
    found = [m for m in source.members if m.name == name or str(m).endswith(f"/{name}")]
    if not found:
        raise Unreadable(f"The submission has no file {name}.")
    data = source.read(min(found, key=lambda m: (len(m.parts), str(m))), CHECKPOINT)
    if len(data) > CHECKPOINT:
        raise Unreadable(f"{name} is longer than {CHECKPOINT >> 20} MB.")
    target.write_bytes(data)


def _below(member, name):
    """The path of a member under the highest folder `name`, or None."""
    parts = member.parts[:-1]
    if name not in parts:
        return None
    return PurePosixPath(*member.parts[parts.index(name) + 1 :])
