"""Every process end to end against the exact score of a Gaussian mixture, without training."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from given.levels import alpha_std
from given.plane import metrics as metrics
from given.plane.mixture import GaussianMixture, demo_mixture

PROCESSES = ("OU", "VPSDE", "SubVPSDE", "VESDE")
DATA = demo_mixture()


def build(name, N=100):
    from sde_todo import sde

    return getattr(sde, name)(N=N)


@pytest.mark.parametrize("name", PROCESSES)
def test_marginal_solves_the_moment_equations(name):
    """d mean/dt = f(mean), d var/dt = 2 f var + g^2, integrated numerically from .2 T to .7 T."""
    process = build(name)
    one = torch.ones(1, 1, dtype=torch.float64)

    def moments(t):
        alpha, std = alpha_std(process, torch.tensor([t], dtype=torch.float64), one)
        return alpha.item(), std.item() ** 2

    def rates(t):
        f, g = process.sde_coeff(torch.tensor([t], dtype=torch.float64), one)
        return f.item(), float(g) ** 2

    start, end = 0.2 * process.T, 0.7 * process.T
    decay = np.exp(quad(lambda t: rates(t)[0], start, end)[0])
    alpha, variance = moments(start)

    def late_noise(t):
        return rates(t)[1] * np.exp(2 * quad(lambda s: rates(s)[0], t, end)[0])

    want = decay**2 * variance + quad(late_noise, start, end, epsrel=1e-7)[0]
    assert moments(end)[0] == pytest.approx(decay * alpha, rel=1e-6)
    assert moments(end)[1] == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize("name", PROCESSES)
def test_simulation_reaches_the_marginal_and_the_prior(name):
    process = build(name, N=1000)
    torch.manual_seed(0)
    x = torch.full((20_000, 2), 1.5)
    for k in range(process.N):
        x = process.predict_fn(torch.full((len(x),), k * process.dt), x)
    mean, std = process.marginal_prob(torch.tensor([process.T]), torch.full((1, 2), 1.5))
    assert torch.allclose(x.mean(0), mean[0], atol=5 * std.max().item() / len(x) ** 0.5)
    assert x.std().item() == pytest.approx(std.mean().item(), rel=0.02)
    assert process.prior_std() == pytest.approx(std.mean().item(), rel=0.01)
    assert (mean.abs() < 0.02 * 1.5 * process.prior_std() + 0.02).all() or name == "VESDE"


@pytest.mark.parametrize("name", PROCESSES)
@pytest.mark.parametrize(
    ("method", "N"),
    [
        ("euler_maruyama", 100),
        ("reverse_diffusion", 100),
        ("predictor_corrector", 60),
        ("ode_euler", 150),
        ("ode_heun", 40),
        ("rk45", 2),
        ("multistep", 19),
    ],
)
def test_every_sampler_on_every_process_draws_the_mixture(name, method, N):
    from sde_todo.sampling import Sampler

    process = build(name, N)
    torch.manual_seed(1)
    real = DATA.sample(2000, seed=1)
    sampler = Sampler(1e-3, method, rho=1.0 if name == "VESDE" else 3.0)
    draw = sampler.get_sampling_fn(process.reverse(DATA.score_fn(process)), real)
    out, ntot, timesteps, x_traj = draw(2000)
    assert torch.equal(out, x_traj[-1]) and len(x_traj) == len(timesteps) == N + 1
    assert ntot >= N
    # Two real sets of this size are .09 apart; Euler's bias for VE is .1 at 150 steps.
    assert metrics.sliced_w2(out, real) < (0.25 if method == "ode_euler" else 0.17)


@pytest.mark.parametrize("lam", [0.0, 0.3, 1.0])
def test_the_whole_family_has_the_same_marginals(lam):
    from sde_todo.sampling import Sampler

    process = build("VPSDE", 200)
    torch.manual_seed(2)
    real = DATA.sample(4000, seed=1)
    reverse = process.reverse(DATA.score_fn(process), lam)
    out = Sampler(1e-3, rho=2.0).get_sampling_fn(reverse, real)(4000)[0]
    assert metrics.sliced_w2(out, real) < 0.11


@pytest.mark.parametrize("name", PROCESSES)
def test_images_go_through_every_process_and_sampler(name):
    from sde_todo.sampling import STEPS, Sampler

    process = build(name, 8)
    images = torch.randn(5, 2, 3, 4)
    t = torch.linspace(0.1, 0.9, 5) * process.T
    mean, std = process.marginal_prob(t, images)
    f, g = process.sde_coeff(t, images)
    assert mean.shape == f.shape == (mean + std * g).shape == images.shape
    assert process.prior_logp(images).shape == (5,)
    reverse = process.reverse(lambda t, x: -x)
    for method in (*STEPS, "rk45", "multistep"):
        out = Sampler(1e-2 * process.T, method).get_sampling_fn(reverse, images)(3)[0]
        assert out.shape == (3, 2, 3, 4), method


@pytest.mark.parametrize(
    "method", ["reverse_diffusion", "predictor_corrector", "multistep", "rk45"]
)
def test_images_are_sampled_like_their_pixels(method):
    """(B, C, H, W) and (B, C H W) with the same noise end in the same numbers."""
    from sde_todo.sampling import Sampler

    process = build("VPSDE", 20)
    reverse = process.reverse(lambda t, x: -x * (1 + t.reshape(-1, *[1] * (x.ndim - 1))))
    ends = []
    for shape in ((2, 2, 3, 4), (2, 24)):
        torch.manual_seed(0)
        data = torch.tensor([-9.0, 9.0]).repeat_interleave(24).reshape(shape)
        ends.append(Sampler(1e-2, method).get_sampling_fn(reverse, data)(5)[0].reshape(5, 24))
    assert torch.allclose(ends[0], ends[1], atol=1e-3)


@pytest.mark.parametrize("name", PROCESSES)
def test_float64_stays_float64(name):
    process = build(name)
    x = torch.randn(3, 2, dtype=torch.float64)
    t = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
    for value in (*process.sde_coeff(t, x), *process.marginal_prob(t, x), process.dw(x)):
        assert value.dtype == torch.float64


def test_langevin_keeps_the_law_that_it_is_given():
    process = build("VPSDE")
    torch.manual_seed(3)
    x = 1.0 + torch.randn(20_000, 2) * 0.5  # not N(0, I), for which the score is exact
    for _ in range(300):
        x = process.correct_fn(torch.full((len(x),), 0.5), x, lambda t, x: -x, snr=0.15)
    assert x.mean().abs() < 0.03 and x.std().item() == pytest.approx(1.0, rel=0.03)


def test_moments_start_serves_a_small_sigma_max():
    from sde_todo.sampling import initial_state
    from sde_todo.sde import VESDE

    data = GaussianMixture(torch.tensor([[4.0, -3.0]]), torch.tensor([[[2.0, 1.0], [1.0, 1.5]]]))
    points = data.sample(50_000)
    x = initial_state(VESDE(sigma_max=2.0).reverse(None), points, 50_000, "moments")
    assert torch.allclose(x.mean(0), points.mean(0), atol=0.05)
    assert torch.allclose(x.T.cov(), points.T.cov() + 4 * torch.eye(2), atol=0.15)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda sde: sde.VPSDE(N=0), "N = 0: a process needs at least one step"),
        (lambda sde: sde.OU(T=-1), "T = -1"),
        (lambda sde: sde.OU().reverse(None, lam=2.0), "between 0 .SDE. and 1 .ODE."),
        (
            lambda sde: sde.VPSDE().marginal_prob(torch.tensor([0.5, 1.5]), torch.zeros(2, 2)),
            r"t runs from 0.5 to 1.5, but this process lives on \[0, 1\]",
        ),
        (
            lambda sde: sde.VPSDE().sde_coeff(torch.tensor([-0.1]), torch.zeros(1, 2)),
            "keep every t inside",
        ),
        (
            lambda sde: sde.VPSDE().sde_coeff(torch.tensor(0.5), torch.zeros(4, 2)),
            r"pass one time per sample, shape \(4,\)",
        ),
    ],
)
def test_bad_arguments_of_a_process_are_one_clear_sentence(call, message):
    from sde_todo import sde

    with pytest.raises(ValueError, match=message):
        call(sde)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "rk54"}, "Unknown method 'rk54'. Known: euler_maruyama"),
        ({"start": "zero"}, "choose prior or moments"),
        ({"eps": 2.0}, "eps = 2.0: it must lie between 0 and T = 1"),
        ({"eps": 0.0}, "eps = 0.0"),
    ],
)
def test_bad_arguments_of_a_sampler_are_one_clear_sentence(options, message):
    from sde_todo.sampling import Sampler

    process = build("VPSDE", 5)
    with pytest.raises(ValueError, match=message):
        Sampler(**options).get_sampling_fn(process.reverse(lambda t, x: -x), torch.zeros(5, 2))(3)


def test_no_samples_are_refused():
    from sde_todo.sampling import Sampler

    process = build("VPSDE", 5)
    with pytest.raises(ValueError, match="N_samples = 0"):
        Sampler().get_sampling_fn(process.reverse(lambda t, x: -x), torch.zeros(5, 2))(0)


def test_hyper_parameters_survive_reverse():
    from sde_todo.sde import VESDE, VPSDE

    reverse = VPSDE(N=17, beta_min=0.3, beta_max=7.0).reverse(lambda t, x: -x)
    assert (reverse.N, reverse.beta_min, reverse.beta_max) == (17, 0.3, 7.0)
    assert VESDE(sigma_max=5.0).reverse(lambda t, x: -x).prior_std() == 5.0
    x, s = torch.ones(1, 1), torch.zeros(1)
    drift, _ = reverse.ode_coeff(s, x)  # at t = 1: -f + g^2 score / 2 = beta/2 - beta/2
    assert drift.item() == pytest.approx(0, abs=1e-6)
