"""Training objectives: which noise levels a network learns from, and what each counts.

Every linear process x(t) = alpha x_0 + std noise becomes, divided by sqrt(alpha^2 + std^2), the x_t
of the same log SNR, log(alpha^2 / std^2). So one network learns any of them, and an objective is a
law of the log SNR with a weight:

    E weight(log_snr) || noise - network(x_t, log_snr) ||^2.

Song et al. 2021, eq. 7, weigh the squared error of the score by lambda(t). The score is
-noise / std, so lambda = std^2 gives the weight 1, and the likelihood weighting lambda = g^2 (Song,
Durkan et al. 2021, theorem 1) gives g^2 / std^2. Over time this is, for every process, the fall of
the log SNR: g^2 / std^2 = -d/dt log(alpha^2 / std^2).

Each law is a function of `numbers` (B,), uniform in [0, 1) or standard normal, and of `ends`, the
largest and the smallest log SNR of the schedule. The network knows no level beyond these: a process
is trained on the part of its times [0, 1] that lies between them. Under the linear schedule of DDPM
that is t > .0008 of VP, t > .027 of sub-VP, and every t of VE.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from given.images.noise_predictor import SIGMA_DATA
from given.levels import log_snr_ends, log_snr_of, signal_and_noise

Ends = tuple[float, float]
Levels = tuple[Tensor, Tensor]  # log SNR (B,), weight (B,)


def vp(
    numbers: Tensor,
    ends: Ends,
    likelihood: bool = False,
    beta_min: float = 0.1,
    beta_max: float = 20.0,
) -> Levels:
    """VP at uniform times: alpha^2 = exp(-B), std^2 = 1 - exp(-B) (Song et al. 2021, eq. 33).

    With beta(t) = beta_min + (beta_max - beta_min) t and B its integral from 0 to t; g^2 = beta.

    Args:
        numbers: (B,) uniform.
        ends: see above.
        likelihood: weight g^2 / std^2, else 1.
        beta_min: beta at t = 0.
        beta_max: beta at t = 1.

    Returns:
        log SNR (B,), weight (B,).
    """
    reach = [math.log1p(math.exp(-log_snr)) for log_snr in ends]  # B there
    beta, B = beta_at_uniform_times(numbers, reach, beta_min, beta_max)
    nsr = torch.expm1(B)  # std^2 / alpha^2
    weight = beta * (1 + 1 / nsr) if likelihood else torch.ones_like(B)
    return -nsr.log(), weight


def subvp(
    numbers: Tensor,
    ends: Ends,
    likelihood: bool = False,
    beta_min: float = 0.1,
    beta_max: float = 20.0,
) -> Levels:
    """Sub-VP at uniform times: alpha^2 = exp(-B), std = 1 - exp(-B) (Song et al. 2021, eq. 29).

    So alpha / std = 1 / (2 sinh(B / 2)), and with g^2 = beta (1 - exp(-2 B)) the likelihood weight
    g^2 / std^2 is beta / tanh(B / 2).

    Args:
        numbers: (B,) uniform.
        ends: see above.
        likelihood: weight g^2 / std^2, else 1.
        beta_min: beta at t = 0.
        beta_max: beta at t = 1.

    Returns:
        log SNR (B,), weight (B,).
    """
    reach = [2 * math.asinh(math.exp(-log_snr / 2) / 2) for log_snr in ends]
    beta, B = beta_at_uniform_times(numbers, reach, beta_min, beta_max)
    weight = beta / torch.tanh(B / 2) if likelihood else torch.ones_like(B)
    return log_snr_of(2 * torch.sinh(B / 2)), weight


def beta_at_uniform_times(
    numbers: Tensor, reach: list[float], beta_min: float, beta_max: float
) -> tuple[Tensor, Tensor]:
    """beta(t) and its integral B(t) at times that are uniform between two values of B.

    Args:
        numbers: (B,) uniform.
        reach: B at the first and at the last time; 1 at the latest.
        beta_min: beta at t = 0.
        beta_max: beta at t = 1.

    Returns:
        beta (B,), B (B,).
    """
    slope = beta_max - beta_min
    # B = beta_min t + slope t^2 / 2, solved for t
    first, last = ((math.sqrt(beta_min**2 + 2 * slope * B) - beta_min) / slope for B in reach)
    t = first + (min(last, 1) - first) * numbers
    return beta_min + slope * t, beta_min * t + slope * t**2 / 2


def ve(
    numbers: Tensor,
    ends: Ends,
    likelihood: bool = False,
    sigma_min: float = 0.02,
    sigma_max: float = 100.0,
) -> Levels:
    """VE at uniform times: sigma(t) = sigma_min (sigma_max / sigma_min)^t (Song et al. 2021, C).

    g^2 = 2 sigma^2 log(sigma_max / sigma_min), so the likelihood weight is a constant. For pixels
    in [-1, 1] the sigmas are twice those of the paper, whose pixels lie in [0, 1].

    Args:
        numbers: (B,) uniform.
        ends: see above.
        likelihood: weight g^2 / std^2, else 1.
        sigma_min: sigma at t = 0.
        sigma_max: sigma at t = 1.

    Returns:
        log SNR (B,), weight (B,).
    """
    fall = 2 * math.log(sigma_max / sigma_min)  # of the log SNR, from t = 0 to t = 1
    start = -2 * math.log(sigma_min)
    first, last = (min(max((start - log_snr) / fall, 0), 1) for log_snr in ends)
    log_snr = start - fall * (first + (last - first) * numbers)
    return log_snr, torch.full_like(log_snr, fall if likelihood else 1.0)


def smld(
    numbers: Tensor, ends: Ends, N: int = 1000, sigma_min: float = 0.02, sigma_max: float = 100.0
) -> Levels:
    """SMLD: N scales in geometric sequence, one as likely as another, and lambda = sigma_i^2.

    sigma_i = sigma_min (sigma_max / sigma_min)^(i / (N - 1)), i = 0 .. N-1 (Song and Ermon 2019,
    eq. 5 and 6); the weight of the noise's error is 1.

    Args:
        numbers: (B,) uniform.
        ends: see above.
        N: length of the sequence.
        sigma_min: its first scale.
        sigma_max: its last scale.

    Returns:
        log SNR (B,), weight (B,).
    """
    start, fall = -2 * math.log(sigma_min), 2 * math.log(sigma_max / sigma_min) / (N - 1)
    first, last = ((start - log_snr) / fall for log_snr in ends)
    first, last = max(math.ceil(first), 0), min(math.floor(last), N - 1)
    index = first + (numbers * (last - first + 1)).floor()
    return start - fall * index, torch.ones_like(index)


def edm(numbers: Tensor, ends: Ends, mean: float = -1.2, std: float = 1.2) -> Levels:
    """EDM: log sigma is normal; lambda = (sigma^2 + sigma_data^2) / (sigma sigma_data)^2.

    The error of D is sigma times that of the noise, which therefore has the weight lambda sigma^2 =
    1 + sigma^2 / sigma_data^2; then the error of F has the weight lambda c_out^2 = 1 (Karras et al.
    2022, eq. 8 and table 1). Levels beyond the ends take the nearer end.

    Args:
        numbers: (B,) standard normal.
        ends: see above.
        mean: of log sigma.
        std: of log sigma.

    Returns:
        log SNR (B,), weight (B,).
    """
    highest, lowest = ends
    log_snr = (-2 * (mean + std * numbers)).clamp(lowest, highest)
    return log_snr, 1 + torch.exp(-log_snr) / SIGMA_DATA**2


CONTINUOUS = {"vp": vp, "subvp": subvp, "ve": ve}  # these have a likelihood weighting
OBJECTIVES: dict[str, Callable[..., Levels]] = CONTINUOUS | {"smld": smld, "edm": edm}


def draw_levels(
    name: str, scheduler: Any, B: int, generator: torch.Generator, likelihood: bool = False
) -> Levels:
    """Draw the noise levels of a batch.

    Args:
        name: one of OBJECTIVES.
        scheduler: see scheduler.py; its ends are the law's ends.
        B: number of images.
        generator: on any device; the levels are drawn there.
        likelihood: with its weighting.

    Returns:
        log SNR (B,), weight (B,).
    """
    draw = torch.randn if name == "edm" else torch.rand
    numbers = draw(B, generator=generator, device=generator.device)
    ends = log_snr_ends(scheduler)
    if name in CONTINUOUS:
        return CONTINUOUS[name](numbers, ends, likelihood)
    return OBJECTIVES[name](numbers, ends)


class NoiseError(nn.Module):
    """The weighted error of the noise at any level: `DiffusionModule.get_loss` between timesteps.

    Args:
        model: a DiffusionModule.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        x0: Tensor,
        class_label: Tensor | None,
        noise: Tensor,
        log_snr: Tensor,
        weight: Tensor,
    ) -> Tensor:
        """E weight || noise - network(x_t, log_snr) ||^2, x_t = a x_0 + s noise, a^2 + s^2 = 1.

        Args:
            x0: (B, C, H, W) in [-1, 1].
            class_label: (B,) from 1, or None.
            noise: like x0.
            log_snr: (B,) of `draw_levels`.
            weight: (B,) of `draw_levels`.

        Returns:
            a tensor without axes.
        """
        if class_label is not None:
            class_label = self.model.drop_labels(class_label)
        a, s = signal_and_noise(log_snr)
        missed = self.model.network.at_log_snr(a * x0 + s * noise, log_snr, class_label) - noise
        return (weight[:, None, None, None] * missed.square()).mean()
