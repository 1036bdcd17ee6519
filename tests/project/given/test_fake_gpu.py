"""On a GPU, no step of training, sampling or a bridge makes the host wait, and no device mixes.

The GPU is that of `fake_device.py`. It has no float64, as MPS.
"""

import numpy as np
import pytest
import torch

from experiments.bridges import caches, images
from experiments.bridges.run import BridgeRun
from experiments.bridges.sides import OTHER
from experiments.images import sample, train
from experiments.images.train_config import TIMES
from experiments.images.training_loop import Run, parallel_model
from experiments.images.training_progress import train as train_images
from given.images.data.imageset import ImageSet, Loader
from given.images.fid.classifier import WIDTHS, FeatureNet
from given.images.fid.features import Features
from given.images.fid.sources import open_source
from given.images.fid.summary import summarise
from given.images.load import build_network
from given.images.objectives import CONTINUOUS
from given.images.presets import CIFAR10
from given.noise import noise_per_image
from given.runtime.checkpoint import save_whole
from given.runtime.training import TrainingRun
from tests.project.given.fake_device import fake_gpu

PATCH = {"name": "PatchUNet", "predicts": "v", "ch": (8, 8), "num_res_blocks": 0}
SHAPE = {"T": 1000, "image_resolution": 8, "in_ch": 3, "num_classes": 3}
LESS = {"name": "UNet", "ch": 8, "ch_mult": (1, 1), "num_res_blocks": 1}
SCHEDULE = {"num_train_timesteps": 1000, "mode": "cosine"}


def slow(case):
    """A case like another, for `make test-all`."""
    return pytest.param(case, marks=pytest.mark.slow)


@pytest.fixture
def gpu():
    with fake_gpu() as watch:
        yield watch


def image_set():
    """16 images of 8 x 8 pixels, in three classes."""
    pixels = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 3), dtype=np.uint8)
    return ImageSet("cifar10", "train", pixels, np.arange(16) % 3, ("a", "b", "c"), True)


def run_of(words, network, device):
    """A training run on the device, and its batches."""
    options = ["--dataset", "cifar10", "--batch_size", "4", *words.split()]
    config = train.make_config(train.parse(options), image_set(), torch.device("cpu"))
    ends = {k: config["network"][k] for k in ("T", "image_resolution", "in_ch", "use_cfg")}
    config["network"] = network | ends | {"num_classes": 3}
    return Run(config, device), Loader(image_set(), 4, 0, device)


def waits_of_second(steps, gpu):
    """What the host waits for in the second of some steps; the first makes what stays."""
    next(steps)
    gpu.waits.clear()
    next(steps)
    return dict(gpu.waits)


# --- Training


LIKELIHOOD = [f"{times} --likelihood_weighting" for times in CONTINUOUS]
DEBIASED = [f"{words} --debias" for words in LIKELIHOOD]


@pytest.mark.parametrize("times", [*TIMES, *map(slow, LIKELIHOOD), *map(slow, DEBIASED)])
def test_no_law_of_the_noise_levels_makes_training_wait(times, gpu):
    run, loader = run_of(f"--times {times} --predicts v", PATCH, gpu.device)
    assert waits_of_second(run.train_steps(parallel_model(run), loader), gpu) == {}


@pytest.mark.parametrize("classes", ["--use_cfg", slow("--no-use_cfg")])
@pytest.mark.parametrize("network", ["ddpm", slow("ddpm++"), "ncsn++"])
def test_no_network_makes_training_wait(network, classes, gpu):
    run, loader = run_of(
        f"--times vp --network {network} {classes}", CIFAR10[network] | LESS, gpu.device
    )
    assert waits_of_second(run.train_steps(parallel_model(run), loader), gpu) == {}


def test_the_loss_is_looked_at_once_every_so_many_steps(tmp_path, gpu, monkeypatch):
    monkeypatch.setattr(TrainingRun, "log_every", 2)
    monkeypatch.setattr("given.runtime.training.save", lambda *_: None)
    monkeypatch.setattr("experiments.images.training_progress.save_whole", lambda *_: None)
    run, loader = run_of("--times vp --predicts v --steps 4", PATCH, gpu.device)
    gpu.waits.clear()
    assert train_images(run, loader, tmp_path, None, 1000)
    assert gpu.waits == {"look": 2}


# --- Sampling


@pytest.fixture
def checkpoint(tmp_path):
    """The file of a small network with classes."""
    network = PATCH | SHAPE | {"use_cfg": True}
    weights = build_network(network, torch.linspace(0.999, 0.001, 1000)).state_dict()
    config = {"network": network, "scheduler": SCHEDULE, "classes": ["a", "b", "c"]}
    save_whole(tmp_path / "small.ckpt", {"config": config, "network": weights})
    return tmp_path / "small.ckpt"


def waits_of_sampling(path, words, steps):
    """How often a run of so many steps makes the host wait."""
    options = ["--ckpt_path", str(path), "--save_dir", "unused", "--device", "cpu"]
    options += ["--scheduler", *words.split(), "--steps", str(steps)]
    model, _, draw = sample.load_sampler(sample.parse(options))
    # On CUDA the clock of Task 1 is in float64; on MPS, by the name of the device, in float32.
    with fake_gpu(float64=words in TASK_1) as gpu, noise_per_image(range(2)):
        model.to(gpu.device)
        labels = torch.tensor([1, 2]).to(gpu.device)
        gpu.waits.clear()
        x, _ = draw(model, 2, labels, 1.0)
    assert x.device == gpu.device and x.shape == (2, 3, 8, 8)
    return gpu.waits.total()


IMAGES = ["ddim", "ddim --eta .5", "ddpm", "dpmpp", "edm", "edm --churn 2", "stochastic"]
TASK_1 = ["multistep", "euler_maruyama", "ancestral", "ode_euler", "ode_heun"]
TASK_1 += ["none --corrector langevin", "reverse_diffusion --corrector annealed_langevin"]
SIMILAR = ["ddim --eta .5", "ancestral", "ode_euler", "ode_heun", "none --corrector langevin"]
SAMPLERS = [slow(words) if words in SIMILAR else words for words in (*IMAGES, *TASK_1)]


@pytest.mark.parametrize("words", SAMPLERS)
def test_no_step_of_sampling_waits(words, checkpoint):
    two, three = (waits_of_sampling(checkpoint, words, steps) for steps in (2, 3))
    assert two == three


def test_every_sampler_that_runs_on_the_device_is_watched():
    watched = {words.split()[0] for words in (*IMAGES, *TASK_1)}
    assert watched == sample.SAMPLERS.keys() - {"rk45"}, "SciPy solves rk45 on the host"


# --- Bridges between images


def bridge_of(words, gpu):
    """A bridge between two small sets on the device, as the command line builds it."""
    small = "--num_steps 2 --batch_size 2 --rounds 2 --iters 4 --device cpu"
    small += "" if words.startswith("flow") else " --cache_size 4"
    args = images.parse([*small.split(), "--method", *words.split()])
    sets = {n: (image_set().images, True) for n in OTHER}
    config = images.configure(args, sets, torch.device("cpu"))
    config["network"] |= {"ch": (8, 8), "num_res_blocks": 0}
    sources = {n: images.ImageSource(*s, gpu.device, k) for k, (n, s) in enumerate(sets.items())}
    return BridgeRun(config, images.build_networks(config), sources, gpu.device)


def waits_of_fourth(run, gpu):
    """What the host waits for in a step that trains from a cache which is there already."""
    steps = run.train_steps()
    for _ in range(3):
        next(steps)
    gpu.waits.clear()
    next(steps)
    return dict(gpu.waits)


ITERATED = [
    "tr",
    "fr --reference ou",
    slow("dsb"),
    slow("sdsb"),
    slow("dsbm"),
    slow("tr --published"),
]


@pytest.mark.parametrize("words", [*ITERATED, "flow --no-ot --rounds 1"])
def test_no_step_of_a_bridge_waits(words):
    with fake_gpu(float64=True) as gpu:
        assert waits_of_fourth(bridge_of(words, gpu), gpu) == {}


@pytest.mark.slow
def test_a_bridge_waits_for_nothing_where_sets_and_cache_are_on_the_host(monkeypatch):
    monkeypatch.setattr(images.data, "room_for_images", lambda _: 0)
    monkeypatch.setattr(caches, "memory_of", lambda _: 1000)
    for words in ("dsb", "flow --no-ot --rounds 1"):
        with fake_gpu() as gpu:
            run = bridge_of(words, gpu)
            assert waits_of_fourth(run, gpu) == {} and gpu.sent


@pytest.mark.slow
def test_simulating_a_direction_waits_for_no_step_of_it(monkeypatch):
    with fake_gpu(float64=True) as gpu:
        few, many = bridge_of("fr", gpu), bridge_of("fr --num_steps 4 --iters 8", gpu)
        counts = []
        for run in (few, many):
            gpu.waits.clear()
            run.collect("backward", 1, 0)
            counts.append(gpu.waits.total())
        assert counts[0] == counts[1] <= 4, "the chain and what is drawn, once a cache"


# --- FID


def waits_of_features(batches):
    """How often measuring so many batches of images makes the host wait."""
    pixels = np.random.default_rng(0).integers(0, 256, (4 * batches, 8, 8, 3), dtype=np.uint8)
    with fake_gpu(float64=True) as gpu:  # of the moments; on MPS they are on the CPU
        net = FeatureNet().eval().to(gpu.device)
        rest = (net.features, WIDTHS[-1], 28, 1, 127.5, gpu.device, "", None, "")
        gpu.waits.clear()
        found = summarise(open_source(pixels), Features("classifier", *rest), batch_size=4)
    assert found.cov.shape == (WIDTHS[-1], WIDTHS[-1]) and found.cov.dtype == np.float64
    return dict(gpu.waits)


def test_no_batch_of_features_waits_only_their_moments_at_the_end():
    assert waits_of_features(2) == waits_of_features(3) == {"to host": 2}


# --- The device itself


def test_the_device_counts_what_the_host_waits_for():
    with fake_gpu() as gpu:
        x = torch.arange(3.0).to(gpu.device)
        assert x.sum().item() > 0 and len(x.tolist()) == 3
        assert gpu.waits == {"to device": 1, "look": 1, "to host": 1}
        torch.arange(3.0).pin_memory().to(gpu.device, non_blocking=True)
        assert gpu.waits.total() == 3 and gpu.sent == 1
        x[torch.arange(2)]
        assert gpu.waits["to device"] == 2


def test_the_device_refuses_tensors_and_generators_of_another():
    with fake_gpu(float64=True) as gpu:
        x = torch.arange(3.0).to(gpu.device)
        assert x.double().dtype == torch.float64 and (x * torch.tensor(2.0)).device == gpu.device
        with pytest.raises(RuntimeError, match="two different devices"):
            x + torch.arange(3.0)
        with pytest.raises(RuntimeError, match="got a generator of"):
            torch.randn(3, generator=torch.Generator().manual_seed(7), device=gpu.device)


def test_the_device_refuses_float64_where_it_is_mps():
    with fake_gpu() as gpu:
        x = torch.arange(3.0).to(gpu.device)
        with pytest.raises(TypeError, match="float64"):
            x.double()
        with pytest.raises(TypeError, match="float64"):
            torch.arange(3.0, dtype=torch.float64).to(gpu.device)
