"""The noise level of a sample, in all the forms that samplers and networks use.

A sample x = alpha x_0 + std z has one noise level, whatever its scale. It is written as

    log_snr           log(alpha^2 / std^2)
    alphas_cumprod    alpha^2 / (alpha^2 + std^2) = sigmoid(log_snr), abar of Ho et al. 2020
    sigma             std / alpha = exp(-log_snr / 2), as in Karras et al. 2022
    timestep          0 .. T-1, whole or between two, of one schedule: see `NoiseLevels`

Networks take the log SNR: float32 holds it to 7 digits at both ends of a schedule, whereas
1 - abar loses them where abar is near 1.
"""

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor, nn

ScoreFn: TypeAlias = Callable[[Tensor, Tensor], Tensor]  # (t, x) -> like x


class Process(Protocol):
    """A forward process in N steps from 0 to T, as `sde_todo/sde.py` defines it."""

    N: int
    T: float

    def sde_coeff(self, t: Tensor, x: Tensor, /) -> tuple[Tensor, Tensor]:
        """Drift f and diffusion g."""

    def marginal_prob(self, t: Tensor, x: Tensor, /) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of X_t given X_0 = x."""

    def predict_fn(self, t: Tensor, x: Tensor, dt: float | None = None) -> Tensor:
        """One step of the process from time t."""

    def prior_sampling(self, x: Tensor, /) -> Tensor:
        """A draw of the prior, of the shape of x."""

    def prior_logp(self, x: Tensor, /) -> Tensor:
        """Log density (B,) of the prior, in nats."""

    def reverse(self, score_fn: ScoreFn, lam: float = 0.0) -> "ReverseProcess":
        """The process that runs this one backwards."""


class ReverseProcess(Process, Protocol):
    """The reverse process that `SDE.reverse(score_fn)` returns; its clock is s = T - t."""

    score_fn: ScoreFn

    def ode_coeff(self, s: Tensor, x: Tensor, /) -> tuple[Tensor, Tensor]:
        """Drift of the probability-flow ODE, and a diffusion of 0."""

    def predict_fn(
        self, s: Tensor, x: Tensor, dt: float | None = None, ode: bool = False
    ) -> Tensor:
        """One step from time s, of the SDE or of the ODE."""

    def correct_fn(self, s: Tensor, x: Tensor, snr: float = 0.16) -> Tensor:
        """One Langevin step at time s."""


class NoiseLevels(nn.Module):
    """The noise levels of a schedule: from timestep to log SNR, and back.

    Between two timesteps the log SNR is linear. Everything stays on the device of the buffer.

    Args:
        alphas_cumprod: (T,) abar of the schedule, falling; float64 keeps what abar near 1 tells.
            None for no schedule.
        persistent: whether a checkpoint holds the levels.

    Attributes:
        log_snr: (T,) float32, falling; or None.
    """

    log_snr: Tensor

    def __init__(self, alphas_cumprod: Tensor | None, persistent: bool = False) -> None:
        super().__init__()
        log_snr = None
        if alphas_cumprod is not None:
            log_snr = torch.logit(alphas_cumprod.double()).float()
        self.register_buffer("log_snr", log_snr, persistent)

    def log_snr_at(self, timestep: Tensor) -> Tensor:
        """The log SNR at timesteps.

        Args:
            timestep: (B,), whole or fractional; clamped to 0 .. T-1.

        Returns:
            (B,) float32.
        """
        last = len(self.log_snr) - 1
        k = timestep.float().clamp(0, last)
        low = k.long().clamp(max=max(last - 1, 0))
        high = (low + 1).clamp(max=last)
        return torch.lerp(self.log_snr[low], self.log_snr[high], (k - low).to(self.log_snr.dtype))

    def timestep_at(self, log_snr: Tensor) -> Tensor:
        """The timesteps at which the schedule has these log SNR; undoes `log_snr_at`.

        Args:
            log_snr: (B,); beyond the ends of the schedule it takes the first or last timestep.

        Returns:
            (B,) float32, fractional.
        """
        last = len(self.log_snr) - 1
        if last == 0:
            return torch.zeros_like(log_snr, dtype=torch.float32)
        rising, wanted = -self.log_snr, -log_snr.to(self.log_snr.dtype)
        high = torch.searchsorted(rising, wanted).clamp(1, last)
        low = high - 1
        part = (wanted - rising[low]) / (rising[high] - rising[low])
        return low + part.clamp(0, 1)


def sigma_of(log_snr: Tensor) -> Tensor:
    """sigma = std / alpha = exp(-log_snr / 2), of any shape."""
    return torch.exp(-log_snr / 2)


def log_snr_of(sigma: Tensor) -> Tensor:
    """log_snr = -2 log(sigma), of any shape."""
    return -2 * torch.log(sigma)


def signal_and_noise(log_snr: Tensor) -> tuple[Tensor, Tensor]:
    """The factors of x_t = a x_0 + s z with a^2 + s^2 = 1.

    Args:
        log_snr: (B,).

    Returns:
        a = sqrt(abar) and s = sqrt(1 - abar), (B, 1, 1, 1) each.
    """
    log_snr = log_snr[:, None, None, None]
    return log_snr.sigmoid().sqrt(), (-log_snr).sigmoid().sqrt()


def log_snr_ends(scheduler: Any) -> tuple[float, float]:
    """The largest and the smallest log SNR of a scheduler: at its first and last timestep."""
    first, last = (scheduler.abar(t) for t in (0, scheduler.num_train_timesteps - 1))
    return torch.logit(first).item(), torch.logit(last).item()


def karras_sigmas(
    n: int, sigma_min: float = 0.02, sigma_max: float = 80.0, rho: float = 7.0
) -> Tensor:
    """The noise levels of n steps, and the 0 after them (Karras et al. 2022, eq. 5).

        sigma_i = (sigma_max^(1/rho) + i / (n - 1) (sigma_min^(1/rho) - sigma_max^(1/rho)))^rho

    Args:
        n: number of steps; a single one goes from sigma_max to the data, to their mean.
        sigma_min: the last level.
        sigma_max: the first level.
        rho: how dense they lie at the small ones.

    Returns:
        (n + 1,) float64, falling to 0.

    Raises:
        ValueError: no steps, or levels in a wrong order.
    """
    if n < 1:
        raise ValueError(f"{n} steps are not possible; use at least 1.")
    if not 0 < sigma_min < sigma_max:
        raise ValueError(f"0 < sigma_min < sigma_max is needed, not {sigma_min} and {sigma_max}.")
    first, last = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    sigmas = torch.linspace(first, last, n, dtype=torch.float64) ** rho
    return torch.cat([sigmas, sigmas.new_zeros(1)])


def check_forward(sde: Process) -> None:
    """Refuse a reverse process, which has the same methods in another clock.

    Raises:
        ValueError: `sde` is reversed already.
    """
    if hasattr(sde, "score_fn"):
        raise ValueError(
            f"{type(sde).__name__} runs from noise to data; pass the forward process, whose "
            f"`reverse` made it."
        )


def check_reverse(sde: Process) -> None:
    """Refuse a forward process where samples are drawn: it would turn data into noise.

    Raises:
        ValueError: `sde` has no score.
    """
    if not hasattr(sde, "score_fn"):
        raise ValueError(
            f"{type(sde).__name__} runs from data to noise; pass its reverse, "
            f"sde.reverse(score_fn)."
        )


def alpha_std(sde: Process, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """The numbers alpha and std of X_t = alpha x_0 + std z, from marginal_prob.

    Args:
        sde: a process.
        t: (B,) times.
        x: (B, ...), for its shape, dtype and device.

    Returns:
        alpha and std, (B, 1, ..., 1) each, so that they multiply x sample by sample.
    """
    one = torch.ones(len(x), *[1] * (x.ndim - 1), dtype=x.dtype, device=x.device)
    alpha, std = sde.marginal_prob(t, one)
    return alpha, torch.as_tensor(std).to(x).expand_as(alpha)


def diffuse(
    sde: Process, t: Tensor | float, x0: Tensor, z: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Draw X_t = alpha x_0 + std z given x_0.

    Args:
        sde: a process.
        t: (B,), or one time for all.
        x0: (B, ...).
        z: like x0; standard normal and fresh by default.

    Returns:
        X_t and z, like x0.
    """
    z = torch.randn_like(x0) if z is None else z
    if not torch.is_tensor(t):
        t = torch.full((len(x0),), t, dtype=x0.dtype, device=x0.device)
    mean, std = sde.marginal_prob(t, x0)
    return mean + std * z, z
