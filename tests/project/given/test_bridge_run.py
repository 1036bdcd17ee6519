"""Bridges from the command line: stopped, killed, resumed, shared by processes, and misused."""

import contextlib
import functools
import json
import os
import pathlib
import pickle
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image

from experiments.bridges.options import DEFAULTS, PRESETS, UNUSED, make_config, resumed_config
from given.bridges.methods import ITERATIVE
from given.images.data.sources import ASSETS
from given.runtime.checkpoint import read_checkpoint, save_whole
from given.runtime.cli import one_line_errors
from given.runtime.submission import ROOT
from given.runtime.training import TrainingRun

DDPM = ASSETS / "fashion_ddpm.ckpt"
# 8 steps of a direction make one cache.
PLANE = ["--device", "cpu", "--num_steps", "8", "--batch_size", "16", "--cache_size", "16"]
PLANE += ["--iters", "8", "--rounds", "2", "--num_samples", "20", "--exp_name", "plane"]
IMAGES = ["--device", "cpu", "--num_steps", "4", "--batch_size", "4", "--cache_size", "4"]
IMAGES += ["--iters", "4", "--rounds", "2", "--num_samples", "5", "--exp_name", "images"]
IMAGES += ["--resolution", "8"]
COMMON = {"plane": PLANE, "images": IMAGES}


def small_run(kind, *more):
    """The options of a small run, without those that the method has no use for."""
    out = [*COMMON[kind], *more]
    method = out[out.index("--method") + 1] if "--method" in out else "tr"
    for name in UNUSED.get(method, ()):
        if f"--{name}" in out[: len(COMMON[kind])]:
            at = out.index(f"--{name}")
            del out[at : at + 2]
    return out


METHODS = ("dsb", "sdsb", "tr", "fr", "dsbm", "sb-fbsde-alt", "flow")
LAST = "results/bridge/{}/last.ckpt"


SMALL = {"SET_SIZE": 2000, "EVAL_SIZE": 50}  # what is drawn from, and what judges a round
LIMIT, LOG_EVERY = 20, 4
# Run as a script, it does in another process what the fixture `plain` does in this one.
DRIVER = f"""
import functools, sys
from experiments.bridges import plane
from given.runtime.training import TrainingRun
vars(plane).update({SMALL})
TrainingRun.log_every = {LOG_EVERY}
plane.show = lambda *_: print("finished")
if sys.argv[1] == "plane":
    plane.main(sys.argv[2:])
else:
    from experiments.bridges import image_report, images
    image_report.Judge = functools.partial(image_report.Judge, limit={LIMIT})
    image_report.write_results = lambda *_: print("finished")
    images.main(sys.argv[2:])
"""


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """The modules of both command lines, small, in an empty folder and in a single process."""
    from experiments.bridges import image_report, images, plane, run

    monkeypatch.chdir(tmp_path)
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in SMALL.items():
        monkeypatch.setattr(plane, name, value)
    monkeypatch.setattr(TrainingRun, "log_every", LOG_EVERY)
    monkeypatch.setattr(image_report, "Judge", functools.partial(image_report.Judge, limit=LIMIT))
    return {"plane": plane, "run": run, "images": images, "report": image_report}


@pytest.fixture
def plain(modules, monkeypatch):
    """As `modules`, without samples and pictures at the end of a run."""
    monkeypatch.setattr(modules["plane"], "show", lambda *_: None)  # seconds of pictures
    monkeypatch.setattr(modules["report"], "write_results", lambda *_: None)
    return modules


@pytest.fixture
def no_pictures(modules, monkeypatch):
    plot = modules["plane"].bridge_figures
    monkeypatch.setattr(plot, "figures", lambda *_: {})
    monkeypatch.setattr(plot, "animate", lambda *_: None)


def last(kind):
    return read_checkpoint(LAST.format(kind))


def assert_same(a, b, where=""):
    """Bit for bit, in whatever a checkpoint nests."""
    assert type(a) is type(b), where
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, list):
        assert len(a) == len(b), where
        for k, (one, other) in enumerate(zip(a, b, strict=True)):
            assert_same(one, other, f"{where}.{k}")
    else:
        assert a == b, where


def start(folder, *arguments, launcher=()):
    """Start the driver on the solutions in a process of its own."""
    (folder / "driver.py").write_text(DRIVER)
    command = [sys.executable, *launcher, "driver.py", *arguments]
    environment = {"COURSE": str(ROOT / "solutions"), "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | environment | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize("method", ITERATIVE)
def test_the_numbers_of_a_method_go_together(method, plain):
    """Its caches are used whole by the steps that its recipe names, without rounding."""
    numbers = DEFAULTS | PRESETS.get(method, {})
    config = make_config(plain["plane"].parse(["--method", method]), numbers)
    assert {name: config[name] for name in numbers} == numbers


# --- A run that is stopped goes on as if nothing had happened


@pytest.mark.slow
def test_kills_at_random_moments_change_nothing(tmp_path):
    """SIGKILL, three times, while a checkpoint is written after nearly every step."""
    arguments = ["plane", *PLANE, "--iters", "240", "--save_every", "0.02"]
    calm, killed, rng = tmp_path / "calm", tmp_path / "killed", random.Random(0)
    calm.mkdir(), killed.mkdir()
    out = start(calm, *arguments).communicate(timeout=300)[0]
    assert "finished" in out, out
    path, steps = killed / LAST.format("plane"), []
    for _ in range(3):
        resume = ["--resume"] if path.exists() else []
        process, begin = start(killed, *arguments, *resume), time.time()
        while process.poll() is None and not (path.exists() and path.stat().st_mtime > begin):
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.3))
        process.kill()
        process.communicate()
        steps.append(read_checkpoint(path)["training"]["step"])  # whole, whenever the blow came
    assert 0 < steps[0] < 960 and steps == sorted(steps), steps
    out = start(killed, *arguments, "--resume").communicate(timeout=300)[0]
    assert "finished" in out, out
    assert_same(read_checkpoint(path), read_checkpoint(calm / LAST.format("plane")))


CASES = [("plane", ["--method", method]) for method in METHODS]
CASES += [("plane", ["--method", "sb-fbsde-joint", "--prior", "standard"])]
CASES += [("plane", ["--method", "dsb", more]) for more in ("--reinit", "--bf16")]
CASES += [("plane", ["--method", "tr", "--reference", name]) for name in ("ou", "flow")]
CASES += [("images", ["--method", method]) for method in ("fr", "dsb", "sb-fbsde-alt", "flow")]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to send")
def test_a_stop_while_a_round_is_judged_leaves_that_for_the_next_time(plain, monkeypatch, capsys):
    def carried(run, *more):
        if left:
            os.kill(os.getpid(), left.pop())
        return whole_way(run, *more)

    words = [*IMAGES, "--method", "fr"]
    plain["images"].main(words)
    calm, left = last("images"), [signal.SIGTERM]
    whole_way = plain["report"].carried
    monkeypatch.setattr(plain["report"], "carried", carried)
    plain["images"].main([*words, "--overwrite"])
    assert "--resume" in capsys.readouterr().out
    assert last("images")["training"]["history"] == [] and last("images")["training"]["step"] == 8
    plain["images"].main([*words, "--resume"])
    assert_same(last("images"), calm)


@pytest.mark.slow
def test_a_bridge_between_two_folders_of_images(plain, tmp_path):
    for k, name in enumerate(("cat", "dog") * 5):
        path = tmp_path / "my pets" / name / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20), (20 * k, 0, 200)).save(path)
    pair = ["--prior", "my pets:cat", "--dataset", f"{tmp_path / 'my pets'}:dog"]
    words = IMAGES[: IMAGES.index("--exp_name")] + ["--resolution", "8", "--rounds", "1"]
    plain["images"].main([*words, *pair])
    assert read_checkpoint(LAST.format("my_pets-cat-my_pets-dog-dsbm"))["config"]["resolution"] == 8


FR = ["--method", "fr"]
QUICK = [("plane", FR, signal.SIGINT), ("images", FR, signal.SIGTERM)]


@pytest.mark.parametrize(
    ("kind", "more", "number"),
    [
        pytest.param(*case, number, marks=() if (*case, number) in QUICK else pytest.mark.slow)
        for case in CASES
        for number in (signal.SIGINT, signal.SIGTERM)
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else str(v),
)
def test_a_polite_stop_in_the_middle_of_a_cache_changes_nothing(
    kind, more, number, plain, monkeypatch, capsys
):
    common = small_run(kind, *more)
    plain[kind].main(common)
    undisturbed = last(kind)
    total = undisturbed["training"]["step"]
    update = plain["run"].Side.update_average
    for stop in (total // 3, total // 2 + 2):
        calls = iter(range(total))

        def stopping(side, decay, i, calls=calls, stop=stop):
            update(side, decay, i)
            if next(calls) == stop // 2:
                signal.raise_signal(number)

        monkeypatch.setattr(plain["run"].Side, "update_average", stopping)
        capsys.readouterr()
        again = ["--resume"] if stop > total // 3 else ["--overwrite"]
        plain[kind].main([*common, *again])
        assert "--resume" in capsys.readouterr().out
        assert 0 < last(kind)["training"]["step"] < total
    monkeypatch.setattr(plain["run"].Side, "update_average", update)
    plain[kind].main([*common, "--resume"])
    assert_same(last(kind), undisturbed)


@pytest.mark.usefixtures("no_pictures")
def test_a_run_that_came_to_its_end_is_shown_again_with_resume(modules, tmp_path):
    modules["plane"].main([*PLANE, "--method", "fr"])
    before, samples = last("plane"), tmp_path / "results/bridge/plane/samples.npz"
    samples.unlink()
    modules["plane"].main([*PLANE, "--method", "fr", "--resume"])
    assert_same(last("plane"), before)
    assert samples.exists()


# --- Two processes see what one sees


@pytest.mark.parametrize(
    ("kind", "method"), [("plane", "tr"), ("plane", "flow"), ("images", "fr"), ("images", "dsbm")]
)
@pytest.mark.slow
def test_two_processes_have_the_losses_of_one(kind, method, plain, tmp_path):
    iters = {"plane": "32", "images": "16"}[kind]
    common = small_run(kind, "--iters", iters, "--method", method, "--rounds", "1")
    plain[kind].main(common)
    one = last(kind)
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    out = start(tmp_path, kind, *common, "--overwrite", launcher=launcher).communicate(timeout=300)
    assert "finished" in out[0], out[0]
    two = last(kind)
    losses = [state["training"]["losses"] for state in (one, two)]
    assert len(losses[0]) > 5 and losses[1] == pytest.approx(losses[0], rel=1e-4)
    for name in ("forward", "backward"):
        for key, value in one["network"][name].items():
            torch.testing.assert_close(two["network"][name][key], value, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", ["plane", "images"])
def test_a_batch_that_processes_cannot_share_is_one_sentence(kind, plain, monkeypatch):
    monkeypatch.setattr(plain["images"], "first_of_machine", lambda *_: contextlib.nullcontext())
    common = COMMON[kind]
    args = plain[kind].parse([*common, "--batch_size", "9", "--cache_size", "9"])
    with pytest.raises(ValueError, match="9 cannot be shared by 2 processes"):
        plain[kind].work(args, torch.device("cpu"), 0, 2)


# --- The machine decides


def test_bridges_take_their_network_by_the_resolution(plain):
    images = plain["images"]

    def config_of(size, *words):
        args = images.parse(["--device", "cpu", *words])
        sets = {n: (np.zeros((4, size, size, 3), np.uint8), True) for n in ("forward", "backward")}
        return images.configure(args, sets, torch.device("cpu"))

    assert config_of(28)["network"]["name"] == "PatchUNet"
    large = config_of(256)
    assert large["network"]["attn"] == (4,) and large["network"]["dropout"] == 0
    assert (large["batch_size"], large["cache_size"]) == (16, 160)
    assert config_of(28, "--network", "unet")["network"]["name"] == "UNet"
    assert config_of(32, "--network", "ncsn++")["network"]["predicts"] == "noise"
    assert config_of(64, "--checkpointing")["checkpointing"]
    with pytest.raises(ValueError, match="--checkpointing is for U-Nets"):
        config_of(28, "--checkpointing")
    with pytest.raises(ValueError, match="--compile does not go with --method sb-fbsde-alt"):
        config_of(28, "--compile", "--method", "sb-fbsde-alt")


def test_bf16_and_compile_of_a_bridge_are_on_by_default_where_the_machine_has_them(
    plain, monkeypatch
):
    images = plain["images"]
    for name in ("has_bf16", "can_compile"):
        monkeypatch.setattr(images, name, lambda _: True)

    def found(*words):
        machine = images.of_machine(images.parse([*words]), torch.device("cpu"))
        return machine["bf16"], machine["compile"]

    assert found() == (True, True) and found("--no-bf16", "--no-compile") == (False, False)
    assert found("--method", "sb-fbsde-alt") == (False, False)


def test_a_bridge_goes_on_where_the_machine_decides_otherwise(plain):
    main = plain["images"].main
    main([*IMAGES, "--method", "fr", "--rounds", "1"])
    main([*IMAGES, "--method", "fr", "--rounds", "1", "--resume", "--bf16"])
    with pytest.raises(ValueError, match="was started with lr"):
        main([*IMAGES, "--method", "fr", "--rounds", "1", "--resume", "--lr", "0.5"])


def test_a_bridge_of_before_muon_goes_on_without_it(tmp_path):
    save_whole(tmp_path / "last.ckpt", {"config": {"lr": 2e-4}, "network": {}})
    asked = {"lr": 2e-4, "muon_lr": 0.0}
    assert resumed_config(tmp_path / "last.ckpt", asked) == asked
    with pytest.raises(ValueError, match=r"muon_lr 0\.0, not 0\.01"):
        resumed_config(tmp_path / "last.ckpt", asked | {"muon_lr": 0.01})


def test_a_cache_is_on_the_device_or_the_host_or_refused_with_its_bytes(monkeypatch):
    from experiments.bridges import caches

    gpu, cpu = torch.device("cuda", 0), torch.device("cpu")
    config = {"num_steps": 50, "cache_size": 1280, "batch_size": 128, "method": "dsb"}
    image = torch.empty(3, 512, 512, device="meta")
    size = (51 + 100) * 1280 * 3 * 512 * 512 * 4
    assert caches.cache_bytes(config, image, 128) == size
    assert caches.cache_bytes(config | {"method": "tr"}, image, 16) == 51 * 160 * 3 * 512 * 512 * 4
    monkeypatch.setattr(caches, "host_memory", lambda: 3 * size)
    monkeypatch.setattr(caches, "memory_of", lambda _: 4 * size)
    assert caches.place_of_cache(config, image, gpu, 128) == gpu
    monkeypatch.setattr(caches, "memory_of", lambda _: 3 * size)
    assert caches.place_of_cache(config, image, gpu, 128) == cpu
    monkeypatch.setattr(caches, "host_memory", lambda: size)
    with pytest.raises(ValueError, match=f"takes {size:,} bytes, twice .* lower --cache_size"):
        caches.place_of_cache(config, image, gpu, 128)


def test_a_set_that_stays_on_the_host_is_drawn_as_whole_batches(plain):
    images, gpu = plain["images"], torch.device("meta")
    pixels = np.arange(40, dtype=np.uint8).reshape(10, 2, 2, 1)
    source = images.ImageSource(pixels, False, torch.device("cpu"))
    draw = source(2, 3, slice(0, 3), torch.Generator().manual_seed(1))
    assert draw.shape == (2, 3, 1, 2, 2)
    half = source(2, 3, slice(1, 2), torch.Generator().manual_seed(1))
    assert torch.equal(half, draw[:, 1:2])
    source.device = gpu
    assert source(2, 3, slice(0, 2), torch.Generator().manual_seed(1)).device == gpu


BLOCKED = """
import sys
sys.modules["ot"] = None
import experiments.bridges.images, experiments.bridges.plane, image_diffusion.__main__
import experiments.images.train, experiments.images.sample, given.images.fid.measure
from sde_todo.flow import ot_coupling
import torch
try:
    ot_coupling(torch.zeros(2, 2), torch.ones(2, 2))
except ValueError as error:
    print(error)
"""


@pytest.mark.slow
def test_without_pot_images_can_be_imported_and_pairing_says_what_is_missing():
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COURSE": str(ROOT / "solutions")}
    command = [sys.executable, "-c", BLOCKED]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "needs the package POT: pip install pot" in done.stdout


def test_larger_images_are_judged_by_inception_or_not_at_all(plain, monkeypatch, capsys):
    report, cpu = plain["report"], torch.device("cpu")
    asked = []

    def load(name, device):
        asked.append(name)
        if name == "inception":
            raise FileNotFoundError("The inception features need weights.")
        return name

    monkeypatch.setattr(report, "load_features", load)
    assert report.features_for((28, 28, 1), cpu) == "classifier"
    assert report.features_for((32, 32, 3), cpu) is None and asked[-1] == "inception"
    assert "No distance judges images of 32 pixels" in capsys.readouterr().out


@pytest.mark.slow
def test_a_bridge_without_a_judge_leaves_its_pictures(modules, tmp_path, monkeypatch):
    monkeypatch.setattr(modules["report"], "features_for", lambda *_: None)
    modules["images"].main([*IMAGES, "--method", "fr", "--rounds", "1"])
    folder = tmp_path / "results/bridge/images"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["rounds"] == [{"round": 1}] and metrics["directions"] == {}
    assert (folder / "forward_pairs.png").exists() and not (folder / "rounds.png").exists()


# --- From a flow, and from a diffusion model


FROM_FLOW = [("plane", "dsb"), ("plane", "tr"), ("plane", "sb-fbsde-alt"), ("images", "fr")]


@pytest.mark.parametrize(("kind", "method"), FROM_FLOW)
def test_a_flow_stands_for_the_first_round(kind, method, plain, monkeypatch):
    common, main = COMMON[kind], plain[kind].main
    main(small_run(kind, "--method", "flow", "--exp_name", "flow"))
    flow = last("flow")
    init = ["--init_from", LAST.format("flow"), "--skip_rounds", "1"]
    seen = []
    collect = plain["run"].BridgeRun.collect

    def watched(run, name, half, i):
        if not seen:
            average = run.sides[name].average.net.state_dict()
            seen.append((half, all(torch.equal(average[k], v) for k, v in flow_weights.items())))
        return collect(run, name, half, i)

    flow_weights = flow["network"]["forward"]
    monkeypatch.setattr(plain["run"].BridgeRun, "collect", watched)
    main([*common, "--method", method, *init])
    assert seen == [(2, True)], "the second round starts from trajectories of the flow"
    state = last(kind)["training"]
    iters = int(common[common.index("--iters") + 1])
    assert state["step"] == 4 * iters and len(state["losses"]) == 2 * iters // 4
    assert [one["round"] for one in state["history"]] == [2]


@pytest.fixture
def diffusion(plain):
    """The velocity networks that a bridge gets from the diffusion model of the assets."""
    more = ["--prior", "standard", "--dataset", "fashion", "--init_from", str(DDPM)]
    images = plain["images"]
    args = images.parse([*IMAGES, "--resolution", "28", *more])
    config = images.configure(args, images.open_sets(args, "train"), torch.device("cpu"))
    return images.build_networks(config)


@torch.no_grad()
def test_the_velocity_of_a_diffusion_model_is_finite_at_all_times(diffusion):
    x = torch.randn(3, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    s = torch.tensor([0.0, 0.5, 1.0])
    forward, backward = (diffusion[name](s, x) for name in ("forward", "backward"))
    assert forward.isfinite().all() and backward.isfinite().all()
    assert torch.allclose(diffusion["backward"](1 - s, x), -forward, atol=1e-5)
    assert forward.abs().max() < 20


@torch.no_grad()
def test_the_flow_of_a_diffusion_model_gives_its_ddim_images(diffusion):
    """Both solve the same differential equation, from the same noise to the same image."""
    from experiments.images.samplers.draw import load_model
    from image_diffusion.scheduler import DDIMScheduler
    from sde_todo.flow import flow_sample

    model, _ = load_model(DDPM, DDIMScheduler)
    z = torch.randn(8, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    flow = flow_sample(diffusion["forward"], z, 25)[-1]
    x, scheduler = z, model.var_scheduler
    scheduler.set_timesteps(25)
    for t in scheduler.timesteps:
        x = scheduler.step(x, t, model.network(x, t))
    r = [np.corrcoef(a.flatten(), b.flatten())[0, 1] for a, b in zip(flow, x, strict=True)]
    assert np.median(r) > 0.9


def test_a_bridge_starts_from_a_diffusion_model(plain):
    more = ["--prior", "standard", "--dataset", "fashion", "--init_from", str(DDPM)]
    plain["images"].main([*IMAGES, "--resolution", "28", *more, "--skip_rounds", "1"])
    assert last("images")["training"]["step"] == 16


# --- What a run leaves


@pytest.mark.parametrize("kind", ["plane", "images"])
def test_what_a_run_leaves_in_its_folder(kind, modules, tmp_path, capsys):
    common = COMMON[kind]
    modules[kind].main([*common, "--method", "fr"])
    folder = tmp_path / "results/bridge" / kind
    assert str(folder.relative_to(tmp_path)) in capsys.readouterr().out
    state = torch.load(folder / "last.ckpt", weights_only=True)
    assert state.keys() == {"config", "network", "training"}
    assert json.loads(json.dumps(state["config"]))["method"] == "fr"
    samples = np.load(folder / "samples.npz", allow_pickle=False)
    assert set(samples.files) == {"x0", "x1_from_x0", "x1", "x0_from_x1"}
    shapes = {samples[name].shape for name in samples.files}
    assert shapes == ({(20, 2)} if kind == "plane" else {(5, 8, 8, 1)})
    metrics = json.loads((folder / "metrics.json").read_text())
    assert [one["round"] for one in metrics["rounds"]] == [1, 2]
    floors = metrics.get("floor") or {n: d["floor"] for n, d in metrics["directions"].items()}
    for name in ("forward", "backward"):
        assert floors[name] > 0 and all(one[name] > 0 for one in metrics["rounds"])
    pictures = sorted(path.name for path in folder.iterdir() if path.suffix in (".png", ".gif"))
    moving = {"plane": ["trajectories.gif"], "images": ["backward.gif", "forward.gif"]}[kind]
    assert "rounds.png" in pictures and set(moving) < set(pictures)
    for name in pictures:
        with Image.open(folder / name) as image:
            image.load()
            assert (getattr(image, "n_frames", 1) > 3) == name.endswith("gif")
    left = {p.suffix for p in folder.iterdir()}
    assert left == {".ckpt", ".npz", ".json", ".png", ".gif"}, "no halves of files"


@pytest.mark.parametrize("method", ["sb-fbsde-joint", "lightsb", "flow", "dsbm"])
@pytest.mark.usefixtures("no_pictures")
def test_every_kind_of_method_writes_samples(method, modules, tmp_path):
    modules["plane"].main(small_run("plane", "--method", method, "--prior", "standard"))
    samples = np.load(tmp_path / "results/bridge/plane/samples.npz")
    assert all(np.isfinite(samples[name]).all() for name in samples.files)
    metrics = json.loads((tmp_path / "results/bridge/plane/metrics.json").read_text())
    assert metrics["rounds"] and metrics["floor"]


def test_the_cost_of_large_images_is_told(plain, monkeypatch, capsys):
    monkeypatch.setattr(plain["images"], "seconds_of", lambda call, device: len(call()) * 10.0)
    plain["images"].main([*IMAGES, "--method", "fr"])
    assert "A step takes about 160 s on this CPU: this is for a GPU." in capsys.readouterr().out


# --- Images carried over a bridge of a checkpoint


@pytest.fixture
def small_bridge(plain):
    """The command line of bridges between images, and the checkpoint of one of 8 x 8 pixels."""
    plain["images"].main([*IMAGES, "--method", "fr", "--rounds", "1"])
    return plain["images"].main, LAST.format("images")


def test_images_are_carried_from_either_end_as_files_and_as_an_array(small_bridge, tmp_path):
    main, path = small_bridge
    words = ["--sample", path, "--device", "cpu", "--num_samples", "3"]
    for end in ("prior", "dataset"):
        main([*words, "--start", end])
        folder = tmp_path / "results/bridge/images" / f"from_{end}"
        assert sorted(p.name for p in folder.iterdir()) == [f"0000{k}.png" for k in range(3)]
        main([*words, "--start", end, "--save_dir", f"{end}.npz"])
        with np.load(f"{end}.npz", allow_pickle=False) as arrays:
            assert arrays["images"].shape == arrays["starts"].shape == (3, 8, 8, 1)
            with Image.open(folder / "00001.png") as image:
                assert np.array_equal(np.asarray(image), arrays["images"][1, ..., 0])
    with pytest.raises(ValueError, match=r"prior\.npz is there already"):
        main([*words, "--save_dir", "prior.npz"])


def test_what_is_carried_is_what_training_reports(small_bridge, modules):
    from experiments.bridges import image_samples

    main, path = small_bridge
    main(["--sample", path, "--device", "cpu", "--num_samples", "4", "--save_dir", "out.npz"])
    run = image_samples.load_bridge(pathlib.Path(path), torch.device("cpu"))
    with np.load("out.npz", allow_pickle=False) as arrays:
        x = modules["report"].to_tensor(arrays["starts"])
        carried = modules["report"].carried(run, "forward", x)[-1]
        assert np.array_equal(arrays["images"], modules["report"].to_uint8(carried))


def test_images_of_a_folder_are_carried_too(small_bridge, tmp_path):
    main, path = small_bridge
    (tmp_path / "own").mkdir()
    for k in range(2):
        Image.new("RGB", (20, 12), (90 * k, 0, 200)).save(tmp_path / "own" / f"{k}.png")
    words = ["--sample", path, "--device", "cpu", "--start", "dataset", "--input", "own"]
    main([*words, "--save_dir", "out.npz"])
    with np.load("out.npz", allow_pickle=False) as arrays:
        assert arrays["images"].shape == (2, 8, 8, 1) and np.ptp(arrays["starts"][1]) == 0


def test_what_is_no_bridge_between_images_is_one_sentence(small_bridge):
    main, _ = small_bridge
    with pytest.raises(ValueError, match="is no bridge between images"):
        main(["--sample", str(DDPM), "--device", "cpu"])
    with pytest.raises(ValueError, match="--input belongs to --sample"):
        main(["--input", "own"])


# --- Bad input


def bad(kind, options, said):
    return pytest.param(kind, options.split(), said, id=f"{kind} {options}")


BOTH = [
    ("--num_steps 7", "N = 7: the number of steps must be even"),
    ("--num_steps 0", "at least 2"),
    ("--num_steps -2", "at least 2"),
    *(
        (f"--gamma {text}", f"Cannot read the schedule '{text}'")
        for text in (
            "constant_",
            "linear_1",
            "linear_a_b",
            "constant_-1",
            "foo_1",
            "constant_nan",
            "constant_0",
        )
    ),
    ("--rounds 0", "--rounds must be above 0"),
    ("--iters 0", "--iters must be above 0"),
    ("--batch_size 0", "--batch_size must be above 0"),
    ("--lr 0", "--lr must be above 0"),
    ("--lr -1", "--lr must be above 0"),
    ("--lr nan", "--lr must be above 0"),
    ("--ema 1", r"--ema 1.0: choose it in \[0, 1\)"),
    ("--ema nan", r"--ema nan: choose it in \[0, 1\)"),
    ("--num_samples 0", "--num_samples must be above 0"),
    ("--save_every -1", "--save_every must be at least 0"),
    ("--seed -1", "--seed must be at least 0"),
    ("--skip_rounds 1", "give --init_from"),
    ("--init_from flow.ckpt --skip_rounds 2", "choose from 0 to"),
    ("--init_from missing.ckpt", "missing.ckpt: there is no such checkpoint"),
    ("--init_from classifier.pt", "classifier.pt is n"),
    ("--init_from evil.ckpt", "evil.ckpt holds objects other than tensors"),
    ("--init_from odd.ckpt", "odd.ckpt is of another architecture"),
    ("--init_from tr.ckpt", "tr.ckpt is (no flow|neither a flow)"),
    ("--method sb-fbsde-joint", "--prior standard"),
    ("--method flow --init_from flow.ckpt", "has no use for it"),
    ("--method flow --reference ou", "--reference ou is for"),
    ("--theta -1 --reference ou", "--theta -1.0"),
    ("--theta 2", "--theta 2.0 is of --reference ou; give both"),
    ("--method dsb --published", "--published is for tr and fr, not for dsb"),
    ("--method flow --gamma constant_0.1", "--gamma has no effect with --method flow"),
    ("--method flow --cache_size 32", "--cache_size has no effect with --method flow"),
    ("--method flow --reinit", "not for flow, which has no rounds"),
    ("--method flow --reference flow", "--reference flow is for dsb"),
    ("--method tr --no-ot", "--ot and --no-ot are for --method flow and --reference flow"),
    ("--resume", "there is no such checkpoint"),
    ("--resume --exp_name old --lr 0.5", "was started with lr 0.01, not 0.5"),
    ("--exp_name old", "--overwrite"),
    ("--device gpu9", "The device 'gpu9' cannot be used"),
    ("--device cuda:77", "The device 'cuda:77' cannot be used"),
]
BAD = [bad(kind, *case) for case in BOTH for kind in ("plane", "images")]
BAD += [
    bad("plane", "--prior moon", "Unknown data set 'moon'"),
    bad("plane", "--dataset mnist", "Unknown data set 'mnist'"),
    bad("plane", "--dataset checkerboard:3", "an even number of cells"),
    bad("plane", "--cache_size 24", "--cache_size 24 must be a multiple of --batch_size 16"),
    bad("plane", "--refresh_every 4", "--refresh_every 4 leaves a part of the cache unused"),
    bad("plane", "--refresh_every -8", "--refresh_every -8 leaves"),
    bad("plane", "--iters 9", "--iters 9 must be a multiple of the 8 steps"),
    bad("plane", "--init_from flow_images.ckpt", "flow_images.ckpt is no flow in the plane"),
    bad("plane", f"--init_from {DDPM}", "is no flow in the plane"),
    bad("plane", "--method lightsb --init_from flow.ckpt", "has no use for it"),
    bad("images", "--prior mnst", "Unknown data set 'mnst'"),
    bad("images", "--prior fashion_mnist:hat", "Unknown class 'hat'"),
    bad("images", "--prior fashion_mnist:10", "Unknown class '10'"),
    bad("images", "--prior afhq-dog", "write afhq-dog-64"),
    bad("images", "--prior cifar10:cat --data_root none", "cifar10"),
    bad("images", "--cache_size 6", "--cache_size 6 must be a multiple of --batch_size 4"),
    bad("images", "--refresh_every 2", "--refresh_every 2 leaves a part of the cache unused"),
    bad("images", "--iters 5", "--iters 5 must be a multiple of the 4 steps"),
    bad("images", "--dataset standard", "the target is images"),
    bad("images", "--dataset standard --prior standard", "the target is images"),
    bad("images", "--resolution 0", "The resolution 0 is no number of pixels"),
    bad("images", "--resolution -4", "no number of pixels"),
    bad("images", "--resolution 10", "that 4 divides, not 10"),
    bad("images", "--threads -1", "--threads must be at least 1"),
    bad("images", "--init_from flow_plane.ckpt", "is neither a flow between images"),
    bad("images", f"--init_from {DDPM}", "with --prior standard and --resolution 28 only"),
    bad("images", "--method lightsb", "is for points"),
    bad("images", "--data_root odd.ckpt", "The data root odd.ckpt is not a folder"),
]


class Evil:
    """Writes a file when it is unpickled."""

    def __reduce__(self):
        return open, ("executed", "w")


def prepare(kind):
    """Checkpoints to be refused, in the current folder."""
    shutil.copy(ASSETS / "classifier.pt", "classifier.pt")
    with open("evil.ckpt", "wb") as file:
        pickle.dump(Evil(), file)
    odd = {"forward": {"layers.0.weight": torch.zeros(3, 3)}}
    plane = {"method": "flow", "prior": "moons", "dataset": "circles"}
    images = plane | {"resolution": 8}
    own, other = (plane, images) if kind == "plane" else (images, plane)
    save_whole("odd.ckpt", {"config": own, "network": odd})
    save_whole("flow.ckpt", {"config": own, "network": odd})
    save_whole("tr.ckpt", {"config": own | {"method": "tr"}, "network": odd})
    name = "flow_images.ckpt" if kind == "plane" else "flow_plane.ckpt"
    save_whole(name, {"config": other, "network": odd})


@pytest.mark.parametrize(("kind", "options", "said"), BAD)
def test_bad_input_is_one_sentence(kind, options, said, plain, monkeypatch, tmp_path, capfd):
    prepare(kind)
    common = COMMON[kind]
    if "old" in options:
        plain[kind].main([*common, "--lr", "0.01", "--exp_name", "old"])
    monkeypatch.setattr(plain["run"].BridgeRun, "fit", None)  # it must not come to training
    with pytest.raises(SystemExit) as stop, one_line_errors():
        plain[kind].main(small_run(kind, *options))
    line = stop.value.code
    if line == 2:  # argparse has printed the sentence
        line = capfd.readouterr().err.strip().splitlines()[-1]
    assert isinstance(line, str) and "\n" not in line and line.endswith((".", ")"))
    assert re.search(said, line), line
    assert not (tmp_path / "executed").exists()
    assert not (tmp_path / LAST.format(kind)).exists()


def test_sets_of_different_size_are_one_sentence(plain, monkeypatch):
    images = plain["images"]
    real = images.data.load_dataset

    def load(name, split, resolution, root):
        return real("fashion", split, 16 if name == "mnist" else 8, root)

    monkeypatch.setattr(images.data, "load_dataset", load)
    with (
        pytest.raises(SystemExit, match="16x16x1 and 8x8x1; choose sets of one size"),
        one_line_errors(),
    ):
        images.main([*IMAGES, "--prior", "mnist"])


def test_a_loss_that_is_not_finite_is_one_sentence(plain):
    with (
        pytest.raises(SystemExit, match=r"The loss is not finite .* lower --lr"),
        one_line_errors(),
    ):
        plain["plane"].main([*PLANE, "--method", "dsb", "--lr", "1e30"])


def test_a_stop_outside_of_training_is_one_sentence(plain, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(plain["plane"], "show", interrupted)
    with pytest.raises(SystemExit, match="Stopped before the end"), one_line_errors():
        plain["plane"].main(PLANE)
    assert last("plane")["training"]["step"] == 32


def test_unknown_options_and_methods_are_for_argparse(plain, capsys):
    for options in (["--method", "ipf"], ["--reference", "vp"], ["--rounds", "many"], ["--oops"]):
        with pytest.raises(SystemExit) as stop:
            plain["plane"].main([*PLANE, *options])
        assert stop.value.code == 2 and options[-1] in capsys.readouterr().err


@pytest.mark.parametrize(
    "module", ["sde_todo bridge", pytest.param("image_diffusion bridge", marks=pytest.mark.slow)]
)
def test_the_stubs_name_the_first_todo(module, tmp_path):
    environment = {k: v for k, v in os.environ.items() if k != "COURSE"}
    done = subprocess.run(
        [sys.executable, "-m", *module.split(), "--exp_name", "stub", "--device", "cpu"],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line]
    assert len(lines) == 1 and lines[0].startswith("TODO 1.6"), done.stderr
