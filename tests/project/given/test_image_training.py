"""Training on images: it goes on bit for bit, survives being killed, and shares its batch."""

import os
import pickle
import random
import signal
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from experiments.images import train, training_loop, training_progress
from experiments.images.samplers.draw import load_model
from given.images.data.image_files import list_images
from given.images.data.imageset import ImageSet, Loader, room_for_images, to_tensor
from given.images.data.sources import ASSETS
from given.runtime.checkpoint import read_checkpoint, save_whole
from given.runtime.files import alone
from given.runtime.machine import has_bf16, warn_of_cost
from given.runtime.submission import ROOT
from given.runtime.training import ema_decay
from image_diffusion import scheduler

SMALL = ["--batch_size", "4", "--device", "cpu", "--save_every", "10", "--threads", "1"]


def start(folder, *arguments, launcher=()):
    """Start train.py on the solutions in a process of its own."""
    launcher = launcher or ("image_diffusion/train.py",)
    command = [sys.executable, *launcher, "--save_dir", str(folder), *SMALL, *arguments]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | {"COURSE": "solutions", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def weights(folder):
    state = read_checkpoint(folder / "last.ckpt")
    assert state["training"]["step"] == state["config"]["steps"]
    return state["training"]["network"] | {f"mean {k}": v for k, v in state["network"].items()}


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


def run_here(folder, *arguments):
    train.main(["--save_dir", str(folder), *SMALL, *arguments])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The weights of 120 steps that nothing interrupted."""
    folder = tmp_path_factory.mktemp("undisturbed")
    out = start(folder, "--steps", "120").communicate(timeout=300)[0]
    assert "120 steps" in out, out
    return weights(folder)


@pytest.mark.slow
def test_ten_kills_at_random_moments_change_nothing(undisturbed, tmp_path):
    rng, kills = random.Random(0), 0
    while kills < 10:
        resume = ["--resume"] if (tmp_path / "last.ckpt").exists() else []
        process = start(tmp_path, "--steps", "120", *resume)
        wait_for_a_sign(process, tmp_path)
        time.sleep(rng.uniform(0, 1.0))
        process.kill()  # SIGKILL where the system has it
        process.communicate()
        kills += 1
        if (tmp_path / "last.ckpt").exists():
            read_checkpoint(tmp_path / "last.ckpt")  # whole, whenever the blow came
    out = start(tmp_path, "--steps", "120", "--resume").communicate(timeout=300)[0]
    assert "120 steps" in out, out
    assert_same(weights(tmp_path), undisturbed)


def wait_for_a_sign(process, folder):
    """Wait until the run has written something since now, or has ended."""
    begin = time.time()
    while process.poll() is None and time.time() - begin < 60:
        if any(path.stat().st_mtime > begin for path in list_now(folder)):
            return
        time.sleep(0.02)


def list_now(folder):
    return [path for path in folder.glob("last.ckpt*") if path.exists()]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to send")
@pytest.mark.slow  # the stops of a bridge go through the same loop, and are quick
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_polite_stop_saves_and_says_how_to_go_on(undisturbed, tmp_path, number):
    process = start(tmp_path, "--steps", "120")
    wait_for_a_sign(process, tmp_path)
    process.send_signal(number)
    out = process.communicate(timeout=60)[0]
    assert "--resume" in out and "Traceback" not in out, out
    out = start(tmp_path, "--steps", "120", "--resume").communicate(timeout=300)[0]
    assert_same(weights(tmp_path), undisturbed)


@pytest.fixture
def shown(monkeypatch):
    """Where a grid would be drawn, its step is noted."""
    steps = []
    monkeypatch.setattr(train, "show", lambda run, folder: steps.append(run.step))
    return steps


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to send")
def test_a_stop_in_the_last_step_leaves_the_drawing_for_the_next_time(
    tmp_path, monkeypatch, shown, capsys
):
    def step(run, *more):
        if run.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return plain(run, *more)

    plain = training_loop.train_step
    monkeypatch.setattr(training_loop, "train_step", step)
    assert not train.main(["--save_dir", str(tmp_path), *SMALL, "--steps", "3"])
    assert not shown and "--resume" in capsys.readouterr().out
    assert weights(tmp_path)
    assert train.main(["--save_dir", str(tmp_path), *SMALL, "--steps", "3", "--resume"])
    assert shown == [3]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to send")
def test_a_stop_ends_the_drawing_at_the_next_call_of_the_network(tmp_path, monkeypatch, shown):
    def seconds(run):
        if run.step == 1:  # about to draw
            os.kill(os.getpid(), signal.SIGTERM)
        return 0.001

    monkeypatch.setattr(training_progress, "seconds_of_image", seconds)
    words = ["--steps", "5", "--sample_every", "1"]
    assert not train.main(["--save_dir", str(tmp_path), *SMALL, *words])
    assert read_checkpoint(tmp_path / "last.ckpt")["training"]["step"] == 1
    assert not shown and not list(tmp_path.glob("samples_*"))


def test_what_is_drawn_follows_what_it_costs():
    plan = training_progress.plan_grid
    assert plan(0.005, 1000) == (40, 50, 40, 20)
    assert plan(0.005, 20)[:3] == (40, 20, 40)
    assert plan(0.05, 1000) == (20, 20, 20, 40)
    assert plan(10.0, 1000) == (4, 10, 1, 800)
    assert plan(0.005, 1000, limit=6)[:2] == (20, 20)


@pytest.mark.parametrize("seconds", [0.0001, 0.001, 0.02, 2.0])
def test_grids_on_the_way_come_every_two_minutes_or_take_a_twentieth_of_the_time(
    seconds, monkeypatch
):
    """An hour of steps of a second, where a grid costs a third more than was planned."""
    now, drawn = [0.0], []

    def show(run, folder, plan):
        drawn.append((now[0], 1.3 * plan.seconds))
        now[0] += 1.3 * plan.seconds

    clock = SimpleNamespace(perf_counter=lambda: now[0])
    monkeypatch.setattr(training_progress, "time", clock)
    monkeypatch.setattr(training_progress, "show", show)
    monkeypatch.setattr(training_progress, "seconds_of_image", lambda run: seconds)
    run, grids = SimpleNamespace(config={"network": {"T": 1000}}), training_progress.Grids(None)
    for step in range(1, 3601):
        now[0] += 1.0
        if grids.due(step):
            grids.draw(run, None)
    starts, costs = zip(*drawn, strict=True)
    assert min(np.diff([0, *starts])) >= 120 and sum(costs) < 0.07 * now[0]
    assert starts[0] <= 121 or costs[0] < 0.07 * starts[0]
    assert len(drawn) >= (28 if seconds < 0.01 else 20 if seconds < 1 else 1)
    assert [k for k in range(1, 10) if training_progress.Grids(4).due(k)] == [4, 8], "as asked"


def test_the_cost_of_a_long_run_on_a_cpu_is_one_line(capsys):
    cpu = torch.device("cpu")
    warn_of_cost(0.1, 5500, cpu, "Wait.")
    warn_of_cost(25.0, 100_000, torch.device("cuda"), "Wait.")
    assert not capsys.readouterr().out
    warn_of_cost(25.0, 100_000, cpu, "Use another.")
    warn_of_cost(40.0, 1, cpu, "Use another.")
    days, step = capsys.readouterr().out.splitlines()
    assert "about 25 s on this CPU" in days and "29 days: this is for a GPU. Use another." in days
    assert "about 40 s" in step


def test_a_large_network_on_a_cpu_is_told_its_cost(tmp_path, monkeypatch, shown, capsys):
    monkeypatch.setattr(train, "seconds_of_image", lambda run: 2.0)
    run_here(tmp_path, "--steps", "1")
    assert "A step takes about 24 s on this CPU: this is for a GPU" in capsys.readouterr().out


@pytest.mark.slow
def test_two_processes_reach_the_weights_of_one_with_twice_the_batch(tmp_path):
    common = ["--steps", "20", "--no-use_cfg", "--batch_size", "8"]
    one = start(tmp_path / "one", *common)
    assert "20 steps" in (out := one.communicate(timeout=300)[0]), out
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    two = start(tmp_path / "two", *common, launcher=(*launcher, "image_diffusion/train.py"))
    assert "20 steps" in (out := two.communicate(timeout=300)[0]), out
    a, b = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=1e-3, atol=2e-5, msg=name)


@pytest.mark.slow
def test_a_batch_size_that_processes_cannot_share_is_one_sentence(tmp_path):
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    launcher = (*launcher, "image_diffusion/train.py")
    run = start(tmp_path, "--steps", "20", "--batch_size", "7", launcher=launcher)
    assert "cannot be shared by 2 processes" in run.communicate(timeout=120)[0]


def test_a_run_is_not_overwritten_unasked(tmp_path):
    save_whole(tmp_path / "last.ckpt", {"config": {}, "network": {}})
    with pytest.raises(ValueError, match="is there already"):
        run_here(tmp_path, "--steps", "5")


def test_a_run_goes_on_with_the_set_and_numbers_it_was_started_with(tmp_path):
    run_here(tmp_path, "--steps", "2")
    for other in (["--steps", "3"], ["--dataset", "fashion", "--lr", "1"]):
        with pytest.raises(ValueError, match="was started with"):
            run_here(tmp_path, "--resume", *other)
    with pytest.raises(ValueError, match="--resolution 28"):
        run_here(tmp_path, "--resume", "--resolution", "16")


@pytest.mark.parametrize("other", ["--seed 7", "--no-use_cfg", "--cfg_dropout 0.5"])
def test_no_option_is_ignored_when_a_run_goes_on(other, tmp_path, shown):
    run_here(tmp_path, "--steps", "1")
    with pytest.raises(ValueError, match=f"was started with --.*leave out {other}"):
        run_here(tmp_path, "--resume", *other.split())
    with pytest.raises(ValueError, match="leave one out"):
        run_here(tmp_path, "--resume", "--overwrite")


@pytest.mark.parametrize("words", [[], ["--no-compile", "--no-bf16"]])
def test_a_run_of_a_gpu_goes_on_on_a_machine_without(words, tmp_path, shown, capsys):
    run_here(tmp_path, "--steps", "1")
    state = read_checkpoint(tmp_path / "last.ckpt")
    state["config"] |= {"compile": True, "bf16": True}
    save_whole(tmp_path / "last.ckpt", state)
    run_here(tmp_path, "--resume", *words)
    config = read_checkpoint(tmp_path / "last.ckpt")["config"]
    assert not config["compile"] and not config["bf16"]
    assert "started with --compile, and goes on with --no-compile" in capsys.readouterr().out


def test_a_card_that_emulates_bfloat16_does_not_train_in_it(monkeypatch):
    def t4(including_emulation=True):
        return including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", t4)
    assert not has_bf16(torch.device("cuda")) and not has_bf16(torch.device("cpu"))


def test_a_new_run_leaves_no_samples_of_the_one_it_replaces(tmp_path, shown):
    run_here(tmp_path, "--steps", "1")
    for name in ("samples_005500.png", "loss.png", "mine.png", "early.ckpt"):
        (tmp_path / name).touch()
    run_here(tmp_path, "--steps", "1", "--overwrite")
    assert [path.name for path in tmp_path.glob("*.png")] == ["mine.png"]
    assert read_checkpoint(tmp_path / "early.ckpt")["config"]["steps"] == 1, "the new run's"


def test_a_resolution_that_does_not_fit_is_said_before_a_set_is_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(train.data, "load_dataset", None)
    for words in (["--resolution", "30"], ["--dataset", "afhq", "--resolution", "100"]):
        with pytest.raises(ValueError, match=r"divides, not (30; use 28 or 32|100; use 96 or 112)"):
            run_here(tmp_path, "--steps", "1", *words)


@pytest.mark.slow
def test_the_average_follows_the_weights_from_the_start(tmp_path, shown):
    assert ema_decay(0.9999, 0) == 0.1 and ema_decay(0.9999, 80) == 0.9
    assert ema_decay(0.997, 5000) == 0.997
    run_here(tmp_path, "--steps", "30", "--ema", "0.9999", "--warmup", "1")
    state = read_checkpoint(tmp_path / "last.ckpt")
    first = training_loop.Run(state["config"], torch.device("cpu")).model.network.state_dict()
    last, mean = state["training"]["network"], state["network"]
    moved, lag = (sum((w[k] - last[k]).square().sum() for k in last) for w in (first, mean))
    assert lag < 0.1 * moved


def test_the_average_of_an_eighth_of_a_run_stays(tmp_path, shown):
    run_here(tmp_path, "--steps", "8", "--warmup", "1")
    state = read_checkpoint(tmp_path / "early.ckpt")
    config = state["config"]
    run = training_loop.Run(config, torch.device("cpu"))
    batch = Loader(train.data.load_dataset("fashion"), 4, config["seed"]).batch(0)
    training_loop.train_step(run, run.model, batch)
    assert_same(state["network"], run.average.module.state_dict())
    load_model(tmp_path / "early.ckpt", scheduler.DDIMScheduler)


@pytest.mark.slow
def test_a_folder_of_images_is_trained_on(tmp_path, shown):
    for i in range(4):
        name = tmp_path / "mine" / ("cat", "dog")[i % 2] / f"{i}.png"
        name.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (60 * i, 0, 0)).save(name)
    words = ["--dataset", str(tmp_path / "mine"), "--resolution", "8", "--steps", "1"]
    run_here(tmp_path / "run", *words, "--batch_size", "2", "--use_cfg", "--network", "ddpm")
    config = read_checkpoint(tmp_path / "run" / "last.ckpt")["config"]
    assert config["dataset"] == "folder" and config["classes"] == ["cat", "dog"]


def test_samples_are_never_mixed_with_those_of_another_run(tmp_path):
    from experiments.images import sample

    words = ["--ckpt_path", str(ASSETS / "fashion_ddpm.ckpt"), "--save_dir", str(tmp_path / "out")]
    words += ["--steps", "1", "--device", "cpu", "--num_samples"]
    sample.main([*words, "5"])
    for more in (["3"], ["5", "--guidance_scale", "1.5"]):
        with pytest.raises(ValueError, match="would be mixed with the new ones"):
            sample.main([*words, *more])
    sample.main([*words, "3", "--overwrite"])
    assert len(list_images(tmp_path / "out")) == 3
    sample.main([*words, "5", "--seed", "1"])  # the three are replaced
    assert len(list_images(tmp_path / "out")) == 5


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_checkpoint(tmp_path):
    with pytest.raises(ValueError, match="not finite"):
        run_here(tmp_path, "--steps", "40", "--lr", "1e20", "--warmup", "1")
    for path in tmp_path.glob("last.ckpt"):
        state = read_checkpoint(path)["training"]["network"]
        assert all(value.isfinite().all() for value in state.values())


@pytest.mark.parametrize("option", ["--steps", "--batch_size", "--lr"])
def test_numbers_that_make_no_sense_are_one_sentence(option, tmp_path):
    with pytest.raises(ValueError, match=option):
        run_here(tmp_path, option, "0")


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_pickled_object_is_refused_and_not_executed(tmp_path):
    trace = tmp_path / "executed"
    torch.save({"config": Evil(trace), "network": {}}, tmp_path / "evil.ckpt")
    (tmp_path / "plain.ckpt").write_bytes(pickle.dumps(Evil(trace)))
    for name in ("evil.ckpt", "plain.ckpt"):
        with pytest.raises(ValueError, match=r"was not loaded|no checkpoint"):
            read_checkpoint(tmp_path / name)
    assert not trace.exists()


def test_bad_checkpoints_are_one_sentence(tmp_path):
    (tmp_path / "text.ckpt").write_text("hello")
    save_whole(tmp_path / "whole.ckpt", {"config": {}, "network": {"a": torch.zeros(1000)}})
    cut = (tmp_path / "whole.ckpt").read_bytes()[:1500]
    (tmp_path / "cut.ckpt").write_bytes(cut)
    torch.save([1, 2], tmp_path / "list.ckpt")
    for name in ("text.ckpt", "cut.ckpt", "list.ckpt", "missing.ckpt"):
        with pytest.raises(ValueError, match=name):
            read_checkpoint(tmp_path / name)


def test_weights_of_another_architecture_are_named(tmp_path):
    from given.images.patch_unet import PatchUNet
    from image_diffusion.ddpm import DiffusionModule
    from image_diffusion.scheduler import DDIMScheduler

    config = {"name": "PatchUNet", "predicts": "noise", "T": 1000, "ch": (16, 16)}
    model = DiffusionModule(PatchUNet(ch=(16, 16)), DDIMScheduler())
    model.network.config = config
    model.save(tmp_path / "small.ckpt")
    again, _ = load_model(tmp_path / "small.ckpt", DDIMScheduler)
    assert_same(again.network.state_dict(), model.network.state_dict())
    other = DiffusionModule(PatchUNet(ch=(16, 32)), DDIMScheduler())
    with pytest.raises(ValueError, match="of another architecture"):
        other.load(tmp_path / "small.ckpt")


def test_a_classifier_is_no_image_model():
    from image_diffusion.scheduler import DDIMScheduler

    with pytest.raises(ValueError, match="holds no image model"):
        load_model(ASSETS / "classifier.pt", DDIMScheduler)


def test_guidance_on_a_model_without_classes_is_one_sentence(tmp_path):
    from experiments.images import sample
    from given.images.patch_unet import PatchUNet
    from image_diffusion.ddpm import DiffusionModule
    from image_diffusion.scheduler import DDIMScheduler

    network = PatchUNet(ch=(16, 16), use_cfg=False)
    network.config = {"name": "PatchUNet", "predicts": "noise", "T": 1000, "ch": (16, 16)}
    network.config["use_cfg"] = False
    DiffusionModule(network, DDIMScheduler()).save(tmp_path / "plain.ckpt")
    arguments = ["--ckpt_path", str(tmp_path / "plain.ckpt"), "--save_dir", str(tmp_path / "out")]
    with pytest.raises(ValueError, match="trained without classes"):
        sample.main([*arguments, "--guidance_scale", "2"])
    sample.main([*arguments, "--num_samples", "3", "--steps", "2", "--device", "cpu"])
    assert len(list((tmp_path / "out").glob("*.png"))) == 3


def test_masks_that_do_not_fit_are_one_sentence(tmp_path):
    from given.images.masks import make_mask
    from image_diffusion.inpainting import Inpainter

    Image.new("L", (30, 30)).save(tmp_path / "large.png")
    (tmp_path / "text.png").write_text("hello")
    for kind, said in (
        ("large.png", "30 x 30"),
        ("text.png", "as an image"),
        ("no.png", "Unknown"),
    ):
        with pytest.raises(ValueError, match=said):
            make_mask(str(tmp_path / kind), 2, 28)
    x0 = torch.zeros(3, 1, 28, 28)
    for mask, said in ((torch.zeros(3, 1, 14, 14), "does not fit"), (x0 + 0.5, "nothing between")):
        with pytest.raises(ValueError, match=said):
            Inpainter(type("Model", (), {"var_scheduler": None}), x0, mask)
    assert make_mask("half", 2, 28).mean() == 0.5


def test_the_same_seed_gives_the_same_images_at_any_batch_size(tmp_path):
    from experiments.images.samplers.draw import draw_images
    from given.images.patch_unet import PatchUNet
    from image_diffusion.ddpm import DiffusionModule
    from image_diffusion.scheduler import DDIMScheduler

    torch.manual_seed(0)
    network = PatchUNet(ch=(16, 16), image_resolution=8)
    torch.nn.init.normal_(network.tail.weight, std=0.1)
    model = DiffusionModule(network, DDIMScheduler(eta=1.0)).eval()
    model.var_scheduler.set_timesteps(5)
    labels = np.arange(7) % 10 + 1
    whole = draw_images(model, 7, labels, 1.5, seed=3, batch_size=7)
    parts = draw_images(model, 7, labels, 1.5, seed=3, batch_size=2)
    assert np.abs(whole.astype(int) - parts).max() <= 1
    later = draw_images(model, 3, labels[4:], 1.5, seed=7, batch_size=3)
    assert np.abs(whole[4:].astype(int) - later).max() <= 1


@pytest.fixture
def small_disk():
    """No file may have more than 300,000 bytes; None where a process cannot ask for that."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_one_sentence_and_harms_no_checkpoint(tmp_path, small_disk):
    path = tmp_path / "last.ckpt"
    save_whole(path, {"config": {}, "network": {"a": torch.ones(3)}})
    with pytest.raises(OSError, match=r"last\.ckpt could not be written \(File too large\)"):
        save_whole(path, {"config": {}, "network": {"a": torch.ones(300_000)}})
    assert read_checkpoint(path)["network"]["a"].shape == (3,)
    assert list_now(tmp_path) == [path]


def test_a_full_disk_leaves_no_half_of_an_image(tmp_path, small_disk):
    from given.images.data.image_files import save_images

    noise = np.random.default_rng(0).integers(0, 256, (1, 800, 800, 1), np.uint8)
    with pytest.raises(OSError, match=r"00000\.png could not be written"):
        save_images(noise, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_is_of_one_run_at_a_time_and_what_a_kill_left_is_cleared(tmp_path):
    pytest.importorskip("fcntl")
    (tmp_path / "last.ckpt.1.part").touch()
    with alone(tmp_path):
        assert not list(tmp_path.iterdir())
        with pytest.raises(ValueError, match="Another run is at work"), alone(tmp_path):
            pass
        with alone(tmp_path, first=False):  # another process of the same run
            pass
    with alone(tmp_path):
        pass


@pytest.mark.slow
def test_a_run_does_not_go_on_with_other_images(tmp_path, monkeypatch):
    run_here(tmp_path, "--steps", "2")
    monkeypatch.setattr(train.data.ImageSet, "fingerprint", lambda images: 0)
    with pytest.raises(ValueError, match="not those that this run was started with"):
        run_here(tmp_path, "--resume")


def test_a_file_that_changes_under_a_loader_changes_no_batch(tmp_path):
    images = np.arange(8 * 4, dtype=np.uint8).reshape(8, 2, 2, 1)
    np.save(tmp_path / "train.npy", images)
    mapped = np.load(tmp_path / "train.npy", mmap_mode="r")
    loader = Loader(ImageSet("plain", "train", mapped, np.arange(8), ("a",) * 8, False), 4)
    np.load(tmp_path / "train.npy", mmap_mode="r+")[:] = 0
    x0, labels = loader.batch(0)
    assert torch.equal(x0, to_tensor(images[labels.numpy() - 1]))


def test_a_set_lives_on_a_card_where_a_quarter_of_what_is_free_holds_it(monkeypatch):
    free = 80 * 2**30
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 2 * free))
    assert room_for_images(torch.device("cuda", 1)) == 20 * 2**30
    assert room_for_images(torch.device("cpu")) == 2**30
    images = ImageSet("plain", "train", np.zeros((4, 2, 2, 1), np.uint8), np.arange(4), "a", False)
    assert Loader(images, 2).resident is not None
    monkeypatch.setattr("given.images.data.imageset.room_for_images", lambda device: 15)
    assert Loader(images, 2).resident is None


RANK = """
import os, sys, torch
from given.runtime import machine, training
os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=sys.argv[3], WORLD_SIZE="2")
os.environ.update(RANK=sys.argv[1], LOCAL_RANK=sys.argv[1])
bad = int(sys.argv[1])  # the loss of the second process becomes NaN in its third step

class Run(training.TrainingRun):
    def state(self):
        return {"step": self.step}

def steps(run):
    while run.step < 9:
        run.step += 1
        yield torch.tensor(float("nan") if bad and run.step > 2 else 1.0)

with machine.processes(torch.device("cpu")) as (rank, world_size, device):
    run = Run(9, device, rank, world_size)
    with machine.first_of_machine(rank, world_size):
        print("decoded" if os.path.exists("set") else "first")
        open("set", "w").close()
    assert machine.largest([rank, -rank], world_size) == [1, 0]
    try:
        training.train(run, steps(run), sys.argv[2], save_every=-1.0)
    except ValueError as error:
        print(error)
"""


@pytest.mark.slow
def test_a_loss_that_is_not_finite_ends_all_processes_with_the_sentence(tmp_path):
    """And one process decodes a set before the others of its machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-c", RANK]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    both = [
        subprocess.Popen(
            [*command, str(rank), str(tmp_path / "last.ckpt"), port],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    said = [process.communicate(timeout=120)[0] for process in both]
    for out, what in zip(said, ("first", "decoded"), strict=True):
        assert what in out and "The loss is not finite before step 3" in out, said
        assert "Traceback" not in out and "onnection" not in out, said
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["step"] == 2
