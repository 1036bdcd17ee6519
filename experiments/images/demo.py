"""The whole course on one page: `python -m image_diffusion demo`, or `make demo`.

Runs Task 1 (see experiments/plane/demo.py), a Schrödinger bridge in the plane, and the small
network on Fashion-MNIST, trained for a short time, and shows what that can do: images without a
class and of a class, by the samplers of both tasks, and filled holes, with the Fréchet distance of
each beside that of real images and of the network that the course ships. The page is there after
the first part and grows. A run that was stopped goes on where it was; one that is finished is not
trained again.
"""

import argparse
import base64
import html
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from experiments.images import train
from experiments.images.compare_inpainting import CHECKPOINT, fill
from experiments.images.samplers.draw import balanced_labels, draw_images, load_model
from experiments.plane import demo as plane
from given.images import figures
from given.images.data.imageset import ImageSet, load_dataset, to_tensor
from given.images.fid.measure import fid_of_images
from given.images.masks import make_mask
from given.noise import noise_per_image
from given.runtime.cli import file_path, whole
from given.runtime.files import make_folder
from given.runtime.machine import pick_device
from given.runtime.page import LivePage
from given.runtime.todo import optional

SCALES = (0.0, 1.0, 1.5, 3.0, 5.0, 10.0)
N = 300  # images per figure of the table
STEPS, SHIPPED_STEPS = 1200, 12_000  # of training: here, and of the network that the course ships


def build(path: Path, name: str, steps: int, device: torch.device) -> Any:
    """The model of a checkpoint under a scheduler of that class name, its timesteps set."""
    from image_diffusion import scheduler

    model, _ = load_model(path, getattr(scheduler, name), device)
    model.var_scheduler.set_timesteps(steps)
    return model


def training_section(path: Path) -> tuple:
    """The curve of the loss, from the checkpoint."""
    from experiments.images.training_progress import plot_loss
    from given.runtime.checkpoint import read_checkpoint

    training = read_checkpoint(path)["training"]
    return (
        "Training on images",
        f"{training['step']:,} steps: a short run, and the images below are of this network. The "
        "loss falls fast and then hardly moves, while the images still get better: most of what is "
        "left is noise that nobody could guess.",
        plot_loss(training["losses"]),
    )


def forward_section(test: ImageSet, scheduler: Any) -> tuple:
    """One image of five classes, fading."""
    x0 = to_tensor(np.asarray(test.images[:5]))
    return (
        "From image to noise",
        "The same process as in the plane, on 784 pixels. The outline survives longest: it is "
        "decided first when sampling runs back.",
        figures.noising(x0, scheduler, (50, 150, 300, 500, 700, 850, 950)),
    )


def strip_section(model: Any) -> tuple:
    """Three samples on their way."""
    labels = torch.tensor([10, 9, 1], device=model.device)
    with noise_per_image([3, 4, 5]):
        traj = model.sample(3, labels, 1.5, return_traj=True)
    return (
        "From noise to image",
        "DDIM with 20 steps and guidance 1.5: boot, bag, T-shirt. First the outline, then the "
        "pattern.",
        figures.strip(traj, model.var_scheduler.timesteps),
    )


def guidance_section(model: Any) -> tuple:
    """Rows of guidance scales, from the same noise."""
    labels = balanced_labels(10, 10)
    images = {f"{s:g}": draw_images(model, 10, labels, s, seed=7) for s in SCALES}
    return (
        "Guidance from 0 to 10",
        "The same noise in every row, and a class for every column: "
        f"{', '.join(load_dataset().classes)}. At s = 0 the class is ignored; near 1.5 it is "
        "clear; beyond that contrast grows, and variety is lost.",
        figures.sweep(images, count=10),
    )


def longer_section(model: Any, steps: int) -> tuple:
    """The same noise and classes by this network, and by the one that the course ships."""
    labels = balanced_labels(10, 10)
    shipped = build(CHECKPOINT, "DDIMScheduler", 20, model.device)
    rows = {f"{steps:,} steps": model, f"shipped: {SHIPPED_STEPS:,}": shipped}
    return (
        "What longer training brings",
        "The same noise and classes. This network trained for a minute or two, the one that comes "
        f"with the course for {SHIPPED_STEPS:,} steps, as image_diffusion/train.py does.",
        figures.side_by_side(
            {name: draw_images(m, 10, labels, 1.5, seed=7) for name, m in rows.items()},
            count=10,
        ),
    )


def task1_section(model: Any) -> tuple:
    """Two grids from Task 1's samplers through `score_fn`."""
    from sde_todo.sampling import Sampler
    from sde_todo.sde import VPSDE

    sde = VPSDE(N=50)
    labels = torch.from_numpy(balanced_labels(10, 10)).to(model.device)
    noise = torch.zeros(10, *model.image_shape, device=model.device)
    rows = {}
    methods: dict[str, dict[str, Any]] = {
        "predictor-corrector": {"method": "predictor_corrector", "eps": 1e-3},
        "ODE, Heun": {"method": "ode_heun", "eps": 1e-3, "rho": 2.0},
    }
    for name, options in methods.items():
        torch.manual_seed(5)
        reverse = sde.reverse(model.score_fn(sde, labels, 1.5))
        rows[name] = Sampler(**options).get_sampling_fn(reverse, noise)(10)[0]
    return (
        "The samplers of Task 1 on images",
        "The network was trained in discrete steps with another schedule; its noise gives the "
        "score of the VP process all the same, and every sampler of the plane runs on it.",
        figures.side_by_side(rows, count=10),
    )


def inpainting_section(path: Path, test: ImageSet, device: torch.device) -> tuple:
    """Original, hole and three fillings."""
    model = build(path, "DDPMScheduler", 40, device)
    x0 = to_tensor(np.asarray(test.images[20:30])).to(device)
    mask = make_mask("rectangle", 10, 28, seed=2).to(device)
    labels = torch.from_numpy(test.labels[20:30] + 1).to(device)
    filled = fill(model, x0, mask, labels, 1.0, resamplings=5)
    rows = {"original": x0, "hole": figures.blanked(x0, mask)}
    return (
        "Filling holes",
        "A model that was never trained for it fills half the height and width. Replacement leaves "
        "seams; RePaint goes back and forth until hole and surroundings agree; MCG follows the "
        "gradient of the misfit.",
        figures.side_by_side(rows | {name: x for name, (x, _) in filled.items()}, count=10),
    )


def distances(path: Path, train_set: ImageSet, test: ImageSet, device: torch.device) -> list[tuple]:
    """Rows of the table: name, distance, evaluations, seconds an image."""
    real = np.asarray(test.images)
    rows = [("real training images: the floor", fid_of_images(train_set.images[:N], real), 0, 0.0)]
    runs = {
        "no class, DDIM": (path, "DDIMScheduler", 20, 0.0),
        "class, no guidance, DDIM": (path, "DDIMScheduler", 20, 1.0),
        "guidance 1.5, DDIM": (path, "DDIMScheduler", 20, 1.5),
        "guidance 1.5, DPM-Solver++ 2M": (path, "DPMSolverScheduler", 8, 1.5),
        "shipped network, guidance 1.5, DDIM": (CHECKPOINT, "DDIMScheduler", 20, 1.5),
    }
    for name, (checkpoint, scheduler, steps, scale) in runs.items():
        with optional():
            model = build(checkpoint, scheduler, steps, device)
            labels = balanced_labels(N, 10) if scale else None
            start = time.perf_counter()
            images = draw_images(model, N, labels, scale)
            seconds = (time.perf_counter() - start) / N
            evaluations = len(model.var_scheduler.timesteps) * (1 if scale in (0.0, 1.0) else 2)
            rows.append((name, fid_of_images(images, real), evaluations, seconds))
    return rows


def table_section(rows: list[tuple]) -> tuple:
    """The table as html."""
    head = ("images", "Fréchet distance", "times the floor", "evaluations", "seconds an image")
    lines = ["<thead><tr>" + "".join(f"<th>{cell}</th>" for cell in head) + "</tr></thead>"]
    for name, value, evaluations, seconds in rows:
        cells = [html.escape(name), f"{value:.2f}", f"{value / rows[0][1]:.1f}"]
        cells += [evaluations or "", f"{seconds:.3f}" if seconds else ""]
        lines.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return (
        "How near to real images",
        f"Fréchet distance of {N} images to the 4,000 test images, in the features of a small "
        "classifier; it compares only with figures of the same features and number. Guidance "
        "flatters it, because the features come from a classifier.",
        '<div class="scroll"><table>' + "\n".join(lines) + "</table></div>",
    )


def run_images(
    folder: Path, steps: int, seed: int, device: torch.device
) -> tuple[list[tuple], dict[str, Any]]:
    """Train or go on, then make the sections of the page and the figures of metrics.json."""
    start = time.perf_counter()
    path = folder / "last.ckpt"
    options = ["--steps", str(steps), "--seed", str(seed), "--device", str(device)]
    options += ["--save_dir", str(folder), *(["--resume"] if path.exists() else [])]
    print(f"Training on Fashion-MNIST, {steps:,} steps, a minute or two; Ctrl-C loses nothing.")
    if not train.main(options):
        raise KeyboardInterrupt
    train_set, test = load_dataset("fashion", "train"), load_dataset("fashion", "test")
    model = build(path, "DDIMScheduler", 20, device)
    sections = [forward_section(test, model.var_scheduler), training_section(path)]
    sections += [strip_section(model), guidance_section(model), longer_section(model, steps)]
    with optional():
        sections.append(task1_section(model))
    with optional():
        sections.append(inpainting_section(path, test, device))
    rows = distances(path, train_set, test, device)
    sections.append(table_section(rows))
    names = ("name", "distance", "evaluations", "seconds_an_image")
    report = {"seconds": round(time.perf_counter() - start, 1), "images": N, "steps": steps}
    return sections, report | {"runs": [dict(zip(names, row, strict=True)) for row in rows]}


def run_bridge(folder: Path, seed: int, device: torch.device) -> tuple[list[tuple], dict[str, Any]]:
    """A Schrödinger bridge in the plane: sections of the page, and figures of metrics.json.

    Both are empty where a TODO of Task 1.6 is open.
    """
    from experiments.bridges import plane

    sections: list[tuple] = []
    report: dict[str, Any] = {}
    start = time.perf_counter()
    with optional():
        options = ["--method", "tr", "--rounds", "4", "--seed", str(seed), "--device", str(device)]
        if (folder / "last.ckpt").exists():
            options.append("--resume")
        print("Training a bridge from the pinwheel to the checkerboard and back, under a minute.")
        args = plane.parse([*options, "--exp_name", str(folder.resolve())])
        if not plane.work(args, device, 0, 1):
            raise KeyboardInterrupt
        report = json.loads((folder / "metrics.json").read_text())
        report = {"floor": report["floor"], "rounds": report["rounds"]}
        report["seconds"] = round(time.perf_counter() - start, 1)
        sections = bridge_sections(folder)
    return sections, report


def bridge_sections(folder: Path) -> list[tuple]:
    """Pictures of a finished bridge."""

    def embedded(name, caption):
        kind = "gif" if name.endswith("gif") else "png"
        image = base64.b64encode((folder / name).read_bytes()).decode()
        return f'<img src="data:image/{kind};base64,{image}" alt="{html.escape(caption)}">'

    parts = (
        (
            "A bridge between two sets",
            "trajectories.gif",
            "Neither end is a Gaussian. Two chains learn from each other in turn until both are "
            "the same process: one carries the pinwheel to the checkerboard, one carries it back.",
        ),
        (
            "The bridge at five times",
            "marginals.png",
            "The upper row runs to the right, the lower one to the left. Where both agree, each "
            "chain is the other one in reverse.",
        ),
        (
            "Round after round",
            "rounds.png",
            "Distance of the carried points to real ones at both ends. The first rounds do most of "
            "the work; the floor is the distance of two real sets.",
        ),
    )
    return [(head, caption, embedded(name, caption)) for head, name, caption in parts]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--out", type=file_path, default=Path("results/demo"), help="folder to write"
    )
    parser.add_argument("--steps", type=whole, default=STEPS, help="of training on images")
    parser.add_argument("--seed", type=whole, default=0)
    parser.add_argument("--device", default="auto", help="of images: auto, cpu, cuda, ...")
    args = parser.parse_args()
    run(args.out, args.steps, args.seed, pick_device(args.device))


def run(out: Path, steps: int, seed: int, device: torch.device) -> None:
    """Both tasks, one page."""
    make_folder(out)
    threads = torch.get_num_threads()
    cpu = torch.device("cpu")  # the fastest for so little
    title = "Diffusion, from the plane to images"
    lead = "A network learns to undo noise, and so turns noise into a Swiss roll, and into clothes."
    parts = ["the first pictures", *plane.PARTS, "a bridge between two sets", "images"]
    with LivePage(out / "index.html", title, lead, parts) as page:
        report, arrays = plane.run_plane(page, seed, cpu)
        sections, bridge = run_bridge(out / "bridge", seed, cpu)
        page.add(sections)
        torch.set_num_threads(threads)  # Task 1 is faster on one
        sections, images = run_images(out / "images", steps, seed, device)
        page.add(sections)
    seconds = report["seconds"] + bridge.get("seconds", 0) + images["seconds"]
    report |= {"bridge": bridge, "images": images, "seconds": seconds}
    plane.save_results(out, report, arrays)
