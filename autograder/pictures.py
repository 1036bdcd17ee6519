"""Pictures for the page: what was expected beside what came, for every task and wrong test.

Expected values are gray, a student's are blue with markers of their own. What came may be anything,
also hostile: shapes are checked, axes follow the expected values, and a picture that cannot be
drawn is omitted.
"""

import dataclasses
import io
import textwrap
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from autograder import harness
from autograder.tasks import all_tasks
from given.runtime.figures import BLUE, GRAY, PURPLE, RED, WIDTH, png, styled

DPI = 120  # the dots of an image cover whole dots of the picture at this one
LINE = "#b4b4b4"
MOST = 60  # values of a generic picture


class Misfit(ValueError):
    """What came has not the shape of what was expected, so that it cannot be drawn."""


def draw_all(
    graded: harness.Graded,
    seed: int = 0,
    probe: Callable[..., dict] = harness.run_probe,
    seconds: float = 300,
) -> dict[str, list[tuple[str, bytes, str]]]:
    """Draw the pictures of all tasks that are at least begun.

    Args:
        graded: pairs (graded test, `harness.Result`).
        seed: of the inputs.
        probe: as `harness.run_probe`, which runs the code here; a grader passes its own.
        seconds: after these no further task is drawn; slow code could take for ever.

    Returns:
        dict from task to a list of (caption, bytes of a PNG, alternative text).
    """
    rows: dict[str, harness.Graded] = {}
    out: dict[str, list[tuple[str, bytes, str]]] = {}
    own, end = task_pictures(), time.monotonic() + seconds
    for test, result in graded:
        rows.setdefault(test.task, []).append((test, result))
    for task in (name for name in all_tasks() if name in rows):
        if all(r.verdict == "todo" for _, r in rows[task]) or time.monotonic() > end:
            continue
        found = [attempt(draw_task, cls, rows[task], seed, probe) for cls in own.get(task, [])]
        found += [attempt(draw_wrong, *row) for row in rows[task] if row[1].verdict == "wrong"]
        drawn = [(text, data, f"Task {task}: {text}") for text, data in filter(None, found)]
        if drawn:
            out[task] = drawn
    return out


def task_pictures() -> dict[str, list[type]]:
    """The picture classes of the course: {task: [class, ...]}."""
    out: dict[str, list[type]] = {}
    for module in harness.course_modules("pictures"):
        for cls in harness.classes(module, "draw"):
            out.setdefault(cls.task, []).append(cls)
    return out


def attempt(draw: Callable, *args: Any) -> tuple[str, bytes] | None:
    """What a drawing function returns, as (caption, PNG); None where it cannot draw."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            drawn = draw(*args)
            return drawn and (drawn[0], small_png(drawn[1]))
    except Exception:  # an open task, a wrong shape, a crash: the report says so already
        return None


def small_png(figure: Figure) -> bytes:
    """The figure as a PNG of few colours: a third of the size, and no difference to be seen."""
    from PIL import Image

    figure.set_layout_engine("none")  # it is laid out by now, and need not be once more
    image, out = Image.open(io.BytesIO(png(figure, DPI))).convert("RGB"), io.BytesIO()
    image.quantize(64).save(out, "PNG", optimize=True)
    return out.getvalue()


def draw_task(
    cls: Any, graded: harness.Graded, seed: int, probe: Callable[..., dict]
) -> tuple[str, Figure]:
    """Run a picture class, or draw what a graded test got; return its caption and Figure."""
    if hasattr(cls, "of"):
        got, inputs = next((r.got, r.inputs) for test, r in graded if test.__name__ == cls.of)
    else:
        inputs = cls.inputs(np.random.default_rng(seed))
        got = probe(cls, inputs, seed)
    return " ".join(cls.__doc__.split()), cls.draw(got, **inputs)


def draw_wrong(test: Any, result: Any) -> tuple[str, Figure] | None:
    """The comparison that failed in a wrong test; None where the test failed for another reason."""
    name, got, want = (result.compared or [("", 0, 0)])[-1]
    if not name or not result.message.startswith(f"{name}:"):
        return None
    want = np.asarray(want, dtype=float).ravel()
    got = fitting(np.ravel(got), want)
    at: np.ndarray = np.arange(want.size)
    if want.size > MOST:  # those that are farthest off, and others evenly between them
        off = np.argsort(-np.abs(np.nan_to_num(got - want)))[: MOST // 2]
        at = np.union1d(off, np.linspace(0, want.size - 1, MOST // 2).astype(int))
    label = "index" if want.size <= MOST else f"index (of {want.size:,} values, {len(at)} shown)"
    part = Dots("", at, want[at], got[at], label)
    figure = panels(name, part, columns=1, height=1.8)
    return f"{test.__name__}: {name}, expected (gray circles) and yours (blue crosses).", figure


def fitting(got: np.ndarray, want: np.ndarray) -> np.ndarray:
    """What came as floats in the shape of what was expected.

    Raises:
        Misfit: it holds no numbers, or does not broadcast to that shape.
    """
    got, want = np.asarray(got), np.asarray(want)
    if got.dtype.kind not in "fiub" or got.size > want.size or not got.size:
        raise Misfit(f"{got.dtype} of shape {got.shape} instead of {want.shape}")
    return np.broadcast_to(got, want.shape).astype(float)


def draws(got: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Random numbers of a shape that must be right, as floats."""
    got = np.asarray(got)
    if got.shape != tuple(shape):
        raise Misfit(f"shape {got.shape} instead of {shape}")
    return fitting(got, got)


@styled
def panels(title: str, *parts: Any, columns: int = 2, height: float = 2.5) -> Figure:
    """A figure of panels, each drawn by a part such as `Curves`, with one legend below all."""

    rows = -(-len(parts) // columns)
    figure = Figure(figsize=(WIDTH, 0.9 + height * rows), layout="constrained")
    figure.suptitle(textwrap.fill(title[:200], 60), parse_math=False)
    axes = figure.subplots(rows, columns, squeeze=False).flat
    handles: dict[str, Any] = {}
    for ax, part in zip(axes, parts, strict=False):
        part.draw(ax)
        ax.set_title(part.title)
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    for ax in list(axes)[len(parts) :]:
        ax.set_axis_off()
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=len(handles))
    return figure


@dataclasses.dataclass
class Curves:
    """Curves over x (n,): want and got are (n,), or (n, k) for k curves.

    Args:
        band: fill between the first and the last curve that was expected.
        exact: (x, y) of a thin line that both should be near to, or None.
    """

    title: str
    x: np.ndarray
    want: np.ndarray
    got: np.ndarray
    xlabel: str = ""
    band: bool = False
    exact: tuple | None = None

    def draw(self, ax: Axes) -> None:
        n = len(self.x)
        want = np.asarray(self.want, dtype=float).reshape(n, -1)
        got = within(fitting(self.got, self.want).reshape(n, -1), want, ax)
        if self.band:
            ax.fill_between(self.x, want[:, 0], want[:, -1], color="#ececec", linewidth=0)
        ax.plot(self.x, want, color=LINE, linewidth=5, **once("expected", want.shape[1]))
        style = {"color": BLUE, "marker": "x", "markersize": 4.5, "linewidth": 0.9}
        ax.plot(self.x, got, **style, **once("yours", got.shape[1]))
        if self.exact:
            ax.plot(*self.exact, color="black", linewidth=0.8, linestyle="--", label="exact")
        ax.set_xlabel(self.xlabel)


@dataclasses.dataclass
class Dots:
    """Numbers (n,) that no curve joins, over x (n,)."""

    title: str
    x: np.ndarray
    want: np.ndarray
    got: np.ndarray
    xlabel: str = ""

    def draw(self, ax: Axes) -> None:
        want = np.asarray(self.want, dtype=float)
        got = within(fitting(self.got, want), want, ax)
        circles(ax, self.x, want)
        crosses(ax, self.x, got)
        ax.vlines(self.x, want, got, color=BLUE, linewidth=0.6, alpha=0.6)
        ax.set_xlabel(self.xlabel)
        if np.asarray(self.x).dtype.kind == "i":
            ax.xaxis.get_major_locator().set_params(integer=True)


@dataclasses.dataclass
class Places:
    """Points (n, 2) of the plane, with lines from where they started or belong.

    Args:
        start: (n, 2) where each was before, or None.
    """

    title: str
    want: np.ndarray
    got: np.ndarray
    start: np.ndarray | None = None

    def draw(self, ax: Axes) -> None:
        want = np.asarray(self.want, dtype=float)
        got = fitting(self.got, want)
        kept = want if self.start is None else np.concatenate([want, self.start])
        x, y = within(got[:, 0], kept[:, 0], ax, "x"), within(got[:, 1], kept[:, 1], ax)
        if self.start is not None:
            ends = np.stack([self.start, want])
            ax.plot(ends[..., 0], ends[..., 1], color=LINE, linewidth=2.5)
            ends = np.stack([self.start, np.stack([x, y], 1)])
            ax.plot(ends[..., 0], ends[..., 1], color=BLUE, linewidth=0.8)
            ax.plot(*np.transpose(self.start), "k.", markersize=3, label="before")
        circles(ax, *want.T)
        crosses(ax, x, y)


@dataclasses.dataclass
class Histogram:
    """Draws (n,) against the density (m,) that they should have over x (m,)."""

    title: str
    draws: np.ndarray
    x: np.ndarray
    density: np.ndarray
    xlabel: str = ""

    def draw(self, ax: Axes) -> None:
        low, high = np.min(self.x), np.max(self.x)
        finite = self.draws[np.isfinite(self.draws)]
        inside = finite[(finite >= low) & (finite <= high)]
        edges = np.linspace(low, high, 41)
        heights = np.histogram(inside, edges)[0] / max(1, len(self.draws)) / np.diff(edges)
        ax.stairs(heights, edges, color=BLUE, fill=True, alpha=0.3, label="yours")
        ax.stairs(heights, edges, color=BLUE)
        ax.plot(self.x, self.density, color=GRAY, linewidth=2.5, label="expected")
        ax.set(xlabel=self.xlabel, xlim=(low, high), ylim=(0, 1.8 * np.max(self.density)))
        note(ax, len(finite) - len(inside), len(self.draws) - len(finite), len(self.draws))


def image_rows(
    title: str, rows: dict[str, np.ndarray], columns: Sequence[str], count: int | None = None
) -> Figure:
    """Rows of images, such as expected, yours and difference.

    Args:
        rows: dict from name to (n, H, W) in [-1, 1]; NaN is drawn purple.
        columns: the label of each column.
    """
    from given.images.figures import side_by_side

    shown = {name: coloured(images) for name, images in rows.items()}
    return side_by_side(shown, count or len(columns), title, columns)


def image_pair(title: str, want: np.ndarray, got: np.ndarray, columns: Sequence[str]) -> Figure:
    """Expected, yours, and twice their difference (black where they agree)."""
    want = np.asarray(want, dtype=float).reshape(len(columns), *np.shape(want)[-2:])
    got = np.clip(fitting(np.reshape(got, want.shape), want), -1e6, 1e6)
    title += " (purple: NaN)" * bool(np.isnan(got).any())
    rows = {"expected": want, "yours": got, "difference": 4 * np.abs(got - want) - 1}
    return image_rows(title, rows, columns)


def coloured(images: np.ndarray) -> np.ndarray:
    """(n, H, W) in [-1, 1] as uint8 (n, H, W, 3), NaN in purple."""
    gray = np.nan_to_num((np.clip(images, -1, 1) + 1) * 127.5).round().astype(np.uint8)
    purple = np.array([int(PURPLE[k : k + 2], 16) for k in (1, 3, 5)], np.uint8)
    return np.where(np.isnan(images)[..., None], purple, gray[..., None])


def within(got: np.ndarray, want: np.ndarray, ax: Axes, axis: str = "y") -> np.ndarray:
    """Set an axis by the expected values; return what came, cut so that it cannot ruin the axis.

    The axis gives way to what came by as much as the expected values span, and no more; values
    beyond are counted in a note. NaN and infinity become gaps.
    """
    low, high = np.min(want), np.max(want)
    span = max(high - low, abs(low), abs(high)) or 1.0
    got = np.where(np.isfinite(got), got, np.nan)
    seen = np.clip(got[np.isfinite(got)], low - span, high + span)
    bottom, top = min([low, *seen.ravel()]), max([high, *seen.ravel()])
    margin = 0.08 * max(top - bottom, span)
    limits = (bottom - margin, top + 2 * margin)
    ax.set(**{f"{axis}lim": limits})
    lost = int(np.isnan(got).sum())
    outside = int(((got < limits[0]) | (got > limits[1])).sum())
    note(ax, outside, lost, got.size, 0.98 if axis == "y" else 0.78)
    return np.clip(got, low - 3 * span, high + 3 * span)


def note(ax: Axes, outside: int, lost: int, total: int, height: float = 0.98) -> None:
    """Say in a panel how many values it does not show, if any."""
    parts = [f"{outside} of {total} outside"] * bool(outside)
    parts += [f"{lost} of {total} NaN or infinite"] * bool(lost)
    if parts:
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5}
        place = {"transform": ax.transAxes, "ha": "center", "va": "top", "zorder": 5}
        ax.text(0.5, height, "\n".join(parts), color=RED, fontsize=9, bbox=box, **place)


def circles(ax: Axes, x: np.ndarray, y: np.ndarray) -> None:
    """Hollow gray circles: expected."""
    style = {"markersize": 7, "markerfacecolor": "none", "markeredgecolor": GRAY}
    ax.plot(x, y, "o", markeredgewidth=1.6, label="expected", **style)


def crosses(ax: Axes, x: np.ndarray, y: np.ndarray) -> None:
    """Blue crosses: yours."""
    ax.plot(x, y, "x", color=BLUE, markersize=4.5, label="yours", zorder=3)


def once(label: str, k: int) -> dict[str, Any]:
    """A label for the first of k lines alone."""
    return {"label": [label, *["_"] * (k - 1)]} if k > 1 else {"label": label}


def normal(x: np.ndarray, mean: Any, std: Any) -> np.ndarray:
    """The density of N(mean, std^2)."""
    return np.exp(-(((x - mean) / std) ** 2) / 2) / (std * np.sqrt(2 * np.pi))
