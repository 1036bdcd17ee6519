"""Control and the samplers of Task 1 on image models, against Gaussian pixels and by command."""

import dataclasses

import numpy as np
import pytest
import torch

from given.images.data.imageset import load_dataset, to_tensor
from given.images.data.mnist import SHADE
from tests.project.reference.gaussian_images import SPREAD, gaussian_model


def test_coloured_clothes_have_the_gray_levels_of_the_gray_ones():
    gray, colour = (load_dataset(name, "test") for name in ("fashion", "fashion_colour"))
    assert (gray.labels == colour.labels).all() and colour.images.shape == (4000, 28, 28, 3)
    mean = colour.images[:500].astype(float).mean(3)
    assert np.abs(mean - SHADE * gray.images[:500, :, :, 0]).max() <= 0.5


def test_every_coloured_image_has_one_tint_and_hues_differ():
    images = np.asarray(load_dataset("fashion_colour", "train").images[:300]).astype(float)
    bright = images.sum(3) > 200
    shares = images / np.maximum(images.sum(3, keepdims=True), 1)
    for share, where in zip(shares, bright, strict=True):
        assert share[where].std(0).max() < 0.01
    tint = np.array([s[w].mean(0) for s, w in zip(shares, bright, strict=True) if w.any()])
    assert tint.std(0).min() > 0.1 and np.allclose(tint.mean(0), 1 / 3, atol=0.03)


@pytest.mark.parametrize(
    ("process", "options", "steps", "evaluations"),
    [
        ("VPSDE", {"method": "euler_maruyama", "rho": 2.0}, 100, 101),
        ("SubVPSDE", {"method": "reverse_diffusion", "rho": 2.0}, 100, 101),
        ("VESDE", {"method": "ancestral"}, 120, 121),
        ("VPSDE", {"method": "ode_heun", "rho": 3.0}, 30, 61),
        ("VPSDE", {"method": "multistep", "rho": 3.0}, 20, 21),
        ("VPSDE", {"method": "rk45"}, 2, None),
        ("VESDE", {"method": "reverse_diffusion", "corrector": "langevin"}, 100, 201),
        ("VPSDE", {"corrector": "annealed_langevin", "snr": 0.05, "rho": 2.0}, 100, 201),
    ],
)
def test_samplers_of_task_1_draw_images(process, options, steps, evaluations):
    from experiments.images.samplers.process import draw

    torch.manual_seed(0)
    x, taken = draw(gaussian_model(), 300, process=process, steps=steps, **options)
    # 14,400 numbers: their spread has a standard error of .0024; the steps' own error adds to it.
    assert x.shape == (300, 3, 4, 4) and abs(x.std().item() - SPREAD) < 0.03
    assert evaluations is None or taken == evaluations


def test_steps_without_the_states_on_the_way_are_those_of_walk(monkeypatch):
    from experiments.images.samplers import process
    from sde_todo import sampling

    ends = []
    for walk in (process.walk_to_the_end, lambda *args: last_of(sampling.walk(*args))):
        monkeypatch.setattr(process, "walk_to_the_end", walk)
        torch.manual_seed(0)
        ends.append(process.draw(gaussian_model(), 3, steps=20))
    assert torch.equal(ends[0][0], ends[1][0]) and ends[0][1] == ends[1][1] == 21


def last_of(walked):
    x_traj, evaluations = walked
    return x_traj[-1], evaluations


@pytest.mark.parametrize("name", ["OU", "VPSDE", "SubVPSDE", "VESDE"])
def test_time_begins_where_the_schedule_does(name):
    from experiments.images.samplers.process import known_from
    from given.levels import alpha_std
    from sde_todo import sde

    process, scheduler = getattr(sde, name)(), gaussian_model().var_scheduler
    first = ((1 - scheduler.exact[0]) / scheduler.exact[0]).sqrt().item()
    eps = known_from(process, scheduler)
    alpha, std = alpha_std(process, torch.tensor([eps]).double(), torch.ones(1, 1).double())
    # VE begins with sigma_min, which may be more than the schedule's first noise.
    expected = max(first, getattr(process, "sigma_min", 0))
    assert (std / alpha).item() == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("task", ["colour", "super"])
@pytest.mark.parametrize("way", ["replacement", "repaint", "predictor_corrector"])
def test_measured_gaussian_pixels_are_right_in_what_is_measured_and_in_what_is_free(task, way):
    from experiments.images.control import make_operator
    from image_diffusion.guidance import Measured
    from sde_todo.sde import VPSDE

    torch.manual_seed(0)
    x0 = SPREAD * torch.randn(200, 3, 4, 4)
    operator = make_operator(task, 200, 3, 4)
    y = operator.measure(x0)
    model = gaussian_model("DDPMScheduler", steps=300)  # few steps of DDPM give too little spread
    options = (VPSDE(100),) if way == "predictor_corrector" else ()
    options = (2,) if way == "repaint" else options
    x = getattr(Measured(model, operator, y), way)(*options)
    assert torch.allclose(operator.measure(x), y, atol=1e-5)
    free = x - operator.adjoint(y)  # independent of y: pixels of a Gaussian are
    share = 1 - y[0].numel() / x[0].numel()
    assert free.pow(2).mean().item() == pytest.approx(share * SPREAD**2, rel=0.12)
    theirs = x0 - operator.adjoint(y)
    assert abs((free * theirs).mean()) < 0.01 * SPREAD**2 + 0.003


def test_mcg_pulls_towards_the_measurement_before_it_is_pasted():
    from experiments.images.control import make_operator
    from image_diffusion.guidance import Measured

    torch.manual_seed(0)
    model, operator = gaussian_model("DDPMScheduler"), make_operator("super", 5, 3, 4)
    measured = Measured(model, operator, operator.measure(SPREAD * torch.randn(5, 3, 4, 4)))
    x = torch.randn(5, 3, 4, 4)

    def misfit(x):
        abar = model.var_scheduler.abar(300)
        x0_hat = (x - (1 - abar).sqrt() * model.predict_noise(x, 300)) / abar.sqrt()
        return (measured.y - operator.measure(x0_hat)).flatten(1).norm(dim=1)

    _, gradient = measured.mcg_gradient(x, 300)
    assert (misfit(x - 0.1 * gradient) < misfit(x)).all()


def test_a_noisy_classifier_is_trained_saved_and_loaded(tmp_path, capsys):
    from experiments.images import train_classifier
    from given.images.fid.classifier import CLASSIFIER
    from given.images.noisy_classifier import load_noisy_classifier
    from image_diffusion.scheduler import DDIMScheduler

    path = tmp_path / "noisy.pt"
    words = ["--dataset", "fashion_colour", "--noisy", "--minutes", ".02", "--out", str(path)]
    train_classifier.main(words)
    assert "of 4000 test images right" in capsys.readouterr().out
    net, config = load_noisy_classifier(DDIMScheduler, path)
    assert config["command"].endswith(
        "--noisy --minutes 0.02 --batch_size 64 --seed 0 --device cpu"
    )
    x = torch.randn(3, 3, 28, 28)
    assert torch.allclose(net(x, 10.0), net(x, torch.full((3,), 10)))
    with pytest.raises(ValueError, match="is not a classifier of noisy images"):
        load_noisy_classifier(DDIMScheduler, CLASSIFIER)


def test_the_shipped_classifier_knows_less_the_noisier_the_image():
    from given.images.noisy_classifier import load_noisy_classifier, noisy_accuracy
    from image_diffusion.scheduler import DDIMScheduler

    net, config = load_noisy_classifier(DDIMScheduler)
    scheduler, test = DDIMScheduler(**config["schedule"]), load_dataset("fashion_colour", "test")
    test = dataclasses.replace(test, images=test.images[:500], labels=test.labels[:500])
    torch.manual_seed(0)
    shares = [noisy_accuracy(net, scheduler, test, t) for t in (0, 800, 990)]
    assert shares[0] > 0.75 > shares[1] > 0.4 > shares[2]


def test_the_gradient_of_the_classifier_fades_with_the_signal():
    from given.images.noisy_classifier import load_noisy_classifier
    from image_diffusion.guidance import ClassifierGuided
    from image_diffusion.scheduler import DDIMScheduler

    model = gaussian_model(size=28)
    guided = ClassifierGuided(model, load_noisy_classifier(DDIMScheduler)[0])
    torch.manual_seed(0)
    x, label = torch.randn(4, 3, 28, 28), torch.tensor([1, 2, 3, 4])
    sizes = [guided.class_gradient(x, t, label).norm().item() for t in (800, 950, 998)]
    assert sizes[0] > sizes[1] > 10 * sizes[2]


@pytest.mark.parametrize("task", ["colour", "super", "inpaint"])
def test_the_command_measures_and_draws(task, tmp_path, capsys):
    from experiments.images import control

    words = ["--task", task, "--num_samples", "2", "--steps", "25", "--resamplings", "2"]
    control.main([*words, "--save_dir", str(tmp_path)])
    out = capsys.readouterr().out
    for name in ("replacement", "RePaint", "MCG", "PC"):
        line = next(line for line in out.splitlines() if line.startswith(name))
        assert float(line.split("off by")[1].split()[0]) < 0.05  # clamped, and in whole levels
        assert len(list((tmp_path / name).glob("*.png"))) == 2
    assert (tmp_path / "comparison.png").stat().st_size > 1000


def test_the_command_for_classes(tmp_path, capsys):
    from experiments.images import control

    words = ["--task", "class", "--num_samples", "3", "--steps", "3", "--scales", "0", "2"]
    control.main([*words, "--save_dir", str(tmp_path)])
    assert capsys.readouterr().out.count("sees the class in") == 2
    assert len(list((tmp_path / "scale_2").glob("*.png"))) == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--num_samples", "0"], "--num_samples must be"),
        (["--num_samples", "5000"], "--num_samples 5000: choose 1 to 4000"),
        (["--task", "colour", "--ckpt_path", "GRAY"], "draws gray images"),
        (["--task", "class", "--ckpt_path", "GRAY"], "reads 3 channels, and .* draws 1"),
        (["--task", "class", "--classifier", "GRAY"], "is not a classifier of noisy images"),
        (["--ckpt_path", "nowhere.ckpt"], "nowhere.ckpt"),
        (["--task", "inpaint", "--steps", "0"], "0 steps"),
        (["--task", "class", "--steps", "2000"], "2000 steps"),
    ],
)
def test_bad_commands_are_one_sentence(words, message, tmp_path):
    from experiments.images import control
    from given.images.data.sources import ASSETS

    words = [str(ASSETS / "fashion_ddpm.ckpt") if word == "GRAY" else word for word in words]
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        control.main([*words, "--save_dir", str(tmp_path)])


@pytest.mark.parametrize(
    "name", ["edm", "stochastic", "ode_heun", "rk45", "multistep", "reverse_diffusion"]
)
def test_the_command_of_sampling_knows_the_samplers_of_task_1(name, tmp_path, capsys):
    from experiments.images import sample
    from given.images.data.sources import ASSETS

    words = ["--ckpt_path", str(ASSETS / "fashion_ddpm.ckpt"), "--save_dir", str(tmp_path / "out")]
    words += ["--num_samples", "2", "--scheduler", name]
    words += [] if name == "rk45" else ["--steps", "3"]
    own = {"rk45": ["--tol", ".1"], "stochastic": ["--eta", ".5"], "edm": ["--churn", "1"]}
    own["reverse_diffusion"] = ["--corrector", "langevin", "--process", "VESDE"]
    words += own.get(name, [])
    sample.main(words)
    assert "2 images" in capsys.readouterr().out
    assert len(list((tmp_path / "out").glob("*.png"))) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--scheduler", "ddim", "--corrector", "langevin"],
            "ddim takes no --corrector; it is for euler",
        ),
        (["--scheduler", "edm", "--corrector", "langevin"], "edm takes no --corrector"),
        (["--scheduler", "rk45", "--corrector", "langevin"], "rk45 takes no corrector"),
        (["--scheduler", "rk45", "--steps", "20"], "chooses its steps by --tol"),
        (["--scheduler", "ancestral", "--snr", ".1"], "snr = 0.1 is of a corrector, and ancestral"),
        (["--scheduler", "ddpm", "--eta", "1"], "ddpm takes no --eta; it is for ddim, stochastic"),
        (["--scheduler", "dpmpp", "--sigma_type", "large"], "it is for ddpm"),
        (["--scheduler", "ancestral", "--tol", ".1"], "it is for rk45"),
        (["--scheduler", "ancestral", "--corrector", "metropolis"], "Unknown corrector"),
        (["--scheduler", "ancestral", "--steps", "0"], "N = 0"),
        (["--scheduler", "edm", "--steps", "0"], "0 steps"),
    ],
)
def test_bad_choices_of_a_sampler_are_one_sentence(words, message, tmp_path):
    from experiments.images import sample
    from given.images.data.sources import ASSETS

    common = ["--ckpt_path", str(ASSETS / "fashion_ddpm.ckpt"), "--save_dir", str(tmp_path / "x")]
    with pytest.raises(ValueError, match=message):
        sample.main([*common, "--num_samples", "1", *words])


def test_tensors_of_measured_images_are_those_of_the_set():
    images = load_dataset("fashion_colour", "test").images[:3]
    assert to_tensor(images).shape == (3, 3, 28, 28)
