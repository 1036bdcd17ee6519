"""Measure Task 2 beside its peers: `python benchmarks/images.py --parts steps speed quality …`.

steps      one step of every scheduler against diffusers' (pip install diffusers)
speed      images/s of training and sampling: this course, a plain loop, diffusers
quality    Fréchet distance and diversity of the checkpoints DIR/*/last.ckpt, by every sampler
inpainting the three ways to fill a hole

The checkpoints of `quality --runs DIR` come from

    python image_diffusion/train.py --seed 0 --save_dir DIR/seed0          (and with other seeds)
    python image_diffusion/train.py --save_dir DIR/plain --mode linear --times uniform \\
        --predicts noise --lr 2e-4 --muon_lr 0 --no-decay --ema 0.999 --steps 5500

Peers are optional: a part whose package is missing says so. Every figure of a part comes from one
run, so ratios hold; state the threads with them.
"""

import argparse
import functools
import os
import time
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("COURSE", "solutions")

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from given.images.data.imageset import load_dataset
from given.images.unet import UNet
from given.runtime.cli import file_path
from image_diffusion import scheduler as schedulers

ROOT = Path(__file__).parents[1]


def steps():
    """Largest difference from diffusers over timesteps, for every scheduler and option."""
    try:
        import diffusers
    except ImportError:
        print("steps: skipped, diffusers is not installed.")
        return
    print(f"steps: largest difference from diffusers {diffusers.__version__}, float32")
    torch.manual_seed(0)
    x0, noise = torch.randn(2, 4, 3, 8, 8).unbind()
    for mode, theirs_name in (("linear", "linear"), ("cosine", "squaredcos_cap_v2")):
        common = {"num_train_timesteps": 1000, "beta_schedule": theirs_name}
        theirs = diffusers.DDPMScheduler(**common, beta_start=1e-4, beta_end=0.02)
        ours = schedulers.BaseScheduler(1000, mode=mode)
        worst = 0.0
        for t in range(1000):
            times = torch.full((4,), t)
            difference = ours.add_noise(x0, times, noise)[0] - theirs.add_noise(x0, noise, times)
            worst = max(worst, difference.abs().max().item())
        print(f"  add_noise, {mode}, every t: {worst:.1e}")
    for size in ("small", "large"):
        worst = ddpm_difference(diffusers, size, exact=True)
        print(f"  DDPM step, sigma_type {size}, every t: {worst:.1e}")
        worst = ddpm_difference(diffusers, size, exact=False)
        print(f"    with their float32 table, in which 1 - abar_0 has 3 digits: {worst:.1e}")
    for eta in (0.0, 0.5, 1.0):
        for n in (7, 50, 999):
            worst = ddim_difference(diffusers, n, eta, "leading")
            print(f"  DDIM step, eta {eta:g}, {n} steps, leading: {worst:.1e}")
        worst = ddim_difference(diffusers, 50, eta, "trailing")
        print(f"  DDIM step, eta {eta:g}, 50 steps, trailing: {worst:.1e}")


def ddpm_difference(diffusers, size, exact):
    theirs = diffusers.DDPMScheduler(1000, variance_type=f"fixed_{size}", clip_sample=False)
    ours, worst = schedulers.DDPMScheduler(1000, sigma_type=size), 0.0
    if exact:
        theirs.alphas_cumprod = ours.exact
    for t in range(1000):
        worst = max(worst, step_difference(ours.step, lambda *a: theirs.step(*a).prev_sample, t))
    return worst


def ddim_difference(diffusers, n, eta, spacing):
    theirs = diffusers.DDIMScheduler(1000, clip_sample=False, timestep_spacing=spacing)
    theirs.set_timesteps(n)
    ours, worst = schedulers.DDIMScheduler(1000), 0.0
    ours.set_timesteps(n, spacing)
    if ours.timesteps.tolist() != theirs.timesteps.tolist():
        raise SystemExit(f"The timesteps differ: {ours.timesteps} and {theirs.timesteps}.")

    def their_step(pred, t, x):
        return theirs.step(pred, t, x, eta=eta).prev_sample

    for t in ours.timesteps.tolist():
        worst = max(
            worst, step_difference(lambda x, t, pred: ours.step(x, t, pred, eta), their_step, t)
        )
    return worst


def step_difference(ours, theirs, t):
    """Difference of two steps from the same x and prediction, with the same noise."""
    generator = torch.Generator().manual_seed(t)
    x, pred = torch.randn(2, 4, 3, 8, 8, generator=generator).unbind()
    torch.manual_seed(1)
    a = ours(x, t, pred)
    torch.manual_seed(1)
    b = theirs(pred, t, x)
    return ((a - b).abs().max() / b.abs().max().clamp(min=1)).item()


class PlainBlock(nn.Module):
    """Residual block of the plain loop."""

    def __init__(self, in_ch, out_ch, emb_ch, attention):
        super().__init__()
        self.first = nn.Sequential(
            nn.GroupNorm(32, in_ch), nn.SiLU(), nn.Conv2d(in_ch, out_ch, 3, padding=1)
        )
        self.time = nn.Sequential(nn.SiLU(), nn.Linear(emb_ch, out_ch))
        self.second = nn.Sequential(
            nn.GroupNorm(32, out_ch),
            nn.SiLU(),
            nn.Dropout(0.1),
            nn.Conv2d(out_ch, out_ch, 3, padding=1),
        )
        self.shortcut = nn.Conv2d(in_ch, out_ch, 1) if in_ch != out_ch else nn.Identity()
        self.attention = PlainAttention(out_ch) if attention else nn.Identity()

    def forward(self, x, emb):
        h = self.first(x) + self.time(emb)[:, :, None, None]
        return self.attention(self.second(h) + self.shortcut(x))


class PlainAttention(nn.Module):
    """Attention as two explicit batched products."""

    def __init__(self, ch):
        super().__init__()
        self.norm = nn.GroupNorm(32, ch)
        self.q, self.k, self.v, self.out = (nn.Conv2d(ch, ch, 1) for _ in range(4))

    def forward(self, x):
        B, C, H, W = x.shape
        h = self.norm(x)
        q = self.q(h).permute(0, 2, 3, 1).reshape(B, H * W, C)
        k = self.k(h).reshape(B, C, H * W)
        v = self.v(h).permute(0, 2, 3, 1).reshape(B, H * W, C)
        weights = torch.softmax(torch.bmm(q, k) * C**-0.5, dim=-1)
        h = torch.bmm(weights, v).reshape(B, H, W, C).permute(0, 3, 1, 2)
        return x + self.out(h)


def plain_unet(ch, size):
    """The U-Net of the plain loop: the same stations, with its own blocks."""
    from given.images import unet

    def block(in_ch, out_ch, attention, emb_ch, **_):
        return PlainBlock(in_ch, out_ch, emb_ch, attention)

    ours, unet.UNetBlock = unet.UNetBlock, block
    try:
        return own_unet(ch, size)
    finally:
        unet.UNetBlock = ours


def own_unet(ch, size):
    return UNet(image_resolution=size, ch=ch, ch_mult=(1, 2, 2, 2), attn=(1,), num_res_blocks=4)


def diffusers_unet(ch, size):
    from diffusers import UNet2DModel

    net = UNet2DModel(
        sample_size=size,
        layers_per_block=4,
        block_out_channels=(ch, 2 * ch, 2 * ch, 2 * ch),
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=None,
        dropout=0.1,
    )
    return Wrapped(net)


class Wrapped(nn.Module):
    """diffusers' network called as ours."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x, t):
        return self.net(x, t).sample


class JPEGFolder(torch.utils.data.Dataset):
    """Decodes and resizes a JPEG at every access, as the plain loop does."""

    def __init__(self, folder, size):
        from torchvision import transforms

        self.paths = sorted(Path(folder).glob("*.jpg"))
        self.transform = transforms.Compose(
            [transforms.Resize((size, size)), transforms.ToTensor(), transforms.Normalize(0.5, 0.5)]
        )

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, i):
        from PIL import Image

        with Image.open(self.paths[i]) as image:
            return self.transform(image.convert("RGB"))


def write_photos(folder, count, side=512):
    """JPEG files of AFHQ's size: smooth noise, so that decoding costs what photographs cost."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for i in range(count):
        pixels = rng.integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8)
        image = Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC)
        image.save(folder / f"{i:04d}.jpg", quality=92)


def speed(args):
    """Images/s of training and sampling of three programs, in turns, `rounds` times."""
    import tempfile

    ch, size, batch = args.ch, args.resolution, args.batch_size
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as folder:
        write_photos(Path(folder), 4 * batch)
        programs = {"ours": ours_program, "plain loop": plain_program}
        try:
            import diffusers  # noqa: F401

            programs["diffusers UNet2DModel"] = diffusers_program
        except ImportError:
            print("speed: diffusers is not installed: skipped.")
        built = {name: make(ch, size, batch, folder, device) for name, make in programs.items()}
        times = {name: ([], []) for name in built}
        for _ in range(args.rounds + 1):  # the first round warms up
            for name, (train_step, sample_step) in built.items():
                for slot, call in zip(times[name], (train_step, sample_step), strict=True):
                    slot.append(seconds_of(call, device))
    print(f"speed: {size} x {size}, ch {ch}, batch {batch}, {torch.get_num_threads()} threads")
    base = [np.median(slot[1:]) for slot in times["ours"]]
    for name, slots in times.items():
        medians = [np.median(slot[1:]) for slot in slots]
        ratios = [m / b for m, b in zip(medians, base, strict=True)]
        print(
            f"  {name:<22} training {batch / medians[0]:8.2f} images/s ({ratios[0]:.2f} x the "
            f"time of ours)   one evaluation {batch / medians[1]:8.2f} images/s "
            f"({ratios[1]:.2f} x)"
        )


def seconds_of(call, device):
    start = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def ours_program(ch, size, batch, folder, device):
    """A training step and an evaluation as train.py and sampling.py make them."""
    from PIL import Image

    from experiments.images.training_loop import Run, parallel_model, train_step
    from given.images.data.image_files import square
    from given.images.data.imageset import ImageSet, Loader

    images = np.stack(
        [square(Image.open(path), size) for path in sorted(Path(folder).glob("*.jpg"))]
    )
    photos = ImageSet("photos", "train", images, np.zeros(len(images), int), ("photo",), True)
    loader = Loader(photos, batch, device=device)
    network = {"name": "UNet", "predicts": "noise", "T": 1000, "image_resolution": size, "ch": ch}
    network |= {"ch_mult": (1, 2, 2, 2), "attn": (1,), "num_res_blocks": 4, "dropout": 0.1}
    network |= {"use_cfg": False, "in_ch": 3}
    cuda = device.type == "cuda"
    config = {"network": network, "scheduler": {"num_train_timesteps": 1000}, "seed": 0}
    config |= {"lr": 2e-4, "warmup": 0, "decay": False, "ema": 0.999, "clip": 1.0, "steps": 10**6}
    config |= {"weight_decay": 0.0, "times": "uniform", "bf16": cuda, "compile": cuda}
    run = Run(config, device)
    model = parallel_model(run)
    x = torch.randn(batch, 3, size, size, device=device)
    x = x.to(memory_format=torch.channels_last)

    def evaluate():
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=cuda):
            run.model.network(x, 500)

    return lambda: train_step(run, model, loader.batch(run.step)), evaluate


def plain_program(ch, size, batch, folder, device):
    return loop_program(plain_unet(ch, size), size, batch, folder, device)


def diffusers_program(ch, size, batch, folder, device):
    return loop_program(diffusers_unet(ch, size), size, batch, folder, device)


def loop_program(unet, size, batch, folder, device):
    """fp32, NCHW, Adam 2e-4, four workers that decode every image at every epoch."""
    network = unet.to(device)
    optimizer = torch.optim.Adam(unet.parameters(), 2e-4)
    scheduler = schedulers.DDPMScheduler().to(device)
    loader = torch.utils.data.DataLoader(
        JPEGFolder(folder, size), batch, shuffle=True, num_workers=4, persistent_workers=True
    )

    def endless():
        while True:
            yield from loader

    batches = endless()
    x = torch.randn(batch, 3, size, size, device=device)

    def train():
        x0 = next(batches).to(device)
        t = torch.randint(1000, (len(x0),), device=device)
        x_t, noise = scheduler.add_noise(x0, t)
        loss = F.mse_loss(network(x_t, t), noise)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def evaluate():
        with torch.no_grad():
            network(x, torch.full((batch,), 500, device=device))

    return train, evaluate


class Sampler(NamedTuple):
    """A way to sample that `quality` measures.

    Attributes:
        scheduler: of scheduler.py, or "stochastic" for multistep.py.
        steps: how many.
        guidance: its scale; None for no class.
        num: of images.
        autoguidance: its scale, with early.ckpt beside last.ckpt.
    """

    scheduler: str
    steps: int
    guidance: float | None = None
    num: int = 1000
    autoguidance: float = 1.0


AUTO = 1.5  # Sampler.autoguidance where it says "autoguided"
SAMPLERS = {
    "no class, stochastic multistep 24": Sampler("stochastic", 24),
    "no class, autoguided, stochastic multistep 16": Sampler("stochastic", 16, None, 1000, AUTO),
    "no class, autoguided, stochastic multistep 24": Sampler("stochastic", 24, None, 1000, AUTO),
    "no class, DPM-Solver++ 16": Sampler("DPMSolverScheduler", 16),
    "no class, autoguided, DPM-Solver++ 16": Sampler("DPMSolverScheduler", 16, None, 1000, AUTO),
    "class, no guidance, stochastic multistep 10": Sampler("stochastic", 10, 1.0),
    "class, autoguided, stochastic multistep 10": Sampler("stochastic", 10, 1.0, 1000, AUTO),
    "class, no guidance, DPM-Solver++ 16": Sampler("DPMSolverScheduler", 16, 1.0),
    "class, no guidance, DDIM 16": Sampler("DDIMScheduler", 16, 1.0),
    "class, no guidance, DPM-Solver++ 20": Sampler("DPMSolverScheduler", 20, 1.0),
    "class, no guidance, DDIM 20": Sampler("DDIMScheduler", 20, 1.0),
    "guidance 1.5, DPM-Solver++ 8": Sampler("DPMSolverScheduler", 8, 1.5, 500),
    "guidance 1.5, DPM-Solver++ 10": Sampler("DPMSolverScheduler", 10, 1.5, 500),
    "guidance 1.5, DDIM 20": Sampler("DDIMScheduler", 20, 1.5, 500),
}


def quality(args):
    """Fréchet distance, diversity and seconds of every sampler on the checkpoints in --runs."""
    test = load_dataset("fashion", "test")
    print(f"quality: classifier features against {len(test):,} test images; floors: {floors()}")
    print(f"  diversity of real training images, three sets: {real_diversities()}")
    runs = sorted(args.runs.glob("*/last.ckpt"))
    if not runs:
        print(f"  {args.runs} holds no */last.ckpt; the head of this file says what makes them.")
    for run in runs:
        for name in args.samplers or SAMPLERS:
            print(f"  {run.parent.name:<10} {name:<46} {measure(run, SAMPLERS[name])}", flush=True)


def floors():
    from given.images.fid.measure import fid_of_images

    train, test = load_dataset("fashion", "train"), load_dataset("fashion", "test")
    values = [
        f"{fid_of_images(np.asarray(train.images[:n]), np.asarray(test.images)):.2f} at n = {n}"
        for n in (100, 500, 1000)
    ]
    return ", ".join(values)


def measure(path, sampler):
    """One line: distance, diversity, evaluations and seconds an image."""
    from experiments.images.samplers import multistep
    from experiments.images.samplers.draw import (
        autoguided,
        balanced_labels,
        by_scheduler,
        draw_images,
        load_model,
    )
    from given.images.fid.measure import fid_of_images

    stochastic, weight = sampler.scheduler == "stochastic", sampler.autoguidance
    kind = schedulers.DDIMScheduler if stochastic else getattr(schedulers, sampler.scheduler)
    model, _ = load_model(path, kind)
    model.var_scheduler.set_timesteps(sampler.steps)
    draw = functools.partial(multistep.draw, steps=sampler.steps) if stochastic else by_scheduler
    if weight != 1:
        weak, _ = load_model(path.with_name("early.ckpt"), kind)
        evaluate = model.network.at_log_snr
        model.network.at_log_snr = autoguided(evaluate, weak.network.at_log_snr, weight)
    labels = None if sampler.guidance is None else balanced_labels(sampler.num, 10)
    start = time.perf_counter()
    images = draw_images(model, sampler.num, labels, sampler.guidance or 0.0, draw=draw)
    seconds = (time.perf_counter() - start) / sampler.num
    test = load_dataset("fashion", "test")
    value = fid_of_images(images, np.asarray(test.images))
    passes = (1 + (sampler.guidance not in (None, 1.0))) * (1 + (weight != 1))
    line = f"distance {value:6.2f} (n = {sampler.num})"
    if labels is not None:
        line += f"   diversity {diversity(images, labels - 1):.2f}"
    return f"{line}   {sampler.steps * passes} evaluations   {seconds:.3f} s an image"


def diversity(images, labels, count=100):
    """Share of samples that are the nearest sample to some test image, mean over the classes.

    For each class, `count` test images look for the nearest of the class's first samples in
    feature space; see `real_diversities` for what real images reach.
    """
    from given.images.fid.features import load_features

    test, features = load_dataset("fashion", "test"), load_features("classifier", "cpu")
    shares = []
    for k in range(10):
        own = features(images[labels == k][:50])
        real = features(np.asarray(test.images[test.labels == k][:count]))
        nearest = ((real[:, None] - own[None]) ** 2).sum(-1).argmin(1)
        shares.append(len(np.unique(nearest)) / len(own))
    return float(np.mean(shares))


def real_diversities():
    """The diversity of three sets of real training images."""
    train = load_dataset("fashion", "train")
    sets = [slice(start, None) for start in (0, 1000, 3000)]
    values = [diversity(np.asarray(train.images[s]), np.asarray(train.labels[s])) for s in sets]
    return ", ".join(f"{value:.2f}" for value in values)


def inpainting(args):
    """The table of `python -m image_diffusion inpaint` for three masks."""
    from experiments.images import compare_inpainting

    for mask in ("rectangle", "half", "random"):
        print(f"inpainting, mask {mask}")
        folder = f"results/benchmarks/inpainting_{mask}"
        compare_inpainting.main(
            ["--mask", mask, "--num_samples", str(args.num_samples), "--save_dir", folder]
        )


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parts = ("steps", "speed", "quality", "inpainting")
    parser.add_argument("--parts", nargs="+", choices=parts, default=["steps", "speed"])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--runs", type=file_path, default=ROOT / "results" / "benchmarks" / "images"
    )
    parser.add_argument("--samplers", nargs="+", choices=SAMPLERS, help="of quality; default: all")
    parser.add_argument("--num_samples", type=int, default=200, help="of inpainting")
    parser.add_argument("--ch", type=int, default=32, help="of speed; 128 on a GPU")
    parser.add_argument("--resolution", type=int, default=64, help="of speed")
    parser.add_argument("--batch_size", type=int, default=8, help="of speed")
    parser.add_argument("--rounds", type=int, default=5, help="of speed")
    return parser.parse_args()


def main():
    args = parse()
    torch.set_num_threads(args.threads)
    calls = {
        "steps": steps,
        "speed": lambda: speed(args),
        "quality": lambda: quality(args),
        "inpainting": lambda: inpainting(args),
    }
    for part in args.parts:
        calls[part]()


if __name__ == "__main__":
    main()
