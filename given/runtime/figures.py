"""What all pictures of the course share: colours, style, panels, curves."""

import functools
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from numpy.typing import ArrayLike
from torch import Tensor

BLUE, ORANGE, GREEN, RED, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"


GRAY, LIGHT = "#767676", "#c8c8c8"


WIDTH = 6.0  # inches: with 11 points of type still readable at the width of a phone


STYLE = {
    "figure.dpi": 120,
    "figure.titlesize": 11.5,
    "font.size": 11,
    "axes.titlesize": 10.5,
    "axes.labelsize": 10.5,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "legend.fontsize": 9.5,
    "legend.frameon": False,
    "axes.edgecolor": GRAY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#ebebeb",
    "axes.prop_cycle": matplotlib.cycler(color=[BLUE, ORANGE, GREEN, RED, PURPLE]),
    "figure.constrained_layout.w_pad": 0.08,
}


def styled(plot: Callable[..., Figure]) -> Callable[..., Figure]:
    """Let a function that makes a figure draw in `STYLE`, and leave matplotlib's settings alone."""

    @functools.wraps(plot)
    def wrapper(*args, **kwargs):
        with matplotlib.rc_context(STYLE):
            figure = plot(*args, **kwargs)
            figure.draw_without_rendering()  # ticks are made when drawn: make them in this style
            return figure

    return wrapper


@styled
def curves(
    lines: dict[str, Sequence[tuple[float, float]]],
    title: str,
    xlabel: str,
    ylabel: str,
    floor: float | None = None,
    log: str = "xy",
    floor_label: str = "floor: real data",
    ticks: Sequence[float] | None = None,
) -> Figure:
    """Curves with markers, such as the distance against the number of steps.

    Args:
        lines: dict from name to list of (x, y).
        floor: y of a line that marks what is possible.
        log: axes that are logarithmic: "xy", "x", "y" or "".
        ticks: of a logarithmic x axis; by default, the x that occur, if they are few.
    """
    figure, ax = panels(1, 1, title, height=3.4)
    for k, (name, points) in enumerate(lines.items()):
        line = {"marker": "osD^v"[k % 5], "linestyle": "-" if k < 5 else "--"}  # five colours
        ax.plot(*zip(*points, strict=True), **line, markersize=5, label=name)
    if floor is not None:
        ax.axhline(floor, color=GRAY, linestyle=":", label=floor_label)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    for name in log:
        ax.set(**{f"{name}scale": "log"})
        axis, (low, high) = getattr(ax, f"{name}axis"), getattr(ax, f"get_{name}lim")()
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("")
    ticks = ticks or sorted({x for points in lines.values() for x, _ in points})
    if "x" in log and len(ticks) < 10:
        ax.set_xticks(ticks, [f"{x:g}" for x in ticks])
    if len(lines) > 1 or floor is not None:
        ax.legend()
    return figure


def png(figure: Figure, dpi: int = 180) -> bytes:
    """The figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, facecolor="white")
    return buffer.getvalue()


def show(figure: Figure, name: str = "figure") -> None:
    """Show a figure inside a notebook; elsewhere write it to results/NAME.png and say so."""
    try:
        from IPython import display, get_ipython
    except ImportError:
        get_ipython = None
    if get_ipython and get_ipython():
        display.display(display.Image(png(figure, figure.dpi)))
        return
    path = Path("results") / f"{name}.png"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(png(figure))
    print(f"Picture: {path}")


def panels(rows: int, columns: int, title: str, height: float, **kwargs: Any) -> tuple[Figure, Any]:
    """A figure of the common width with rows x columns axes."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots(rows, columns, **kwargs)
    figure.suptitle(title)
    return figure, axes


def to_numpy(x: ArrayLike | Tensor) -> np.ndarray:
    return np.asarray(x.detach().cpu() if isinstance(x, torch.Tensor) else x)
