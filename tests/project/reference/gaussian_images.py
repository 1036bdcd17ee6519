"""A DiffusionModule whose images are independent Gaussian pixels, so that all of it is known."""

import torch
from torch import nn

SPREAD = 0.4  # standard deviation of every pixel


class GaussianNetwork(nn.Module):
    """The exact noise in x_t for images from N(0, SPREAD^2 I)."""

    in_ch, use_cfg, cfg_dropout, num_classes = 3, False, 0.0, 10

    def __init__(self, scheduler, size=4):
        super().__init__()
        self.image_resolution = size
        self.unused = nn.Parameter(torch.zeros(1))  # its device is that of the model
        self.log_snr = torch.logit(scheduler.exact)

    def forward(self, x, timestep, class_label=None):
        k = torch.as_tensor(timestep).double().expand(len(x))
        low = k.long().clamp(max=len(self.log_snr) - 2)
        return self.at_log_snr(x, torch.lerp(self.log_snr[low], self.log_snr[low + 1], k - low))

    def at_log_snr(self, x, log_snr, class_label=None):
        abar = log_snr.sigmoid().to(x).reshape(-1, 1, 1, 1)
        return (1 - abar).sqrt() * x / (abar * SPREAD**2 + 1 - abar)


def gaussian_model(scheduler_name="DDIMScheduler", size=4, steps=50):
    """The model, with as many steps set."""
    from image_diffusion import scheduler
    from image_diffusion.ddpm import DiffusionModule

    var_scheduler = getattr(scheduler, scheduler_name)(mode="cosine")
    var_scheduler.set_timesteps(steps)
    return DiffusionModule(GaussianNetwork(var_scheduler, size), var_scheduler).eval()
