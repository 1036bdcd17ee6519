"""The pictures of Task 1, for the notebook, the demo and the tests alike.

Every `plot_...` returns a matplotlib Figure that belongs to no window and to no pyplot state: a
notebook shows it where it is the last line of a cell (or by `show`), a script saves it with `png`.
Colours are those of Okabe and Ito, or viridis: both can be told apart by colour-blind readers.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from given.levels import Process, diffuse
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
from given.runtime.figures import curves as curves

FORWARD_TIMES = (0.0, 0.1, 0.2, 0.4, 0.6, 1.0)  # parts of T


@styled
def plot_clouds(
    clouds: dict[str, Tensor],
    title: str,
    colours: str | list[str] | Tensor = BLUE,
    columns: int = 3,
) -> Figure:
    """Clouds of points in a grid of square panels.

    Args:
        clouds: dict from the title of a panel to points (n, 2).
        title: of the whole figure.
        colours: one colour, a list of colours, one per panel, or a tensor (n,) of numbers that
            mark each point in every panel.
        columns: number of panels in a row.
    """
    lines = max(label.count("\n") for label in clouds)
    figure, axes = panel_grid(-(-len(clouds) // columns), columns, title, lines)
    each = colours if isinstance(colours, list) else [colours] * len(clouds)
    for ax, (label, cloud), colour in zip(axes.flat, clouds.items(), each, strict=False):
        scatter_points(ax, cloud, colour)
        square_axes(ax, axis_limit(cloud))
        ax.set_title(label)
    for ax in axes.flat[len(clouds) :]:
        ax.set_axis_off()
    return figure


def plot_forward(
    sde: Process, points: Tensor, fractions: Sequence[float] = FORWARD_TIMES
) -> Figure:
    """What a process does to points (n, 2): draws from p(x_t | x_0) at parts of T."""
    z = torch.randn_like(points)  # the same noise in every panel, so that a point can be followed
    clouds = {
        f"t = {part * sde.T:.3g}": diffuse(sde, part * sde.T, points, z)[0] for part in fractions
    }
    title = f"{name_of(sde)}: points forget where they began (colour: radius at t = 0)"
    return plot_clouds(clouds, title, points.norm(dim=1))


def plot_reverse(
    timesteps: Sequence[float] | Tensor,
    x_traj: Tensor,
    name: str = "Reverse process",
    panels: int = 6,
    n: int = 2000,
) -> Figure:
    """Snapshots of samples on their way from noise to data.

    Args:
        timesteps: (K + 1,) clock of the reverse process.
        x_traj: (K + 1, B, 2).
    """
    share = np.linspace(0, 1, panels) ** 0.6  # more panels late, when the shape appears
    steps = [round(part * (len(x_traj) - 1)) for part in share]
    clouds = {f"s = {timesteps[k]:.3g}": x_traj[k, :n] for k in steps}
    title = f"{name}: noise becomes data (colour: radius at the end)"
    return plot_clouds(clouds, title, x_traj[-1, :n].norm(dim=1))


def plot_samples(
    samples: dict[str, Tensor],
    reference: Tensor,
    notes: dict[str, str] | None = None,
    title: str = "Do the samples look like the target?",
) -> Figure:
    """Samples beside the target, on the same axes.

    Args:
        samples: dict from name to (n, 2).
        reference: real points, the first panel.
        notes: dict from name to lines below the name, such as `metric_note`.
    """
    clouds = {"target: real points": reference}
    for name, points in samples.items():
        clouds["\n".join([name, *filter(None, [(notes or {}).get(name)])])] = points
    columns = 3 if len(clouds) == 3 and not notes else 2
    return plot_clouds(clouds, title, [BLUE] + [RED] * len(samples), columns)


@styled
def plot_moments(sdes: dict[str, Process]) -> Figure:
    """Mean and variance of X_t given x_0 = 1 against t/T, for each process by name."""
    figure, (left, right) = panels(1, 2, "How the data fade and the noise grows", height=3)
    for (name, sde), line in zip(sdes.items(), ("-", "--", "-.", ":"), strict=False):
        t = torch.linspace(0, sde.T, 201)
        mean, std = sde.marginal_prob(t, torch.ones(len(t), 1))
        left.plot(t / sde.T, to_numpy(mean), line, label=name)
        right.plot(t / sde.T, to_numpy(torch.as_tensor(std).expand(len(t), 1)) ** 2, line)
    left.set(xlabel="t / T", ylabel="mean of $X_t$ from $x_0 = 1$")
    right.set(xlabel="t / T", ylabel="variance of $X_t$", yscale="log", ylim=(1e-4, None))
    left.legend()
    return figure


@styled
def plot_paths(
    sdes: dict[str, Process], start: float = 2.0, n: int = 500, shown: int = 5
) -> Figure:
    """Simulated paths (`predict_fn`) over the marginal (`marginal_prob`), from +start and -start.

    Args:
        sdes: dict from name to forward process.
        n: simulated paths.
        shown: how many are drawn.
    """
    rows = -(-len(sdes) // 2)
    title = f"Mean ± 2 std of {n} simulated paths (dashed) and by formula (band)"
    figure, axes = panels(rows, min(2, len(sdes)), title, height=2.5 * rows, squeeze=False)
    for ax, (name, sde) in zip(axes.flat, sdes.items(), strict=False):
        for x0, colour in ((start, BLUE), (-start, ORANGE)):
            _paths(ax, sde, x0, n, shown, colour)
        ax.set(title=name, xlabel="t", ylabel="$X_t$")
    return figure


@styled
def plot_scores(
    fields: dict[str, Callable[[Tensor, Tensor], Tensor]],
    sde: Process,
    points: Tensor,
    fractions: Sequence[float] = (0.05, 0.2, 0.5),
    arrows: int = 13,
) -> Figure:
    """Score fields over the noisy data at a few times; a row for each field.

    An arrow is std(t) * score, cut where it is too long. A field named "exact" is taken as the
    truth, and the other panels say how far theirs is off: the root of E|std (s - s_exact)|^2.

    Args:
        fields: dict from name to score_fn(t, x).
        sde: forward process.
        points: (n, 2).
        fractions: times, as parts of T.
        arrows: number in a row.
    """
    title = "Scores point to the data: sharply at small t, to the middle later"
    figure, axes = panel_grid(len(fields), len(fractions), title, 1 if "exact" in fields else 0)
    for column, part in zip(axes.T, fractions, strict=True):
        t = part * sde.T
        cloud, _ = diffuse(sde, t, points)
        unit = {name: functools.partial(_unit_score, sde, f, t) for name, f in fields.items()}
        for ax, (name, field) in zip(column, unit.items(), strict=True):
            scatter_points(ax, cloud, LIGHT)
            _quiver(ax, field, cloud, arrows)
            ax.set_title(f"{name}, t = {t:.3g}")
            if "exact" in unit and name != "exact":
                gap = (field(cloud) - unit["exact"](cloud)).pow(2).sum(1).mean().sqrt()
                ax.set_title(f"{name}, t = {t:.3g}\noff by {gap:.2f}")
    return figure


@styled
def plot_trajectories(
    trajectories: dict[str, Tensor],
    title: str = "From noise (orange) to data (blue)",
    n: int = 60,
    limit: float | None = None,
) -> Figure:
    """The way of n points from noise to data, three of them drawn bold; a panel per sampler.

    Args:
        trajectories: dict from name to x_traj (K + 1, B, 2).
        limit: half the side of the panels; far starts may lie outside.
    """
    figure, axes = panel_grid(1, len(trajectories), title)
    for ax, (name, x_traj) in zip(axes.flat, trajectories.items(), strict=True):
        x = to_numpy(x_traj[:, :n])
        ax.plot(x[..., 0], x[..., 1], color=GRAY, linewidth=0.5, alpha=0.25)
        for k, colour in enumerate((GREEN, PURPLE, "black")[: x.shape[1]]):
            ax.plot(*x[:, k].T, color=colour, linewidth=1.1)
        ax.scatter(*x[0].T, s=8, color=ORANGE, zorder=3)
        ax.scatter(*x[-1].T, s=8, color=BLUE, zorder=3)
        square_axes(ax, limit or axis_limit(x[[0, -1]].reshape(-1, 2)))
        ax.set_title(name)
    return figure


class Recorded:
    """A loss that also keeps the value of every call, in `losses`, for `plot_loss`."""

    def __init__(self, loss_fn: Callable[..., Tensor]) -> None:
        self.loss_fn = loss_fn
        self.losses: list[float] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        loss = self.loss_fn(*args, **kwargs)
        self.losses.append(loss.item())
        return loss


def metric_note(values: dict[str, float], floor: dict[str, float]) -> str:
    """One short line per metric, with its floor in brackets; both as `metrics.score` gives them."""
    return "\n".join(f"{name} {v:.2g} (floor {floor[name]:.2g})" for name, v in values.items())


def name_of(sde: object) -> str:
    """A process's name without the ending SDE: "VP", "OU"."""
    return type(sde).__name__.removesuffix("SDE")


@torch.no_grad()
def simulate(process: Process, x: Tensor, n: int | None = None) -> Tensor:
    """All states of `predict_fn` walked from 0 to T in n equal steps (N), (n + 1, B, ...)."""
    n = n or process.N
    states = [x]
    for k in range(n):
        t = torch.full((len(x),), k * process.T / n).to(x)
        states.append(process.predict_fn(t, states[-1], process.T / n))
    return torch.stack(states)


def _paths(ax, sde, x0, n, shown, colour):
    """Band of the marginal, a few paths, and the moments of all n paths, from x0."""
    t = torch.linspace(0, sde.T, sde.N + 1)
    mean, std = sde.marginal_prob(t, torch.full((len(t), 1), x0))
    mean, std = to_numpy(mean)[:, 0], to_numpy(torch.as_tensor(std).expand(len(t), 1))[:, 0]
    paths = to_numpy(simulate(sde, torch.full((n, 1), x0)))[..., 0]  # (N + 1, n)
    ax.fill_between(t, mean - 2 * std, mean + 2 * std, color=colour, alpha=0.22, linewidth=0)
    ax.plot(t, paths[:, :shown], color=colour, linewidth=0.5, alpha=0.8)
    for k in (-2, 0, 2):
        ax.plot(t, paths.mean(1) + k * paths.std(1), "k--", linewidth=1)


@torch.no_grad()
def _unit_score(sde, score_fn, t, x):
    """std(t) * score, whose size is about that of standard normal noise at every t."""
    t = torch.full((len(x),), float(t)).to(x)
    _, std = sde.marginal_prob(t, x)
    return std * score_fn(t, x)


def _quiver(ax, field, cloud, arrows):
    """Arrows of a field on a grid that covers the cloud, none longer than the grid's spacing."""
    limit = axis_limit(cloud)
    axis = torch.linspace(-limit, limit, arrows + 2)[1:-1]
    x = torch.cartesian_prod(axis, axis).to(cloud)
    spacing = 2 * limit / (arrows + 1)
    v = 0.5 * spacing * field(x)
    v = v * (spacing / v.norm(dim=1, keepdim=True).clamp(min=1e-9)).clamp(max=1)
    style = {"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.006, "color": BLUE}
    ax.quiver(*to_numpy(x).T, *to_numpy(v).T, **style)
    square_axes(ax, limit)


def scatter_points(ax: Axes, cloud: Tensor | np.ndarray, colour: str | Tensor) -> None:
    """Dots, smaller and fainter where there are many.

    Args:
        ax: the axes to draw on.
        cloud: (n, 2).
        colour: a name, or a number for each point.
    """
    cloud = to_numpy(cloud)
    colour = colour if isinstance(colour, str) else to_numpy(colour)
    size = np.clip(8000 / len(cloud), 1.5, 6.0)
    ax.scatter(*cloud.T, s=size, c=colour, alpha=0.35 if size < 2 else 0.6, linewidths=0)


def axis_limit(cloud: Tensor | np.ndarray) -> float:
    """Half the side of a square that shows nearly all points: 5, or more where that is cut."""
    return max(5.0, 1.02 * float(np.quantile(np.abs(to_numpy(cloud)), 0.999)))


def square_axes(ax: Axes, limit: float) -> None:
    """Equal axes from -limit to limit, with three ticks so that they stay readable when small."""
    tick = 4 if limit < 8 else float(f"{0.75 * limit:.0e}")
    ax.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
    ax.set(xticks=[-tick, 0, tick], yticks=[-tick, 0, tick])


def panel_grid(rows: int, columns: int, title: str, lines: int = 0) -> tuple[Figure, np.ndarray]:
    """Square panels for point sets, with `lines` of title beyond one; axes (rows, columns)."""
    height = rows * (WIDTH / columns + 0.15 + 0.13 * lines) + 0.3
    figure, axes = panels(rows, columns, title, height, squeeze=False)
    for ax in axes[-1]:
        ax.set_xlabel("$x_1$")
    for ax in axes[:, 0]:
        ax.set_ylabel("$x_2$")
    return figure, axes


@styled
def plot_loss(
    losses: Sequence[float],
    window: int = 50,
    title: str = "The loss falls fast, then levels off: not at 0",
) -> Figure:
    """The loss of every step, and its mean over a sliding window of steps."""
    values = np.asarray(losses, dtype=float)
    window = max(1, min(window, len(values) // 4))
    figure, ax = panels(1, 1, title, height=2.8)
    ax.plot(values, color=LIGHT, linewidth=0.7, label="one batch")
    mean = np.convolve(values, np.ones(window) / window, "valid")
    ax.plot(np.arange(len(mean)) + window - 1, mean, color=BLUE, label=f"mean of {window}")
    low, high = np.percentile(values[len(values) // 20 :], [0.5, 99.5])
    margin = 0.1 * (high - low) + 1e-9
    ax.set_ylim(low - margin, high + 6 * margin)  # the first steps may leave the picture
    ax.set(xlabel="step", ylabel="loss")
    ax.legend()
    return figure
