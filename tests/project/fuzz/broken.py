"""For the fuzz tests: damage to valid files and plain data, and what may come of reading it."""

import contextlib
import copy
import functools
import io
import operator
import resource
import traceback
import warnings
import zipfile
from pathlib import Path

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from given.runtime.submission import ROOT
from grading.grade import patience

SPACE = 1 << 30  # bytes that one reading may ask for
SECONDS = 120  # a hang, not a slow machine


def fuzz(examples, *args, **kwargs):
    """Run a test on so many examples, the same ones every time."""
    health = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    options = {"derandomize": True, "deadline": None, "database": None}
    chosen = settings(max_examples=examples, suppress_health_check=health, **options)
    return lambda test: chosen(given(*args, **kwargs)(test))


@contextlib.contextmanager
def little_space():
    """Let what asks for more than SPACE fail."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + SPACE, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def attempt(call, *args, **kwargs):
    """What a call returns, or the sentence with which the course refuses, as a `Refusal`.

    All else is a failure: another exception, one that no line of the course raised, more than one
    sentence, a lot of time or memory, or a flood of warnings.
    """
    with little_space(), patience(SECONDS), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = call(*args, **kwargs)
        except (ValueError, OSError, SystemExit) as error:
            if isinstance(error, TimeoutError):
                raise
            result = Refusal(error)
    assert len(caught) <= 2, [str(each.message) for each in caught]
    return result


class Refusal:
    """The sentence of an error; it must be one of the course, raised by a line of the course."""

    def __init__(self, error):
        by_argparse = isinstance(error, SystemExit) and error.code == 2
        if isinstance(error, SystemExit) and not by_argparse:
            error = error.__context__ or error  # a door passes on what came to it
        self.sentence = " ".join(str(error).split())
        where = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
        by_system = isinstance(error, OSError) and error.errno and error.filename
        ours = where.is_relative_to(ROOT) and not where.is_relative_to(ROOT / "tests/project")
        if not (by_argparse or by_system) and not (ours and self.sentence.endswith((".", "?"))):
            raise AssertionError(f"No sentence of the course: {error!r}") from error


NAMES = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=8)


def damaged(data):
    """Strategy: the bytes with a few of them changed, dropped or inserted, or cut short."""
    place = st.integers(0, max(0, len(data) - 1))
    change = st.tuples(place, st.integers(0, 4), st.binary(max_size=4))

    def apply(changes, end):
        out = bytearray(data)
        for at, count, new in changes:
            out[at : at + count] = new
        return bytes(out[:end])

    return st.builds(apply, st.lists(change, max_size=3), st.none() | place)


def damaged_zip(data):
    """Strategy: a zip that is damaged itself, or has a member that is damaged, renamed or gone."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}

    def one(name):
        changed = damaged(members[name]).map(lambda bad: members | {name: bad})
        gone = {k: v for k, v in members.items() if k != name}
        renamed = NAMES.map(lambda new: gone | {new: members[name]})
        return changed | changed | st.just(gone) | renamed

    # A damage to the bytes themselves is nearly always met by the checksum.
    return damaged(data) | st.sampled_from(sorted(members)).flatmap(one).map(zipped)


def zipped(members):
    """The bytes of a zip of {name: bytes}."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


GONE = "(gone)"
HUGE = st.sampled_from([10**9, 10**12, 2**63, 10**30, -1, -(10**12), 0])
NUMBERS = HUGE | st.integers(-3, 40) | st.floats() | st.booleans()
PLAIN = st.recursive(
    NUMBERS | st.none() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=3,
)
JUNK = PLAIN | st.builds(torch.zeros, st.just((2,)))


def places(data, here=()):
    """The places in nested dicts and lists, as tuples of keys."""
    found = [here] if here else []
    if isinstance(data, dict | list | tuple):
        keys = data if isinstance(data, dict) else range(len(data))
        for key in keys:
            found += places(data[key], (*here, key))
    return found


class Changes(list):
    """Pairs of a place and the value put there instead; GONE takes a key away."""

    def __init__(self, pairs, of):
        super().__init__(pairs)
        self.of = of

    def on(self, data):
        """A copy of the data with the changes."""
        data = copy.deepcopy(data)
        for (*way, last), value in self:
            with contextlib.suppress(KeyError, IndexError, TypeError):  # a change took it away
                holder = functools.reduce(operator.getitem, way, data)
                if not isinstance(holder, dict | list):
                    continue
                if value is GONE:
                    del holder[last]
                else:
                    holder[last] = value
        return data


def changes(data, junk=JUNK):
    """Strategy: `Changes` of one to three values in nested plain data."""
    one = st.tuples(st.sampled_from(places(data)), st.just(GONE) | junk)
    return st.lists(one, min_size=1, max_size=3).map(lambda pairs: Changes(pairs, data))
