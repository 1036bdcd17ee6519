"""Task 1.1: the processes that turn data into noise, and the same processes run backwards.

Every process here is a linear stochastic differential equation

    dX = f(t, X) dt + g(t) dW,        0 <= t <= T,

so X_t given X_0 = x0 is Gaussian, with a mean proportional to x0 and one standard deviation for
all coordinates. Time `t` has shape (B,), one per sample. `x` has shape (B, ...): points (B, 2)
and images (B, C, H, W) alike.

Sources: Song et al. 2021, "Score-based generative modeling through SDEs" (arXiv 2011.13456);
Huang et al. 2021, "A variational perspective on diffusion-based generative models"
(arXiv 2106.02808).
"""

import abc
import math

import torch
from torch import Tensor

from given.levels import ScoreFn, alpha_std, check_forward


class SDE(abc.ABC):
    """A forward process on [0, T], simulated in `N` steps.

    Subclasses say what the process is (`sde_coeff`, `marginal_prob`); everything else follows.

    Args:
        N: number of steps in which the process is simulated, at least 1.
        T: the time at which the data have become noise.
    """

    def __init__(self, N: int = 1000, T: float = 1.0) -> None:
        if N < 1:
            raise ValueError(f"N = {N}: a process needs at least one step; pass N >= 1.")
        if T <= 0:
            raise ValueError(f"T = {T}: time runs from 0 to T, so T must be positive.")
        self.N = N
        self.T = T

    @property
    def dt(self) -> float:
        """The length of one of N equal steps, T / N."""
        return self.T / self.N

    def per_sample(self, t: Tensor, x: Tensor) -> Tensor:
        """Return `t` as (B, 1, ..., 1), so that it multiplies `x` (B, ...) sample by sample.

        Raises:
            ValueError: `t` is not of shape (B,), or, on the CPU, leaves [0, T].
        """
        if t.ndim != 1 or len(t) != len(x):
            raise ValueError(
                f"t has shape {tuple(t.shape)} and x {tuple(x.shape)}: pass one time per sample, "
                f"shape ({len(x)},)."
            )
        slack = 1e-5 * self.T  # T - (T - t) is not t in float32
        on_cpu = t.device.type == "cpu"  # elsewhere to look at t would make the host wait
        if on_cpu and len(t) and not (-slack <= t.min() and t.max() <= self.T + slack):
            raise ValueError(
                f"t runs from {t.min():.4g} to {t.max():.4g}, but this process lives on "
                f"[0, {self.T:g}]; keep every t inside."
            )
        return t.clamp(0, self.T).to(x).reshape(-1, *[1] * (x.ndim - 1))

    @abc.abstractmethod
    def sde_coeff(self, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return drift f (shape of x) and diffusion g (broadcasts against x) at time t (B,)."""

    @abc.abstractmethod
    def marginal_prob(self, t: Tensor, x0: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean (shape of x0) and standard deviation (broadcasts against x0) of X_t | x0."""

    def prior_std(self) -> float:
        """Standard deviation of the prior N(0, prior_std^2 I), the law of X_T."""
        return 1.0

    def prior_sampling(self, x: Tensor) -> Tensor:
        """Draw from the prior, N(0, prior_std^2 I).

        Args:
            x: any tensor (B, ...); gives shape, device and dtype, its values are not used.
        """
        # BEGIN SOLUTION 1.1e
        # Hint: standard normal noise shaped like x, times self.prior_std().
        return self.prior_std() * torch.randn_like(x)
        # END SOLUTION

    def prior_logp(self, x: Tensor) -> Tensor:
        """Log density of the prior at each sample, in nats.

            log N(x; 0, s^2 I) = -|x|^2 / (2 s^2) - (D/2) log(2 pi s^2)

        Args:
            x: (B, ...), D numbers per sample.

        Returns:
            (B,) tensor.
        """
        # BEGIN SOLUTION 1.1e
        # Hint: flatten each sample to (B, D) first: an image has D = C * H * W.
        x = x.flatten(1)  # (B, D)
        variance = self.prior_std() ** 2
        D = x.shape[1]
        return -x.pow(2).sum(1) / (2 * variance) - D / 2 * math.log(2 * math.pi * variance)
        # END SOLUTION

    def dw(self, x: Tensor, dt: float | None = None) -> Tensor:
        """Increment of a Brownian motion over a time dt: W_{t+dt} - W_t ~ N(0, dt I).

        Args:
            x: (B, ...), gives shape, device and dtype.
            dt: length of the step; self.dt where it is not given.
        """
        # BEGIN SOLUTION 1.1f
        # Hint: the variance of the increment is dt. Use the dt that is passed.
        dt = self.dt if dt is None else dt
        return math.sqrt(dt) * torch.randn_like(x)
        # END SOLUTION

    def predict_fn(self, t: Tensor, x: Tensor, dt: float | None = None) -> Tensor:
        """One Euler-Maruyama step forward: x + f dt + g dW.

        Args:
            t: (B,) current time.
            x: (B, ...) current state.
            dt: length of the step; self.dt where it is not given.

        Returns:
            The state at t + dt, shape of x.
        """
        # BEGIN SOLUTION 1.1f
        # Hint: self.sde_coeff gives f and g, self.dw the noise; both get the same dt.
        dt = self.dt if dt is None else dt
        f, g = self.sde_coeff(t, x)
        return x + f * dt + g * self.dw(x, dt)
        # END SOLUTION

    def correct_fn(self, t: Tensor, x: Tensor, score_fn: ScoreFn, snr: float = 0.16) -> Tensor:
        """One Langevin step at fixed time: it leaves the law p_t as it is and corrects errors.

            x' = x + eps * score + sqrt(2 eps) z,    eps = 2 (snr * sqrt(D) / |score|)^2

        where |score| is the norm of a sample, averaged over the batch (Song et al. 2021, algorithm
        4, with sqrt(D) for |z|), but no less than sqrt(D)/(2 std): without a score there is no
        step without end.

        A step that depends on the states disturbs their law, the more the fewer they are: exact
        steps for N(0, I) in the plane settle at a variance of 1.04 in a batch of 256, 1.1 in one
        of 16, 1.3 in one of 4, and 2 alone. `annealed_langevin` takes no such step.

        Args:
            t: (B,).
            x: (B, ...).
            score_fn: (t, x) -> grad log p_t(x), shape of x.
            snr: size of a step, as signal-to-noise ratio.
        """
        root_D = math.sqrt(x[0].numel())
        least = root_D / (2 * alpha_std(self, t, x)[1].mean())
        # BEGIN SOLUTION 1.3c
        # Hint: |score| is a norm of the flattened samples, averaged over the batch, and then not
        #   less than `least`: score_norm.clamp(min=least). root_D is sqrt(D).
        score = score_fn(t, x)
        z = torch.randn_like(x)
        score_norm = score.flatten(1).norm(dim=1).mean().clamp(min=least)
        eps = 2 * (snr * root_D / score_norm) ** 2
        return x + eps * score + torch.sqrt(2 * eps) * z
        # END SOLUTION

    def reverse(self, score_fn: ScoreFn, lam: float = 0.0) -> "ReverseSDE":
        """The process that runs this one backwards; its clock s = T - t runs forward.

        Args:
            score_fn: (t, x) -> grad log p_t(x), in the time t of this process.
            lam: 0 is the reverse SDE, 1 the probability-flow ODE, see `ReverseSDE`.
        """
        return ReverseSDE(self, score_fn, lam)


class ReverseSDE(SDE):
    """The reverse of a forward process, from noise at s = 0 to data at s = T.

    For every lam in [0, 1] the process below has the marginals of the forward one
    (Huang et al. 2021, appendix C); with t = T - s,

        dX = [-f(t, X) + (1 - lam/2) g(t)^2 score(t, X)] ds + sqrt(1 - lam) g(t) dW.

    lam = 0 is Anderson's reverse SDE, lam = 1 the probability-flow ODE (Song et al. 2021, eq. 6
    and 13). All hyper-parameters of the forward process are kept as attributes.
    """

    def __init__(self, forward: SDE, score_fn: ScoreFn, lam: float = 0.0) -> None:
        if not 0 <= lam <= 1:
            raise ValueError(f"lam = {lam}: choose it between 0 (SDE) and 1 (ODE).")
        check_forward(forward)
        super().__init__(forward.N, forward.T)
        self.__dict__.update(vars(forward))
        self.forward = forward
        self.score_fn = lambda t, x: score_fn(t.to(x), x)  # the clock may be in float64
        self.lam = lam

    def family_coeff(self, s: Tensor, x: Tensor, lam: float) -> tuple[Tensor, Tensor]:
        """Drift (shape of x) and diffusion (broadcasts) of the member `lam` at s (B,)."""
        # BEGIN SOLUTION 1.1g
        # Hint: the forward process and the score both want t = T - s, not s.
        t = self.T - s
        f, g = self.forward.sde_coeff(t, x)
        drift = -f + (1 - lam / 2) * g**2 * self.score_fn(t, x)
        return drift, math.sqrt(1 - lam) * g
        # END SOLUTION

    def sde_coeff(self, s: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Drift and diffusion of this process, with its own lam."""
        return self.family_coeff(s, x, self.lam)

    def ode_coeff(self, s: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Drift of the probability-flow ODE, and a diffusion of zero."""
        return self.family_coeff(s, x, 1.0)

    def predict_fn(
        self, s: Tensor, x: Tensor, dt: float | None = None, ode: bool = False
    ) -> Tensor:
        """One step towards the data: Euler-Maruyama, or Euler along the ODE where `ode` is set.

        Args:
            s: (B,) clock of the reverse process.
            x: (B, ...).
            dt: length of the step.
        """
        # BEGIN SOLUTION 1.1g
        # Hint: as in SDE.predict_fn; the ODE has no noise.
        dt = self.dt if dt is None else dt
        if ode:
            drift, _ = self.ode_coeff(s, x)
            return x + drift * dt
        drift, diffusion = self.sde_coeff(s, x)
        return x + drift * dt + diffusion * self.dw(x, dt)
        # END SOLUTION

    def correct_fn(  # type: ignore[override]  # it has a score of its own
        self, s: Tensor, x: Tensor, snr: float = 0.16
    ) -> Tensor:
        """One Langevin step of the forward process at t = T - s, with this process's score."""
        return self.forward.correct_fn(self.T - s, x, self.score_fn, snr)

    def marginal_prob(self, s: Tensor, x0: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation at t = T - s given the data x0."""
        return self.forward.marginal_prob(self.T - s, x0)

    def prior_std(self) -> float:
        """The reverse process starts from the prior of the forward one."""
        return self.forward.prior_std()


class OU(SDE):
    """Ornstein-Uhlenbeck: dX = -X/2 dt + dW, whose law tends to N(0, I).

    The mean keeps exp(-T/2) of the data: .607 at T = 1, which is far from the prior, and .007 at
    the default T = 10.
    """

    def __init__(self, N: int = 1000, T: float = 10.0) -> None:
        super().__init__(N, T)

    def sde_coeff(self, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """f = -x/2, g = 1."""
        t = self.per_sample(t, x)
        # BEGIN SOLUTION 1.1a
        # Hint: read both off the equation above; g must broadcast against x.
        return -0.5 * x, torch.ones_like(t)
        # END SOLUTION

    def marginal_prob(self, t: Tensor, x0: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of X_t given X_0 = x0.

        Solve d mean/dt = -mean/2 and d var/dt = -var + 1 from mean = x0, var = 0.
        """
        t = self.per_sample(t, x0)
        # BEGIN SOLUTION 1.1a
        # Hint: the variance tends to 1, so it is 1 minus something that decays. Return its root.
        return torch.exp(-t / 2) * x0, torch.sqrt(-torch.expm1(-t))
        # END SOLUTION


class VPSDE(SDE):
    """Variance preserving: dX = -beta(t)/2 X dt + sqrt(beta(t)) dW, the limit of DDPM.

        beta(t) = beta_min + (beta_max - beta_min) t / T        (Song et al. 2021, eq. 11 and 32)

    The defaults are the paper's, for T = 1.
    """

    def __init__(
        self, N: int = 1000, T: float = 1.0, beta_min: float = 0.1, beta_max: float = 20.0
    ) -> None:
        super().__init__(N, T)
        self.beta_min = beta_min
        self.beta_max = beta_max

    def beta(self, t: Tensor) -> Tensor:
        """The noise rate beta(t), shape of t."""
        # BEGIN SOLUTION 1.1b
        # Hint: linear, beta_min at t = 0 and beta_max at t = T.
        return self.beta_min + (self.beta_max - self.beta_min) * t / self.T
        # END SOLUTION

    def beta_integral(self, t: Tensor) -> Tensor:
        """The integral of beta from 0 to t, shape of t."""
        # BEGIN SOLUTION 1.1b
        # Hint: integrate the straight line.
        return self.beta_min * t + (self.beta_max - self.beta_min) * t**2 / (2 * self.T)
        # END SOLUTION

    def sde_coeff(self, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """f = -beta(t) x / 2, g = sqrt(beta(t))."""
        t = self.per_sample(t, x)
        # BEGIN SOLUTION 1.1b
        # Hint: beta is a rate of variance, so g is its root.
        beta = self.beta(t)
        return -0.5 * beta * x, torch.sqrt(beta)
        # END SOLUTION

    def marginal_prob(self, t: Tensor, x0: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of X_t given x0 (Song et al. 2021, eq. 33)."""
        t = self.per_sample(t, x0)
        # BEGIN SOLUTION 1.1b
        # Hint: the OU process with t replaced by the integral of beta.
        B = self.beta_integral(t)
        return torch.exp(-B / 2) * x0, torch.sqrt(-torch.expm1(-B))
        # END SOLUTION


class SubVPSDE(VPSDE):
    """Sub-VP: the drift of VP with less noise, so that its variance stays below VP's.

    dX = -beta(t)/2 X dt + sqrt(beta(t) (1 - exp(-2 B(t)))) dW,    B(t) = integral of beta

    (Song et al. 2021, eq. 14 and 34).
    """

    def sde_coeff(self, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """f = -beta(t) x / 2, g = sqrt(beta(t) (1 - exp(-2 B(t))))."""
        t = self.per_sample(t, x)
        # BEGIN SOLUTION 1.1d
        # Hint: self.beta and self.beta_integral are inherited from VPSDE.
        beta = self.beta(t)
        return -0.5 * beta * x, torch.sqrt(-beta * torch.expm1(-2 * self.beta_integral(t)))
        # END SOLUTION

    def marginal_prob(self, t: Tensor, x0: Tensor) -> tuple[Tensor, Tensor]:
        """Mean as for VP; solve d var/dt = -beta var + g^2 from var = 0 for the rest."""
        t = self.per_sample(t, x0)
        # BEGIN SOLUTION 1.1d
        # Hint: the variance is the square of 1 - exp(-B). Return the standard deviation.
        B = self.beta_integral(t)
        return torch.exp(-B / 2) * x0, -torch.expm1(-B)
        # END SOLUTION


class VESDE(SDE):
    """Variance exploding: dX = g(t) dW; the data stay where they are and the noise grows.

        sigma(t) = sigma_min (sigma_max / sigma_min)^(t/T)

    (Song et al. 2021, eq. 9, 30 and 31). X_0 is the data already blurred by sigma_min.
    """

    def __init__(
        self, N: int = 1000, T: float = 1.0, sigma_min: float = 0.01, sigma_max: float = 50.0
    ) -> None:
        super().__init__(N, T)
        self.sigma_min = sigma_min
        self.sigma_max = sigma_max

    def sigma(self, t: Tensor) -> Tensor:
        """The noise level sigma(t), shape of t."""
        # BEGIN SOLUTION 1.1c
        # Hint: log sigma is linear in t.
        return self.sigma_min * (self.sigma_max / self.sigma_min) ** (t / self.T)
        # END SOLUTION

    def sde_coeff(self, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """f = 0, g^2 = d sigma^2/dt."""
        t = self.per_sample(t, x)
        # BEGIN SOLUTION 1.1c
        # Hint: differentiate sigma(t)^2; log(sigma_max / sigma_min) appears, with a factor of 2.
        rate = math.log(self.sigma_max / self.sigma_min) / self.T
        return torch.zeros_like(x), self.sigma(t) * math.sqrt(2 * rate)
        # END SOLUTION

    def marginal_prob(self, t: Tensor, x0: Tensor) -> tuple[Tensor, Tensor]:
        """Mean x0, standard deviation sigma(t)."""
        t = self.per_sample(t, x0)
        # BEGIN SOLUTION 1.1c
        # Hint: no drift, so the mean does not move.
        return x0, self.sigma(t)
        # END SOLUTION

    def prior_std(self) -> float:
        """sigma_max, the noise level at T."""
        # BEGIN SOLUTION 1.1c
        # Hint: sigma(T), as a float.
        return self.sigma_max
        # END SOLUTION
