"""A GPU that is not there: what mixes devices, what makes the host wait, what is float64.

Its tensors are torch's fake ones: shape, dtype and device are right, numbers are missing. What is
on the CPU stays real. A look at a number of the device, or a copy to the host, is counted and gives
other numbers, which rise, so that the code goes on. Gradients are zeros, as torch's engine needs
the device.
"""

import collections
import contextlib
import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

LOOKS = ("_local_scalar_dense", "nonzero", "_unique2", "masked_select")
COPIES = ("_to_copy", "copy_")
INDEXED = ("index", "index_put", "index_put_", "_index_put_impl_")


class Generator(torch.Generator):
    """A generator of the CPU that says it is on the device it was made for.

    torch hands it on without its class: `places` finds the device by the seed.
    """

    places: ClassVar[dict[int, set[str]]] = collections.defaultdict(set)

    def __new__(cls, device: Any = "cpu") -> "Generator":
        out = super().__new__(cls, "cpu")
        out.place = torch.device(device)
        return out

    def __init__(self, device: Any = "cpu") -> None:
        pass

    def manual_seed(self, seed: int) -> "Generator":
        self.places[seed].add(self.place.type)
        super().manual_seed(seed)
        return self

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return self.place


class Watch(TorchDispatchMode):
    """Runs each operation where its tensors are, and counts what makes the host wait.

    Attributes:
        device: the name of what is not there.
        waits: how often, by kind: "look", "to host", "to device".
        sent: copies to the device out of pinned memory, for which nobody waits.
    """

    def __init__(self, float64: bool) -> None:
        """Begin with nothing counted. float64: whether the device has it; MPS has not."""
        super().__init__()
        self.device, self.float64 = torch.device("cuda", 0), float64
        self.waits: collections.Counter = collections.Counter()
        self.sent = 0
        self.pinned: dict[int, Tensor] = {}
        self.parameters: list[nn.Parameter] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        there = [self.has(x) for x in tensors]
        target = kwargs.get("device")
        on_device = any(there) if target is None else torch.device(target).type == self.device.type
        if name in LOOKS and any(there):
            return self.look(name, tensors[0])
        if name in COPIES and len({*there[:2], on_device}) > 1:
            return self.copy(name, func, args, kwargs, tensors, on_device)
        if not on_device and not any(there):
            with unset_fake_temporarily():
                return func(*args, **kwargs)
        if name in INDEXED and any(x.ndim and x.device.type == "cpu" for x in tensors):
            self.waits["to device"] += 1
        self.check(name, kwargs)
        return self.checked(name, func(*args, **kwargs))

    def has(self, x: Any) -> bool:
        return isinstance(x, Tensor) and x.device.type == self.device.type

    def look(self, name: str, x: Tensor) -> Any:
        """A number of the device, larger than the one before."""
        self.waits["look"] += 1
        assert name == "_local_scalar_dense", f"the shape of {name} depends on numbers"
        kind = bool if x.dtype == torch.bool else float if x.dtype.is_floating_point else int
        return kind(self.waits["look"] / (1e3 if kind is float else 1))

    def copy(
        self,
        name: str,
        func: Callable,
        args: tuple,
        kwargs: dict,
        tensors: list[Tensor],
        on_device: bool,
    ) -> Any:
        """A copy from one to the other; numbers that come to the host rise from 0 to 1."""
        source = tensors[-1] if name == "copy_" else tensors[0]
        if self.has(source):
            self.waits["to host"] += 1
            with unset_fake_temporarily():
                generator = torch.Generator().manual_seed(self.waits.total())
                numbers = torch.rand(math.prod(source.shape), generator=generator).sort().values
                numbers = numbers.reshape(source.shape)
                if name == "copy_":
                    return args[0].copy_(numbers)
                return numbers.to(kwargs.get("dtype") or source.dtype)
        non_blocking = kwargs.get("non_blocking") or (name == "copy_" and args[2:] == (True,))
        if non_blocking and source.untyped_storage().data_ptr() in self.pinned:
            self.sent += 1
        elif source.numel():
            self.waits["to device"] += 1
        return self.checked(name, func(*args, **kwargs))

    def pin(self, x: Tensor) -> Tensor:
        """`Tensor.pin_memory`, which a thread without this mode calls as well."""
        with unset_fake_temporarily():
            out = x.clone()
        self.pinned[out.untyped_storage().data_ptr()] = out
        return out

    def check(self, name: str, kwargs: dict) -> None:
        """Refuse a generator of another device, as torch does."""
        generator = kwargs.get("generator")
        place = Generator.places[generator.initial_seed()] if generator else set()
        if generator and self.device.type not in place:
            raise RuntimeError(f"{name} on {self.device.type} got a generator of {place or 'cpu'}")

    def checked(self, name: str, out: Any) -> Any:
        """The outcome of an operation, unless the device cannot hold it."""
        double = any(self.has(x) and x.dtype == torch.float64 for x in tree_leaves(out))
        if double and not self.float64:
            raise TypeError(f"{name} gives float64, which MPS has not")
        return out

    def apply(self, module: nn.Module, fn: Callable, recurse: bool = True) -> nn.Module:
        """`nn.Module._apply`: torch cannot exchange the data of real and fake parameters."""
        for child in module.children():
            self.apply(child, fn)
        for name, p in module._parameters.items():
            if p is not None:
                new = nn.Parameter(fn(p.detach()), requires_grad=p.requires_grad)
                module._parameters[name] = new
                self.parameters.append(new)
        for name, value in module._buffers.items():
            module._buffers[name] = None if value is None else fn(value)
        return module

    def backward(self, loss: Tensor) -> None:
        """Gradients of zero for all parameters that were brought to the device."""
        assert loss.ndim == 0 and self.has(loss)
        for p in self.parameters:
            p.grad = torch.zeros_like(p) if p.requires_grad else None


@contextlib.contextmanager
def fake_gpu(float64: bool = False) -> Iterator[Watch]:
    """Inside, the `device` of what this yields is there, with float64 or without it."""
    watch = Watch(float64)
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setattr(torch, "Generator", Generator)
        patch.setattr(Tensor, "backward", lambda loss: watch.backward(loss))
        patch.setattr(FakeTensor, "tolist", lambda x: x.cpu().tolist())
        patch.setattr(torch.cuda, "mem_get_info", lambda *_: (2**36, 2**36))
        patch.setattr(Tensor, "pin_memory", lambda x: watch.pin(x))
        patch.setattr(nn.Module, "_apply", lambda module, fn, *_: watch.apply(module, fn))
        warnings.filterwarnings("ignore", "Accessing the data pointer of FakeTensor")
        with torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True), watch:
            yield watch
