"""A step of sampling or of training copies nothing between host and device, and never waits.

There is no device here: tensors pretend to be on another one and compute on the CPU, while every
copy between the two, and every look at a value, is counted.
"""

import collections
from unittest import mock

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from experiments.images import sample, train
from experiments.images.train_config import TIMES
from experiments.images.training_loop import Run, parallel_model, train_step
from given.images.data.imageset import ImageSet
from given.images.data.sources import ASSETS
from given.images.objectives import CONTINUOUS
from given.noise import noise_per_image

DEVICE = torch.device("meta")  # the name that the pretended device goes by
GENERATOR = torch.Generator
LOOKS = ("_local_scalar_dense", "nonzero", "unique", "masked_select")


class OnDevice(torch.Tensor):
    """A tensor that says it is on DEVICE; its numbers are in `inner`, on the CPU."""

    @staticmethod
    def __new__(cls, inner):
        layout = {"strides": inner.stride(), "dtype": inner.dtype, "device": DEVICE}
        return torch.Tensor._make_wrapper_subclass(cls, inner.shape, **layout)

    def __init__(self, inner):
        self.inner = inner

    def tolist(self):
        crossings["to host"] += 1
        return self.inner.tolist()

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return run(func, args, kwargs or {})


class Watch(TorchDispatchMode):
    """Sends what is made on DEVICE, and what is copied there, through `run`."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return run(func, args, kwargs or {})


crossings: collections.Counter = collections.Counter()


def run(func, args, kwargs):
    """Compute on the CPU, count crossings, and wrap what belongs on DEVICE."""
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    there, target = [isinstance(x, OnDevice) for x in tensors], kwargs.get("device")
    inner = kwargs if target is None else kwargs | {"device": "cpu"}
    out = func(*tree_map(stripped, args), **tree_map(stripped, inner))
    name = func.overloadpacket.__name__
    to_device = any(there) if target is None else torch.device(target) == DEVICE
    copied = name == "_to_copy" and there[0] != to_device
    mask = name == "index" and any(x.dtype == torch.bool for x in tensors[1:])
    if any(there) and (name in LOOKS or mask or (copied and not to_device)):
        crossings["to host"] += 1
    elif copied:
        crossings["to device"] += 1
    elif to_device and any(x.ndim and not on for x, on in zip(tensors, there, strict=True)):
        raise RuntimeError(f"{name} mixes tensors of two devices")
    wrap = to_device and name != "_local_scalar_dense"
    return (
        tree_map(lambda x: OnDevice(x) if isinstance(x, torch.Tensor) else x, out) if wrap else out
    )


def stripped(x):
    return x.inner if isinstance(x, OnDevice) else x


def move(model):
    for module in model.modules():
        for name, value in module._parameters.items():
            if value is not None:
                moved = OnDevice(value.detach())
                module._parameters[name] = torch.nn.Parameter(moved, requires_grad=False)
        for name, value in module._buffers.items():
            module._buffers[name] = None if value is None else OnDevice(value)


def crossings_of(words, steps):
    """How often a run of so many steps crosses between host and device."""
    common = ["--ckpt_path", str(ASSETS / "fashion_ddpm.ckpt"), "--save_dir", "unused"]
    common += ["--device", "cpu", "--scheduler", *words, "--steps", str(steps)]
    model, _, draw = sample.load_sampler(sample.parse(common))
    move(model)
    crossings.clear()
    on_the_cpu = mock.patch.object(torch, "Generator", lambda *_: GENERATOR())
    with torch.no_grad(), Watch(), on_the_cpu, noise_per_image(range(2)):
        x, _ = draw(model, 2, torch.tensor([1, 2]).to(DEVICE), 1.5)
    assert isinstance(x, OnDevice) and x.inner.isfinite().all()
    return crossings.total()


WORDS = (["ddim"], ["ddim", "--eta", ".5"], ["ddpm"], ["dpmpp"], ["edm"], ["edm", "--churn", "2"])
WORDS += (["stochastic"], ["multistep"], ["euler_maruyama"], ["ancestral"], ["ode_euler"])
WORDS += (["ode_heun"], ["none", "--corrector", "langevin"])
WORDS += (["reverse_diffusion", "--corrector", "annealed_langevin"],)


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_a_step_copies_nothing_and_never_waits(words):
    assert crossings_of(words, 6) == crossings_of(words, 3)


def test_every_sampler_that_runs_on_the_device_is_watched():
    watched = {words[0] for words in WORDS}
    assert watched == sample.SAMPLERS.keys() - {"rk45"}, "SciPy solves rk45 on the host"


def test_the_pretended_device_counts_crossings_and_refuses_to_mix():
    crossings.clear()
    with Watch():
        x = torch.arange(3.0).to(DEVICE)
        assert x.sum().item() == 3 and x[x > 1].cpu().tolist() == [2]
        assert crossings == {"to device": 1, "to host": 3}
        with pytest.raises(RuntimeError, match="mixes"):
            x + torch.arange(3.0)


class Generator(torch.Generator):
    """A generator that says it is on DEVICE."""

    device = DEVICE

    def __new__(cls, device):
        return super().__new__(cls)


def moved_run(monkeypatch, times, *options):
    """A small run of train.py on DEVICE, as it is after some steps; and its batch."""
    images = np.zeros((8, 8, 8, 1), np.uint8)
    made_up = ImageSet("made_up", "train", images, np.arange(8) % 3, ("a", "b", "c"), False)
    asked = train.parse(["--batch_size", "4", "--times", times, "--ch", "16", *options])
    run = Run(train.make_config(asked, made_up, torch.device("cpu")), torch.device("cpu"))
    for network in (run.model, run.average.module):
        move(network)
    run.model.network.requires_grad_()
    run.average._averaged = list(run.average.module.parameters())
    run.average._weights = list(run.model.network.parameters())
    run.optimizer = torch.optim.AdamW(run.average._weights, foreach=True)
    run.device = DEVICE
    monkeypatch.setattr(torch, "Generator", Generator)
    x0, labels = torch.zeros(4, 1, 8, 8), torch.tensor([1, 2, 3, 1])
    return run, (OnDevice(x0), OnDevice(labels))


LIKELIHOOD = [f"{times} --likelihood_weighting" for times in CONTINUOUS]
DEBIASED = [f"{words} --debias" for words in LIKELIHOOD]


@pytest.mark.parametrize("words", [*TIMES, "uniform --no-use_cfg", *LIKELIHOOD, *DEBIASED])
def test_a_step_of_training_never_waits(words, monkeypatch):
    run, batch = moved_run(monkeypatch, *words.split())
    model = parallel_model(run)
    crossings.clear()
    with Watch():
        for _ in range(2):
            loss = train_step(run, model, batch)
    assert isinstance(loss, OnDevice) and loss.inner.isfinite()
    assert not crossings
