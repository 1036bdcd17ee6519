"""The pictures of Task 2, for the notebooks and the scripts.

Every function returns a matplotlib Figure that belongs to no window: a notebook shows it where it
is the last line of a cell (or by `display`), a script writes it with `save`. Colours are those of
Okabe and Ito. Images are uint8 arrays (N, H, W, C), or tensors (N, C, H, W) in [-1, 1]; every pixel
of an image covers the same whole number of pixels of the picture, and nothing is interpolated.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from given.images.data.image_files import image_grid
from given.images.data.imageset import to_uint8
from given.runtime.figures import (
    BLUE,
    GRAY,
    GREEN,
    ORANGE,
    PURPLE,
    RED,
    STYLE,
    WIDTH,
    panels,
    styled,
)
from given.runtime.figures import curves as curves
from given.runtime.files import atomic_write

Images: TypeAlias = np.ndarray | Tensor

DPI = STYLE["figure.dpi"]
IMAGE = 110  # pixels of the picture that a side of an image takes at most, if it has less itself
LINE, LETTER = 0.2, 0.078  # inches that a line of type is high, and a letter wide


def grid(
    images: Images,
    columns: int = 10,
    title: str = "",
    row_labels: Sequence[str] | None = None,
    column_labels: Sequence[str] | None = None,
) -> Figure:
    """Images in rows.

    Args:
        images: (N, H, W, C) uint8 or (N, C, H, W) in [-1, 1].
        columns: images in a row.
        title: of the figure.
        row_labels: one for each row or column, or None.
        column_labels: one for each row or column, or None.
    """
    return _mosaic(as_uint8(images), columns, title, row_labels, column_labels)


def side_by_side(
    rows: dict[str, Images],
    count: int = 8,
    title: str = "",
    column_labels: Sequence[str] | None = None,
) -> Figure:
    """A row of images for each name: the same images before and after, or in several ways.

    Args:
        rows: dict from name to images.
        count: how many of each are shown, from the first.
    """
    images = [as_uint8(images)[:count] for images in rows.values()]
    return _mosaic(np.concatenate(images), len(images[0]), title, list(rows), column_labels)


def sweep(
    images: dict[Any, Images],
    title: str = "",
    count: int = 8,
    name: str = "s",
    column_labels: Sequence[str] | None = None,
) -> Figure:
    """A row of images for each value of a number, such as the guidance scale.

    Args:
        images: dict from value to images.
        name: of the number.
    """
    rows = {f"{name} = {value}": x for value, x in images.items()}
    return side_by_side(rows, count, title, column_labels)


def strip(
    traj: Sequence[Tensor],
    timesteps: Tensor,
    count: int = 8,
    title: str = "From noise to image",
    samples: int = 3,
) -> Figure:
    """The way of a few samples from noise to image, a row each; the timestep above each column.

    Args:
        traj: list of the n + 1 states x_T .. x_0, as `DiffusionModule.sample(return_traj=True)`
            gives.
        timesteps: the scheduler's, (n,).
        count: columns.
        samples: rows.
    """
    times = [f"t = {int(t)}" for t in timesteps] + ["image"]
    steps = np.unique(np.linspace(0, len(traj) - 1, count).round().astype(int))
    states = torch.stack([traj[k][:samples] for k in steps], dim=1)  # (samples, columns, C, H, W)
    images = as_uint8(states.flatten(0, 1))
    return _mosaic(images, len(steps), title, None, [times[k] for k in steps])


def noising(
    x0: Tensor,
    scheduler: Any,
    timesteps: Sequence[int],
    title: str = "The forward process: the image fades, the noise grows",
) -> Figure:
    """Images at several timesteps of `add_noise`, with the same noise in every column.

    Args:
        x0: (B, C, H, W) in [-1, 1].
        scheduler: see scheduler.py.
        timesteps: whole numbers.
    """
    noise = torch.randn_like(x0)
    states = [x0]
    for t in timesteps:
        states.append(scheduler.add_noise(x0, torch.full((len(x0),), int(t)), noise)[0])
    labels = ["image", *(f"t = {int(t)}" for t in timesteps)]
    return _mosaic(as_uint8(torch.stack(states, 1).flatten(0, 1)), len(states), title, None, labels)


@styled
def schedules(
    schedulers: dict[str, Any],
    title: str = "Schedules: how much of the image is left at each timestep",
) -> Figure:
    """sqrt(abar) and log SNR = log(abar / (1 - abar)) against t, for each scheduler by name."""
    figure, (left, right) = panels(1, 2, title, 3)
    for (name, scheduler), line in zip(schedulers.items(), ("-", "--", "-.", ":"), strict=False):
        abar = scheduler.alphas_cumprod.cpu().double()
        left.plot(abar.sqrt(), line, label=name)
        right.plot(torch.logit(abar), line, label=name)
    left.set(xlabel="timestep t", ylabel=r"$\sqrt{\bar\alpha_t}$, the part of $x_0$")
    right.set(xlabel="timestep t", ylabel=r"$\log\,(\bar\alpha_t / (1 - \bar\alpha_t))$, log SNR")
    left.legend()
    return figure


@styled
def bars(groups: dict[str, dict[str, float]], title: str, xlabel: str, ylabel: str) -> Figure:
    """Bars side by side.

    Args:
        groups: dict from name to a dict from label to height.
        title: of the figure.
        xlabel: of the axis of labels.
        ylabel: of the heights.
    """
    figure, ax = panels(1, 1, title, 3)
    labels = list(next(iter(groups.values())))
    width = 0.8 / len(groups)
    for k, (name, heights) in enumerate(groups.items()):
        places = np.arange(len(labels)) + (k - (len(groups) - 1) / 2) * width
        ax.bar(places, [heights[label] for label in labels], width, label=name)
    ax.set_xticks(range(len(labels)), labels)
    ax.yaxis.set_major_locator(MaxNLocator(6))
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.grid(axis="x", visible=False)
    if len(groups) > 1:
        figure.legend(*ax.get_legend_handles_labels(), loc="outside right upper")
    return figure


@styled
def arrows(
    vectors: dict[str, tuple[float, float]],
    title: str,
    xlabel: str,
    ylabel: str,
    line: tuple[str, str] | None = None,
    left: Sequence[str] = (),
) -> Figure:
    """Vectors of the plane as arrows from the origin, each with its name at its head.

    Args:
        vectors: dict from name to (x, y).
        line: names of two vectors; a dotted line goes through their heads.
        left: names drawn to the left of the head.
    """
    figure, ax = panels(1, 1, title, 3.4)
    heads = np.array(list(vectors.values()), dtype=float)
    low, high = heads.min(0).clip(max=0), heads.max(0).clip(min=0)
    margin = 0.16 * (high - low).max()
    ax.set(xlim=(low[0] - margin, high[0] + margin), ylim=(low[1] - margin, high[1] + margin))
    if line:
        ax.axline(vectors[line[0]], vectors[line[1]], color=GRAY, linestyle=":", linewidth=1)
    colours = (BLUE, ORANGE, GREEN, RED, PURPLE)
    for k, (name, head) in enumerate(vectors.items()):
        colour = colours[k % len(colours)]
        style = {"arrowstyle": "-|>", "color": colour, "linewidth": 1.5, "shrinkA": 0, "shrinkB": 0}
        ax.annotate("", head, (0, 0), arrowprops=style)
        place, side = ((-9, 3), "right") if name in left else ((5, 4), "left")
        ax.annotate(name, head, place, textcoords="offset points", color=colour, ha=side)
    ax.set(xlabel=xlabel, ylabel=ylabel, aspect="equal")
    return figure


def as_uint8(images: Images) -> np.ndarray:
    """(N, H, W, C) uint8, from that or from a tensor (N, C, H, W) in [-1, 1], cut to this range."""
    if isinstance(images, torch.Tensor) and images.is_floating_point():
        return to_uint8(images)
    return np.asarray(images)


def blanked(images: Images, mask: Tensor, gray: int = 128) -> np.ndarray:
    """Images with their holes in one gray.

    Args:
        images: (N, H, W, C) uint8 or (N, C, H, W) in [-1, 1].
        mask: (N or 1, 1, H, W), 1 in the hole.
        gray: 0 to 255.

    Returns:
        (N, H, W, C) uint8.
    """
    hole = mask.permute(0, 2, 3, 1).cpu().numpy().astype(bool)
    return np.where(hole, np.uint8(gray), as_uint8(images))


def save(figure: Figure, path: Path | str) -> None:
    """Write a figure to a PNG file, with the pixels that it has in a notebook."""
    with atomic_write(path) as file:
        figure.savefig(file, dpi=figure.dpi, facecolor="white")


@styled
def _mosaic(images, columns, title, row_labels=None, column_labels=None):
    """The figure of `grid` and the like: one picture of all images, laid out in whole pixels."""
    rows, (H, W) = -(-len(images) // columns), images.shape[1:3]
    left = 0.1 + LETTER * _longest(row_labels) if row_labels else 0.05
    top = LINE * (title.count("\n") + 1) * 1.15 + 0.1 if title else 0.03
    top += LINE * _lines(column_labels) if column_labels else 0
    room = (WIDTH - left) * DPI / (columns * (W + 1) + 1)
    scale = max(1, min(round(room), round(IMAGE / W)))
    picture = image_grid(images, columns).repeat(scale, axis=0).repeat(scale, axis=1)
    height, width = picture.shape[:2]
    across = max(round(left * DPI) + width + 6, round((LETTER * _longest([title]) + 0.3) * DPI))
    down = height + round(top * DPI) + 4
    figure = Figure(figsize=(across / DPI, down / DPI), dpi=DPI, layout="none")
    start = round(left * DPI) + (across - 6 - width - round(left * DPI)) // 2
    ax = figure.add_axes((start / across, 4 / down, width / across, height / down))
    ax.imshow(picture.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    ax.set(xticks=[], yticks=[], frame_on=False)
    ax.grid(visible=False)
    if row_labels:
        ax.set_yticks((np.arange(rows) + 0.5) * (H + 1) * scale, row_labels)
    if column_labels:
        ax.xaxis.tick_top()
        fits = (W + 1) * scale / (LETTER * DPI * _longest(column_labels))  # or smaller type
        type_size = STYLE["xtick.labelsize"] * min(1, fits)
        ax.set_xticks((np.arange(columns) + 0.5) * (W + 1) * scale, column_labels, size=type_size)
    ax.tick_params(length=0, pad=3)
    if title:
        middle = (start + width / 2) / across if len(title) * LETTER * DPI < width else 0.5
        figure.suptitle(title, x=middle, y=1 - 6 / down, va="top")
    return figure


def _longest(labels):
    """Letters in the longest line of some labels."""
    return max(len(line) for label in labels for line in label.split("\n"))


def _lines(labels):
    return 1 + max(label.count("\n") for label in labels)
