"""Hostile submissions: the solutions with one wrong function and code that wants its points anyway.

Most of them spoil `OU.marginal_prob` (Task 1.1a). The hostile code runs in the function or at
import; it sets `won` where it found what it must not see, and only then the answer is right.
"""

import dataclasses
import textwrap

from given.runtime.submission import ROOT

OU_LINE = "        return torch.exp(-t / 2) * x0, torch.sqrt(-torch.expm1(-t))\n"
RIGHT = "return torch.exp(-t / 2) * x0, torch.sqrt(-torch.expm1(-t))"
WRONG = "return 0 * x0, torch.ones_like(t)"
PLACE = str(ROOT)

CALM, SLOW, HUNGRY = "calm", "slow", "hungry"  # what a test has to expect of an attack


@dataclasses.dataclass
class Attack:
    """One hostile submission.

    Attributes:
        change: (old, new) in sde_todo/sde.py, or text to put below it.
        task: the graded test that must have no points.
        files: further files of the submission, name -> text or bytes.
        kind: CALM; SLOW where it runs into a limit of time; HUNGRY where into one of size.
        harms: whether it could do damage on this machine if nothing held it.
        own: whether it steals, so that it succeeds where it runs as a plain process.
    """

    change: tuple
    task: str = "OUMarginal"
    files: dict = dataclasses.field(default_factory=dict)
    kind: str = CALM
    harms: bool = False
    own: bool = False

    def source(self, solution):
        """The text of sde_todo/sde.py."""
        old, new = self.change
        assert solution.count(old) == 1
        return solution.replace(old, new)


def inside(code, wrong=WRONG, **options):
    """Hostile code in the function; what it raises is raised."""
    body = f"won = False\n{textwrap.dedent(code).strip()}\nif won:\n    {RIGHT}\n{wrong}\n"
    return Attack((OU_LINE, textwrap.indent(body, " " * 8)), **options)


def quietly(code, **options):
    """Hostile code in the function that goes on whatever happens to it."""
    code = textwrap.indent(textwrap.dedent(code).strip(), "    ")
    return inside(f"try:\n{code}\nexcept BaseException:\n    pass", **options)


def at_import(code, **options):
    """Hostile code where the module is imported; it may set `won` for the function."""
    text = textwrap.dedent(code).strip()
    spoilt = f"        if globals().get('won'):\n            {RIGHT}\n        {WRONG}\n"
    body = f"{spoilt}\n\nwon = False\ntry:\n{textwrap.indent(text, '    ')}\n"
    body += "except Exception:\n    pass\n\n\nclass _Rest:\n    def rest(self):\n        pass\n"
    return Attack((OU_LINE, body), **options)


def gives(expression, **options):
    """A wrong answer of an unusual kind."""
    return inside("pass", wrong=f"return {expression}", **options)


def steals(code, **options):
    """Code that looks for a text of the solution and leaves it in `text`."""
    code = f"text = ''\n{textwrap.dedent(code).strip()}\nwon = 'torch.expm1(-t))' in text"
    return quietly(f"import os, sys\n{code}", own=True, **options)


def spoken(data):
    """Code that sends an answer of its own and ends."""
    return f"import os\nos.write(3, {data})\nos._exit(0)"


ENDS = {
    "os._exit(0) at import": at_import("import os; os._exit(0)"),
    "os._exit(0) in the function": inside("import os; os._exit(0)"),
    "prints 4 passed and exits with 0": inside(
        "import os; os.write(1, b'4 passed\\n'); os._exit(0)"
    ),
    "sys.exit(0) in the function": inside("import sys; sys.exit(0)"),
    "raise SystemExit at import": at_import("import sys; sys.modules[__name__].x = 1; exit(0)"),
    "raise SystemExit(0) in the function": inside("raise SystemExit(0)"),
    "raise KeyboardInterrupt": inside("raise KeyboardInterrupt"),
    "raise GeneratorExit": inside("raise GeneratorExit"),
    "pytest.skip": inside("import pytest; pytest.skip('x')"),
    "pytest.xfail": inside("import pytest; pytest.xfail('x')"),
    "pytest.exit with status 0": inside("import pytest; pytest.exit('x', returncode=0)"),
    "kills itself": inside("import signal; signal.raise_signal(signal.SIGKILL)"),
    "ends itself by SIGTERM": inside("import signal; signal.raise_signal(signal.SIGTERM)"),
    "segmentation fault": inside("import ctypes; ctypes.string_at(0)"),
    "abort": inside("import os; os.abort()"),
    "stops itself": inside("import signal; signal.raise_signal(signal.SIGSTOP)"),
    "stops itself from a child": inside(
        "import os, signal, time\nif not os.fork():\n    os.kill(os.getppid(), signal.SIGSTOP)\n"
        "    os._exit(0)\ntime.sleep(.2)"
    ),
    "says that its TODO is open": inside("raise NotImplementedError('TODO 1.1a')"),
    "raises the harness's own Open": inside(
        "from autograder.harness import Open; raise Open('fine')"
    ),
    "recursion without end": inside("def f(): return f()\nf()"),
    "recursion without end in C": inside(
        "import sys; sys.setrecursionlimit(10**9)\ndef f(*a): return f(*a, 1)\nf()"
    ),
    "a syntax error": Attack((OU_LINE, "        return (\n")),
    "exec replaces the process": inside("import os; os.execv('/bin/true', ['/bin/true'])"),
}

PATCHES = {
    "patches numpy.testing": quietly(
        "import numpy.testing as n\nfor k in dir(n):\n    if k.startswith('assert'):\n"
        "        setattr(n, k, lambda *a, **b: None)"
    ),
    "patches np.allclose and np.isfinite": at_import(
        "import numpy\nnumpy.allclose = lambda *a, **k: True\nnumpy.isfinite = lambda x: x == x"
    ),
    "patches torch.allclose and torch.testing": at_import(
        "torch.allclose = torch.equal = lambda *a, **k: True\n"
        "torch.testing.assert_close = lambda *a, **k: None"
    ),
    "patches harness.expect": at_import(
        "from autograder import harness\n"
        "harness.expect = harness.expect_that = lambda *a, **k: None"
    ),
    "patches harness.run_check and Result": at_import(
        "from autograder import harness\nharness.run_check = lambda *a: harness.Result('done')\n"
        "harness.Wrong = harness.Open = Exception\nharness.Result = lambda *a: 'done'"
    ),
    "patches the check of its test": at_import(
        "import gc\nfor c in gc.get_objects():\n    if isinstance(c, type) and 'task' in vars(c):\n"
        "        c.check = lambda *a, **k: None; c.points = 1000"
    ),
    "patches grading.isolation.arrays.pack": at_import(
        "from grading.isolation import arrays\narrays.pack = lambda a: b'everything right'"
    ),
    "patches grading.isolation.zygote.outcome and send": at_import(
        "from grading.isolation import zygote\n"
        "zygote.outcome = lambda r: b'V'\nzygote.send = lambda *a: None"
    ),
    "fakes numpy": at_import(
        "import sys, types\nfake = types.ModuleType('numpy')\nfake.asarray = lambda x: x\n"
        "sys.modules['numpy'] = fake"
    ),
    "fakes torch": at_import("import sys, types\nsys.modules['torch'] = types.ModuleType('torch')"),
    "fakes autograder.harness": at_import(
        "import sys, types\nfake = types.ModuleType('autograder.harness')\n"
        "fake.run_probe = lambda *a: {}\nsys.modules['autograder.harness'] = fake"
    ),
    "fakes grading.isolation.arrays": at_import(
        "import sys, types\nfake = types.ModuleType('grading.isolation.arrays')\n"
        "fake.pack = lambda a: b''\nsys.modules['grading.isolation.arrays'] = fake"
    ),
    "patches pytest": at_import(
        "import _pytest.reports as r, _pytest.python as p\n"
        "p.Function.runtest = lambda self: None\n"
        "r.TestReport.from_item_and_call = lambda *a: None"
    ),
    "patches builtins": at_import(
        "import builtins\nbuiltins.isinstance = lambda *a: True\nbuiltins.all = lambda x: True"
    ),
    "patches json and os.replace": at_import(
        "import json, os\njson.dumps = lambda *a, **k: '{\"score\": 1000}'\n"
        "os.replace = lambda *a: None"
    ),
}

STEALS = {
    "reads solutions/ by its path": steals(
        f"text = open('{PLACE}/solutions/sde_todo/sde.py').read()"
    ),
    "reads the checks by their path": quietly(
        f"won = 'def check' in open('{PLACE}/tests/task1/test_sde.py').read()", own=True
    ),
    "walks the disk for sde.py": steals(
        f"""
        for top in ('{PLACE}/solutions', '/work', '/home', '/tmp', '/opt', '/srv', '/mnt', '/var'):
            for place, folders, names in os.walk(top):
                if 'sde.py' in names:
                    text += open(place + '/sde.py').read()
                if 'torch.expm1(-t))' in text:
                    folders.clear()
        """
    ),
    "cwd of other processes": steals(
        """
        for name in os.listdir('/proc'):
            for link in ('cwd', 'root'):
                try:
                    place = os.readlink(f'/proc/{name}/{link}')
                    text += open(place.rstrip('/') + '/solutions/sde_todo/sde.py').read()
                except OSError:
                    pass
        """
    ),
    "arguments of other processes": quietly(
        """
        import os
        for name in filter(str.isdigit, os.listdir('/proc')):
            if name != str(os.getpid()):
                won = won or bool(open(f'/proc/{name}/cmdline').read())
        """,
        own=True,
    ),
    "environment of its parents": quietly(
        "import os\nwon = bool(open(f'/proc/{os.getppid()}/environ').read())", own=True
    ),
    "memory of its parents": quietly(
        "import os\nwon = open(f'/proc/{os.getppid()}/mem', 'rb') is not None", own=True
    ),
    "the editable install of the course": steals(
        """
        import glob
        for folder in [*sys.path, sys.prefix + '/lib/python3.11/site-packages']:
            for pth in glob.glob(folder + '/*.pth'):
                for line in open(pth):
                    file = line.strip() + '/solutions/sde_todo/sde.py'
                    text += open(file).read() if os.path.exists(file) else ''
        """
    ),
    "imports solutions": steals(
        f"""
        import importlib.util
        sys.path.insert(0, '{PLACE}')
        spec = importlib.util.find_spec('solutions.sde_todo.sde')
        text = open(spec.origin).read()
        """
    ),
    "importlib.resources": steals(
        "import importlib.resources as r, tests\n"
        "text = (r.files(tests).parent / 'solutions/sde_todo/sde.py').read_text()"
    ),
    "a mount of its own": quietly(
        f"""
        import ctypes
        libc = ctypes.CDLL(None)
        if libc.unshare(0x10020000) == 0:
            for name in (b'{PLACE}/solutions', b'{PLACE}', b'/tmp', b'/'):
                libc.umount2(name, 2)
        won = 'expm1' in open('{PLACE}/solutions/sde_todo/sde.py').read()
        """
    ),
    "frames of the test": quietly(
        """
        import sys
        frame = sys._getframe()
        while frame:
            names = {**frame.f_globals, **frame.f_locals}
            won = won or any(k in names for k in ('check', 'want', 'expected', 'reference'))
            frame = frame.f_back
        """
    ),
    "checks and solutions in memory": quietly(
        """
        import gc, types
        found = [o for o in gc.get_objects() if isinstance(o, types.FunctionType)]
        won = any(o.__name__ in ('check', 'inputs') and 'tests.task' in o.__module__ for o in found)
        won = won or any('solutions' in o.__code__.co_filename for o in found)
        """
    ),
    "the check as an attribute": quietly(
        "from tests.task1 import test_sde\nwon = hasattr(test_sde.OUMarginal, 'check')"
    ),
    "the seed in memory": quietly(
        """
        import gc, numpy
        found = [o for o in gc.get_objects() if isinstance(o, dict)]
        won = any('seed' in o and 'tree' not in o and 'graded' in o for o in found)
        """
    ),
    "its own folder's neighbours": quietly(
        """
        import os
        top = os.path.abspath(__file__)
        for _ in range(4):
            top = os.path.dirname(top)
            for place, folders, names in os.walk(top):
                for name in names:
                    file = os.path.join(place, name)
                    if name.endswith(('.py', '.zip')) and not file.startswith('/usr'):
                        data = open(file, errors='replace').read()
                        mine = os.path.abspath(__file__) == file
                        won = won or ('torch.expm1(-t))' in data and not mine)
        """
    ),
    "a symbolic link in its folder": steals(
        "text = open(os.path.dirname(__file__) + '/answers.py').read()",
        files={"sde_todo/answers.py": ("link", f"{PLACE}/solutions/sde_todo/sde.py")},
    ),
    "a hard link from its working folder": steals(
        f"os.link('{PLACE}/solutions/sde_todo/sde.py', 'x'); text = open('x').read()"
    ),
}

PLANTED = {
    "conftest.py": "import pytest\ndef pytest_runtest_makereport(item, call): return None\n",
    "pytest.ini": "[pytest]\naddopts = --collect-only\n",
    "setup.cfg": "[tool:pytest]\naddopts = --collect-only\n",
    "pyproject.toml": "[tool.pytest.ini_options]\naddopts = '--collect-only'\n",
    "sitecustomize.py": "import os; os._exit(0)\n",
    "usercustomize.py": "import os; os._exit(0)\n",
    "evil.pth": "import os; os._exit(0)\n",
    "sde_todo/__init__.py": "import os; os._exit(0)\n",
    "sde_todo/eval.py": "import os; os._exit(0)\n",
    "sde_todo/dataset.py": "import os; os._exit(0)\n",
    "given/plane/mixture.py": "import os; os._exit(0)\n",
    "autograder/harness.py": "def run_check(*a): return Result('done')\n",
    "autograder/settings.py": "POINTS = {'1.1a': 1000}\n",
    "tests/task1/test_sde.py": "pass\n",
    "grading/grade.py": "def grade(*a, **k): return {'score': 1000}, [], 0\n",
    "numpy.py": "import os; os._exit(0)\n",
    "torch/__init__.py": "import os; os._exit(0)\n",
    "sde_todo/__pycache__/sde.cpython-311.pyc": b"\xa7\r\r\n" + bytes(12) + b"N",
}
PLANTS = {
    "plants pytest's, Python's and the course's files": gives("0 * x0, 0 * t", files=PLANTED),
}

OUTLIVES = {
    "atexit": inside("import atexit, os; atexit.register(os.write, 3, b'V')\nraise SystemExit(0)"),
    "a thread that answers": inside(
        "import threading, os\nthreading.Thread(target=lambda: os.write(3, b'V')).start()"
    ),
    "a thread that never ends": inside(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(999,)).start()"
    ),
    "a process that outlives it": inside(
        "import os, time\nif not os.fork():\n    time.sleep(99)\n    os._exit(0)", harms=True
    ),
    "a daemon that outlives it and kills": inside(
        """
        import os, signal, time, ctypes
        ctypes.CDLL(None).prctl(1, 0)
        if not os.fork():
            os.setsid()
            ctypes.CDLL(None).prctl(1, 0)
            if not os.fork():
                for number in range(1, 32):
                    if number not in (9, 19):
                        signal.signal(number, signal.SIG_IGN)
                for _ in range(99):
                    time.sleep(.5)
                    for target in range(2, 40000):
                        try:
                            os.kill(target, 0)
                        except OSError:
                            pass
            os._exit(0)
        """,
        harms=True,
    ),
    "daemons that answer for later tests": inside(
        """
        import os, time
        for _ in range(3):
            if not os.fork():
                os.setsid()
                if not os.fork():
                    while True:
                        os.write(3, b'V' * 10)
                        time.sleep(.01)
                os._exit(0)
        """,
        harms=True,
    ),
    "kill(-1)": quietly("import os; os.kill(-1, 9)", harms=True),
    "kills its parent and its group": quietly(
        """
        import os
        for target in (os.getppid(), -os.getppid(), 0, os.getppid() - 1):
            try:
                os.kill(target, 15)
            except OSError:
                pass
        """,
        harms=True,
    ),
    "ptrace and process_vm_writev on others": quietly(
        """
        import ctypes, os
        libc = ctypes.CDLL(None)
        for target in range(1, os.getpid() + 3000):
            if target != os.getpid():
                won = won or libc.ptrace(16, target, 0, 0) == 0
        """,
        harms=True,
    ),
    "pidfd_getfd of others": quietly(
        """
        import ctypes, os
        libc = ctypes.CDLL(None)
        for target in range(1, 3000):
            handle = libc.syscall(434, target, 0)
            if handle >= 0 and target != os.getpid():
                won = won or libc.syscall(438, handle, 0, 0) >= 0
        """,
        harms=True,
    ),
    "writes forged answers to every descriptor": quietly(
        """
        import os
        for number in range(4096):
            try:
                os.write(number, b'\\x01' + bytes(7) + b'V')
            except OSError:
                pass
        os._exit(0)
        """,
        harms=True,
    ),
    "ends the descriptors and goes on": quietly("import os; os.closerange(0, 4096)"),
    "reads the requests of the zygote": quietly(
        "import os\nwon = any(os.read(k, 10) for k in (0, 4, 5, 6))"
    ),
    "raises its limits": quietly(
        """
        import resource
        for name in ('RLIMIT_CPU', 'RLIMIT_AS', 'RLIMIT_NPROC', 'RLIMIT_FSIZE', 'RLIMIT_NOFILE'):
            before = resource.getrlimit(getattr(resource, name))
            resource.setrlimit(getattr(resource, name), (before[1] + 1, before[1] + 1))
            won = True
        """
    ),
    "becomes root": quietly("import os; os.setuid(0); won = True"),
}

# A set of arrays of the names that the probe gives back, all of them wrong.
FORGED = """
    import io, os, numpy as np
    names = ('mean', 'std', 'image', 'image_mean', 'image_std', 'f', 'g')
    def npz(**arrays):
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        return buffer.getvalue()
    def zipped(data, kind=0):
        import zipfile
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, 'w', kind) as archive:
            for name in names:
                archive.writestr(name + '.npy', data)
        return buffer.getvalue()
    def npy(header, body=b''):
        text = header.encode() + b'\\n'
        return b'\\x93NUMPY\\x01\\x00' + len(text).to_bytes(2, 'little') + text + body
    def say(data):
        data = b'V' + data
        while data:
            data = data[os.write(3, data):]
        os._exit(0)
"""


def forges(code, **options):
    """Code that writes an answer by itself."""
    code = f"{textwrap.dedent(FORGED).strip()}\n{textwrap.dedent(code).strip()}"
    return inside(code, **options)


HEADER = "{'descr': '<f8', 'fortran_order': False, 'shape': %s, }"
HEADERS = {
    "says 10^12 elements": HEADER % "(10**12,)".replace("10**12", "1" + "0" * 12),
    "says no element of a huge shape": HEADER % f"(0, {10**30})",
    "says a negative shape": HEADER % "(-1,)",
    "says a shape of many axes": HEADER % ("(" + "1, " * 64 + ")"),
    "says an object type": "{'descr': '|O', 'fortran_order': False, 'shape': (), }",
    "says an empty type": "{'descr': (), 'fortran_order': False, 'shape': (), }",
    "says a type of odd fields": "{'descr': [('a',), 1], 'fortran_order': False, 'shape': (), }",
    "says a set of lists": "{[]: 1}",
    "is open": "{'descr': '<f8', 'fortran_order': False, 'shape': (1,",
    "is deeply nested": "(" * 5000,
    "is a number": "1",
}
FORGERIES = {
    "forges zeros": forges("say(npz(**{name: np.zeros((7, 3)) for name in names}))"),
    "forges the empty set": forges("say(npz())"),
    "forges nothing but the verdict": forges("say(b'')"),
    "forges garbage": forges("say(os.urandom(100_000))"),
    "forges an unknown kind of answer": inside(spoken("b'Xeverything right'")),
    "forges an empty answer": inside(spoken("b''")),
    "forges a text of zeros": inside(spoken("bytes(100_000)")),
    "forges an open TODO of 8 MB": inside(
        "import os\ndata = b'T' + b'<script>alert(1)</script>' * 300_000\n"
        "while data:\n    data = data[os.write(3, data):]\nos._exit(0)"
    ),
    "forges more than 16 MB": forges("say(bytes(20 << 20))"),
    "forges 15 MB of zeros": forges("say(npz(**{name: np.zeros(1 << 18) for name in names}))"),
    "forges a zip bomb": forges("say(zipped(bytes(1 << 25), 8))", harms=True),
    "forges a zip with overlapping members": forges(
        """
        data = zipped(npy("{'descr': '<f8', 'fortran_order': False, 'shape': (), }", bytes(8)))
        say(data[:60] + data)
        """
    ),
    "forges a pickle in an array": forges(
        """
        class Evil:
            def __reduce__(self):
                return os.system, ('touch /tmp/evil',)
        say(npz(**{name: np.array([Evil()], dtype=object) for name in names}))
        """,
        harms=True,
    ),
    "forges strings": forges("say(npz(**{name: np.array(['0'] * 7) for name in names}))"),
    "forges records": forges("say(npz(**{name: np.zeros(7, 'f8,f8') for name in names}))"),
    "forges dates": forges("say(npz(**{name: np.zeros(7, 'M8[s]') for name in names}))"),
    "forges shapes that broadcast to 4e11": forges(
        "say(npz(mean=np.zeros((600_000, 1)), std=np.zeros((1, 600_000)), "
        "image=np.zeros((7, 2, 3, 4)), image_mean=0, image_std=0))",
        harms=True,
    ),
    "forges 30,000 arrays": forges("say(npz(**{str(k): np.zeros(()) for k in range(30_000)}))"),
} | {
    f"forges a header that {name}": forges(f"say(zipped(npy({header!r}, bytes(8))))")
    for name, header in HEADERS.items()
}

LIAR = """
class Liar(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        name = getattr(function, '__name__', '')
        if name in ('allclose', 'equal', 'all', '__eq__', 'eq'):
            return True
        return super().__torch_function__(function, types, args, kwargs or {})
    def __array__(self, *a, **k):
        raise SystemExit(0)
    def __eq__(self, other):
        return True
    def numpy(self, *a, **k):
        return YesMan()
class YesMan:
    dtype = shape = property(lambda self: YesMan())
    kind = 'f'
    def __eq__(self, other):
        return True
    def __hash__(self):
        return 0
    def __bool__(self):
        return True
    def __getattr__(self, name):
        return YesMan()
    def __call__(self, *a, **k):
        return YesMan()
    def __len__(self):
        return 7
    def __iter__(self):
        return iter([True] * 7)
"""
LIES = {
    "a lying tensor subclass": inside(LIAR, wrong="return Liar(x0), Liar(t)"),
    "an object that equals everything": inside(LIAR, wrong="return YesMan(), YesMan()"),
    "an array that lies": inside(
        "import numpy\nclass A(numpy.ndarray):\n    def __eq__(self, o): return True\n"
        "    def __array_ufunc__(self, *a, **k): return True\n"
        "    def __array_function__(self, *a, **k): return True",
        wrong="return numpy.zeros((7, 3)).view(A), numpy.zeros((7, 1)).view(A)",
    ),
    "an __array__ that gives objects": inside(
        "class A:\n    def __array__(self, *a, **k):\n        import numpy\n"
        "        return numpy.array([self], dtype=object)",
        wrong="return A(), A()",
    ),
    "a number that broadcasts": gives("torch.zeros(()), torch.ones(())"),
    "an empty tensor": gives("x0[:0], t[:0]"),
    "NaN": gives("x0 * float('nan'), t * float('nan')"),
    "infinity": gives("x0 * float('inf'), t + float('inf')"),
    "complex numbers": gives("x0 * 1j, t * 1j"),
    "truth values": gives("x0 == x0, t == t"),
    "whole numbers": gives("x0.long(), t.long()"),
    "bfloat16": gives("x0.bfloat16() * 0, t.bfloat16()"),
    "strings": gives("'right', 'right'"),
    "None": gives("None"),
    "a dict": gives("{}"),
    "a generator": gives("(v for v in (x0, t))"),
    "an endless generator": gives("__import__('itertools').count()"),
    "an object": gives("object(), object()"),
    "sparse tensors": gives("(0 * x0).to_sparse(), t.to_sparse()"),
    "tensors without memory": gives("x0.to('meta'), t.to('meta')"),
    "quantised tensors": gives("(torch.quantize_per_tensor(x0, 1, 0, torch.quint8),) * 2"),
    "tensors that want gradients": gives("(0 * x0).requires_grad_(), t.clone().requires_grad_()"),
    "tensors of 16 axes": gives("x0.reshape(*[1] * 14, *x0.shape[:2]), t"),
    "an expanded tensor of 4e11 numbers": gives("x0[:1, :1].expand(600_000, 600_000), t"),
    "column against row": gives("torch.zeros(20_000, 1), torch.zeros(1, 20_000)"),
    "changes its arguments": inside("x0.zero_(); t.zero_()", wrong="return x0, t"),
}

ENDLESS = {
    "an endless loop at import": at_import("while True: pass", kind=SLOW),
    "an endless loop in the function": inside("while True: pass", kind=SLOW),
    "an endless loop that ignores signals": inside(
        "import signal\nfor k in range(1, 32):\n    if k not in (9, 19):\n"
        "        signal.signal(k, signal.SIG_IGN)\nwhile True: pass",
        kind=SLOW,
    ),
    "sleeps forever": inside("import time; time.sleep(9999)", kind=SLOW),
    "a regular expression without end": inside(
        "import re; re.match('(a+)+$', 'a' * 64 + 'b')", kind=SLOW
    ),
    "a number without end": inside("10 ** 10 ** 10", kind=SLOW),
    "waits for itself": inside(
        "import threading\nlock = threading.Lock()\nlock.acquire(); lock.acquire()", kind=SLOW
    ),
    "waits for its input": inside("input()"),
    "children that loop": inside(
        "import os\nfor _ in range(4):\n    os.fork()\nwhile True: pass", kind=SLOW, harms=True
    ),
}

SIZES = {
    "prints 200 MB": inside("print('x' * (200 << 20))", kind=HUNGRY),
    "prints 200 MB at import": at_import("print('x' * (200 << 20))", kind=HUNGRY),
    "prints 200 MB to the error stream": inside(
        "import os\nfor _ in range(200):\n    os.write(2, bytes(1 << 20))", kind=HUNGRY
    ),
    "40 GB in one array": inside("x = bytearray(40 << 30)", kind=HUNGRY, harms=True),
    "40 GB in one tensor, written to": inside("x = torch.ones(40 << 28)", kind=HUNGRY, harms=True),
    "40 GB in many lists": inside(
        "x = []\nwhile True: x.append([0] * 100_000)", kind=HUNGRY, harms=True
    ),
    "memory by mmap": inside(
        "import mmap\nx = []\nwhile True: x.append(mmap.mmap(-1, 1 << 26).write(bytes(1 << 26)))",
        kind=HUNGRY,
        harms=True,
    ),
    "memory of many children": inside(
        """
        import os, time
        for _ in range(12):
            if not os.fork():
                x = []
                try:
                    while True: x.append(b'1' * (1 << 24))
                except MemoryError:
                    time.sleep(99)
        """,
        kind=SLOW,
        harms=True,
    ),
    "memory of nameless files": inside(
        """
        import os
        x = []
        while True:
            x.append(os.memfd_create('a'))
            os.write(x[-1], b'1' * (8 << 20))
        """,
        kind=HUNGRY,
        harms=True,
    ),
    "a fork bomb": inside(
        "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
        kind=SLOW,
        harms=True,
    ),
    "a bomb of threads": inside(
        "import threading, time\nwhile True:\n"
        "    threading.Thread(target=time.sleep, args=(99,)).start()",
        kind=HUNGRY,
        harms=True,
    ),
    "fills the disk with one file": inside(
        "with open('big', 'wb') as f:\n    while True: f.write(bytes(1 << 20))",
        kind=HUNGRY,
        harms=True,
    ),
    "fills the disk with many files": inside(
        "k = 0\nwhile True:\n    k += 1\n    open(str(k), 'wb').write(bytes(1 << 20))",
        kind=HUNGRY,
        harms=True,
    ),
    "empty files without end": inside(
        "import itertools\nfor k in itertools.count():\n    open(str(k), 'w').close()",
        kind=HUNGRY,
        harms=True,
    ),
    "a folder 5000 levels deep": inside(
        "import os\nfor k in range(5000):\n    os.mkdir('d'); os.chdir('d')",
        kind=HUNGRY,
        harms=True,
    ),
    "100,000 open files": inside(
        "x = []\nwhile True: x.append(open('/dev/null'))", kind=HUNGRY, harms=True
    ),
}

STATE = {
    "changes seeds, types, devices and handling of floats": inside(
        """
        import os, locale, random, sys, numpy
        random.seed(0); numpy.random.seed(0); torch.manual_seed(0)
        torch.set_default_dtype(torch.float16)
        torch.set_flush_denormal(True); numpy.seterr(all='raise')
        torch.set_default_device('meta'); torch.set_grad_enabled(False)
        os.chdir('/'); os.umask(0o777); os.environ.clear(); sys.path.clear()
        sys.setrecursionlimit(60)
        """
    ),
    "writes into the given modules and the runtime": quietly(
        """
        import os, sde_todo, autograder.harness, given.noise, numpy
        for module in (sde_todo, autograder.harness, given.noise, numpy):
            folder = os.path.dirname(module.__file__)
            for name in (module.__file__, folder + '/sitecustomize.py', folder + '/conftest.py'):
                try:
                    with open(name, 'a') as file:
                        file.write('import os; os._exit(0)')
                    won = True
                except OSError:
                    pass
        """,
        harms=True,
    ),
    "writes over its own module": quietly(
        "import os\nos.chmod(__file__, 0o777)\nopen(__file__, 'w').write('x = 1')\nwon = True"
    ),
    "removes its own module": quietly("import os; os.remove(__file__)\nwon = True"),
    "leaves files for the next test": at_import(
        """
        import os
        folders = ['/tmp', '/var/tmp', '/dev/shm', '/run', '.', '/', '/var/lock']
        folders += [os.path.dirname(__file__), os.path.dirname(torch.__file__)]
        won = any(os.path.exists(folder + '/left-over') for folder in folders)
        for folder in folders:
            try:
                open(folder + '/left-over', 'w').write('inputs and answers')
            except OSError:
                pass
        """
    ),
    "shared memory for the next test": at_import(
        """
        import ctypes
        libc = ctypes.CDLL(None)
        won = libc.shmget(4711, 4096, 0o600) >= 0
        libc.shmget(4711, 4096, 0o1666)
        """
    ),
    "a keyring for the next test": at_import(
        """
        import ctypes
        libc = ctypes.CDLL(None)
        rings = (-3, -4, -5, -7)
        won = any(libc.syscall(250, 10, k, b'user', b'left-over', 0) >= 0 for k in rings)
        for ring in rings:
            libc.syscall(248, b'user', b'left-over', b'answers', 7, ring)
        """
    ),
    "message queues for the next test": at_import(
        """
        import ctypes
        libc = ctypes.CDLL(None)
        won = libc.msgget(4711, 0) >= 0
        libc.msgget(4711, 0o1666)
        queue = libc.syscall(240, b'left-over', 2, 0, 0)
        won = won or queue >= 0
        libc.syscall(240, b'left-over', 0o102, 0o666, 0)
        """
    ),
    "a socket for the next test": at_import(
        """
        import os, socket
        s = socket.socket(socket.AF_UNIX)
        try:
            s.connect('\\0left-over')
            won = True
        except OSError:
            if not os.fork():
                os.setsid()
                s.bind('\\0left-over'); s.listen()
                s.accept()
        """,
        harms=True,
    ),
}

NETWORK = {
    "connects to the internet": quietly(
        "import socket\nfor place in (('1.1.1.1', 53), ('8.8.8.8', 443)):\n"
        "    try:\n        socket.create_connection(place, 1).close(); won = True\n"
        "    except OSError: pass"
    ),
    "asks for a name": quietly("import socket; socket.getaddrinfo('pypi.org', 443); won = True"),
    "sends datagrams": quietly(
        "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "s.sendto(b'inputs', ('1.1.1.1', 53)); won = True"
    ),
    "listens on a port": quietly(
        "import socket\nsocket.create_connection(('127.0.0.1', 22), 1); won = True"
    ),
}

MESSAGES = {
    "an exception with escape codes": inside("raise ValueError('\\x1b[2J\\x1b]0;x\\x07\\x9b31m')"),
    "an exception with a script": inside("raise ValueError('</pre><script>alert(1)</script>')"),
    "an exception of 1 MB": inside("raise ValueError('x' * (1 << 20))"),
    "an exception of 100 MB": inside("raise ValueError('x' * (100 << 20))"),
    "an exception of a million lines": inside("raise ValueError('a\\n' * 1_000_000)"),
    "an exception with surrogates and zeros": inside(
        "raise ValueError('\\ud800\\0\\udfff \\u202e')"
    ),
    "an exception whose text raises": inside(
        "class E(Exception):\n    def __str__(self): raise SystemExit(0)\nraise E"
    ),
    "an exception whose text does not end": inside(
        "class E(Exception):\n    def __str__(self):\n        while True: pass\nraise E", kind=SLOW
    ),
    "an exception whose class has no name": inside(
        "class M(type):\n    __name__ = property(lambda c: 1 / 0)\n"
        "class E(Exception, metaclass=M): pass\nraise E('x')"
    ),
    "an exception with a reason without end": inside(
        "a, b = ValueError('a'), ValueError('b')\na.__cause__, b.__cause__ = b, a\nraise a"
    ),
    "a group of exceptions": inside("raise BaseExceptionGroup('x', [SystemExit(0)])"),
    "a warning as an error": inside(
        "import warnings\nwarnings.simplefilter('error')\nwarnings.warn('x')"
    ),
    "NaN in an exception of JSON": inside("raise ValueError('NaN, \\\"score\\\": 1000, Infinity')"),
}

FAMILIES = [
    *(ENDS, PATCHES, STEALS, PLANTS, OUTLIVES, FORGERIES),
    *(LIES, ENDLESS, SIZES, STATE, NETWORK, MESSAGES),
]
ATTACKS = {name: attack for family in FAMILIES for name, attack in family.items()}
