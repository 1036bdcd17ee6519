"""Images a second: training with one measure after the other, batches, and sampling."""

import io
import itertools
import time

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu_report import images_per_second, memory_of, share, start_afresh
from experiments.images import train as trainer
from experiments.images.samplers.draw import draw_images, make_fast
from experiments.images.train_config import make_config
from experiments.images.training_loop import Run, parallel_model, train_step
from given.images.data.imageset import ImageSet, Loader, to_tensor
from given.images.load import build_network
from given.runtime.machine import can_compile
from image_diffusion.ddpm import DiffusionModule
from image_diffusion.scheduler import DPMSolverScheduler

# Each measure stays for those below it.
LADDER = ("fp32", "tf32", "bf16", "channels_last", "fused optimizer", "compiled", "CUDA graph")
COMPILING = 120  # seconds that a compilation may take on a machine of a few cores
LARGE = (("afhq", 64), ("afhq", 256), ("afhq", 512))  # train.py's own step, at the preset's batch


def photos(dataset, resolution, count):
    """Random images of a set's size."""
    shape = (count, resolution, resolution, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return ImageSet(dataset, "train", pixels, np.zeros(count, int), ("photo",), True)


def make_run(args, device, batch_size=None, dataset="cifar10", resolution=None, options=()):
    """A Run as train.py makes it, and random images of its set's size."""
    resolution = resolution or args.resolution
    asked = ["--dataset", dataset, *options]
    asked += ["--batch_size", str(batch_size)] if batch_size else []
    config = make_config(trainer.parse(asked), photos(dataset, resolution, 2), device)
    if args.ch:
        config["network"] |= {"ch": args.ch}
    return Run(config, device), photos(dataset, resolution, 2 * config["batch_size"])


def training_flops(run):
    """Floating-point operations of the forward and backward pass of one image, counted by torch."""
    size, in_ch = (run.config["network"][k] for k in ("image_resolution", "in_ch"))
    with torch.device("meta"):
        abar = torch.linspace(0.99, 0.01, 1000)
        network = build_network(run.config["network"], abar).to("meta")
        x, t = torch.zeros(1, in_ch, size, size), torch.zeros(1, dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        network(x, t).sum().backward()
    return counter.get_total_flops()


def precision(tf32):
    """Whether products of float32 may be those of TF32, on CUDA."""
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32


def ladder_step(args, device, upto, batch_size):
    """A training step with the measures of LADDER up to one, on images that lie on the device."""
    has = {name: k <= upto for k, name in enumerate(LADDER)}
    precision(has["tf32"])
    run, _ = make_run(args, device, batch_size, options=["--no-compile"])
    network, layout = run.model.network, torch.contiguous_format
    if has["channels_last"]:
        layout = torch.channels_last
    network.to(memory_format=layout)
    if has["compiled"]:
        mode = "reduce-overhead" if has["CUDA graph"] else None
        network.compile(mode=mode, dynamic=False)
    fused = {"fused": True} if has["fused optimizer"] else {"foreach": False}
    optimizer = torch.optim.AdamW(network.parameters(), 2e-4, **fused)
    x0 = torch.randn(batch_size, 3, args.resolution, args.resolution, device=device)
    x0 = x0.contiguous(memory_format=layout)

    def step():
        t = torch.randint(1000, (batch_size,), device=device)
        x_t, noise = run.model.var_scheduler.add_noise(x0, t)
        with torch.autocast(device.type, torch.bfloat16, enabled=has["bf16"]):
            loss = F.mse_loss(network(x_t, t), noise)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def plain_step(args, device, batch_size):
    """As anyone writes the loop first: fp32, NCHW, Adam, JPEG files decoded one by one."""
    precision(True)  # of convolutions, which is torch's default
    torch.set_float32_matmul_precision("highest")
    run, images = make_run(args, device, batch_size, options=["--no-compile", "--no-bf16"])
    network = run.model.network.to(memory_format=torch.contiguous_format)
    optimizer, files = torch.optim.Adam(network.parameters(), 2e-4), []
    for pixels in images.images:
        files.append(io.BytesIO())
        Image.fromarray(pixels).save(files[-1], "jpeg")
    numbers = itertools.cycle(range(0, len(files) - batch_size + 1, batch_size))

    def step():
        part = files[(k := next(numbers)) : k + batch_size]
        x0 = to_tensor(np.stack([np.asarray(Image.open(file)) for file in part])).contiguous()
        loss = run.model(x0.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()  # shown in the bar

    return step


def own_step(args, device, **how):
    """A step of train.py, with its loader, average and clipping; its batch size; operations."""
    precision(True)
    run, images = make_run(args, device, **how)
    model = parallel_model(run)
    loader = Loader(images, run.config["batch_size"], device=device)
    step = lambda: train_step(run, model, loader.batch(run.step))  # noqa: E731
    return step, run.config["batch_size"], training_flops(run)


def measured(part, name, make, args, device, report, deadline, first=None, compiled=False):
    """Measure one way of training or sampling and keep its row, if there is time for it.

    Args:
        part: of the row.
        name: of the row.
        make: returns step, batch size and operations an image (None where not counted).
        args: of the command.
        device: where it runs.
        report: a Report.
        deadline: a Deadline.
        first: the throughput to divide by, or None.
        compiled: whether it compiles first.

    Returns:
        images a second and bytes; None where it was not started or does not fit.
    """
    seconds = 4 * args.seconds + (COMPILING if compiled and device.type == "cuda" else 0)
    if deadline.left() < seconds:
        return report.skipped(part, name, deadline, seconds)
    start_afresh(device)
    try:
        step, batch_size, flops = make()
        speed = images_per_second(step, batch_size, args.seconds, device)
    except torch.OutOfMemoryError:
        return report.row(part, name, "does not fit any more", fits=False)
    memory = memory_of(device)
    found = {"images_per_second": speed, "batch": batch_size, "bytes": memory, "flops": flops}
    text = f"batch {batch_size:5d} {speed:9.1f} images/s"
    text += f" {speed / (first or speed):6.2f} x" + (share(speed, flops, device) if flops else "")
    report.row(part, name, f"{text}, {memory / 2**30:.2f} GiB", **found)
    return speed, memory


def ladder(args, device, report, deadline):
    """One measure more a row, train.py's own step, the plain loop; then larger images."""
    run, _ = make_run(args, torch.device("cpu"))
    flops = training_flops(run)
    for size in args.batch_sizes:
        rest, first = (args, device, report, deadline), None
        for k, name in enumerate(LADDER if device.type == "cuda" else LADDER[:5]):
            make = lambda k=k, size=size: (ladder_step(args, device, k, size), size, flops)  # noqa: E731
            found = measured("ladder", name, make, *rest, first, k >= LADDER.index("compiled"))
            first = first or (found[0] if found else None)
        make = lambda size=size: own_step(args, device, batch_size=size)  # noqa: E731
        measured("ladder", "train.py", make, *rest, first, can_compile(device))
        make = lambda size=size: (plain_step(args, device, size), size, flops)  # noqa: E731
        measured("ladder", "plain loop", make, *rest, first)
    for dataset, resolution in LARGE if args.large else ():
        make = lambda d=dataset, r=resolution: own_step(args, device, dataset=d, resolution=r)  # noqa: E731
        measured("ladder", f"train.py, {dataset} {resolution}", make, *rest, None, True)


def batch(args, device, report, deadline):
    """Images/s and memory of train.py's step for batches that double until the card is full."""
    size, last = 32, None
    while size <= args.largest:
        make = lambda size=size: own_step(args, device, batch_size=size)  # noqa: E731
        name, rest = f"train.py, batch {size}", (args, device, report, deadline)
        found = measured("batch", name, make, *rest, None, can_compile(device))
        if not found:
            break
        if last and found[1]:
            each = (found[1] - last[1]) / (size - last[0])
            report.row("batch", f"{name}, each image", f"{each / 2**20:.1f} MiB", bytes=each)
        size, last = 2 * size, (size, found[1])


@torch.no_grad()
def sampling(args, device, report, deadline):
    """Evaluations of the network in images/s; then whole images, with noise and rounding."""
    ways = {"fp32": (False, False, None), "tf32": (True, False, None), "bf16": (True, True, None)}
    if can_compile(device):
        ways |= {"bf16, compiled": (True, True, "default")}
        ways |= {"bf16, CUDA graph": (True, True, "reduce-overhead")}
    first, size = None, args.batch_sizes[-1]
    for name, (tf32, bf16, mode) in ways.items():
        make = lambda way=(tf32, bf16, mode): evaluation(args, device, size, *way)  # noqa: E731
        rest = (args, device, report, deadline, first, bool(mode))
        found = measured("sampling", f"one evaluation, {name}", make, *rest)
        first = first or (found[0] if found else None)
    steps, seconds = 20, 20 * args.samples / (found or (first or 1,))[0]
    if deadline.left() < 2 * seconds + COMPILING * can_compile(device):
        return report.skipped("sampling", "images, DPM-Solver++ 20", deadline, seconds)
    start_afresh(device)
    model = sampler(args, device, steps)
    for _ in range(2):  # the first time compiles
        start = time.perf_counter()
        draw_images(model, args.samples, batch_size=size, fill=True)
        speed = args.samples / (time.perf_counter() - start)
    text = f"{args.samples} images, {speed:9.1f} images/s, 50,000 in {50_000 / speed:.0f} s"
    report.row("sampling", "images, DPM-Solver++ 20", text, images_per_second=speed)


def evaluation(args, device, size, tf32, bf16, mode):
    """One evaluation of a batch, as `measured` wants it."""
    precision(tf32)
    network = make_run(args, device)[0].model.network.eval()
    make_fast(network, device, bf16=False, compiled=False)
    if mode:
        network.to(memory_format=torch.channels_last)
        network.compile(mode=mode, dynamic=False)
    x = torch.randn(size, 3, args.resolution, args.resolution, device=device)
    t = torch.full((size,), 500, device=device)

    def evaluate():
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            network(x, t)

    return evaluate, size, None


def sampler(args, device, steps):
    """A model that samples as sampling.py does."""
    precision(True)
    scheduler = DPMSolverScheduler()
    scheduler.set_timesteps(steps)
    network = make_run(args, device)[0].model.network.eval()
    make_fast(network, device, device.type == "cuda", can_compile(device))
    return DiffusionModule(network, scheduler.to(device)).eval()
