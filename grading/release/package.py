"""Package the course: for students, for Gradescope, for a GitHub workflow.

`student(out)`, `gradescope(out)` and `classroom(out)` write a zip file, the same bytes each time,
or a folder where `out` does not end in .zip, and return its path. What cannot be done is a
ValueError with one sentence.

A student's package holds the rooms named in STUDENT and nothing else: a new file goes out when it
lies in one of them. The TODO modules and the tables of tasks are those that
`python -m grading stubs` would write, whatever is in the working tree. Before anything is written,
`leaks` compares every file with the solutions.
"""

import ast
import io
import json
import os
import re
import shutil
import zipfile
from pathlib import Path

from autograder import classroom as github
from autograder import settings
from given.runtime.submission import ROOT
from grading import late
from grading.release import gradescope as container
from grading.release.derived import derived_files
from grading.release.stubs import all_regions

FOLDER = "diffusion-course"  # that a student's zip unpacks to
EXECUTABLE = ("setup.sh", "run_autograder")

STUDENT = (  # the rooms that go out; the settings go without their hidden part
    *(".gitignore", "LICENSE", "requirements.txt", "constraints.txt"),
    *("notebooks/*.ipynb", "notebooks/pictures/*.png"),
    *("notebooks/README.md", "given/README.md", "experiments/README.md"),
    *("sde_todo/*.py", "image_diffusion/*.py", "image_diffusion/fid/*.py"),
    *("given/**/*.py", "given/images/assets/*", "experiments/**/*.py"),
    "experiments/slurm/*.sbatch",
    *("autograder/*.py", "tests/__init__.py", "tests/task?/*.py"),
)
NOT_STUDENT = ("autograder/__main__.py", "autograder/classroom.py", "autograder/settings.py")
GRADER = ("grading/**/*.py", "autograder/*.py", "solutions/*/*.py")

README_SECTIONS = ("If you are a student", "Layout")
NOT_THEIRS = re.compile(r"solutions\b|COURSE=|\bgrading\b|tests/project|benchmark")
SOLUTION = re.compile(r"\bsolutions?\b")
HIDDEN = re.compile(r"^# (BEGIN|END) HIDDEN\n", re.MULTILINE)
MAKE_TARGETS = ("help", ".venv/installed", "grade", "lab", "clean")
SETTINGS_DOC = '"""Points and pass marks, as your instructor set them."""'


def student(out: str | Path) -> Path:
    """Write what a student gets: stubs, given files, public tests, notebooks, a README."""
    return _write(_checked(student_tree()), out, FOLDER)


def classroom(out: str | Path) -> Path:
    """Write the student's package with a GitHub workflow that runs the tests of each task."""
    tree = student_tree() | {
        "autograder/__main__.py": _read(ROOT, "autograder/__main__.py"),
        "autograder/classroom.py": _read(ROOT, "autograder/classroom.py"),
        ".github/workflows/classroom.yml": github.workflow().encode(),
    }
    return _write(_checked(tree), out, FOLDER)


def gradescope(out: str | Path) -> Path:
    """Write the zip that an instructor uploads to Gradescope; see grading/release/gradescope.py."""
    if Path(out).suffix != ".zip":
        raise ValueError(f"Gradescope takes a zip file: give --out a name like {out}.zip.")
    late.check_policy(getattr(settings, "LATE", None), getattr(settings, "ATTEMPTS", None))
    names = {*_names(ROOT, GRADER), *_names(ROOT, STUDENT)}
    course = {name: _read(ROOT, name) for name in names} | _derived()
    tree = {f"course/{name}": data for name, data in course.items()}
    top = container.scripts(_text(ROOT, "constraints.txt"))
    return _write(tree | {name: text.encode() for name, text in top.items()}, out)


def student_tree() -> dict[str, bytes]:
    """The files of a student's package: {name: bytes}."""
    tree = {name: _read(ROOT, name) for name in _names(ROOT, STUDENT) if name not in NOT_STUDENT}
    tree |= _derived()
    for name in tree:
        if name.endswith(".ipynb"):
            tree[name] = _without_outputs(tree[name])
    made = {
        "README.md": student_readme(_text(ROOT, "README.md")),
        "Makefile": student_makefile(_text(ROOT, "Makefile")),
        "pyproject.toml": "".join(
            line
            for line in _text(ROOT, "pyproject.toml").splitlines(keepends=True)
            if "tests/project" not in line
        ),
        "autograder/settings.py": student_settings(_text(ROOT, "autograder/settings.py")),
    }
    return tree | {name: text.encode() for name, text in made.items()}


def student_readme(text: str) -> str:
    """The README without what is meant for instructors and readers, decided by headings."""
    start, *rest = re.split(r"^## ", text, flags=re.MULTILINE)
    sections = {part.partition("\n")[0]: f"## {part}" for part in rest}
    missing = [name for name in README_SECTIONS if name not in sections]
    if missing:
        raise ValueError(f"README.md has no section {missing[0]!r} for the student's package.")
    start = "\n\n".join(
        " ".join(s for s in re.split(r"(?<=\.)\s+", part) if not SOLUTION.search(s))
        if SOLUTION.search(part)
        else part
        for part in start.split("\n\n")
    )
    body = "".join(sections[name] for name in README_SECTIONS)
    body = re.sub(r"(?m)^(?:solutions|grading|benchmarks)/.*\n(?: +.*\n)*", "", body)
    body = re.sub(r" and the tests of the course itself.*", "", body)
    return start + body


def check_words(name: str, text: str) -> None:
    """Refuse a text for students that speaks of what they do not get."""
    found = NOT_THEIRS.search(text)
    if found:
        line = text[: found.start()].count("\n") + 1
        raise ValueError(f"{name} mentions {found[0]!r} in what students get (line {line} there).")


def student_makefile(text: str) -> str:
    """The Makefile with the targets that work without the solutions."""
    blocks = []
    for block in text.split("\n\n"):
        rules = re.findall(r"^([-.\w/]+):(?!=)", block, flags=re.MULTILINE)
        if not [rule for rule in rules if rule not in (*MAKE_TARGETS, ".PHONY")]:
            blocks.append(block)
    text = "\n\n".join(blocks).rstrip("\n") + "\n"
    kept = "|".join(map(re.escape, MAKE_TARGETS))
    text = re.sub(rf'\t@echo "(?!make (?:{kept}) ).*\n', "", text)
    return re.sub(r"\.PHONY:.*", ".PHONY: help grade lab clean", text)


def student_settings(text: str) -> str:
    """The settings without the hidden region; ValueError where its marks are in disorder."""
    parts = HIDDEN.split(text)
    if parts[1::2] != ["BEGIN", "END"]:
        raise ValueError(
            "autograder/settings.py must have one `# BEGIN HIDDEN` and one `# END HIDDEN`."
        )
    text = f"{parts[0].rstrip()}\n{parts[4]}"
    first = ast.parse(text).body[0]
    rest = text.splitlines()[first.end_lineno :]
    return "\n".join([SETTINGS_DOC, *rest]) + "\n"


def leaks(tree: dict[str, bytes]) -> list[str]:
    """Where a student's package holds lines of a solution or of the hidden settings.

    A line counts if it has 25 characters and is no comment, import or string. What a student reads
    and writes (stubs, notebooks, README) may hold none. A given module or a test may hold one line
    of a region, as closed forms look alike, but not two; tests/task1 and tests/task2 may share
    lines with hidden tests, which are often made from them.
    """
    regions = _regions()
    hidden = _lines(HIDDEN.split(_text(ROOT, "autograder/settings.py"))[2])
    given = {name for name in _names(ROOT, STUDENT) if name.endswith(".py")}
    given -= {*_derived(), "autograder/settings.py"}
    found = []
    for name, data in sorted(tree.items()):
        lines = _lines(_plain_text(name, data))
        for region, own in regions.items():
            common = lines & own
            if len(common) > (name in given):
                found.append(f"{name} holds {min(common)!r} of solution {region}")
        if lines & hidden and not name.startswith(("tests/task1/", "tests/task2/")):
            found.append(f"{name} holds {min(lines & hidden)!r} of the hidden settings")
        if re.search(rb"# (BEGIN|END) (SOLUTION|HIDDEN)", data):
            found.append(f"{name} holds the mark of a solution or of the hidden settings")
    return found


def _checked(tree):
    for name in (name for name in tree if name.endswith("README.md")):
        check_words(name, tree[name].decode())
    found = leaks(tree)
    if found:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        raise ValueError(f"The package would give answers away: {found[0]}{more}.")
    return tree


def _regions():
    """{"1.1a (sde_todo/sde.py, line 12)": the lines that count} of all solutions."""
    return {
        f"{region.task} ({name}, line {region.begin})": _lines("\n".join(region.lines))
        for name, regions in all_regions().items()
        for region in regions
    }


def _lines(text):
    """The lines of a text that would give something away."""
    lines = (" ".join(line.split()) for line in text.splitlines())
    skipped = ("#", "import ", "from ", '"', "'", 'f"')
    return {line for line in lines if len(line) >= 25 and not line.startswith(skipped)}


def _plain_text(name, data):
    """The text of a file, that of a notebook without its JSON."""
    text = data.decode("utf-8", "replace")
    if not name.endswith(".ipynb"):
        return text
    return "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])


def _without_outputs(data):
    book = json.loads(data)
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            cell.update(outputs=[], execution_count=None)
    return (json.dumps(book, indent=1, ensure_ascii=False) + "\n").encode()


def _names(root, patterns):
    """The files of a tree that fit one of the patterns, sorted."""
    found = {path for pattern in patterns for path in root.glob(pattern) if path.is_file()}
    return sorted(path.relative_to(root).as_posix() for path in found)


def _derived():
    return {name: text.encode() for name, text in derived_files().items()}


def _read(root, name):
    path = root / name
    if path.is_symlink() or not path.is_file():
        raise ValueError(f"{name} belongs to the package, but is missing or a link.")
    return path.read_bytes()


def _text(root, name):
    return _read(root, name).decode().replace("\r\n", "\n")


def _write(tree, out, folder=None):
    """Write a tree as a zip (below `folder`) or as a folder, whole or not at all."""
    out = Path(out)
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.suffix == ".zip":
            part.write_bytes(_zip({f"{folder}/{n}" if folder else n: d for n, d in tree.items()}))
            os.replace(part, out)
            return out
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise ValueError(f"{out} exists and is no empty folder; give --out another name.")
        for name, data in tree.items():
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            (part / name).write_bytes(data)
        if out.exists():
            out.rmdir()
        os.replace(part, out)
    except OSError as error:
        raise ValueError(f"{out} cannot be written: {error.strerror}.") from None
    finally:
        part.unlink() if part.is_file() else shutil.rmtree(part, ignore_errors=True)
    return out


def _zip(tree):
    """The bytes of a zip: sorted names, one date, fixed permissions."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in sorted(tree.items()):
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.create_system = 3  # Unix, so that the permissions count
            info.external_attr = (0o100755 if name in EXECUTABLE else 0o100644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return buffer.getvalue()
