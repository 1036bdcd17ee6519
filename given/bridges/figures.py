"""The pictures of bridges, in the style of `plane/figures.py`.

In all of them orange is the source p0 and blue the target p1, whichever way a chain runs. `states`
are a dict of "forward" and "backward", (N + 1, n, 2) each, every direction in its own clock: the
forward chain starts at the source, the backward one at the target.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from given.bridges.truth import GaussianBridge
from given.plane.figures import (
    axis_limit,
    panel_grid,
    plot_trajectories,
    scatter_points,
    square_axes,
)
from given.runtime.figures import BLUE, GREEN, ORANGE, PURPLE, RED, WIDTH, panels, styled, to_numpy
from given.runtime.files import write

PARTS = (0.0, 0.25, 0.5, 0.75, 1.0)  # times of `marginals`, in the forward clock
FRAMES, FRAME_MS, HOLD_MS, PIXELS = 40, 90, 2000, 700


def figures(
    states: dict[str, Tensor],
    history: list[dict[str, float]],
    floor: dict[str, float],
    config: dict[str, Any],
    times: np.ndarray | None = None,
) -> dict[str, Figure]:
    """The pictures of a finished run: a dict from name to Figure.

    Args:
        history: list of {"round": r, "forward": EMD, "backward": EMD}.
        floor: the EMD of two real sets, by direction.
        config: has "prior", "dataset", "method".
        times: (N + 1,) of the forward states, 0 to 1; even by default.
    """
    source, target = config["prior"], config["dataset"]
    title = f"Paths from {source} (orange) to {target} (blue), {config['method']}"
    return {
        "trajectories": plot_trajectories(_from_the_source(states), title),
        "marginals": plot_marginals(states, times),
        "coupling": plot_lines(pairs(states)),
        "rounds": plot_rounds(history, floor, f"{config['method']}: EMD to real points"),
    }


def pairs(states: dict[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """Where each direction starts and ends: dict from title to (x0, x1), (n, 2) each."""
    return {
        "forward: source to its ends": (states["forward"][0], states["forward"][-1]),
        "backward: target to its ends": (states["backward"][-1], states["backward"][0]),
    }


@styled
def plot_marginals(
    states: dict[str, Tensor], s: np.ndarray | None = None, title: str | None = None, n: int = 1500
) -> Figure:
    """Both directions at five times of the forward clock; a column is one time.

    Args:
        s: (N + 1,) times of the forward states; even by default.
    """
    title = title or "In each column both rows should be the same cloud"
    figure, axes = panel_grid(2, len(PARTS), title)
    s = np.linspace(0, 1, len(states["forward"])) if s is None else s
    limit = axis_limit(torch.cat([x[[0, -1]].reshape(-1, 2) for x in states.values()]))
    for row, (x, name) in enumerate(zip(_from_the_source(states).values(), states, strict=True)):
        for ax, part in zip(axes[row], PARTS, strict=True):
            k = int(np.abs(s - part).argmin())
            scatter_points(ax, x[k, :n], _blend(s[k]))
            square_axes(ax, limit)
            ax.set(xticks=[], yticks=[], xlabel="")
            if row == 0:
                ax.set_title(f"t = {s[k]:.2f}")
        axes[row, 0].set_ylabel({"forward": "forward →", "backward": "← backward"}[name])
    return figure


@styled
def plot_lines(
    pairs: dict[str, tuple[Tensor, Tensor]],
    title: str = "Which points belong together (colour: where the source point lies)",
) -> Figure:
    """Lines between paired points, about 150 in each panel.

    Args:
        pairs: dict from the title of a panel to x0 and x1, (n, 2) each.
    """
    figure, axes = panel_grid(1, len(pairs), title)
    limit = axis_limit(torch.cat([torch.cat([x[:150] for x in both]) for both in pairs.values()]))
    for ax, (name, both) in zip(axes.flat, pairs.items(), strict=True):
        x0, x1 = (to_numpy(x[:150]) for x in both)
        lines = LineCollection(np.stack([x0, x1], 1), linewidths=0.7, alpha=0.6, cmap="viridis")
        lines.set_array(x0[:, 0])
        ax.add_collection(lines)
        ax.scatter(*x0.T, s=7, color=ORANGE, zorder=3, linewidths=0)
        ax.scatter(*x1.T, s=7, color=BLUE, zorder=3, linewidths=0)
        square_axes(ax, limit)
        ax.set_title(name)
    return figure


@styled
def plot_rounds(
    history: list[dict[str, float]],
    floor: dict[str, float],
    title: str = "EMD to real points falls towards the floor",
) -> Figure:
    """EMD after every round; dotted, in the same colour: that of two real sets."""
    figure, ax = panels(1, 1, title, height=3.2)
    style = {"forward": (BLUE, "o"), "backward": (ORANGE, "s")}
    for name, (colour, mark) in style.items():
        x = [entry["round"] for entry in history]
        y = [entry[name] for entry in history]
        end = {"forward": "target", "backward": "source"}[name]
        ax.plot(x, y, color=colour, marker=mark, markersize=5, label=f"{name}, at the {end}")
        ax.axhline(floor[name], color=colour, linestyle=":", label=f"its floor, {floor[name]:.2f}")
    top = max(max(entry[name], floor[name]) for entry in history for name in style)
    ax.set(xlabel="round", ylabel="EMD", ylim=(0, 1.1 * top))
    ax.set_xticks(x if len(x) < 12 else x[:: len(x) // 8])
    ax.legend(ncols=2)
    return figure


@styled
def compare(
    states_by_method: dict[str, dict[str, Tensor]],
    notes: dict[str, dict[str, str]],
    target: dict[str, Tensor],
    title: str = "The ends that each method reaches",
) -> Figure:
    """Methods side by side: in the upper row they carry the source over, in the lower the target.

    Args:
        states_by_method: dict from name to states.
        notes: dict from name to a short text for "forward" and "backward", such as "EMD .21 (1.3 x
            floor)", set above each panel.
        target: real points where each direction should end, "forward" and "backward"; the first
            column.
    """
    width = max(WIDTH, 1.75 * (1 + len(states_by_method)))
    figure, axes = panel_grid(2, 1 + len(states_by_method), title, 1)
    figure.set_size_inches(width, 2 * (width / (1 + len(states_by_method)) + 0.42) + 0.35)
    for row, (name, colour) in zip(axes, (("forward", BLUE), ("backward", ORANGE)), strict=True):
        clouds = {"real points": target[name]}
        clouds |= {method: states[name][-1] for method, states in states_by_method.items()}
        for ax, (method, cloud) in zip(row, clouds.items(), strict=True):
            scatter_points(ax, cloud, colour)
            square_axes(ax, axis_limit(target[name]))
            ax.set(xticks=[], yticks=[], xlabel="")
            ax.set_title(f"{method}\n{notes.get(method, {}).get(name, '')}".strip(), fontsize=9.5)
        row[0].set_ylabel({"forward": "forward →", "backward": "← backward"}[name])
    return figure


@styled
def plot_plans(
    rounds: list[dict[str, np.ndarray]],
    exact: GaussianBridge,
    shown: Sequence[int] = (1, 2, 5),
    title: str = "The plan, round after round",
) -> Figure:
    """Gaussian plans of two numbers (X_0, X_1) as ellipses of one deviation.

    Args:
        rounds: of `truth.population`, in one dimension.
        exact: a `GaussianBridge`.
        shown: numbers of rounds.
    """
    figure, axes = panel_grid(1, 2, title)
    variance = {"forward": ("cov_forward", 1), "backward": ("cov_backward", 0)}
    S0, S1, C = (float(v[0, 0]) for v in (exact.S0, exact.S1, exact.C))
    for ax, (name, (key, end)) in zip(axes.flat, variance.items(), strict=True):
        ax.plot(*_ellipse(S0, S1, C), color="black", linewidth=3.5, alpha=0.3, label="exact")
        for r, colour in zip(shown, (RED, PURPLE, GREEN, BLUE), strict=False):
            S = [S0, S1]
            S[end] = float(rounds[r - 1][key][0, 0])
            coupling = float(rounds[r - 1][f"coupling_{name}"][0, 0])
            ax.plot(*_ellipse(S[0], S[1], coupling), "--", color=colour, label=f"round {r}")
        reach = 1.2 * max(S0, S1) ** 0.5
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", title=name)
        ax.set(xlabel="$X_0$", ylabel="$X_1$")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return figure


@styled
def plot_steps(
    shares: dict[str, Tensor], title: str = "How far towards the end each step goes"
) -> Figure:
    """Shares of the way (N,) by the number of the step, for each name."""
    figure, ax = panels(1, 1, title, height=2.8)
    for (name, y), mark in zip(shares.items(), "osD", strict=False):
        ax.plot(to_numpy(y), marker=mark, markersize=4.5, label=name)
    ax.set(xlabel="step k", ylabel="share of the way", ylim=(0, 1.08))
    ax.legend()
    return figure


@styled
def animate(
    states: dict[str, Tensor],
    path: Path | str,
    config: dict[str, Any],
    times: np.ndarray | None = None,
) -> Figure:
    """Write a GIF of both directions side by side, whole or not at all.

    Frames are even in time; between two states a point is drawn on the straight line.
    """
    figure, axes = panels(1, 2, " ", height=3.5)
    limit = axis_limit(torch.cat([x[[0, -1]].reshape(-1, 2) for x in states.values()]))
    dots, source, target = [], config["prior"], config["dataset"]
    for ax, way in zip(axes, (f"{source} → {target}", f"{target} → {source}"), strict=True):
        dots.append(ax.scatter([], [], s=5, linewidths=0, alpha=0.8))
        square_axes(ax, limit)
        ax.set(title=way, xlabel="$x_1$")
    axes[0].set_ylabel("$x_2$")
    figure.set_dpi(PIXELS / WIDTH)
    clocks = [times, None if times is None else 1 - times[::-1]]
    canvas, images = FigureCanvasAgg(figure), []
    canvas.draw()
    figure.set_layout_engine("none")  # laid out once for all frames
    for u in np.linspace(0, 1, FRAMES):
        figure.suptitle(f"{config['method']}: both directions, {u:.2f} of the way")
        for dot, x, clock, way in zip(dots, states.values(), clocks, (u, 1 - u), strict=True):
            dot.set_offsets(_at(u, to_numpy(x[:, :900]), clock))
            dot.set_color(_blend(way))
        canvas.draw()
        images.append(Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy()))
    write(path, gif(_one_palette(images)))
    return figure


def gif(frames: list[Image.Image]) -> bytes:
    """Frames (PIL images) as the bytes of a GIF that holds on the last one, then begins again."""
    buffer, durations = io.BytesIO(), [FRAME_MS] * (len(frames) - 1) + [HOLD_MS]
    later = {"save_all": True, "append_images": frames[1:], "duration": durations, "loop": 0}
    frames[0].save(buffer, "GIF", **later)
    return buffer.getvalue()


def _one_palette(images):
    """The frames in one palette, from three of them: orange, blue, and what lies between."""
    both = Image.new("RGB", (images[0].width, 3 * images[0].height))
    for k, image in enumerate((images[0], images[len(images) // 2], images[-1])):
        both.paste(image, (0, k * image.height))
    colours = both.quantize(48)
    table = np.array(colours.getpalette()).reshape(-1, 3)
    table[table.min(1) > 245] = 255  # the paper: averaging made it nearly white
    colours.putpalette(table.ravel().tolist())
    return [image.quantize(palette=colours, dither=Image.Dither.NONE) for image in images]


def _from_the_source(states):
    """Both directions with the source first, under titles that say how they ran."""
    forward, backward = states["forward"], states["backward"]
    return {"forward: orange to blue": forward, "backward: blue to orange": backward.flip(0)}


def _blend(t):
    """Orange at t = 0, blue at t = 1, as hexadecimal text."""
    mixed = [
        round((1 - t) * int(ORANGE[k : k + 2], 16) + t * int(BLUE[k : k + 2], 16))
        for k in (1, 3, 5)
    ]
    return "#" + "".join(f"{v:02x}" for v in mixed)


def _ellipse(S0, S1, C):
    """(2, 100) points one deviation from the middle of N(0, [[S0, C], [C, S1]])."""
    angle = np.linspace(0, 2 * np.pi, 100)
    return np.linalg.cholesky([[S0, C], [C, S1]]) @ np.stack([np.cos(angle), np.sin(angle)])


def _at(u, x, clock):
    """Points (n, 2) at time u of a chain's own clock, from its states x (N + 1, n, 2)."""
    clock = np.linspace(0, 1, len(x)) if clock is None else clock
    k = min(int(np.searchsorted(clock, u, "right")) - 1, len(x) - 2)
    part = (u - clock[k]) / (clock[k + 1] - clock[k])
    return (1 - part) * x[k] + part * x[k + 1]
