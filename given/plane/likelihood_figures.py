"""The pictures of likelihood, bounds and codes, in the style of `figures.py`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from given.plane.figures import axis_limit, panel_grid, square_axes
from given.runtime.figures import (
    BLUE,
    GRAY,
    GREEN,
    LIGHT,
    ORANGE,
    PURPLE,
    RED,
    WIDTH,
    panels,
    styled,
    to_numpy,
)

MARKS = {"s": 4.5, "linewidths": 0, "alpha": 0.6}


@styled
def plot_density(
    truth: Tensor,
    found: Tensor,
    side: Tensor,
    title: str = "The density by the ODE is the true one",
) -> Figure:
    """Three panels: the true density, the one that was found, and the difference of their logs.

    Args:
        truth: (n * n,) log density in nats at torch.cartesian_prod(side, side).
        found: (n * n,) the same by the ODE.
        side: (n,) coordinates.
    """
    figure, axes = panel_grid(1, 3, title)
    figure.set_size_inches(WIDTH, 3.1)
    truth, found = (to_numpy(v).reshape(len(side), -1).T for v in (truth, found))
    difference = found - truth
    reach = float(np.quantile(np.abs(difference), 0.99)) + 1e-12  # a few corners may be cut
    peak = float(np.exp(truth).max())
    shade: dict[str, Any] = {"vmin": 0, "vmax": peak}
    signed: dict[str, Any] = {"vmin": -reach, "vmax": reach, "cmap": "RdBu_r"}
    panels = {
        "true density p": (np.exp(truth), shade, "density"),
        "p by the ODE": (np.exp(found), shade, "density"),
        "log p: ODE less true": (difference, signed, "nats"),
    }
    for ax, (name, (values, colours, unit)) in zip(axes.flat, panels.items(), strict=True):
        box = (side[0], side[-1], side[0], side[-1])
        image = ax.imshow(values, extent=box, origin="lower", **colours)
        bar = figure.colorbar(image, ax=ax, orientation="horizontal", shrink=0.95, label=unit)
        bar.set_ticks(sorted({0, *(_rounded(0.9 * colours[end]) for end in ("vmin", "vmax"))}))
        bar.ax.xaxis.set_major_formatter("{x:g}")
        square_axes(ax, float(side[-1]))
        ax.grid(visible=False)
        ax.set_title(name)
    return figure


@styled
def plot_probes(
    draws: dict[str, dict[int, Tensor]],
    truth: float,
    title: str = "Hutchinson's estimate: the mean is right, more probes calm it",
) -> Figure:
    """Left the mean of all draws and its standard error, right the spread of one draw.

    Args:
        draws: dict from name to dict from the number of probes to draws (n,).
        truth: the number that is estimated.
    """
    figure, (left, right) = panels(1, 2, title, height=3.4)
    for k, ((name, by_probes), mark) in enumerate(zip(draws.items(), "osD", strict=False)):
        probes = np.array(list(by_probes))
        values = [to_numpy(v) for v in by_probes.values()]
        spread = np.array([v.std(ddof=1) for v in values])
        error = spread / np.sqrt([len(v) for v in values])
        style = {"marker": mark, "markersize": 5, "label": name}
        shifted = probes * 1.08 ** (k - 0.5 * (len(draws) - 1))  # bars must not cover each other
        left.errorbar(shifted, [v.mean() for v in values], error, linestyle="", **style)
        right.plot(probes, spread, linestyle="", **style)
        right.plot(probes, spread[0] * (probes[0] / probes) ** 0.5, ":", color=GRAY, zorder=1)
    left.axhline(truth, color="black", linewidth=1, label="exact")
    left.set(xlabel="probes K", ylabel="mean ± standard error, nats")
    right.set(xlabel="probes K", ylabel="deviation of one draw", yscale="log")
    low, high = right.get_ylim()
    ticks = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20]
    right.set_yticks(ticks, [f"{v:g}" for v in ticks])
    right.set_ylim(0.8 * low, 1.2 * high)
    right.minorticks_off()
    left.plot([], [], ":", color=GRAY, label=r"$\propto 1/\sqrt{K}$")
    for ax in (left, right):
        ax.set_xscale("log")
        ax.set_xticks(probes, [f"{v:g}" for v in probes])
        ax.minorticks_off()
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


@styled
def plot_draws(
    draws: dict[str, Tensor], truth: float, title: str = "Draws scatter, their mean is the bound"
) -> Figure:
    """Histograms on common axes, one panel each, with the mean and the true value.

    Args:
        draws: dict from the title of a panel to draws (n,).
        truth: number.
    """
    figure, axes = panels(1, len(draws), title, height=3.1, sharex=True)
    everything = np.concatenate([to_numpy(v) for v in draws.values()])
    low, high = np.quantile(everything, [0.002, 0.998])
    for ax, (name, values) in zip(np.atleast_1d(axes), draws.items(), strict=True):
        values = to_numpy(values)
        ax.hist(values, np.linspace(low, high, 50), color=LIGHT, density=True)
        ax.axvline(truth, color="black", linewidth=1.8, label=f"log p = {truth:.2f}")
        error = values.std(ddof=1) / np.sqrt(len(values))
        label = f"mean {values.mean():.2f} ± {error:.2f}"
        ax.axvline(values.mean(), color=ORANGE, linestyle="--", label=label)
        ax.set(title=f"{name}: deviation {values.std(ddof=1):.1f}", xlabel="one draw, nats")
        ax.set_ylim(0, 1.5 * ax.get_ylim()[1])  # room for the legend
        ax.set_yticks([])
        ax.legend(loc="upper left")
    np.atleast_1d(axes)[0].set_ylabel("density of draws")
    return figure


@styled
def plot_against(
    truth: Tensor,
    means: dict[str, Tensor],
    errors: dict[str, Tensor] | None,
    title: str,
    xlabel: str = "true log p(x), nats",
    ylabel: str = "found, nats",
) -> Figure:
    """Values with error bars against the true ones; the diagonal is where both agree.

    Args:
        truth: (n,).
        means: dict from name to (n,).
        errors: the same, or None for no bars.
    """
    figure, ax = panels(1, 1, title, height=3.8)
    x = to_numpy(truth)
    ax.plot([x.min(), x.max()], [x.min(), x.max()], color="black", linewidth=1, label="equal")
    for (name, y), colour, mark in zip(means.items(), (BLUE, RED), "os", strict=False):
        style = {"linestyle": "", "marker": mark, "markersize": 4, "color": colour, "label": name}
        bars = 2 * to_numpy(errors[name]) if errors else None
        ax.errorbar(x, to_numpy(y), bars, elinewidth=1, **style)
    ax.set(xlabel=xlabel, ylabel=ylabel, aspect="equal")
    ax.legend()
    return figure


@styled
def plot_gaps(
    deltas: Sequence[float],
    measured: Sequence[tuple[float, float]],
    predicted: Sequence[float],
    ODE: Sequence[float],
    title: str = "What a score wrong by a part δ costs",
) -> Figure:
    """What the bound and the ODE lose with a wrong score, on logarithmic axes.

    Args:
        deltas: (n,) how wrong.
        measured: (n,) pairs of the bound's gap and its standard error.
        predicted: (n,) that gap by the error of the score.
        ODE: (n,) gap of its likelihood.
    """
    figure, ax = panels(1, 1, title, height=3.6)
    ax.plot(deltas, predicted, "--", color="black", linewidth=1, label="the bound, predicted")
    mean, error = np.array(measured).T
    style = {"linestyle": "", "markersize": 6, "capsize": 3}
    label = "the bound, measured ± 2 standard errors"
    ax.errorbar(deltas, mean, 2 * error, marker="o", color=BLUE, label=label, **style)
    ax.plot(deltas, ODE, marker="D", markersize=5, color=GREEN, label="the ODE, measured")
    ax.set(
        xscale="log", yscale="log", xlabel=r"$\delta$", ylabel="mean log p, true less found, nats"
    )
    ax.set_xticks(deltas, [f"{v:g}" for v in deltas])
    ax.yaxis.set_major_formatter("{x:g}")
    ax.minorticks_off()
    ax.legend()
    return figure


@styled
def plot_family(
    draws: dict[str, dict[float, Tensor]],
    truth: float,
    title: str = "From the bound of the SDE to the likelihood of the ODE",
) -> Figure:
    """Mean and spread of draws along the family of reverse processes.

    Args:
        draws: dict from name to dict from lambda to draws (n,).
        truth: log p(x).
    """
    figure, (left, right) = panels(1, 2, title, height=3.3)
    for (name, by_lam), mark in zip(draws.items(), "osD", strict=False):
        lams = list(by_lam)
        values = [to_numpy(v) for v in by_lam.values()]
        spread = np.array([v.std(ddof=1) for v in values])
        error = spread / np.sqrt([len(v) for v in values])
        style = {"marker": mark, "markersize": 5, "capsize": 2, "linewidth": 1}
        left.errorbar(lams, [v.mean() for v in values], 2 * error, label=name, **style)
        right.plot(lams, spread, marker=mark, markersize=5, label=name)
    left.axhline(truth, color="black", linestyle=":", label="true log p(x)")
    left.set(xlabel=r"$\lambda$: 0 SDE, 1 ODE", ylabel="mean ± 2 standard errors, nats")
    right.set(xlabel=r"$\lambda$: 0 SDE, 1 ODE", ylabel="deviation of one draw, nats")
    for ax in (left, right):
        ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "¼", "½", "¾", "1"])
    right.set_ylim(bottom=0)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


@styled
def plot_codes(first: Tensor, second: Tensor, title: str, xlabel: str, ylabel: str) -> Figure:
    """Codes of the same points under two models, a panel for each of two coordinates.

    Args:
        first: (n, 2).
        second: (n, 2).
    """
    figure, axes = panels(1, 2, title, height=3.3)
    first, second = to_numpy(first), to_numpy(second)
    limit = 1.05 * max(np.abs(first).max(), np.abs(second).max())
    for k, ax in enumerate(axes):
        ax.plot([-limit, limit], [-limit, limit], color="black", linewidth=0.8)
        ax.scatter(first[:, k], second[:, k], color=BLUE, **MARKS)
        share = np.corrcoef(first[:, k], second[:, k])[0, 1]
        ax.set(title=f"coordinate {k + 1}: correlation {share:.3f}", xlabel=xlabel, ylabel=ylabel)
        ax.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
    return figure


@styled
def plot_between(
    codes: dict[str, Tensor],
    data: dict[str, Tensor],
    points: dict[str, Tensor],
    title: str = "Between two points: along a circle, or straight",
) -> Figure:
    """Paths between codes (left) and what they decode to (right), over points of either side.

    Args:
        codes: dict from name to (K, 2), in the order of the path.
        data: the same, decoded.
        points: dict with "codes" and "data", (n, 2), drawn in gray.
    """
    figure, axes = panel_grid(1, 2, title)
    for ax, (side, paths) in zip(axes.flat, {"codes": codes, "data": data}.items(), strict=True):
        background = to_numpy(points[side])
        ax.scatter(*background.T, color=LIGHT, s=3, linewidths=0)
        colours = (GREEN, PURPLE, RED)
        for (name, path), colour, mark in zip(paths.items(), colours, "os^", strict=False):
            style = {"marker": mark, "markersize": 3.5, "linewidth": 1.1}
            ax.plot(*to_numpy(path).T, color=colour, label=name, **style)
        ends = to_numpy(next(iter(paths.values())))[[0, -1]]
        ax.scatter(*ends.T, s=34, color="black", zorder=3)
        square_axes(ax, axis_limit(background))
        ax.set_title({"codes": "noise $x_T$", "data": "decoded"}[side])
    axes.flat[0].legend(loc="upper left")
    return figure


def _rounded(value):
    """To one significant digit, towards 0."""
    digit = 10.0 ** np.floor(np.log10(abs(value))) if value else 1.0
    return float(np.trunc(value / digit) * digit)
