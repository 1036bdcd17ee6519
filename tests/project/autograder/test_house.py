"""The rooms of the course: imports point one way, nowhere in a circle, and doors stay doors."""

import ast
import graphlib
import re

import pytest

from given.runtime import submission
from given.runtime.submission import ROOT, TODO_MODULES

# Each room may import those before it, and itself; the longest prefix of a module's name counts.
ROOMS = (
    ("given.runtime",),
    ("given.levels", "given.noise"),
    ("given.plane", "given.images"),
    ("given.bridges",),
    ("sde_todo",),
    ("image_diffusion",),
    ("experiments",),
    ("autograder",),
    ("tests.task1", "tests.task2"),
    ("grading",),
    ("benchmarks", "tests.project"),
)
RANKS = {room: rank for rank, rooms in enumerate(ROOMS) for room in rooms}
DOORS = {
    "sde_todo": {"__init__", "__main__", "dataset", "eval"},
    "image_diffusion": {"__init__", "__main__", "train", "sampling", "dataset", "network", "module"}
    | {"fid/__init__", "fid/measure_fid", "fid/train_classifier", "inpaint"},
}
OPTIONAL = {"sde_todo": ("likelihood", "flow", "bridge", "light_sb")}
OPTIONAL["image_diffusion"] = ("guidance",)


def modules():
    """{name: tree} of every module of the course; TODO modules as in solutions/."""
    found = {}
    folders = ("given", "experiments", "autograder", "grading", "benchmarks", "tests")
    paths = [path for folder in (*folders, *TODO_MODULES) for path in (ROOT / folder).rglob("*.py")]
    for path in paths:
        relative = path.relative_to(ROOT)
        name = ".".join(relative.with_suffix("").parts).removesuffix(".__init__")
        solution = ROOT / "solutions" / relative
        path = solution if solution.is_file() else path
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


MODULES = modules()


def imported(tree):
    """The modules of the course that a module imports, those inside functions included."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if name in MODULES else node.module for name in full}
    return names & MODULES.keys()


def room(name):
    return max((r for r in RANKS if f"{name}.".startswith(f"{r}.")), key=len, default=None)


def test_imports_point_one_way():
    wrong = []
    for name, tree in MODULES.items():
        for other in imported(tree):
            here, there = room(name), room(other)
            if here and there and RANKS[here] < RANKS[there]:
                wrong.append(f"{name} imports {other}")
    assert not wrong, "\n".join(sorted(wrong))


def test_rooms_of_one_rank_do_not_know_each_other():
    wrong = [
        f"{name} imports {other}"
        for name, tree in MODULES.items()
        for other in imported(tree)
        if room(name) != room(other) and RANKS.get(room(name)) == RANKS.get(room(other), -1)
        if not room(name).startswith(("benchmarks", "tests"))
    ]
    assert not wrong, "\n".join(sorted(wrong))


def test_there_is_no_circle():
    graph = {name: imported(tree) - {name} for name, tree in MODULES.items()}
    graph = {n: others for n, others in graph.items() if not n.startswith("tests.task")}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


@pytest.mark.parametrize("package", DOORS)
def test_a_package_of_the_student_holds_todo_modules_and_doors(package):
    files = {p.relative_to(ROOT / package) for p in (ROOT / package).rglob("*.py")}
    names = {path.with_suffix("").as_posix() for path in files}
    assert names == set(TODO_MODULES[package]) | DOORS[package]
    importable = {name.partition("/")[0] for name in names} - {"__init__", *TODO_MODULES[package]}
    assert importable == set(submission.DOORS[package])


@pytest.mark.parametrize(
    "door", [f"{p}/{n}.py" for p, names in DOORS.items() for n in sorted(names) if n != "__main__"]
)
def test_a_door_is_short_and_has_no_code_of_its_own(door):
    text = (ROOT / door).read_text(encoding="utf-8")
    assert text.count("\n") <= 15
    kinds = {type(node) for node in ast.walk(ast.parse(text))}
    assert not kinds & {ast.FunctionDef, ast.ClassDef, ast.For, ast.While, ast.Lambda}


def test_a_required_task_never_imports_an_optional_one():
    for package, names in OPTIONAL.items():
        for name in set(TODO_MODULES[package]) - set(names):
            module = f"{package}.{name}"
            found = imported(MODULES[module]) & {
                f"{p}.{n}" for p, ns in OPTIONAL.items() for n in ns
            }
            assert not found, f"{module} imports {found}"


def test_no_library_has_a_command_at_its_foot():
    feet = {
        path.relative_to(ROOT).as_posix()
        for folder in ("given", "experiments", "autograder", "grading", "solutions")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"^if __name__ ==", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    # The processes that grade a class, and a path that was a command before.
    expected = {"grading/worker.py", "solutions/image_diffusion/inpainting.py"}
    assert feet - {f"{p}/__main__.py" for p in ("autograder", "grading")} == expected
