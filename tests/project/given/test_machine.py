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


def test_processes_on_cuda_agree_by_gloo_and_average_by_nccl(cuda, monkeypatch):
    asked = []
    monkeypatch.setattr(machine.distributed, "init_process_group", asked.append)
    monkeypatch.setattr(machine.distributed, "destroy_process_group", lambda: asked.append("end"))
    for name, value in (("RANK", "1"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    with machine.processes(torch.device("cuda")) as found:
        assert found == (1, 2, torch.device("cuda", 1))
    with machine.processes(torch.device("cpu")):
        pass
    assert asked == ["cpu:gloo,cuda:nccl", "end", "gloo", "end"]


@pytest.mark.parametrize(("capability", "can"), [((6, 0), False), ((7, 0), True), ((9, 0), True)])
def test_torch_compile_is_on_from_volta_on(capability, can, cuda, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(machine.importlib.util, "find_spec", lambda name: name == "triton")
    assert machine.can_compile(torch.device("cuda")) is can
    assert not machine.can_compile(torch.device("cpu"))
