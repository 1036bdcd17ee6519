"""A process, a predictor or a corrector of one's own is a few lines, and everything takes it.

The new process is variance preserving with the cosine schedule of Nichol and Dhariwal (2021),
alpha = cos(pi t/2), std = sin(pi t/2). It ends short of t = 1, where beta is infinite.
"""

import inspect
import math

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from given.levels import alpha_std
from given.plane import metrics as metrics
from given.plane.mixture import demo_mixture

DATA = demo_mixture()
SIZE = 2000
METHODS = (
    "euler_maruyama",
    "reverse_diffusion",
    "ancestral",
    "predictor_corrector",
    "ode_euler",
    "ode_heun",
    "rk45",
    "multistep",
)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def cosine_class():
    """The process as a user writes it, made where `SDE` is the reference's."""
    from sde_todo.sde import SDE

    class Cosine(SDE):
        def sde_coeff(self, t, x):
            t = self.per_sample(t, x)
            half_beta = math.pi / 2 * torch.tan(math.pi / 2 * t)
            return -half_beta * x, torch.sqrt(2 * half_beta)

        def marginal_prob(self, t, x0):
            t = self.per_sample(t, x0)
            return torch.cos(math.pi / 2 * t) * x0, torch.sin(math.pi / 2 * t)

    return Cosine


def stochastic_heun(sde, s, ds, x):
    """Heun's rule for the drift, the same noise at both ends: g does not depend on x."""
    noise = sde.dw(x, ds)
    drift, g = sde.sde_coeff(s, x)
    end_drift, _ = sde.sde_coeff(s + ds, x + ds * drift + g * noise)
    return x + ds * (drift + end_drift) / 2 + g * noise, 2


def exponential_step(sde, s, ds, x):
    """The ODE with the denoised data held fixed over the step (DDIM)."""
    (alpha, std), (next_alpha, next_std) = alpha_std(sde, s, x), alpha_std(sde, s + ds, x)
    x0 = (x + std**2 * sde.score_fn(sde.T - s, x)) / alpha
    return next_alpha * x0 + next_std / std * (x - alpha * x0), 1


def fixed_langevin(sde, s, x, snr):
    """Langevin dynamics with steps of one size at all times."""
    score = sde.score_fn(sde.T - s, x)
    return x + snr**2 * score + math.sqrt(2) * snr * torch.randn_like(x)


def cosine(N=60, T=0.98):
    return cosine_class()(N=N, T=T)


def real():
    return DATA.sample(SIZE, seed=1)


def draw(process, **options):
    """Samples of the mixture, and the number of score evaluations."""
    from sde_todo.sampling import Sampler

    torch.manual_seed(0)
    reverse = process.reverse(DATA.score_fn(process))
    return Sampler(1e-3, **options).get_sampling_fn(reverse, real())(SIZE)[:2]


def normal_score(t, x):
    """The score of N(0, I), which variance-preserving noise does not change."""
    return -x


def test_each_part_is_at_most_ten_lines():
    """Truth: the source, without blank lines."""
    for part in (cosine_class(), stochastic_heun, exponential_step, fixed_langevin):
        lines = [line for line in inspect.getsource(part).splitlines() if line.strip()]
        assert len(lines) <= 10, part


def test_every_method_is_tried_here():
    """Truth: the list of the sampler itself."""
    from sde_todo import sampling

    assert {*METHODS, "none"} == set(sampling.METHODS)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_takes_a_new_process(method):
    """Truth: fresh points of the mixture; two real sets of 2000 are .09 apart."""
    out, ntot = draw(cosine(), method=method)
    assert metrics.sliced_w2(out, real()) < 0.2 and ntot >= 60


@pytest.mark.parametrize("method", ["euler_maruyama", "ode_heun", "none"])
@pytest.mark.parametrize("corrector", ["langevin", "annealed_langevin"])
def test_every_corrector_takes_a_new_process(method, corrector):
    """Truth as above."""
    options = {"corrections": 4, "snr": 0.4} if method == "none" else {"snr": 0.1}
    out, _ = draw(cosine(), method=method, corrector=corrector, **options)
    assert metrics.sliced_w2(out, real()) < 0.2


def test_the_likelihood_of_a_new_process_is_the_log_density():
    """Truth: the mixture's density at eps; T is so near 1 that the prior is right to 1e-3."""
    from sde_todo.likelihood import log_likelihood

    process, x = cosine(T=0.9998), DATA.sample(30).double()
    one = torch.full((1,), 1e-3, dtype=torch.float64)
    alpha, std = alpha_std(process, one, x[:1])
    got = log_likelihood(process, DATA.score_fn(process), x, 1e-3, 1e-6)
    error = (got - DATA.log_prob(x, alpha, std)).abs().max()
    assert error < 5e-3, error


@pytest.mark.parametrize("density", ["uniform", "debiased"])
def test_the_bound_of_a_new_process_is_the_log_density(density):
    """Truth as above, within four standard errors: the bound is tight at the exact score."""
    from sde_todo.likelihood import elbo

    process, x = cosine(T=0.99), DATA.sample(8000).double()
    got = elbo(process, DATA.score_fn(process), x, 1e-2, 8, density) - DATA.log_prob(x)
    assert got.mean().abs() < 4 * got.std() / math.sqrt(len(x))


def test_the_family_of_bounds_of_a_new_process_reaches_the_likelihood():
    """Truth: `log_likelihood`; Euler's error at lam = 1 halves with the step."""
    from sde_todo.likelihood import log_likelihood, path_elbo

    x = DATA.sample(20).double()
    errors = []
    for N in (60, 120):
        process = cosine(N, T=0.9)
        score = DATA.score_fn(process)
        truth = log_likelihood(process, score, x, 0.05, 1e-6)
        got = path_elbo(process, score, x, 1.0, 0.05, "exact")
        errors.append((got - truth).abs().mean().item())
    assert errors[0] / errors[1] == pytest.approx(2, abs=0.5), errors


def test_codes_of_a_new_process_come_back():
    """Truth: the data themselves."""
    from sde_todo.likelihood import decode, encode

    process, x = cosine(), DATA.sample(30).double()
    score = DATA.score_fn(process)
    code = encode(process, score, x, 1e-3, 1e-7)
    assert torch.allclose(decode(process, score, code, 1e-3, 1e-7), x, atol=1e-3)


def test_training_times_of_a_new_process():
    """Truth: debiased times are uniform in log(std/alpha) = log tan(pi t/2); mean weight 1."""
    from sde_todo.loss import sample_time

    process, eps = cosine(), 1e-2
    t, weight = sample_time(5000, process, eps)
    assert kstest(t.numpy(), "uniform", (eps, process.T - eps)).pvalue > 0.01
    assert torch.equal(weight, torch.ones(5000))
    t, weight = sample_time(5000, process, eps, "debiased")
    low, high, value = (np.log(np.tan(np.pi / 2 * v)) for v in (eps, process.T, t.double().numpy()))
    assert kstest(value, "uniform", (low, high - low)).pvalue > 0.01
    assert weight.mean().item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("method", METHODS)
def test_images_take_a_new_process_and_every_corrector(method):
    """Truth: N(0, I) stays N(0, I), so that the pixels have mean 0 and standard deviation 1."""
    from sde_todo.sampling import Sampler

    images, correctors = torch.randn(40, 3, 4, 4), ("none", "langevin", "annealed_langevin")
    for corrector in correctors[: 1 if method in ("rk45", "multistep") else 3]:
        torch.manual_seed(0)
        options = {} if corrector == "none" else {"snr": 0.05}
        sampler = Sampler(1e-2, method, corrector=corrector, **options)
        draw = sampler.get_sampling_fn(cosine().reverse(normal_score), images)
        out = draw(60)[0]
        assert out.shape == (60, 3, 4, 4)
        assert abs(out.mean()) < 0.1, corrector
        # "multistep" ends with the denoised images, in the range of the given ones.
        assert out.std().item() == pytest.approx(1, abs=0.1), corrector


def test_likelihoods_of_images_under_a_new_process():
    """Truth: the density of N(0, I) itself, which the flow of the ODE leaves unchanged."""
    from sde_todo.likelihood import decode, elbo, encode, log_likelihood, path_elbo

    process, x = cosine(200, T=0.9), torch.randn(6, 3, 4, 4, dtype=torch.float64)
    truth = process.prior_logp(x)
    assert torch.allclose(log_likelihood(process, normal_score, x), truth, atol=1e-4)
    assert torch.allclose(encode(process, normal_score, x), x, atol=1e-4)
    assert torch.allclose(decode(process, normal_score, x), x, atol=1e-4)
    assert torch.allclose(path_elbo(process, normal_score, x, 1.0), truth, atol=1e-4)
    many = x[:1].expand(2000, 3, 4, 4)
    for draws in (
        elbo(process, normal_score, many, 1e-3, 4, "debiased"),
        path_elbo(process, normal_score, many[:500], 0.5),
    ):
        error = draws.std() / math.sqrt(len(draws))
        assert draws.shape == (len(draws),) and (draws.mean() - truth[0]).abs() < 4 * error


@pytest.mark.parametrize("name", ["Cosine", "OU", "VPSDE", "SubVPSDE", "VESDE"])
@pytest.mark.parametrize(("method", "evaluations"), [(stochastic_heun, 2), (exponential_step, 1)])
def test_a_new_predictor_draws_the_mixture(name, method, evaluations):
    """Truth: fresh points of the mixture; two real sets of 2000 are .09 apart."""
    from sde_todo import sde

    options = {"sigma_min": 0.05, "sigma_max": 10.0} if name == "VESDE" else {}
    process = cosine() if name == "Cosine" else getattr(sde, name)(N=60, **options)
    rho = 1.0 if name in ("Cosine", "VESDE") else 2.0
    out, ntot = draw(process, method=method, rho=rho)
    assert ntot == 60 * evaluations
    assert metrics.sliced_w2(out, real()) < 0.17


@pytest.mark.parametrize("method", ["euler_maruyama", "ode_heun", stochastic_heun, "none"])
def test_a_new_corrector_draws_the_mixture(method):
    """Truth as above; alone it gets more and larger steps."""
    options = {"corrections": 10, "snr": 0.15} if method == "none" else {"snr": 0.1}
    out, ntot = draw(cosine(), method=method, corrector=fixed_langevin, **options)
    evaluations = {"euler_maruyama": 1, "ode_heun": 2, stochastic_heun: 2, "none": 0}[method]
    assert ntot == 60 * (evaluations + options.get("corrections", 1))
    assert metrics.sliced_w2(out, real()) < 0.17


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"corrector": "langvin"}, "Unknown corrector 'langvin'. Known: langevin, annealed"),
        ({"corrector": "langevin", "corrections": 0}, "corrections = 0: take at least 1"),
        ({"corrector": "langevin", "method": "rk45"}, "rk45 takes no corrector; choose one of"),
        ({"corrector": "langevin", "method": "multistep"}, "multistep takes no corrector"),
        ({"corrector": fixed_langevin, "method": "rk45"}, "rk45 takes no corrector"),
        ({"method": "heun"}, "Unknown method 'heun'. Known: euler_maruyama"),
    ],
)
def test_bad_arguments_of_a_sampler_are_one_clear_sentence(options, message):
    """Truth: the sentence, which names the bad value and the good ones."""
    from sde_todo.sampling import Sampler

    with pytest.raises(ValueError, match=message) as error:
        Sampler(**options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("method", ["ancestral", "reverse_diffusion", "predictor_corrector"])
def test_a_member_of_the_family_that_a_method_would_ignore_is_refused(method):
    """Truth: these methods reverse the SDE whatever lam says."""
    from sde_todo.sampling import Sampler

    reverse = cosine(5).reverse(normal_score, lam=0.5)
    with pytest.raises(ValueError, match=f"{method} draws from the reverse SDE, lam = 0, not"):
        Sampler(method=method).get_sampling_fn(reverse, real())
