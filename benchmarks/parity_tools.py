"""What the rows of benchmarks/parity.py share: public modules, random weights, networks of ours."""

import sys
from contextlib import contextmanager

import torch
from torch.autograd.graph import saved_tensors_hooks

from given.images.cost import Saved
from given.images.load import build_network

ABAR = torch.linspace(1 - 1e-4, 1 - 0.02, 1000, dtype=torch.float64).cumprod(0)  # of DDPM
TIMES = torch.tensor([1, 64, 512])  # powers of 2: their float32 products with frequencies are exact


@contextmanager
def imported(folder, *gone):
    """A clone's modules can be imported inside, and those named in `gone` are then forgotten."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in [n for n in sys.modules if n.split(".")[0] in gone]:
            del sys.modules[name]


def shaken(network):
    """The network in float64, with random weights everywhere: many begin at zero."""
    torch.manual_seed(0)
    network.double().eval()
    for parameter in network.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    for layer in network.modules():  # features of the time come in float32
        if isinstance(layer, torch.nn.Linear):
            layer.register_forward_pre_hook(lambda _, inputs: inputs[0].double())
    network.register_forward_pre_hook(keep_inputs, with_kwargs=True)
    return network


def keep_inputs(network, args, kwargs):
    network.inputs = args, kwargs


def saved_mib(network):
    """MiB that the backward pass of a shaken network keeps of one image, in float32."""
    args, kwargs = network.inputs
    first = [x[:1] if isinstance(x, torch.Tensor) else x for x in args]
    saved = Saved(network.train())  # with dropout, as `cost_of` counts ours
    torch.set_default_dtype(torch.float64)
    with torch.enable_grad(), saved_tensors_hooks(saved.pack, lambda x: x):
        network(*first, **kwargs)
    torch.set_default_dtype(torch.float32)
    return saved.total / 2 / 2**20  # they were float64


def own(**config):
    """A network of ours in float64."""
    return build_network({"T": 1000, **config}, ABAR).double().eval()


def images(size, channels=3):
    return torch.randn(3, channels, size, size, dtype=torch.float64)


def renamed(weights, names):
    for old, new in names.items():
        weights = {k.replace(old, new): v for k, v in weights.items()}
    return weights
