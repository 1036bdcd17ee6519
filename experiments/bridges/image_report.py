"""What a bridge between images is judged by, and what it leaves in its folder.

Carried test images are held against real images of the set where they should arrive, by the Fréchet
distance of features that fit the set, beside two figures: that of real test images (the floor), and
that of the images as they were (doing nothing). How much of an image survives is its distance to
where it came from, against the distance of a random image of the target from there.
"""

import json
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image
from torch import Tensor

from experiments.bridges.image_sets import is_noise
from experiments.bridges.latents import Autoencoder
from experiments.bridges.run import BridgeRun
from experiments.bridges.sides import OTHER
from given.bridges.figures import gif
from given.images import figures
from given.images.data.imageset import to_tensor, to_uint8
from given.images.fid.distances import frechet_distance
from given.images.fid.features import Features, load_features
from given.images.fid.sources import open_source
from given.images.fid.summary import Summary, summarise
from given.runtime.files import npz, write

SHOWN = 10  # images in a picture
MOMENTS = 5  # times at which they are shown
BATCH = 100  # images carried together


class Judge:
    """The Fréchet distance of carried test images, in every direction that ends at images."""

    def __init__(
        self,
        train: dict,
        test: dict,
        device: torch.device,
        noise: tuple[float, float] = (0.0, 1.0),
        coder: Autoencoder | None = None,
        limit: int = 400,
    ):
        """Measure the floor, and what doing nothing would give.

        Args:
            train: from direction to (images, flip) of the set where it starts, None for noise.
            test: the same of the test images.
            device: where the networks run.
            noise: mean and standard deviation of the noise that None is.
            coder: of a bridge between latents.
            limit: test images that are carried.
        """
        self.device, self.coder = device, coder
        images: dict = {n: None if each is None else each[0] for n, each in test.items()}
        for name, x in images.items():
            if x is not None and len(x) < 2:
                raise ValueError(
                    f"The set where the {name} direction starts has {len(x)} test image; a "
                    f"distance needs at least 2, better 400: add images."
                )
        shape = next(x for x in images.values() if x is not None).shape[1:]
        self.source = first_batches(images, limit, device, noise, coder)
        self.extractor = features_for(shape, device)
        ends = {n: train[OTHER[n]] for n in train if train[OTHER[n]] is not None}
        self.real = {n: np.asarray(end[0][: 4 * limit]) for n, end in ends.items()}
        if self.extractor is None:
            self.real = {}
        self.known = {n: self.summary(x) for n, x in self.real.items()}
        self.floor, self.nothing = {}, {}
        for name in self.real:
            self.floor[name] = self.distance(images[OTHER[name]][:limit], name)
            self.nothing[name] = self.distance(self.shown(self.source[name]), name)

    @property
    def features(self) -> str:
        """The name of the features that judge."""
        return "none" if self.extractor is None else self.extractor.name

    def distance(self, images: np.ndarray, name: str) -> float:
        """Fréchet distance of uint8 images to real ones at the end of a direction."""
        found, real = self.summary(images), self.known[name]
        return frechet_distance(real.mu, real.cov, found.mu, found.cov)

    def summary(self, images: np.ndarray) -> Summary:
        """The features of images, in short."""
        assert self.extractor is not None
        return summarise(open_source(np.asarray(images)), self.extractor)

    def __call__(self, run: BridgeRun) -> dict[str, float]:
        """The distance of each direction."""
        return {
            n: self.distance(self.shown(carried(run, n, self.source[n])[-1]), n) for n in self.real
        }

    def pixels(self, x: Tensor) -> Tensor:
        """The images of what is carried, (..., C, H, W)."""
        return x if self.coder is None else self.coder.decode(x)

    def shown(self, x: Tensor) -> np.ndarray:
        """The same as (B, H, W, C) uint8."""
        return to_uint8(self.pixels(x))


def features_for(shape: tuple[int, int, int], device: torch.device) -> Features | None:
    """The features for images (H, W, C): of the small classifier up to 28 x 28, else of Inception.

    None, which is said, where the weights of Inception are not here.
    """
    if shape[0] <= 28:
        return load_features("classifier", device)
    try:
        return load_features("inception", device)
    except FileNotFoundError as error:
        print(f"No distance judges images of {shape[0]} pixels a side here. {error}")
        return None


def first_batches(
    images: dict,
    n: int,
    device: torch.device,
    noise: tuple[float, float],
    coder: Autoencoder | None = None,
) -> dict[str, Tensor]:
    """By direction (n, C, H, W): the first images in [-1, 1] or their latents; noise for None."""
    found = {k: to_tensor(x[:n]).to(device) for k, x in images.items() if x is not None}
    if coder is not None:
        found = {k: coder.encode(x) for k, x in found.items()}
    shape = next(iter(found.values())).shape[1:]
    z = torch.randn((n, *shape), generator=torch.Generator().manual_seed(0))
    return {k: found.get(k, (noise[0] + noise[1] * z).to(device)) for k in images}


@torch.no_grad()
def carried(run: BridgeRun, name: str, x: Tensor, seed: int = 0) -> Tensor:
    """x (B, C, H, W) at MOMENTS times of a direction, (MOMENTS, B, C, H, W), from x to its end."""
    generator = torch.Generator(run.device).manual_seed(seed)
    parts = []
    for batch in x.split(BATCH):
        states = run.carry(name, batch, generator)
        kept = np.linspace(0, len(states) - 1, MOMENTS).round().astype(int)
        parts.append(states[kept])
    return torch.cat(parts, dim=1)


def survival(x: Tensor, y: Tensor, real: np.ndarray) -> list[float]:
    """How much of x is in y: mean distance of x to y, and of x to random real images.

    Args:
        x: (B, C, H, W) sources.
        y: (B, C, H, W) what became of them.
        real: (n, H, W, C) uint8 images of the target.

    Returns:
        both distances, the root of the mean square over pixels; black to white is 2.
    """
    index = np.random.default_rng(0).integers(len(real), size=len(x))
    random = to_tensor(real[index]).to(x)
    return [(x - other).pow(2).flatten(1).mean(1).sqrt().mean().item() for other in (y, random)]


def write_results(run: BridgeRun, judge: Judge, folder: Path, num_samples: int) -> None:
    """Pictures, animation, samples.npz and metrics.json; prints the figures."""
    report: dict = {"config": run.config, "rounds": run.history, "directions": {}}
    arrays = {}
    keys = {"forward": ("x0", "x1_from_x0"), "backward": ("x1", "x0_from_x1")}
    for name, x in judge.source.items():
        states = judge.pixels(carried(run, name, x[:num_samples]))
        for key, state in zip(keys[name], (states[0], states[-1]), strict=True):
            arrays[key] = torch.from_numpy(to_uint8(state))
        figures.save(times_figure(run.config, name, states[:, :SHOWN]), folder / f"{name}.png")
        figures.save(pairs_figure(run.config, name, states), folder / f"{name}_pairs.png")
        animate(run, judge, name, x[:SHOWN], folder / f"{name}.gif")
        if name in judge.real:
            report["directions"][name] = distances(run, judge, name, x, states)
    if run.history and judge.real:
        figures.save(rounds_figure(run.history, judge), folder / "rounds.png")
    write(folder / "samples.npz", npz(**arrays))
    write(folder / "metrics.json", json.dumps(report, indent=2) + "\n")
    print(f"Pictures, samples.npz and metrics.json: {folder}")


def distances(run: BridgeRun, judge: Judge, name: str, x: Tensor, states: Tensor) -> dict:
    """The figures of one direction; prints them in one line."""
    result = {
        "frechet": judge(run)[name] if not run.history else run.history[-1][name],
        "floor": judge.floor[name],
        "doing_nothing": judge.nothing[name],
    }
    line = f"{name:<9} Frechet distance ({judge.features}) {result['frechet']:.2f}, floor "
    line += f"{result['floor']:.2f}, doing nothing {result['doing_nothing']:.2f}"
    if not is_noise(run.config["prior"]):
        to_source, to_random = survival(
            judge.pixels(x[: states.shape[1]]), states[-1], judge.real[name]
        )
        result |= {"distance_to_source": to_source, "distance_of_random_target": to_random}
        line += f"; distance from its source {to_source:.3f}, a random target's {to_random:.3f}"
    print(line)
    return result


def ends(config: dict, name: str) -> list[str]:
    """Short names of the sets where a direction starts and ends, "boot" for fashion_mnist:boot."""
    pair = [Path(config[key].rpartition(":")[2]).name for key in ("prior", "dataset")]
    return pair if name == "forward" else pair[::-1]


def times_figure(config: dict, name: str, states: Tensor) -> Figure:
    """A column for each image, a row for each of five times. states: (MOMENTS, n, C, H, W)."""
    start, end = ends(config, name)
    rows = [f"s = {s:.2g}" for s in np.linspace(0, 1, len(states))]
    title = f"From {start} to {end}: the same images at five times"
    return figures.grid(to_uint8(states.flatten(0, 1)), states.shape[1], title, rows)


def pairs_figure(
    config: dict, name: str, states: Tensor, columns: int = 10, rows: int = 4
) -> Figure:
    """Sources above what became of them: what is kept? states: (MOMENTS, n, C, H, W)."""
    start, end = ends(config, name)
    columns = min(columns, states.shape[1])
    n = min(columns * rows, states.shape[1] // columns * columns)  # whole rows only
    before, after = (to_uint8(states[k, :n]) for k in (0, -1))
    lines = []
    for i in range(0, n, columns):
        lines += [before[i : i + columns], after[i : i + columns]]
    title = f"Each {start} and, below it, what it becomes: what is kept?"
    return figures.grid(np.concatenate(lines), columns, title, [start, end] * (len(lines) // 2))


def rounds_figure(history: list[dict], judge: Judge) -> Figure:
    """The Fréchet distance after each round, with floor and doing nothing."""
    lines = {}
    for name in judge.real:
        lines[name] = [(each["round"], each[name]) for each in history]
        last = history[-1]["round"]
        lines[f"{name}: floor"] = [(1, judge.floor[name]), (last, judge.floor[name])]
    title = "Does it arrive? Distance to the target after each round"
    label = f"Fréchet distance ({judge.features})"
    figure = figures.curves(lines, title, "round", label, log="y")
    figure.axes[0].xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def animate(
    run: BridgeRun, judge: Judge, name: str, x: Tensor, path: Path, frames: int = 40
) -> None:
    """A GIF of a few images on their way, every pixel some pixels wide."""
    states = run.carry(name, x, torch.Generator(run.device).manual_seed(0))
    shown = np.unique(np.linspace(0, len(states) - 1, frames).round().astype(int))
    images = [judge.shown(states[k]) for k in shown]
    scale = max(1, 56 // images[0].shape[1])
    rows = [np.concatenate(list(each), axis=1).squeeze() for each in images]
    write(path, gif([Image.fromarray(r.repeat(scale, 0).repeat(scale, 1)) for r in rows]))
