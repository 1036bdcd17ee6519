"""Part `images` of peers.py: DDPM and DDIM beside denoising-diffusion-pytorch."""

from unittest import mock

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.turns import agreement, in_turns, missing, ratio, show
from experiments.images.training_loop import Run, parallel_model, train_step
from given.images.patch_unet import PatchUNet
from image_diffusion import scheduler as schedulers
from image_diffusion.ddpm import DiffusionModule

MODES = ("linear", "cosine")
SIZE, BATCH, STEPS = 32, 8, 5
# Name: our network, the peer's options; pairs with about as many parameters.
NETWORKS = {
    "U-Nets": (
        {"name": "UNet", "ch": 32, "ch_mult": (1, 2, 4), "num_res_blocks": 1, "dropout": 0.0},
        {"dim": 32, "dim_mults": (1, 2, 4)},
    ),
    "small": (
        {"name": "PatchUNet", "ch": (48, 96), "num_res_blocks": 2},
        {"dim": 16, "dim_mults": (1, 2, 4)},
    ),
}


class Tanh(nn.Module):
    """A network for both: the noise of the guess x_0 = tanh(x_t), which needs no clipping."""

    channels = out_dim = in_ch = 3
    image_resolution, self_condition = 8, False

    def __init__(self, abar):
        super().__init__()
        self.abar = nn.Parameter(abar, requires_grad=False)

    def forward(self, x, t, condition=None):
        abar = self.abar[t].reshape(-1, 1, 1, 1)
        return (x - abar.sqrt() * x.tanh()) / (1 - abar).sqrt()


def images():
    """Steps, chains and the loss; then images a second."""
    if missing("images", denoising_diffusion_pytorch="denoising-diffusion-pytorch"):
        return
    rows = [row for mode in MODES for row in step_rows(mode)]
    rows += [chain_row(*case) for case in ((1000, 1.0), (50, 0.0), (50, 0.5))]
    show("images: the same numbers in float32", [*rows, v_row()], "denoising-diffusion-pytorch")
    rows = [row for name, networks in NETWORKS.items() for row in speed_rows(name, *networks)]
    title = f"images: {SIZE} x {SIZE}, batches of {BATCH}, CPU time"
    show(title, rows, "denoising-diffusion-pytorch")


def peer_of(network, mode, size=8, **options):
    """The peer's GaussianDiffusion on images in [-1, 1]."""
    from denoising_diffusion_pytorch import GaussianDiffusion

    options = {"objective": "pred_noise", "beta_schedule": mode, "auto_normalize": False} | options
    return GaussianDiffusion(network, image_size=size, **options)


def step_rows(mode):
    """Noise added, and mean and variance of the posterior, at every timestep."""
    ours = schedulers.DDPMScheduler(mode=mode)
    theirs = peer_of(Tanh(ours.alphas_cumprod), mode)
    torch.manual_seed(0)
    x0, noise = torch.rand(1000, 3, 8, 8) * 2 - 1, torch.randn(1000, 3, 8, 8)
    t = torch.arange(1000)
    x_t, _ = ours.add_noise(x0, t, noise)
    mean, variance, _ = theirs.q_posterior(x0, x_t, t)
    own_mean, own_next = (step_all(ours, x_t, noise, fill) for fill in (0.0, 1.0))
    own_variance = (own_next - own_mean).square()[:, :1, :1, :1]
    return [
        agreement(f"{mode}: x_t", x_t, theirs.q_sample(x0, t, noise)),
        agreement(f"{mode}: posterior mean", own_mean, mean),
        agreement(f"{mode}: posterior variance", own_variance, variance),
    ]


def step_all(scheduler, x_t, noise, fill):
    """A step of DDPM from the t-th image at timestep t, with `fill` instead of fresh noise."""
    with mock.patch.object(schedulers, "noise_like", lambda x: torch.full_like(x, fill)):
        steps = [scheduler.step(x_t[t : t + 1], t, noise[t : t + 1]) for t in range(len(x_t))]
    return torch.cat(steps)


def chain_row(n, eta):
    """Whole chains from the same noise: DDPM where all timesteps are visited, else DDIM."""
    ours = schedulers.DDIMScheduler(eta=eta) if n < 1000 else schedulers.DDPMScheduler()
    network = Tanh(ours.alphas_cumprod)
    theirs = peer_of(network, "linear", sampling_timesteps=n, ddim_sampling_eta=eta)
    ours.timesteps = torch.linspace(-1, 999, n + 1).int()[1:].flip(0)  # as the peer spaces them
    torch.manual_seed(0)
    states = torch.stack(DiffusionModule(network, ours).sample(4, return_traj=True), 1)
    torch.manual_seed(0)
    name = "DDPM" if n == 1000 else f"DDIM, eta {eta:g}"
    return agreement(f"{name}: all {n} steps", states, theirs.sample(4, return_all_timesteps=True))


def v_row():
    """The loss of a network that predicts v: our error of the noise is theirs of v, weighted."""
    torch.manual_seed(0)
    ours = schedulers.DDPMScheduler(mode="cosine")
    net = PatchUNet(in_ch=3, image_resolution=32, use_cfg=False, alphas_cumprod=ours.alphas_cumprod)
    nn.init.normal_(net.tail.weight, std=0.1)
    trunk = Trunk(net)
    theirs = peer_of(trunk, "cosine", 32, objective="pred_v")
    x0, noise = torch.rand(64, 3, 32, 32) * 2 - 1, torch.randn(64, 3, 32, 32)
    t = torch.randint(1000, (64,))
    with torch.no_grad():
        own = DiffusionModule(net, ours).get_loss(x0, None, noise, t)
        return agreement("loss of a network of v", own, theirs.p_losses(x0, t, noise))


class Trunk(nn.Module):
    """Our network of v without its last step, as the peer calls one."""

    channels = out_dim = 3
    self_condition = False

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x, t, condition=None):
        return self.net.trunk(x, self.net._condition(t, None, None))


def speed_rows(name, network, options):
    """Parameters, operations, and seconds of training, of one evaluation and of DDIM."""
    from denoising_diffusion_pytorch import Unet

    run, train_own = own_training(network)
    theirs = peer_of(Unet(**options), "cosine", SIZE, sampling_timesteps=STEPS)
    nets, x, t = (run.model.network, theirs.model), torch.randn(BATCH, 3, SIZE, SIZE), 500
    times = torch.full((BATCH,), t)
    run.model.eval().var_scheduler.set_timesteps(STEPS)
    calls = {
        "training": (train_own, peer_training(theirs)),
        "one evaluation": tuple(lambda net=net: evaluate(net, x, times) for net in nets),
        f"DDIM {STEPS}": (lambda: run.model.sample(BATCH), lambda: theirs.sample(BATCH)),
    }
    sizes = [sum(p.numel() for p in net.parameters()) / 1e6 for net in nets]
    rows = [ratio(f"{name}: million parameters", *sizes)]
    rows.append(ratio(f"{name}: Gflop an image", *(gflop(net, x[:1], times[:1]) for net in nets)))
    for what, pair in calls.items():
        own, peer = (seconds / BATCH for seconds in in_turns(*pair, rounds=3))
        rows.append(ratio(f"{name}: {what}, ms an image", 1e3 * own, 1e3 * peer))
    return rows


def own_training(network):
    """A Run, and its training step: clipping, AdamW, average, as train.py makes it."""
    shape = {"T": 1000, "image_resolution": SIZE, "in_ch": 3, "use_cfg": False}
    config = {"network": network | shape | {"predicts": "noise"}, "scheduler": {"mode": "cosine"}}
    config |= {"seed": 0, "lr": 1e-4, "warmup": 0, "decay": False, "ema": 0.999, "clip": 1.0}
    config |= {"steps": 1, "weight_decay": 0.0, "times": "uniform", "bf16": False, "compile": False}
    run = Run(config, torch.device("cpu"))
    model, x = parallel_model(run), torch.rand(BATCH, 3, SIZE, SIZE) * 2 - 1
    batch = x.to(memory_format=torch.channels_last), None
    return run, lambda: train_step(run, model.train(), batch)


def peer_training(theirs):
    """A training step as the peer's Trainer makes it, without its average."""
    optimizer = torch.optim.Adam(theirs.parameters(), 1e-4, betas=(0.9, 0.99))
    x = torch.rand(BATCH, 3, SIZE, SIZE) * 2 - 1

    def train():
        theirs.train()(x).backward()
        nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return train


@torch.no_grad()
def evaluate(net, x, t):
    """One prediction."""
    return net.eval()(x, t)


def gflop(net, x, t):
    """Billions of multiplications and additions of one prediction."""
    with FlopCounterMode(display=False) as counter:
        evaluate(net, x, t)
    return counter.get_total_flops() / 1e9
