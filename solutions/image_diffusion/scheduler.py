"""Task 2.1: noise schedules, and one step of DDPM, DDIM and DPM-Solver++.

A schedule gives betas_t for t = 0 .. T-1 and, with alpha_t = 1 - beta_t and abar_t the product of
alpha_0 .. alpha_t,

    x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) noise.

A step goes from x_t to x_s, where s is the next entry of `timesteps`, or the data (abar = 1) after
the last one. Timesteps are whole numbers that all images of a batch share; `add_noise` takes one
for each image.
"""

import math
from numbers import Integral

import numpy as np
import torch
from torch import Tensor, nn

from given.levels import NoiseLevels, karras_sigmas, log_snr_of
from given.noise import noise_like


def make_betas(T: int, beta_1: float = 1e-4, beta_T: float = 0.02, mode: str = "linear") -> Tensor:
    """beta_0 .. beta_{T-1} of a schedule.

    linear: from beta_1 to beta_T in equal steps, both ends included (Ho et al. 2020).
    quad: the squares of numbers in equal steps from sqrt(beta_1) to sqrt(beta_T).
    cosine: beta_t = min(1 - f(t + 1) / f(t), .999) with f(t) = cos^2((t / T + s) / (1 + s) pi / 2)
    and s = .008 (Nichol and Dhariwal 2021, eq. 17).

    Args:
        T: number of timesteps.
        beta_1: first beta (linear, quad).
        beta_T: last beta (linear, quad).
        mode: as above.

    Returns:
        (T,) float64 tensor.

    Raises:
        ValueError: an unknown mode.
    """
    if mode not in ("linear", "quad", "cosine"):
        raise ValueError(f"Unknown mode {mode!r}; use 'linear', 'quad' or 'cosine'.")
    # BEGIN SOLUTION 2.1a
    # Hint: torch.linspace(..., dtype=torch.float64) includes both ends.
    # Hint: cosine: f at the T + 1 points t = 0 .. T gives all T ratios f(t + 1) / f(t) at once.
    if mode == "linear":
        return torch.linspace(beta_1, beta_T, T, dtype=torch.float64)
    if mode == "quad":
        return torch.linspace(beta_1**0.5, beta_T**0.5, T, dtype=torch.float64) ** 2
    t = torch.arange(T + 1, dtype=torch.float64)
    f = torch.cos((t / T + 0.008) / 1.008 * math.pi / 2) ** 2
    return (1 - f[1:] / f[:-1]).clamp(max=0.999)
    # END SOLUTION


def make_alphas(betas: Tensor) -> tuple[Tensor, Tensor]:
    """alpha_t = 1 - beta_t and abar_t, the product of alpha_0 .. alpha_t.

    Args:
        betas: (T,).

    Returns:
        alphas (T,), alphas_cumprod (T,).
    """
    # BEGIN SOLUTION 2.1b
    # Hint: torch.cumprod.
    alphas = 1 - betas
    return alphas, torch.cumprod(alphas, dim=0)
    # END SOLUTION


class BaseScheduler(nn.Module):
    """A schedule, the noise it adds, and the timesteps that sampling visits.

    Args:
        num_train_timesteps: T.
        beta_1: see `make_betas`.
        beta_T: see `make_betas`.
        mode: see `make_betas`.

    Attributes:
        betas, alphas, alphas_cumprod: (T,) float32.
        levels: the same levels as a NoiseLevels.
        timesteps: (n,) whole numbers, falling.
        clip: whether steps of DDPM and DDIM keep x_0 in [-1, 1]; off unless set.
    """

    clip = False

    def __init__(
        self,
        num_train_timesteps: int = 1000,
        beta_1: float = 1e-4,
        beta_T: float = 0.02,
        mode: str = "linear",
    ) -> None:
        super().__init__()
        self.num_train_timesteps = num_train_timesteps
        self.config = {
            "num_train_timesteps": num_train_timesteps,
            "beta_1": beta_1,
            "beta_T": beta_T,
            "mode": mode,
        }
        betas = make_betas(num_train_timesteps, beta_1, beta_T, mode)
        alphas, alphas_cumprod = make_alphas(betas)
        self.register_buffer("betas", betas.float(), persistent=False)
        self.register_buffer("alphas", alphas.float(), persistent=False)
        self.register_buffer("alphas_cumprod", alphas_cumprod.float(), persistent=False)
        self.levels = NoiseLevels(alphas_cumprod)
        self.exact = alphas_cumprod.double()  # on the CPU, for `abar`: no step waits for a device
        self.timesteps = torch.arange(num_train_timesteps - 1, -1, -1)

    def uniform_sample_t(self, batch_size: int) -> Tensor:
        """(batch_size,) timesteps, each of 0 .. T-1 as likely as any other."""
        device = self.betas.device
        return torch.randint(self.num_train_timesteps, (batch_size,), device=device)

    def add_noise(
        self, original_sample: Tensor, timesteps: Tensor, noise: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Draw x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) noise (Ho et al. 2020, eq. 4).

        Args:
            original_sample: x_0 (B, C, H, W).
            timesteps: (B,), one for each image.
            noise: like x_0; drawn by default.

        Returns:
            x_t (B, C, H, W), and the noise that is in it.
        """
        # BEGIN SOLUTION 2.1c
        # Hint: alphas_cumprod[timesteps] has shape (B,); give it three more axes of length 1.
        # Hint: noise_like(x) draws standard normal numbers in the shape of x.
        if noise is None:
            noise = noise_like(original_sample)
        abar = self.alphas_cumprod[timesteps].reshape(-1, 1, 1, 1)
        return abar.sqrt() * original_sample + (1 - abar).sqrt() * noise, noise
        # END SOLUTION

    def set_timesteps(self, n: int, spacing: str = "trailing") -> None:
        """Choose the n timesteps that sampling visits, largest first; sets `timesteps`.

        trailing: round(T - i T / n) - 1 for i = 0 .. n-1; the first is T - 1, pure noise.
        leading: (n - 1 - i) floor(T / n); the last is 0, and the first may stay far below T - 1.
        (Lin et al. 2024, table 2. Halves are rounded to the even neighbour, as NumPy does.)

        Args:
            n: number of steps, 1 .. T.
            spacing: "trailing" or "leading".

        Raises:
            ValueError: n out of range, or an unknown spacing.
        """
        T = self.num_train_timesteps
        self._check_steps(n, spacing, ("trailing", "leading"))
        # BEGIN SOLUTION 2.1f
        # Hint: floor(T / n) is T // n.
        # Hint: trailing: np.round(np.arange(T, 0, -T / n)) - 1, cut to n entries.
        if spacing == "leading":
            timesteps = np.arange(n)[::-1] * (T // n)
        else:
            timesteps = np.round(T - np.arange(n) * (T / n)) - 1
        self.timesteps = torch.from_numpy(timesteps.astype(np.int64))
        # END SOLUTION

    def previous(self, timestep: int | Tensor) -> int:
        """The timestep that sampling visits after this one; -1, the data, after the last."""
        later = self.timesteps[self.timesteps < int(timestep)]
        return int(later.max()) if len(later) else -1

    def abar(self, timestep: int | Tensor) -> Tensor:
        """abar_t of a timestep, as a float64 tensor without axes; 1 for timestep -1, the data."""
        if timestep < 0:
            return torch.ones((), dtype=torch.float64)
        return self.exact[int(timestep)]

    def clipped(self, sample: Tensor, timestep: int | Tensor, noise_pred: Tensor) -> Tensor:
        """The noise whose x_0 lies in [-1, 1], where `clip` is set; else the noise as it is.

        A small error of the noise is a large one of

            x_0 = (x_t - sqrt(1 - abar_t) noise) / sqrt(abar_t)

        where abar_t is near 0: 1% becomes 16 at the first timestep of the cosine schedule. So x_0
        is clipped, and the noise follows it (Ho et al. 2020; Dhariwal and Nichol 2021).

        Args:
            sample: x_t (B, C, H, W).
            timestep: t.
            noise_pred: like x_t.

        Returns:
            like x_t.
        """
        if not self.clip:
            return noise_pred
        abar = self.abar(timestep)
        x0 = (sample - (1 - abar).sqrt() * noise_pred) / abar.sqrt()
        return (sample - abar.sqrt() * x0.clamp(-1, 1)) / (1 - abar).sqrt()

    def timestep_of(self, abar: Tensor) -> Tensor:
        """Where the schedule has these abar: fractional timesteps, even in log SNR between two.

        Args:
            abar: (B,) in (0, 1), on the scheduler's device; what lies outside the schedule takes
                its first or last timestep.

        Returns:
            (B,) float32.
        """
        return self.levels.timestep_at(torch.logit(abar))

    def _check_steps(self, n, spacing, known):
        if not isinstance(n, Integral) or not 1 <= n <= self.num_train_timesteps:
            raise ValueError(
                f"{n} steps are not possible; the schedule has {self.num_train_timesteps}, "
                f"so use 1 to {self.num_train_timesteps}."
            )
        if spacing not in known:
            raise ValueError(f"Unknown spacing {spacing!r}; use {' or '.join(known)}.")


class DDPMScheduler(BaseScheduler):
    """The ancestral sampler of Ho et al. 2020.

    Args:
        sigma_type: "small", the posterior's variance beta~, or "large", beta itself.
        num_train_timesteps: T of the schedule.
        beta_1: see `make_betas`.
        beta_T: see `make_betas`.
        mode: see `make_betas`.
    """

    def __init__(
        self,
        num_train_timesteps: int = 1000,
        beta_1: float = 1e-4,
        beta_T: float = 0.02,
        mode: str = "linear",
        sigma_type: str = "small",
    ) -> None:
        super().__init__(num_train_timesteps, beta_1, beta_T, mode)
        if sigma_type not in ("small", "large"):
            raise ValueError(f"Unknown sigma_type {sigma_type!r}; use 'small' or 'large'.")
        self.sigma_type = sigma_type

    def step(self, sample: Tensor, timestep: int | Tensor, noise_pred: Tensor) -> Tensor:
        """One step x_t -> x_s of the reverse chain (Ho et al. 2020, algorithm 2).

        With alpha = abar_t / abar_s and beta = 1 - alpha (alpha_t and beta_t where s = t - 1):

            mean = (x_t - beta / sqrt(1 - abar_t) noise_pred) / sqrt(alpha)
            variance = beta                                      "large"
                     = beta (1 - abar_s) / (1 - abar_t)          "small"

        and no noise in the last step, the one to the data.

        Args:
            sample: x_t (B, C, H, W).
            timestep: t.
            noise_pred: like x_t.

        Returns:
            x_s (B, C, H, W).
        """
        s = self.previous(timestep)
        abar_t, abar_s = self.abar(timestep), self.abar(s)
        noise_pred = self.clipped(sample, timestep, noise_pred)
        # BEGIN SOLUTION 2.1d
        # Hint: s is -1 in the last step: return the mean itself.
        # Hint: the noise is multiplied by a standard deviation, the root of the variance.
        alpha = abar_t / abar_s
        beta = 1 - alpha
        mean = (sample - beta / (1 - abar_t).sqrt() * noise_pred) / alpha.sqrt()
        if s < 0:
            return mean
        variance = beta if self.sigma_type == "large" else beta * (1 - abar_s) / (1 - abar_t)
        return mean + variance.sqrt() * noise_like(sample)
        # END SOLUTION


class DDIMScheduler(BaseScheduler):
    """The sampler of Song et al. 2021 (DDIM), from deterministic to ancestral.

    Args:
        eta: 0 is deterministic, 1 has the noise of DDPM; `step` uses it where it is given none.
        num_train_timesteps: T of the schedule.
        beta_1: see `make_betas`.
        beta_T: see `make_betas`.
        mode: see `make_betas`.
    """

    def __init__(
        self,
        num_train_timesteps: int = 1000,
        beta_1: float = 1e-4,
        beta_T: float = 0.02,
        mode: str = "linear",
        eta: float = 0.0,
    ) -> None:
        super().__init__(num_train_timesteps, beta_1, beta_T, mode)
        self.eta = eta

    def step(
        self, sample: Tensor, timestep: int | Tensor, noise_pred: Tensor, eta: float | None = None
    ) -> Tensor:
        """One step x_t -> x_s (Song et al. 2021, eq. 12 and 16).

            x0 = (x_t - sqrt(1 - abar_t) noise_pred) / sqrt(abar_t)
            sigma = eta sqrt((1 - abar_s) / (1 - abar_t)) sqrt(1 - abar_t / abar_s)
            x_s = sqrt(abar_s) x0 + sqrt(1 - abar_s - sigma^2) noise_pred + sigma noise

        The last step goes to abar_s = 1, where all of it is x0.

        Args:
            sample: x_t (B, C, H, W).
            timestep: t.
            noise_pred: like x_t.
            eta: that of the scheduler by default.

        Returns:
            x_s (B, C, H, W).
        """
        eta = self.eta if eta is None else eta
        abar_t, abar_s = self.abar(timestep), self.abar(self.previous(timestep))
        noise_pred = self.clipped(sample, timestep, noise_pred)
        # BEGIN SOLUTION 2.1g
        # Hint: the three lines of the docstring; abar_s is 1 in the last step already.
        x0 = (sample - (1 - abar_t).sqrt() * noise_pred) / abar_t.sqrt()
        sigma = eta * ((1 - abar_s) / (1 - abar_t) * (1 - abar_t / abar_s)).sqrt()
        x_s = abar_s.sqrt() * x0 + (1 - abar_s - sigma**2).clamp(min=0).sqrt() * noise_pred
        if sigma == 0:
            return x_s
        return x_s + sigma * noise_like(sample)
        # END SOLUTION


class DPMSolverScheduler(BaseScheduler):
    """DPM-Solver++ 2M (Lu et al. 2022): second order from one evaluation a step. Optional.

    It remembers the x0 of the step before, and starts over at the first timestep.
    """

    before = None  # (x0, h) of the step before
    SIGMAS = (0.02, 80.0)  # smallest and largest noise-to-signal ratio of `spacing="karras"`

    def set_timesteps(self, n: int, spacing: str = "karras") -> None:
        """Choose n timesteps: "karras", "trailing" or "leading".

        karras: the timesteps whose sqrt(1 - abar) / sqrt(abar) is nearest to the sequence of Karras
        et al. 2022, eq. 5, with rho = 7; where several levels have one nearest timestep, they take
        its neighbours, so that there are always n steps. See BaseScheduler for the others.
        """
        if spacing != "karras":
            super().set_timesteps(n, spacing)
            return
        self._check_steps(n, spacing, ("karras",))
        sigmas = karras_sigmas(n, *self.SIGMAS)[:-1].float().to(self.betas.device)
        nearest = self.levels.timestep_at(log_snr_of(sigmas)).round().long().flip(0).cpu()
        rank = torch.arange(n)  # rising by 1 or more is not to fall less the rank
        spread = (nearest - rank).cummax(0).values.clamp(max=self.num_train_timesteps - n)
        self.timesteps = (spread + rank).flip(0)

    def step(self, sample: Tensor, timestep: int | Tensor, noise_pred: Tensor) -> Tensor:
        """One step x_t -> x_s (Lu et al. 2022, algorithm 2), x0 clamped to [-1, 1].

        With a = sqrt(abar), sigma = sqrt(1 - abar), lambda = log(a / sigma), h = lambda_s -
        lambda_t and h' the h of the step before, whose prediction was x0':

            x0 = (x_t - sigma_t noise_pred) / a_t, clamped
            D = (1 + h / (2 h')) x0 - h / (2 h') x0'
            x_s = sigma_s / sigma_t x_t - a_s (exp(-h) - 1) D

        The first step has no x0' yet and takes D = x0. The last one goes to the data: x0 itself.

        Args:
            sample: x_t (B, C, H, W).
            timestep: t.
            noise_pred: like x_t.

        Returns:
            x_s (B, C, H, W).
        """
        s = self.previous(timestep)
        abar_t, abar_s = self.abar(timestep), self.abar(s)
        if int(timestep) == int(self.timesteps[0]):
            self.before = None
        # BEGIN SOLUTION 2.1h
        # Hint: keep (x0, h) in self.before at the end of every step but the last.
        # Hint: lambda = torch.logit(abar) / 2.
        a_t, sigma_t = abar_t.sqrt(), (1 - abar_t).sqrt()
        a_s, sigma_s = abar_s.sqrt(), (1 - abar_s).sqrt()
        x0 = ((sample - sigma_t * noise_pred) / a_t).clamp(-1, 1)
        if s < 0:
            return x0
        h = (torch.logit(abar_s) - torch.logit(abar_t)) / 2
        D = x0
        if self.before is not None:
            x0_before, h_before = self.before
            r = h / (2 * h_before)
            D = (1 + r) * x0 - r * x0_before
        self.before = (x0, h)
        return sigma_s / sigma_t * sample - a_s * torch.expm1(-h) * D
        # END SOLUTION
