"""Images are drawn the same however a machine draws them, and end where they are wanted."""

import numpy as np
import pytest
import torch

from experiments.images import sample
from experiments.images.samplers import draw
from given import noise
from given.images.data.image_files import list_images, read_image
from given.images.data.sources import ASSETS
from given.images.noise_predictor import gives_noise
from given.images.patch_unet import PatchUNet
from given.runtime.machine import memory_format
from image_diffusion.ddpm import DiffusionModule
from image_diffusion.scheduler import DDIMScheduler, DDPMScheduler

CHECKPOINT = str(ASSETS / "fashion_ddpm.ckpt")
EARLY = str(ASSETS / "fashion_early.ckpt")
CPU = torch.device("cpu")


def small_model(predicts="v", mode="cosine", **options):
    torch.manual_seed(0)
    scheduler = DDIMScheduler(mode=mode, eta=1.0)
    options |= {"predicts": predicts, "alphas_cumprod": scheduler.exact}
    network = PatchUNet(ch=(16, 16), image_resolution=8, use_cfg=True, **options)
    torch.nn.init.normal_(network.tail.weight, std=0.1)
    scheduler.set_timesteps(4)
    return DiffusionModule(network, scheduler).eval()


def test_a_batch_that_is_filled_up_gives_the_same_images():
    model, labels, sizes = small_model(), np.arange(7) % 10 + 1, []

    def counted(model, batch_size, *rest):
        sizes.append(batch_size)
        return draw.by_scheduler(model, batch_size, *rest)

    options = (labels, 1.5, 3)
    whole = draw.draw_images(model, 7, *options, 7)
    filled = draw.draw_images(model, 7, *options, 3, counted, fill=True)
    assert sizes == [3, 3, 3] and filled.shape == whole.shape
    assert np.abs(whole.astype(int) - filled).max() <= 1
    assert draw.draw_images(model, 2, batch_size=100, draw=counted, fill=True).shape[0] == 2
    assert sizes[-1] == 2, "fewer images than a batch are no reason to draw a whole one"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ddim", "edm", "reverse_diffusion"])
def test_all_steps_and_batches_run_one_compiled_graph(name, monkeypatch):
    """Truth: torch asks its backend once; timesteps that are numbers would want a graph each."""
    graphs = []

    def backend(graph, inputs):
        graphs.append([tuple(x.shape) for x in inputs if x.ndim == 4 and x.shape[1] == 1])
        return graph.forward

    compile_with = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **how: compile_with(f, backend=backend, **how))
    torch._dynamo.reset()
    words = ["--ckpt_path", CHECKPOINT, "--save_dir", "unused", "--scheduler", name]
    args = sample.parse([*words, "--steps", "3", "--compile", "--device", "cpu"])
    model, _, how = sample.load_sampler(args)
    draw.draw_images(model, 5, np.arange(5) + 1, 1.0, 0, 2, how, fill=args.compile)
    assert len(graphs) == 1 and (2, 1, 28, 28) in graphs[0]


def test_mixed_precision_is_near_float32_and_gives_float32():
    plain, fast = small_model(), small_model()
    draw.make_fast(fast.network, CPU, bf16=True)
    x, labels = torch.randn(3, 1, 8, 8), torch.tensor([1, 2, 3])
    with torch.no_grad():
        want, got = (m.predict_noise(x, 500, labels, 1.5) for m in (plain, fast))
    assert got.dtype == torch.float32
    assert 0 < (got - want).abs().max() < 0.05 * want.abs().max()


def test_autoguidance_moves_away_from_the_weaker_model():
    """Truth: Karras et al. 2024, eq. 3, for D; linear in it, so it holds of the noise as well."""
    model, weak = small_model(), small_model()
    with torch.no_grad():
        weak.network.tail.weight.mul_(0.5)
        x, labels = torch.randn(3, 1, 8, 8), torch.tensor([1, 2, 3])
        good, bad = (m.predict_noise(x, 500, labels, 1.5) for m in (model, weak))
        plain = model.network.at_log_snr
        for scale, want in ((0.0, bad), (1.0, good), (1.5, 1.5 * good - 0.5 * bad)):
            guided = draw.autoguided(plain, weak.network.at_log_snr, scale)
            model.network.at_log_snr = guided
            assert (model.predict_noise(x, 500, labels, 1.5) - want).abs().max() < 1e-5


def test_images_lie_channels_last_but_on_eager_cuda():
    cuda = torch.device("cuda")
    assert memory_format(cuda, compiled=False) == torch.contiguous_format
    for device, compiled in ((cuda, True), (CPU, False), (CPU, True), (torch.device("mps"), False)):
        assert memory_format(device, compiled) == torch.channels_last


def test_a_sampler_of_the_cpu_is_neither_mixed_nor_compiled_unless_asked():
    words = ["--ckpt_path", CHECKPOINT, "--save_dir", "unused", "--device", "cpu"]
    args = sample.parse(words)
    assert (args.bf16, args.compile) == (False, False)
    assert sample.parse([*words, "--bf16"]).bf16 is True


class OnDevice:
    """What `noise_like` sees of a tensor on another device."""

    def __init__(self, x):
        self.device, self.shape, self.dtype = torch.device("meta"), x.shape, x.dtype

    def __len__(self):
        return self.shape[0]


def test_on_a_device_the_start_is_of_the_image_and_the_rest_of_the_batch(monkeypatch):
    """A copy from the CPU in every step would make every step wait."""
    x, copied = torch.empty(3, 2, 4), []
    generator, randn, stack = torch.Generator, torch.randn, torch.stack
    monkeypatch.setattr(torch, "Generator", lambda *_: generator())
    monkeypatch.setattr(torch, "stack", lambda rows: copied.append(stack(rows)) or copied[-1])
    monkeypatch.setattr(torch, "randn", lambda *shape, device="cpu", **how: randn(*shape, **how))
    with noise.noise_per_image([5, 6, 7]):
        on_cpu = [noise.noise_like(x) for _ in range(2)]
    copied.clear()
    with noise.noise_per_image([5, 6, 7]):
        noise.noise_like(OnDevice(x))
        later = noise.noise_like(OnDevice(x))
    assert len(copied) == 1 and torch.equal(copied[0], on_cpu[0])
    assert later.shape == x.shape and not torch.equal(later, on_cpu[1])


class Rough:
    """The exact noise of N(0, .25), with an error of 1%."""

    def __call__(self, scheduler, x, t):
        abar = scheduler.abar(t)
        noise = (1 - abar).sqrt() * x / (abar * 0.25 + 1 - abar)
        return (noise + 0.01 * torch.randn_like(x)).float()


@pytest.mark.parametrize("kind", [DDIMScheduler, DDPMScheduler])
@pytest.mark.parametrize("mode", ["linear", "cosine"])
def test_a_small_error_of_the_noise_stays_small_where_x0_is_clipped(kind, mode):
    """Truth: .5, and .478 within [-1, 1]; without the clip DDIM under cosine gives 3.1."""
    spreads = []
    for clip in (False, True):
        torch.manual_seed(0)
        scheduler, predict = kind(mode=mode), Rough()
        scheduler.set_timesteps(50)
        scheduler.clip = clip
        x = torch.randn(4000, 1, 1, 1)
        for t in scheduler.timesteps:
            x = scheduler.step(x, t, predict(scheduler, x, t))
        spreads.append(x.std().item())
    assert 0.42 < spreads[1] < 0.49 and x.abs().max() < 1.0001
    if kind is DDIMScheduler and mode == "cosine":
        assert spreads[0] > 2


def test_the_clip_leaves_alone_what_needs_none():
    """Truth: x_0 inside [-1, 1] keeps its noise; outside, x_0 is at the border."""
    scheduler, t = DDIMScheduler(), 300
    x0 = torch.tensor([0.3, -0.9, 1.4]).reshape(3, 1, 1, 1)
    x_t, noise_in = scheduler.add_noise(x0, torch.tensor([t] * 3))
    assert torch.equal(scheduler.clipped(x_t, t, noise_in), noise_in)
    scheduler.clip, abar = True, scheduler.abar(t)
    kept = scheduler.clipped(x_t, t, noise_in)
    torch.testing.assert_close(kept[:2], noise_in[:2], rtol=1e-4, atol=1e-5)
    back = (x_t - (1 - abar).sqrt() * kept) / abar.sqrt()
    torch.testing.assert_close(back.flatten(), torch.tensor([0.3, -0.9, 1.0]), rtol=0, atol=1e-5)


def test_networks_that_give_the_noise_are_clipped_and_others_are_not():
    for predicts, wanted in (("noise", True), ("ve", True), ("v", False), ("edm", False)):
        assert gives_noise(small_model(predicts).network) == wanted
    shipped, _ = draw.load_model(CHECKPOINT, DDIMScheduler)
    assert not shipped.var_scheduler.clip


def test_a_guide_changes_the_images_and_must_fit_them(tmp_path):
    words = ["--ckpt_path", CHECKPOINT, "--num_samples", "2", "--steps", "2", "--device", "cpu"]
    other, guide = small_model(alphas_cumprod=None), ["--guide_path", str(tmp_path / "small.ckpt")]
    other.network.config = {"name": "PatchUNet", "ch": (16, 16), "image_resolution": 8, "T": 1000}
    other.save(tmp_path / "small.ckpt")

    def drawn(name, *more):
        sample.main([*words, "--save_dir", str(tmp_path / f"{name}.npz"), *more])
        with np.load(tmp_path / f"{name}.npz") as file:
            return file["images"].astype(int)

    plain = drawn("plain")
    itself = drawn("itself", "--guide_path", CHECKPOINT)
    assert np.abs(plain - itself).max() <= 1, "nothing sets a model apart from itself"
    early = drawn("early", "--guide_path", EARLY, "--guide_scale", "2")
    assert np.abs(plain - early).mean() > 1
    for more, said in ((["--guide_scale", "2"], "needs --guide_path"), (guide, "another shape")):
        with pytest.raises(ValueError, match=said):
            drawn("refused", *more)


def test_samples_in_one_file_are_those_of_the_folder(tmp_path):
    words = ["--ckpt_path", CHECKPOINT, "--steps", "2", "--device", "cpu", "--num_samples", "5"]
    words += ["--batch_size", "2", "--save_dir"]
    sample.main([*words, str(tmp_path / "out")])
    sample.main([*words, str(tmp_path / "out.npz")])
    files = [np.asarray(read_image(path, 1)) for path in list_images(tmp_path / "out")]
    with np.load(tmp_path / "out.npz") as arrays:
        assert list(arrays) == ["images"]
        np.testing.assert_array_equal(arrays["images"][..., 0], np.stack(files))
    assert (tmp_path / "out.png").exists()
    with pytest.raises(ValueError, match=r"out\.npz is there already; name another"):
        sample.main([*words, str(tmp_path / "out.npz")])
    sample.main([*words, str(tmp_path / "out.npz"), "--overwrite", "--seed", "9"])
    with np.load(tmp_path / "out.npz") as arrays:
        assert not np.array_equal(arrays["images"][..., 0], np.stack(files))


def test_a_stopped_run_keeps_the_images_so_far_in_its_file(tmp_path, monkeypatch):
    """And of the batches of several processes those before the first that is missing."""

    def three_batches(*_):
        for start in (0, 2, 6):
            yield start, np.full((2, 28, 28, 1), start, np.uint8)
        raise KeyboardInterrupt

    monkeypatch.setattr(sample, "draw_batches", three_batches)
    words = ["--ckpt_path", CHECKPOINT, "--device", "cpu", "--save_dir", str(tmp_path / "x.npz")]
    with pytest.raises(KeyboardInterrupt):
        sample.main(words)
    with np.load(tmp_path / "x.npz") as arrays:
        assert arrays["images"][:, 0, 0, 0].tolist() == [0, 0, 2, 2]
    assert [path.name for path in tmp_path.iterdir()] == ["x.npz"]
