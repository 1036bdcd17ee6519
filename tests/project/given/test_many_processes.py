"""Sampling, FID and likelihoods by several processes are those of one.

The quick tests run processes as threads, joined by a real gloo; the slow ones run real processes.
"""

import contextlib
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import distributed

from experiments.images import bits_per_dim, sample
from experiments.images.samplers import draw, process
from given.images.data.image_files import list_images
from given.images.data.imageset import load_dataset
from given.images.data.sources import ASSETS
from given.images.fid import measure
from given.images.fid.features import load_features
from given.images.fid.sources import open_source
from given.images.fid.summary import reference_summary, summarise
from given.runtime import machine
from given.runtime.submission import ROOT
from tests.project.given.test_drawing import small_model

CHECKPOINT = str(ASSETS / "fashion_ddpm.ckpt")


@pytest.fixture
def threads(monkeypatch):
    """threads(n, work): what work(rank, n) gives in each of n threads, joined by gloo."""
    own = threading.local()

    def all_reduce(x, op=distributed.ReduceOp.SUM):
        options = distributed.AllreduceOptions()
        options.reduceOp = op
        own.group.allreduce([x], options).wait()

    def run(n, work):
        store = distributed.HashStore()

        def one(rank):
            own.group, own.rank = distributed.ProcessGroupGloo(store, rank, n), rank
            return work(rank, n)

        monkeypatch.setattr(machine.distributed, "all_reduce", all_reduce)
        with ThreadPoolExecutor(n) as pool:
            return list(pool.map(one, range(n)))

    return run


@pytest.mark.parametrize(
    "how",
    [
        draw.by_scheduler,
        functools.partial(process.draw, method="ancestral", steps=3),
        functools.partial(process.draw, method="ode_heun", steps=2, corrector="langevin"),
    ],
    ids=["ddim", "ancestral", "langevin"],
)
def test_processes_draw_the_batches_of_one_whoever_draws_them(how):
    """Bit for bit, also where a sampler draws from torch's generator, which is left as it was."""
    model, labels, before = small_model(), np.arange(7) + 1, torch.get_rng_state()
    options = (7, labels, 1.5, 3, 2, how)
    whole = dict(draw.draw_batches(model, *options))
    assert list(whole) == [0, 2, 4, 6] and len(whole[6]) == 1
    for n in (2, 3):
        shares = [list(draw.draw_batches(model, *options, rank=r, world_size=n)) for r in range(n)]
        assert [start for start, _ in shares[1]] == list(range(2, 7, 2 * n))
        found = dict(pair for share in shares for pair in share)
        assert found.keys() == whole.keys()
        for start, images in found.items():
            np.testing.assert_array_equal(images, whole[start])
    assert torch.equal(torch.get_rng_state(), before)


def test_the_seed_decides_about_samplers_of_task_1_too():
    model, how = small_model(), functools.partial(process.draw, method="ancestral", steps=3)
    one, same, other = (draw.draw_images(model, 3, seed=seed, draw=how) for seed in (0, 0, 1))
    assert np.array_equal(one, same) and not np.array_equal(one, other)


@pytest.mark.parametrize("n", [2, 3])
def test_features_of_shares_make_the_summary_of_the_whole(n, threads):
    """Three batches are not shared evenly, and of one batch most processes have none."""
    source, extractor = open_source(load_dataset("fashion", "test").images[:70]), load_features()
    one = summarise(source, extractor, 32, True)
    for found in threads(n, lambda r, n: summarise(source, extractor, 32, True, r, n)):
        np.testing.assert_allclose(found.mu, one.mu, rtol=1e-12)
        np.testing.assert_allclose(found.cov, one.cov, rtol=0, atol=1e-12 * abs(one.cov).max())
        np.testing.assert_array_equal(found.features, one.features)
        np.testing.assert_array_equal(found.thumbnails, one.thumbnails)
    for found in threads(n, lambda r, n: summarise(source, extractor, 70, False, r, n)):
        np.testing.assert_allclose(found.cov, one.cov, rtol=0, atol=1e-7 * abs(one.cov).max())


def test_one_process_reads_and_writes_the_cache_of_all(threads, tmp_path):
    hashed, extractor = [], load_features()
    source = open_source(load_dataset("fashion", "test").images[:70])
    source = replace(source, key=lambda: hashed.append(1) or "key")

    def work(rank, n):
        return reference_summary(source, extractor, 32, False, tmp_path, rank, n)

    first, again = threads(2, work), threads(2, work)
    assert len(list(tmp_path.iterdir())) == 1 and len(hashed) == 2
    for found in (*first, *again):
        np.testing.assert_array_equal(found.cov, first[0].cov)
        np.testing.assert_array_equal(found.thumbnails, first[0].thumbnails)
        assert found.thumbnails.dtype == np.uint8


def test_where_one_process_fails_the_others_end_without_a_word(threads):
    said = threading.Event()

    def work(rank, n):
        try:
            with machine.together(n):
                if rank == 1:
                    raise ValueError("a damaged image")
        except ValueError as error:
            said.set()
            machine.largest([0.0], n)  # as it goes, the others' wait for it ends
            return str(error)
        except SystemExit as end:
            return end.code, said.is_set()

    assert threads(3, work) == [(1, True), "a damaged image", (1, True)]
    assert threads(2, lambda r, n: machine.together(n).__enter__()) == [None, None]


@pytest.mark.parametrize("name", ["out", "out.npz"])
def test_two_processes_save_in_one_place(name, threads, monkeypatch, tmp_path, capsys):
    """All images are there; process 0 alone clears what was there, draws a grid and speaks."""
    turns = threading.Barrier(2)

    def batches(model, num, labels, scale, seed, size, draw, fill, rank, world_size):
        for start in range(0, num, size)[rank::world_size]:
            yield start, np.full((min(size, num - start), 28, 28, 1), start + seed, np.uint8)
            with contextlib.suppress(threading.BrokenBarrierError):
                turns.wait(0.1)

    @contextlib.contextmanager
    def processes(device):
        yield *ranks.pop(), device

    model = SimpleNamespace(image_shape=(1, 28, 28))
    monkeypatch.setattr(sample, "load_sampler", lambda args: (model, {}, None))
    monkeypatch.setattr(sample, "draw_batches", batches)
    monkeypatch.setattr(sample, "processes", processes)
    words = ["--ckpt_path", CHECKPOINT, "--device", "cpu", "--save_dir", str(tmp_path / name)]
    words += ["--num_samples", "7", "--batch_size", "2"]
    for more in ([], ["--seed", "1", "--overwrite"]):
        ranks = [(0, 2), (1, 2)]
        threads(2, lambda *_: sample.main([*words, *more]))  # noqa: B023
        assert capsys.readouterr().out.count("7 images") == 1
        want = np.array([0, 0, 2, 2, 4, 4, 6]) + bool(more)
        source = open_source(tmp_path / name)
        assert [source.read(i, 1)[0, 0, 0] for i in range(source.count)] == want.tolist()
        assert {path.name for path in tmp_path.iterdir()} == {name, "out.png"}


# --- Real processes

COMMANDS = """
import json, os, sys
ports, *commands = json.loads(sys.argv[1])
for port, (module, words) in zip(ports, commands):
    os.environ["MASTER_PORT"] = port
    module = __import__(module, fromlist=["main"])
    bits = module.main(words)
    if "bits" in module.__name__ and os.environ["RANK"] == "0":
        print("bits", json.dumps([values.tolist() for values in bits.values()]))
"""


def free_ports(n):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [str(each.getsockname()[1]) for each in sockets]


def start(n, code, *arguments):
    """Start n processes as torchrun does; their output together."""
    everyone = {"COURSE": "solutions", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    everyone |= {"WORLD_SIZE": str(n), "MASTER_ADDR": "127.0.0.1"}
    return [
        subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            cwd=ROOT,
            env=os.environ | everyone | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(n)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("n", [2, 4])
def test_all_that_is_measured_of_a_model_is_the_same_by_several_processes(n, tmp_path):
    """Images bit for bit, FID up to rounding, KID, score and bits exactly."""
    common = ["--ckpt_path", CHECKPOINT, "--device", "cpu", "--num_samples", "10"]
    drawn = [*common, "--batch_size", "3", "--steps", "2", "--guidance_scale", "1.5"]
    bits = [*common, "--batch_size", "3", "--slices", "1", "--tol", "1"]

    def commands(folder):
        fid = [str(tmp_path / "eval.npz"), str(folder / "out"), "--kid", "--score"]
        fid += ["--cache", str(folder / "cache"), "--out", str(folder / "fid.json")]
        return [
            ("experiments.images.sample", [*drawn, "--save_dir", str(folder / "out")]),
            (
                "experiments.images.sample",
                [*drawn, "--scheduler", "ancestral", "--save_dir", str(folder / "out.npz")],
            ),
            ("given.images.fid.measure", [*fid, "--device", "cpu"]),
            ("experiments.images.bits_per_dim", bits),
        ]

    np.savez(tmp_path / "eval.npz", images=load_dataset("fashion", "test").images[:40])
    sample.main(commands(tmp_path / "one")[0][1])
    sample.main(commands(tmp_path / "one")[1][1])
    with pytest.warns(UserWarning, match="rank"):
        measure.main(commands(tmp_path / "one")[2][1])
    want = [values.tolist() for values in bits_per_dim.main(bits).values()]
    both = start(n, COMMANDS, json.dumps([free_ports(4), *commands(tmp_path / "many")]))
    said = [each.communicate(timeout=300)[0] for each in both]
    assert [each.returncode for each in both] == [0] * n, said
    assert json.loads(said[0].split("bits ")[-1]) == want
    assert said[1:] == [""] * (n - 1), "process 0 alone speaks"
    one, many = (list_images(tmp_path / name / "out") for name in ("one", "many"))
    assert [a.read_bytes() for a in one] == [b.read_bytes() for b in many] and len(one) == 10
    for name in ("out.png", "out.npz"):
        files = [tmp_path / folder / name for folder in ("one", "many")]
        assert files[0].read_bytes() == files[1].read_bytes(), name
    one, many = (json.loads((tmp_path / f / "fid.json").read_text()) for f in ("one", "many"))
    assert many.pop("fid") == pytest.approx(one.pop("fid"), rel=1e-9)
    assert {**many, "samples": ""} == {**one, "samples": ""}


WAIT = """
import time, torch
from given.runtime import machine

def main():
    with machine.processes(torch.device("cpu")) as (rank, world_size, device):
        print("ready", flush=True)
        with machine.together(world_size):
            time.sleep(60 * (rank == SLOW))
"""
RUN = "import sys; sys.path.insert(0, sys.argv[1]); from given.runtime import cli"
RUN += "; cli.run_command('wait')"


@pytest.mark.slow
@pytest.mark.parametrize("slow", [0, 1])
def test_ctrl_c_ends_processes_that_wait_for_each_other_in_one_line(slow, tmp_path, monkeypatch):
    (tmp_path / "wait.py").write_text(WAIT.replace("SLOW", str(slow)))
    monkeypatch.setenv("MASTER_PORT", *free_ports(1))
    both = start(2, RUN, str(tmp_path))
    assert [each.stdout.readline() for each in both] == ["ready\n"] * 2
    for each in both:
        each.send_signal(signal.SIGINT)
    said = [each.communicate(timeout=60)[0] for each in both]
    assert said == ["Stopped before the end.\n", ""]
    assert all(each.returncode for each in both)
