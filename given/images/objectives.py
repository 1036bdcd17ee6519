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

import functools
import math
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from given.images.noise_predictor import SIGMA_DATA
from given.levels import log_snr_ends, log_snr_of, signal_and_noise

Ends = tuple[float, float]
Levels = tuple[Tensor, Tensor]  # log SNR (B,), weight (B,)


class Continuous(Protocol):
    """A process on the times [0, 1], as its log SNR."""

    def time_at(self, log_snr: float) -> float:
        """The time at which the process has this log SNR; the nearer end where it never has."""

    def at(self, t: Tensor) -> Levels:
        """The log SNR at times t (B,), and its fall g^2 / std^2 there."""


class VP:
    """VP: alpha^2 = exp(-B), std^2 = 1 - exp(-B), g^2 = beta (Song et al. 2021, eq. 33).

    With beta(t) = beta_min + (beta_max - beta_min) t and B its integral from 0 to t.

    Args:
        beta_min: beta at t = 0.
        beta_max: beta at t = 1.
    """

    def __init__(self, beta_min: float = 0.1, beta_max: float = 20.0) -> None:
        self.beta_min, self.slope = beta_min, beta_max - beta_min

    def time_at(self, log_snr: float) -> float:
        """The root t of beta_min t + (beta_max - beta_min) t^2 / 2 = B; at most 1."""
        B = self.integral_at(log_snr)
        return min(
            (math.sqrt(self.beta_min**2 + 2 * self.slope * B) - self.beta_min) / self.slope, 1
        )

    def at(self, t: Tensor) -> Levels:
        """The log SNR, -log(exp(B) - 1), at times t (B,), and its fall g^2 / std^2."""
        beta, B = self.beta_at(t)
        nsr = torch.expm1(B)  # std^2 / alpha^2
        return -nsr.log(), beta * (1 + 1 / nsr)

    def beta_at(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """beta and its integral B at times t, like t."""
        return self.beta_min + self.slope * t, self.beta_min * t + self.slope * t**2 / 2

    def integral_at(self, log_snr: float) -> float:
        """B at a log SNR."""
        return math.log1p(math.exp(-log_snr))


class SubVP(VP):
    """Sub-VP: alpha^2 = exp(-B), std = 1 - exp(-B), g^2 = beta (1 - exp(-2 B)) (eq. 29).

    So alpha / std = 1 / (2 sinh(B / 2)), and g^2 / std^2 = beta / tanh(B / 2).
    """

    def at(self, t: Tensor) -> Levels:
        """The log SNR at times t (B,), and its fall g^2 / std^2."""
        beta, B = self.beta_at(t)
        return log_snr_of(2 * torch.sinh(B / 2)), beta / torch.tanh(B / 2)

    def integral_at(self, log_snr: float) -> float:
        """B at a log SNR."""
        return 2 * math.asinh(math.exp(-log_snr / 2) / 2)


class VE:
    """VE: sigma(t) = sigma_min (sigma_max / sigma_min)^t (Song et al. 2021, appendix C).

    g^2 = 2 sigma^2 log(sigma_max / sigma_min), so the log SNR falls evenly. For pixels in [-1, 1]
    the sigmas are twice those of the paper, whose pixels lie in [0, 1].

    Args:
        sigma_min: sigma at t = 0.
        sigma_max: sigma at t = 1.
    """

    def __init__(self, sigma_min: float = 0.02, sigma_max: float = 100.0) -> None:
        self.start, self.fall = -2 * math.log(sigma_min), 2 * math.log(sigma_max / sigma_min)

    def time_at(self, log_snr: float) -> float:
        """The time at which the process has this log SNR, within [0, 1]."""
        return min(max((self.start - log_snr) / self.fall, 0), 1)

    def at(self, t: Tensor) -> Levels:
        """The log SNR at times t (B,), and its fall g^2 / std^2."""
        return self.start - self.fall * t, torch.full_like(t, self.fall)


def uniform_times(
    process: Continuous, numbers: Tensor, ends: Ends, likelihood: bool = False
) -> Levels:
    """A process at uniform times.

    Args:
        process: VP, SubVP or VE.
        numbers: (B,) uniform.
        ends: see above.
        likelihood: weight g^2 / std^2, else 1.

    Returns:
        log SNR (B,), weight (B,).
    """
    first, last = (process.time_at(log_snr) for log_snr in ends)
    log_snr, fall = process.at(first + (last - first) * numbers)
    return log_snr, fall if likelihood else torch.ones_like(fall)


def debiased_times(process: Continuous, numbers: Tensor, ends: Ends) -> Levels:
    """A process with likelihood weighting, at times that take its weight off the loss.

        t ~ q(t) = g^2 / (std^2 Z),   Z the integral of g^2 / std^2 over the times,

    gives every image the weight g^2 / (std^2 q) / (length of the times) = Z / (length), and the
    loss the mean that it has at uniform times (Song, Durkan et al. 2021; Huang et al. 2021, section
    4; task 1.2j). As g^2 / std^2 is the fall of the log SNR, this is a log SNR that is uniform
    between its ends, and Z is their distance.

    Args:
        process: VP, SubVP or VE.
        numbers: (B,) uniform.
        ends: see above.

    Returns:
        log SNR (B,), weight (B,), a constant.
    """
    times = torch.tensor([process.time_at(log_snr) for log_snr in ends], dtype=torch.float64)
    highest, lowest = process.at(times)[0].tolist()
    log_snr = highest + (lowest - highest) * numbers
    return log_snr, torch.full_like(log_snr, (highest - lowest) / (times[1] - times[0]).item())


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


# These have a likelihood weighting.
CONTINUOUS: dict[str, Continuous] = {"vp": VP(), "subvp": SubVP(), "ve": VE()}
OBJECTIVES: dict[str, Callable[..., Levels]] = {
    name: functools.partial(uniform_times, process) for name, process in CONTINUOUS.items()
}
OBJECTIVES |= {"smld": smld, "edm": edm}


def draw_levels(
    name: str,
    scheduler: Any,
    B: int,
    generator: torch.Generator,
    likelihood: bool = False,
    debias: bool = False,
) -> Levels:
    """Draw the noise levels of a batch.

    Args:
        name: one of OBJECTIVES.
        scheduler: see scheduler.py; its ends are the law's ends.
        B: number of images.
        generator: on any device; the levels are drawn there.
        likelihood: with its weighting.
        debias: with its weighting, as `debiased_times`.

    Returns:
        log SNR (B,), weight (B,).
    """
    ends = log_snr_ends(scheduler)
    if name == "edm":
        return edm(spread_normals(B, generator), ends)
    numbers = spread_numbers(B, generator)
    if debias:
        return debiased_times(CONTINUOUS[name], numbers, ends)
    return OBJECTIVES[name](numbers, ends, *[likelihood] * (name in CONTINUOUS))


def spread_numbers(B: int, generator: torch.Generator) -> Tensor:
    """B numbers, each uniform in [0, 1), that lie evenly: (u + i / B) mod 1 with one u for all.

    A batch then has no chance gaps of its noise levels (Kingma et al. 2021, appendix I.1).

    Returns:
        (B,) on the device of the generator.
    """
    device = generator.device
    u = torch.rand(1, generator=generator, device=device)
    return (u + torch.arange(B, device=device) / B) % 1


def spread_normals(B: int, generator: torch.Generator) -> Tensor:
    """(B,) standard normal numbers that lie evenly in probability: those of `spread_numbers`."""
    numbers = spread_numbers(B, generator).clamp(1e-6, 1 - 1e-6)
    return math.sqrt(2) * torch.erfinv(2 * numbers - 1)


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
