"""Given: training objectives: which noise levels a network learns from, and what each counts.

Every linear process x(t) = alpha x_0 + std noise becomes, divided by sqrt(alpha^2 + std^2), the x_t
of abar = alpha^2 / (alpha^2 + std^2). So one network learns any of them, and an objective is a law
of abar with a weight:

    E weight(abar) || noise - network(x_t, timestep of abar) ||^2.

Song et al. 2021, eq. 7, weigh the squared error of the score by lambda(t). The score is
-noise / std, so lambda = std^2 gives the weight 1, and the likelihood weighting lambda = g^2 (Song,
Durkan et al. 2021, theorem 1) gives g^2 / std^2. Over time this is, for every process, the fall of
the log SNR: g^2 / std^2 = -d/dt log(alpha^2 / std^2).

Each law is a function of `numbers` (B,), uniform in [0, 1) or standard normal, and of `ends`, the
largest and the smallest abar of the schedule. The network knows no level beyond these: a process is
trained on the part of its times [0, 1] that lies between them. Under the linear schedule of DDPM
that is t > .0008 of VP, t > .027 of sub-VP, and every t of VE.
"""

import math

import torch
from torch import nn

from given.images.unet import SIGMA_DATA


def vp(numbers, ends, likelihood=False, beta_min=0.1, beta_max=20.0):
    """VP at uniform times: alpha^2 = exp(-B), std^2 = 1 - exp(-B) (Song et al. 2021, eq. 33).

    With beta(t) = beta_min + (beta_max - beta_min) t and B its integral from 0 to t; g^2 = beta.

    Args:
        numbers: (B,) uniform. ends: see above. likelihood: weight g^2 / std^2, else 1.
        beta_min, beta_max: beta at t = 0 and at t = 1.

    Returns:
        abar (B,), weight (B,).
    """
    reach = [-torch.log(abar) for abar in ends]  # B there
    beta, B = beta_at_uniform_times(numbers, reach, beta_min, beta_max)
    weight = -beta / torch.expm1(-B) if likelihood else torch.ones_like(B)
    return torch.exp(-B), weight


def subvp(numbers, ends, likelihood=False, beta_min=0.1, beta_max=20.0):
    """Sub-VP at uniform times: alpha^2 = exp(-B), std = 1 - exp(-B) (Song et al. 2021, eq. 29).

    So alpha / std = 1 / (2 sinh(B / 2)), and with g^2 = beta (1 - exp(-2 B)) the likelihood weight
    g^2 / std^2 is beta / tanh(B / 2).

    Args:
        numbers, ends, likelihood, beta_min, beta_max: see `vp`.

    Returns:
        abar (B,), weight (B,).
    """
    reach = [2 * torch.asinh(sigma_of(abar) / 2) for abar in ends]
    beta, B = beta_at_uniform_times(numbers, reach, beta_min, beta_max)
    weight = beta / torch.tanh(B / 2) if likelihood else torch.ones_like(B)
    return abar_of(2 * torch.sinh(B / 2)), weight


def beta_at_uniform_times(numbers, reach, beta_min, beta_max):
    """beta(t) and its integral B(t) at times that are uniform between two values of B.

    Args:
        numbers: (B,) uniform. reach: B at the first and at the last time; 1 at the latest.

    Returns:
        (B,), (B,).
    """
    slope = beta_max - beta_min
    # B = beta_min t + slope t^2 / 2, solved for t
    first, last = (((beta_min**2 + 2 * slope * B).sqrt() - beta_min) / slope for B in reach)
    t = first + (last.clamp(max=1) - first) * numbers
    return beta_min + slope * t, beta_min * t + slope * t**2 / 2


def ve(numbers, ends, likelihood=False, sigma_min=0.02, sigma_max=100.0):
    """VE at uniform times: sigma(t) = sigma_min (sigma_max / sigma_min)^t (Song et al. 2021, C).

    g^2 = 2 sigma^2 log(sigma_max / sigma_min), so the likelihood weight is a constant.

    Args:
        numbers, ends, likelihood: see `vp`.
        sigma_min, sigma_max: for pixels in [-1, 1], twice those of the paper's [0, 1].

    Returns:
        abar (B,), weight (B,).
    """
    octaves = math.log(sigma_max / sigma_min)
    first, last = ((sigma_of(abar) / sigma_min).log() / octaves for abar in ends)
    first, last = first.clamp(min=0), last.clamp(max=1)
    sigma = sigma_min * torch.exp(octaves * (first + (last - first) * numbers))
    weight = torch.full_like(sigma, 2 * octaves if likelihood else 1.0)
    return abar_of(sigma), weight


def smld(numbers, ends, N=1000, sigma_min=0.02, sigma_max=100.0):
    """SMLD: N scales in geometric sequence, one as likely as another, and lambda = sigma_i^2.

    sigma_i = sigma_min (sigma_max / sigma_min)^(i / (N - 1)), i = 0 .. N-1 (Song and Ermon 2019,
    eq. 5 and 6); the weight of the noise's error is 1.

    Args:
        numbers: (B,) uniform. ends: see above. N, sigma_min, sigma_max: of the sequence.

    Returns:
        abar (B,), weight (B,).
    """
    ratio = math.log(sigma_max / sigma_min) / (N - 1)
    first, last = ((sigma_of(abar) / sigma_min).log() / ratio for abar in ends)
    first, last = first.ceil().clamp(min=0), last.floor().clamp(max=N - 1)
    index = first + (numbers * (last - first + 1)).floor()
    return abar_of(sigma_min * torch.exp(ratio * index)), torch.ones_like(index)


def edm(numbers, ends, mean=-1.2, std=1.2):
    """EDM: log sigma is normal; lambda = (sigma^2 + sigma_data^2) / (sigma sigma_data)^2.

    The error of D is sigma times that of the noise, which therefore has the weight lambda sigma^2 =
    1 + sigma^2 / sigma_data^2; then the error of F has the weight lambda c_out^2 = 1 (Karras et al.
    2022, eq. 8 and table 1). Levels beyond the ends take the nearer end.

    Args:
        numbers: (B,) standard normal. ends: see above. mean, std: of log sigma.

    Returns:
        abar (B,), weight (B,).
    """
    low, high = (sigma_of(abar) for abar in ends)
    sigma = torch.exp(mean + std * numbers).clamp(low, high)
    return abar_of(sigma), 1 + (sigma / SIGMA_DATA) ** 2


def sigma_of(abar):
    """sigma = sqrt((1 - abar) / abar), of any shape."""
    return ((1 - abar) / abar).sqrt()


def abar_of(sigma):
    """abar = 1 / (1 + sigma^2), of any shape."""
    return 1 / (1 + sigma**2)


CONTINUOUS = {"vp": vp, "subvp": subvp, "ve": ve}  # these have a likelihood weighting
OBJECTIVES = CONTINUOUS | {"smld": smld, "edm": edm}


def draw_levels(name, scheduler, B, generator, likelihood=False):
    """Draw the noise levels of a batch.

    Args:
        name: one of OBJECTIVES. scheduler: see scheduler.py; its ends are the law's ends.
        B: number of images. generator: on any device. likelihood: with its weighting.

    Returns:
        abar (B,), weight (B,), both float64 on the CPU.
    """
    draw = torch.randn if name == "edm" else torch.rand
    numbers = draw(B, generator=generator, device=generator.device).cpu().double()
    ends = scheduler.exact[0], scheduler.exact[-1]
    if name in CONTINUOUS:
        return CONTINUOUS[name](numbers, ends, likelihood)
    return OBJECTIVES[name](numbers, ends)


class NoiseError(nn.Module):
    """The weighted error of the noise at any abar: `DiffusionModule.get_loss` between timesteps.

    Args:
        model: a DiffusionModule.
    """

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x0, class_label, noise, abar, weight):
        """E weight || noise - network(x_t, t) ||^2, x_t = sqrt(abar) x_0 + sqrt(1 - abar) noise.

        Args:
            x0: (B, C, H, W) in [-1, 1]. class_label: (B,) from 1, or None. noise: like x0.
            abar, weight: (B,) float64, of `draw_levels`.

        Returns:
            a tensor without axes.
        """
        if class_label is not None:
            class_label = self.model.drop_labels(class_label)
        timestep = self.model.var_scheduler.timestep_of(abar).to(x0.device)
        a, s = (k.sqrt().to(x0)[:, None, None, None] for k in (abar, 1 - abar))
        missed = self.model.network(a * x0 + s * noise, timestep, class_label) - noise
        return (weight.to(x0)[:, None, None, None] * missed.square()).mean()
