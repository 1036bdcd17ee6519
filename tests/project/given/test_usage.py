"""What is passed in an unusual way works, or ends in a sentence: never in other numbers."""

import functools
import math

import pytest
import torch

from given.plane.mixture import demo_mixture
from given.plane.point_sets import make_points

DATA = demo_mixture()


def normal_score(t, x):
    """The score of N(0, I), which VP noise does not change."""
    return -x


def drawn(seed=0, n=50, N=20, **options):
    from sde_todo.sampling import Sampler
    from sde_todo.sde import VPSDE

    process = VPSDE(N=N)
    reverse = process.reverse(DATA.score_fn(process))
    torch.manual_seed(seed)
    return Sampler(**options).get_sampling_fn(reverse, DATA.sample(100))(n)[0]


def test_snr_belongs_to_predictor_corrector_too():
    """Truth: .16 is the default; another size is another walk, and none is reverse diffusion."""
    default, same, tiny = (
        drawn(method="predictor_corrector", **options)
        for options in ({}, {"snr": 0.16}, {"snr": 0.01})
    )
    assert torch.equal(default, same) and not torch.allclose(default, tiny, atol=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"snr": 0.1}, "snr = 0.1 is of a corrector, and euler_maruyama has none"),
        ({"method": "ode_heun", "snr": 0.1}, "ode_heun has none"),
        ({"method": "predictor_corrector", "corrections": 5}, "corrections = 5 need a corrector"),
        ({"corrections": 2}, "corrections = 2 need a corrector"),
        ({"order": 2}, "euler_maruyama takes no order; it is for multistep"),
        ({"method": "rk45", "order": 3}, "rk45 takes no order"),
        ({"method": "multistep", "tol": 1e-3}, "multistep takes no tol; it is for rk45"),
    ],
)
def test_an_option_that_the_method_does_not_use_is_refused(options, message):
    """Truth: the sentence, which names the option and its user."""
    from sde_todo.sampling import Sampler

    with pytest.raises(ValueError, match=message):
        Sampler(**options)


def test_each_option_has_an_effect_where_it_is_taken():
    """Truth: another order and another tolerance give other samples."""
    for method, options in (("multistep", {"order": 1}), ("rk45", {"tol": 0.1})):
        assert not torch.equal(drawn(method=method), drawn(method=method, **options))


def test_a_process_of_the_wrong_direction_is_named():
    """Truth: the sentence, at every door that wants one direction."""
    from sde_todo.likelihood import decode, elbo, encode, log_likelihood, path_elbo
    from sde_todo.network import get_score_fn
    from sde_todo.sampling import METHODS, Sampler
    from sde_todo.sde import VPSDE

    forward, x = VPSDE(N=5), torch.zeros(3, 2)
    reverse = forward.reverse(normal_score)
    for method in METHODS:
        with pytest.raises(ValueError, match=r"VPSDE runs from data to noise; pass its reverse"):
            Sampler(method=method).get_sampling_fn(forward, x)
    for f in (log_likelihood, elbo, path_elbo, encode, decode):
        with pytest.raises(
            ValueError, match="ReverseSDE runs from noise to data; pass the forward"
        ):
            f(reverse, normal_score, x)
    for call in (lambda: reverse.reverse(normal_score), lambda: get_score_fn(reverse, None)):
        with pytest.raises(
            ValueError, match="ReverseSDE runs from noise to data; pass the forward"
        ):
            call()


@pytest.mark.parametrize(
    ("T", "eps", "N", "rho"), [(10.0, 1e-7, 50, 1.0), (10.0, 1e-6, 200, 7.0), (1.0, 1e-7, 20, 3.0)]
)
def test_the_last_time_is_eps(T, eps, N, rho):
    """Truth: eps itself; float32 has s = T - t to T/10^7 only."""
    from sde_todo.sampling import Sampler, clock
    from sde_todo.sde import OU

    process, seen = OU(N=N, T=T), []

    def score_fn(t, x):
        assert t.dtype == x.dtype
        seen.append(t[0].item())
        return normal_score(t, x)

    times = clock(process, eps, rho, torch.zeros(3, 2))
    assert T - times[-1].item() == pytest.approx(eps, rel=1e-6) and (times.diff() > 0).all()
    sampler = Sampler(eps, "multistep", rho)
    sampler.get_sampling_fn(process.reverse(score_fn), torch.randn(9, 2))(4)
    assert seen[-1] == pytest.approx(eps, rel=1e-5) and len(set(seen)) == N + 1


def test_the_langevin_step_without_a_score_is_finite_and_short():
    """Truth: variance 2 eps with eps = 2 (2 snr std)^2, twice the annealed step."""
    from sde_todo.sde import VPSDE

    process, t = VPSDE(), torch.full((20_000,), 0.5)
    std = process.marginal_prob(t[:1], torch.ones(1, 1))[1].item()
    x = process.correct_fn(t, torch.zeros(20_000, 2), lambda t, x: 0 * x, 0.1)
    assert x.std().item() == pytest.approx(math.sqrt(4) * 2 * 0.1 * std, rel=0.02)
    assert process.correct_fn(0 * t, torch.ones(20_000, 2), lambda t, x: 0 * x).isfinite().all()


@pytest.mark.slow
def test_the_langevin_step_of_four_samples_is_near_the_law():
    """Truth: variance 1 of N(0, I); 1.3 with sqrt(D) in the step, 1.6 with |z|."""
    from sde_todo.sde import VPSDE

    process, t, variances = VPSDE(), torch.full((4,), 0.9), []
    torch.manual_seed(0)
    x = torch.randn(80, 4, 2)
    for k in range(120):
        x = torch.stack([process.correct_fn(t, each, normal_score) for each in x])
        variances += [x.var().item()] if k >= 30 else []
    assert 1 < sum(variances) / len(variances) < 1.45


def test_v_is_refused_where_it_is_not_defined():
    """Truth: alpha^2 + std^2 = 1 holds for OU and VP alone."""
    from sde_todo import sde
    from sde_todo.network import get_score_fn

    for name in ("SubVPSDE", "VESDE"):
        with pytest.raises(ValueError, match=f"which {name} misses by"):
            get_score_fn(getattr(sde, name)(), normal_score, "v")
    t, x = torch.tensor([0.3, 0.8]), torch.randn(2, 2)
    for process in (sde.OU(), sde.VPSDE()):
        alpha, std = process.marginal_prob(t, torch.ones(2, 1))
        x0, z = torch.randn(2, 2), torch.randn(2, 2)
        x = alpha * x0 + std * z
        score = get_score_fn(process, lambda t, x, a=alpha, s=std: a * z - s * x0, "v")(t, x)  # noqa: B023
        assert torch.allclose(score, -z / std, rtol=1e-3, atol=1e-4)


def test_bounds_come_without_a_graph():
    """Truth: NumPy takes them, and the network gets no gradient from them."""
    from sde_todo.likelihood import elbo, log_likelihood, path_elbo
    from sde_todo.network import SimpleNet, get_score_fn
    from sde_todo.sde import VPSDE

    process, x = VPSDE(N=3), torch.zeros(3, 2, requires_grad=True)
    score_fn = get_score_fn(process, SimpleNet(), "noise")
    for f in (elbo, path_elbo, functools.partial(log_likelihood, tol=0.1)):
        assert f(process, score_fn, x).numpy().shape == (3,)


@pytest.mark.parametrize("D", [2, 3, 40])
def test_bins_in_many_dimensions_stay_apart(D):
    """Truth: points further apart than a cell are centres of their own."""
    from sde_todo.loss import StableTarget

    points = torch.stack([torch.zeros(D), torch.ones(D), 2 * torch.eye(D)[0], 3 * torch.eye(D)[-1]])
    target = StableTarget(points.repeat(5, 1))
    assert len(target.centres) == 4 and torch.allclose(target.log_weight.exp(), torch.tensor(5.0))
    assert torch.allclose(target.centres.sort(0).values, points.sort(0).values, atol=1e-6)


@pytest.mark.slow
def test_the_default_centres_of_light_sb_are_those_that_work():
    """Truth: cBW2^2-UVP .2 from centres at the target, 35 from zeros, after 300 steps."""
    from given.bridges.truth import MixturePair, cbw2_uvp
    from sde_todo.light_sb import LightSB, fit_light_sb

    pair = MixturePair(1.0)
    x0, x1 = pair.sample_source(10_000, 1), pair.sample_target(10_000, 2)
    model = LightSB(pair.eps)
    fit_light_sb(model, x0, x1, steps=300)
    assert cbw2_uvp(pair, model.sample) < 2


def constant_net(t, x):
    return torch.ones(2, requires_grad=True).expand(len(x), 2)


def test_a_score_that_does_not_depend_on_x_has_no_divergence():
    """Truth: div = 0, so the loss is |s|^2/2 = 1; under VE the likelihood is that of a shift."""
    from sde_todo.likelihood import log_likelihood
    from sde_todo.loss import ISMLoss, SSMLoss, get_div
    from sde_todo.sde import VESDE

    t, x = torch.full((5,), 0.5), torch.randn(5, 2, requires_grad=True)
    for method in ("exact", "hutchinson"):
        assert torch.equal(get_div(constant_net(t, x), x, method), torch.zeros(5))
    assert ISMLoss()(t, x, constant_net).item() == SSMLoss()(t, x, constant_net).item() == 1
    process = VESDE(sigma_max=2.0)
    shifted = -0.5 * (4 - 1e-4) + torch.zeros(1, 2)  # the flow moves by -g^2/2, in all by this
    want = process.prior_logp(shifted).item()
    assert log_likelihood(process, constant_net, torch.zeros(1, 2)).item() == pytest.approx(
        want, abs=1e-2
    )


@pytest.mark.parametrize("name", ["SimpleNet", "Denoiser"])
def test_networks_take_float64(name):
    """Truth: the same numbers as in float32, in the dtype of the points."""
    from sde_todo import network
    from sde_todo.likelihood import log_likelihood
    from sde_todo.loss import DSMLoss
    from sde_todo.sde import VPSDE
    from sde_todo.train import get_sde_step_fn

    process = VPSDE()
    model = network.SimpleNet() if name == "SimpleNet" else network.Denoiser(process)
    predicts = "noise" if name == "SimpleNet" else "data"
    score_fn = network.get_score_fn(process, model, predicts)
    t, x = torch.full((5,), 0.5), torch.randn(5, 2)
    got = score_fn(t.double(), x.double())
    assert got.dtype == torch.float64 and torch.allclose(got.float(), score_fn(t, x), atol=1e-5)
    assert torch.allclose(model(t.double(), x), model(t, x.double()))
    assert log_likelihood(process, score_fn, x.double(), 0.1, 0.1).dtype == torch.float64
    opt = torch.optim.SGD(model.parameters(), 1e-3)
    step_fn = get_sde_step_fn(model, None, opt, DSMLoss(), process, predicts)
    assert math.isfinite(step_fn(make_points("moons", 64).double()))


def test_moments_of_one_point_are_refused():
    from sde_todo.sampling import Sampler
    from sde_todo.sde import VPSDE

    draw = Sampler(start="moments").get_sampling_fn(VPSDE().reverse(normal_score), torch.ones(1, 2))
    with pytest.raises(ValueError, match="at least 2 points"):
        draw(3)


def gradient_calls():
    """What takes a gradient of its own, and what takes the caller's."""
    from sde_todo.likelihood import elbo, log_likelihood, path_elbo
    from sde_todo.loss import ISMLoss, SSMLoss
    from sde_todo.network import SimpleNet
    from sde_todo.sde import VPSDE

    process, net = VPSDE(N=3), SimpleNet()
    own = [
        lambda f=f: f(process, DATA.score_fn(process), torch.zeros(3, 2))
        for f in (log_likelihood, elbo, path_elbo)
    ]
    callers = [lambda f=f: f(torch.ones(3), torch.ones(3, 2), net) for f in (ISMLoss(), SSMLoss())]
    return own, callers


def test_gradients_that_are_switched_off():
    """Truth: what has no graph leaves no_grad for a while; inference_mode stays."""
    own, callers = gradient_calls()
    with torch.no_grad():
        assert all(call().isfinite().all() for call in own)
        for call in callers:
            with pytest.raises(
                ValueError, match=r"no gradients in torch.no_grad\(\); call it outside"
            ):
                call()
    with torch.inference_mode():
        for call in own + callers:
            with pytest.raises(ValueError, match=r"no gradients in torch.inference_mode\(\)"):
                call()


def test_guidance_of_images_in_inference_mode_is_one_sentence():
    """Truth: the sentence; replacement takes no gradient and works."""
    from given.images.load import build_network
    from image_diffusion.ddpm import DiffusionModule
    from image_diffusion.inpainting import Inpainter
    from image_diffusion.scheduler import DDIMScheduler

    scheduler = DDIMScheduler(10)
    config = {
        "name": "PatchUNet",
        "image_resolution": 8,
        "in_ch": 1,
        "ch": (8, 16),
        "num_res_blocks": 1,
    }
    config |= {"T": 10, "use_cfg": False, "num_classes": 1, "predicts": "noise"}
    model = DiffusionModule(build_network(config, scheduler.alphas_cumprod), scheduler).eval()
    scheduler.set_timesteps(2)
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 4:] = 1
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            inpainter = Inpainter(model, torch.zeros(2, 1, 8, 8), mask)
            assert inpainter.replacement().shape == (2, 1, 8, 8)
            if mode is torch.no_grad:
                assert inpainter.mcg().isfinite().all()
                continue
            with pytest.raises(ValueError, match=r"no gradients in torch.inference_mode\(\); use"):
                inpainter.mcg()
