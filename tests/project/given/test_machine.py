"""What a run gets from its machine: the device that was asked for, its speed, its processes."""

import pytest
import torch

from given.runtime import machine


@pytest.fixture
def cuda(monkeypatch):
    """A machine with two CUDA devices, as far as choosing one goes; the one that was made current.

    What torch is told about speed is taken back at the end.
    """
    chosen = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(machine.torch, "empty", lambda *_, **__: None)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    before = torch.get_float32_matmul_precision()
    yield chosen
    torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("name", ["auto", "cuda", "cuda:1"])
def test_every_command_on_cuda_computes_in_tf32_and_lets_cudnn_choose(name, cuda):
    torch.set_float32_matmul_precision("highest")
    assert machine.pick_device("cpu").type == "cpu"
    assert torch.get_float32_matmul_precision() == "highest"
    assert machine.pick_device(name).type == "cuda"
    assert torch.get_float32_matmul_precision() == "high" and torch.backends.cudnn.benchmark


def test_a_device_keeps_its_number_unless_torchrun_gives_one(cuda, monkeypatch):
    for name, number in (("cuda:1", 1), ("cuda", 0)):
        with machine.processes(torch.device(name)) as (_, _, device):
            assert device == torch.device("cuda", number) == cuda.pop()
    monkeypatch.setenv("LOCAL_RANK", "0")
    with machine.processes(torch.device("cuda:1")) as (_, _, device):
        assert device == torch.device("cuda", 0)
