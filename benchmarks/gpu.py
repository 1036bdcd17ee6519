"""What each measure brings on a GPU: `python benchmarks/gpu.py --parts ladder batch sampling`.

ladder    training images/s of one network, one measure after the other added
batch     images/s, memory and share of the peak from batch 32 up to the card's limit
sampling  evaluations of the network in images/s: as it comes, compiled, and as a CUDA graph
minutes   Inception FID against minutes of training on CIFAR-10, beside the plain loop; wants the
          set (`python image_diffusion/dataset.py --dataset cifar10`) and Inception's weights

Without a GPU it says so and measures nothing, unless --device cpu asks for the same figures there.
"""

import argparse
import itertools
import os
import time

os.environ.setdefault("COURSE", "solutions")

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from experiments.images import train as trainer
from experiments.images.samplers.draw import draw_images
from experiments.images.training_loop import Run, parallel_model, train_step
from given.images.data.imageset import ImageSet, Loader, load_dataset
from given.images.data.sources import DATA_ROOT
from given.images.fid.measure import fid_of_images
from given.images.load import build_network
from given.runtime.cli import file_path
from given.runtime.machine import pick_device
from image_diffusion.scheduler import DDPMScheduler, DPMSolverScheduler

# Dense bf16 products a second, from the makers' data sheets.
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12}
# Each measure stays for those below it.
LADDER = ("fp32", "tf32", "bf16", "channels_last", "fused optimizer", "compiled", "CUDA graph")


def sync(device):
    if device.type == "cuda":
        torch.cuda.synchronize()


def images_per_second(step, args, device):
    """Throughput of a step on args.batch_size images, once three calls have warmed it up."""
    for _ in range(3):
        step()
    sync(device)
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < args.seconds or count < 3:
        step()
        sync(device)
        count += 1
    return args.batch_size * count / (time.perf_counter() - start)


def make_run(args, device, *options):
    """A Run as train.py makes it, and random images of its set's size."""
    shape = (2 * args.batch_size, args.resolution, args.resolution, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    photos = ImageSet(args.dataset, "train", pixels, np.zeros(len(pixels), int), ("photo",), True)
    asked = trainer.parse(
        ["--dataset", args.dataset, "--batch_size", str(args.batch_size), *options]
    )
    config = trainer.make_config(asked, photos, device)
    config["network"] |= {"ch": args.ch}
    return Run(config, device), photos


def training_flops(run):
    """Floating-point operations of the forward and backward pass of one image, counted by torch."""
    size, in_ch = (run.config["network"][k] for k in ("image_resolution", "in_ch"))
    with torch.device("meta"):
        network = build_network(run.config["network"], torch.linspace(0.99, 0.01, 1000))
        x, t = torch.zeros(1, in_ch, size, size), torch.zeros(1, dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        network(x, t).sum().backward()
    return counter.get_total_flops()


def peak_of(device):
    """The card's peak, or None where it is not in the table."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    return next((peak for key, peak in PEAKS.items() if key in name), None)


def share(speed, flops, device):
    """`12.3 TFLOP/s`, and the share of the peak where it is known."""
    peak, rate = peak_of(device), speed * flops
    return f"{rate / 1e12:8.2f} TFLOP/s" + (f", {100 * rate / peak:4.1f}% of peak" if peak else "")


def ladder_step(args, device, upto):
    """A training step with the measures of LADDER up to one, on images that lie on the device."""
    has = {name: k <= upto for k, name in enumerate(LADDER)}
    torch.set_float32_matmul_precision("high" if has["tf32"] else "highest")
    torch.backends.cudnn.allow_tf32 = has["tf32"]
    run, _ = make_run(args, device, "--no-compile")
    network, layout = run.model.network, torch.contiguous_format
    if has["channels_last"]:
        layout = torch.channels_last
    network.to(memory_format=layout)
    if has["compiled"]:
        torch._dynamo.reset()
        network.compile(mode="reduce-overhead" if has["CUDA graph"] else None)
    fused = {"fused": True} if has["fused optimizer"] else {"foreach": False}
    optimizer = torch.optim.AdamW(network.parameters(), 2e-4, **fused)
    x0 = torch.randn(args.batch_size, 3, args.resolution, args.resolution, device=device)
    x0 = x0.contiguous(memory_format=layout)

    def step():
        t = torch.randint(1000, (args.batch_size,), device=device)
        x_t, noise = run.model.var_scheduler.add_noise(x0, t)
        with torch.autocast(device.type, torch.bfloat16, enabled=has["bf16"]):
            loss = F.mse_loss(network(x_t, t), noise)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def ladder(args, device):
    """Print images/s with one measure more a row, and train.py's own step last."""
    run, photos = make_run(args, device)
    flops, first = training_flops(run), None
    parameters = sum(p.numel() for p in run.model.network.parameters())
    print(
        f"ladder: {args.dataset}, {args.resolution} x {args.resolution}, batch {args.batch_size}, "
        f"{parameters / 1e6:.1f} M parameters, {flops / 1e9:.1f} GFLOP an image and step"
    )
    for k, name in enumerate(LADDER if device.type == "cuda" else LADDER[:5]):
        speed = images_per_second(ladder_step(args, device, k), args, device)
        first = first or speed
        report(name, speed, first, flops, device)
    model, loader = parallel_model(run), Loader(photos, args.batch_size, device=device)
    speed = images_per_second(lambda: own_step(run, model, loader), args, device)
    report("train.py's step", speed, first, flops, device)


def report(name, speed, first, flops, device):
    print(f"  {name:<18}{speed:9.1f} images/s  {speed / first:6.2f} x  ", end="")
    print(share(speed, flops, device), flush=True)


def own_step(run, model, loader):
    """A step of train.py, with its loader, average and clipping."""
    train_step(run, model, loader.batch(run.step))


def batch(args, device):
    """Print images/s and memory for batches that double until the card is full."""
    print(f"batch: {args.dataset}, {args.resolution} x {args.resolution}, train.py's step")
    size, last = 32, None
    while size <= args.largest:
        try:
            speed, memory, flops = one_batch(
                argparse.Namespace(**vars(args) | {"batch_size": size}), device
            )
        except torch.OutOfMemoryError:
            print(f"  {size:6d} does not fit any more.")
            break
        each = f", {(memory - last[1]) / (size - last[0]) / 2**20:.1f} MiB an image" if last else ""
        print(f"  {size:6d}  {speed:9.1f} images/s  {share(speed, flops, device)}, ", end="")
        print(f"{memory / 2**30:.2f} GiB{each}", flush=True)
        size, last = 2 * size, (size, memory)


def one_batch(args, device):
    """Throughput, most memory in bytes (0 on a CPU), and operations an image, of one batch size."""
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    run, photos = make_run(args, device)
    model, loader = parallel_model(run), Loader(photos, args.batch_size, device=device)
    speed = images_per_second(lambda: own_step(run, model, loader), args, device)
    return speed, torch.cuda.max_memory_allocated() if cuda else 0, training_flops(run)


@torch.no_grad()
def sampling(args, device):
    """Print evaluations of the network in images/s: as it comes, in bf16, compiled, as a graph."""
    print(f"sampling: {args.dataset}, one evaluation of a batch of {args.batch_size}")
    first = None
    ways = {"fp32": (False, None), "bf16": (True, None)}
    if device.type == "cuda":
        ways |= {"bf16, compiled": (True, "default"), "bf16, CUDA graph": (True, "reduce-overhead")}
    for name, (bf16, mode) in ways.items():
        torch._dynamo.reset()
        network = make_run(args, device)[0].model.network.eval()
        if mode:
            network.compile(mode=mode)
        x = torch.randn(args.batch_size, 3, args.resolution, args.resolution, device=device)
        x = x.to(memory_format=torch.channels_last)
        t = torch.full((args.batch_size,), 500, device=device)

        def evaluate(network=network, x=x, t=t, bf16=bf16):
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                network(x, t)

        speed = images_per_second(evaluate, args, device)
        first = first or speed
        print(f"  {name:<18}{speed:9.1f} images/s  {speed / first:6.2f} x", flush=True)


def minutes(args, device):
    """Print FID against minutes of training: train.py, and the same network in a plain loop."""
    train_set = load_dataset("cifar10", "train", None, args.data_root)
    for name, program in (("train.py", course_program), ("plain loop", plain_program)):
        step, model = program(train_set, args, device)
        spent, best = 0.0, float("inf")
        while spent < 60 * args.minutes:
            start = time.perf_counter()
            while time.perf_counter() - start < 60 * args.every:
                step()
            sync(device)
            spent += time.perf_counter() - start
            value = fid(model(), train_set, args.num_samples, device)
            best = min(best, value)
            print(f"  {name:<12}{spent / 60:6.1f} minutes   FID {value:7.2f}", flush=True)
        whole = fid(model(), train_set, 50_000, device)
        print(
            f"  {name:<12}best {best:.2f} ({args.num_samples:,} images), last {whole:.2f} (50,000)"
        )


def course_program(train_set, args, device):
    """A step of train.py, and what makes its model of the averaged weights."""
    from image_diffusion.ddpm import DiffusionModule

    asked = ["--dataset", "cifar10", "--ema", "0.999", "--warmup", "500"]
    run = Run(trainer.make_config(trainer.parse(asked), train_set, device), device)
    model, loader = parallel_model(run), Loader(train_set, run.config["batch_size"], device=device)

    def averaged():
        return DiffusionModule(run.average.module, DPMSolverScheduler().to(device))

    return lambda: own_step(run, model, loader), averaged


def plain_program(train_set, args, device):
    """fp32, NCHW, Adam, no average: the same network as anyone writes the loop first."""
    from image_diffusion.ddpm import DiffusionModule

    asked = trainer.parse(["--dataset", "cifar10", "--no-compile", "--no-bf16"])
    network = Run(trainer.make_config(asked, train_set, device), device).model.network
    network.to(memory_format=torch.contiguous_format)
    model = DiffusionModule(network, DDPMScheduler()).to(device)
    optimizer = torch.optim.Adam(network.parameters(), 2e-4)
    loader = Loader(train_set, 128)
    numbers = itertools.count()

    def step():
        x0, _ = loader.batch(next(numbers))
        loss = model(x0.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step, lambda: DiffusionModule(network, DPMSolverScheduler().to(device))


def fid(model, train_set, num, device):
    """FID by Inception of `num` samples, 20 steps of DPM-Solver++, to the training images."""
    was_training = model.network.training
    model.eval().var_scheduler.set_timesteps(20)
    samples = draw_images(model, num, batch_size=500)
    model.network.train(was_training)
    return fid_of_images(samples, np.asarray(train_set.images), "inception", device)


def main():
    parts = {"ladder": ladder, "batch": batch, "sampling": sampling, "minutes": minutes}
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--parts", nargs="+", choices=parts, default=["ladder", "batch", "sampling"]
    )
    parser.add_argument("--dataset", choices=("cifar10", "afhq"), default="cifar10")
    parser.add_argument("--resolution", type=int, default=32, help="pixels a side; 64 for AFHQ")
    parser.add_argument("--ch", type=int, default=128, help="width of the network")
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--largest", type=int, default=2**14, help="batch at most")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each figure")
    parser.add_argument("--minutes", type=float, default=25.0, help="of training")
    parser.add_argument("--every", type=float, default=2.5, help="minutes between two FIDs")
    parser.add_argument("--num_samples", type=int, default=5000, help="of each FID on the way")
    parser.add_argument("--data_root", type=file_path, default=DATA_ROOT)
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    device = pick_device(args.device)
    if args.device == "auto" and device.type != "cuda":
        print("There is no CUDA device here: nothing was measured.")
        return
    name = torch.cuda.get_device_name() if device.type == "cuda" else device
    print(f"torch {torch.__version__}, {name}")
    for part in args.parts:
        parts[part](args, device)


if __name__ == "__main__":
    main()
