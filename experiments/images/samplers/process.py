"""Given: image models that sample by other means than a scheduler: by the samplers of Task 1,
through `DiffusionModule.score_fn`, or by a function such as `edm_sample`.

    python image_diffusion/sampling.py --scheduler reverse_diffusion --corrector langevin …
"""

import torch

from given.levels import alpha_std, log_snr_ends, log_snr_of
from image_diffusion.ddpm import DiffusionModule

PIECE = 50  # steps whose states are in memory together
ORDER = 3  # of "multistep"


class ProcessSampled(DiffusionModule):
    """A model that samples along the reverse of a process of Task 1; else like any other.

    Args:
        model: a DiffusionModule. sde: a process, takes sde.N steps.
        method, corrector, snr: see `sde_todo.sampling.Sampler`.
        rho: spacing of the times. tol: of "rk45".

    Attributes:
        evaluations: of the score, in the last call of `sample`.
    """

    def __init__(
        self,
        model,
        sde,
        method="reverse_diffusion",
        corrector="none",
        snr=0.16,
        rho=1.0,
        tol=1e-4,
    ):
        from sde_todo.sampling import choose_step

        super().__init__(model.network, model.var_scheduler)
        self.sde, self.method, self.rho, self.tol = sde, method, rho, tol
        self.eps = known_from(sde, self.var_scheduler)
        self.step = choose_step(method, corrector, 1, snr)
        self.evaluations = 0

    @torch.no_grad()
    def sample(self, batch_size, class_label=None, guidance_scale=0.0):
        """Draw images (B, C, H, W); the noise comes from torch's own generator.

        Where time ends the state gives way to its mean, E[x_0 | x], for one evaluation more (Song
        et al. 2021, appendix G).
        """
        from sde_todo.sampling import time_grid

        sde, score_fn = self.sde, self.score_fn(self.sde, class_label, guidance_scale)
        x = sde.prior_sampling(torch.empty(batch_size, *self.image_shape, device=self.device))
        times = time_grid(sde.T, self.eps, sde.N, self.rho).to(x)
        x, self.evaluations = self.follow(sde.reverse(score_fn), times, x)
        if self.method == "multistep":  # its last state is that mean already
            return x
        self.evaluations += 1
        t = (sde.T - times[-1]).expand(batch_size)
        a, b = alpha_std(sde, t, x)
        return (x + b**2 * score_fn(t, x)) / a

    def follow(self, reverse, times, x):
        """The state at the last time from x at the first one, and the evaluations it took."""
        from sde_todo.sampling import multistep, solve_rk45, walk

        if self.method == "rk45":
            x_traj, evaluations = solve_rk45(reverse, times[[0, -1]], x, self.tol)
            return x_traj[-1], evaluations
        if self.method == "multistep":
            x_traj, evaluations = multistep(reverse, times, x, ORDER, (-1.0, 1.0))
            return x_traj[-1], evaluations
        total = 0
        for start in range(0, len(times) - 1, PIECE):
            x_traj, evaluations = walk(self.step, reverse, times[start : start + PIECE + 1], x)
            x, total = x_traj[-1], total + evaluations
        return x, total


def known_from(sde, scheduler):
    """The first time at which a process has the noise of a schedule's first timestep, or more.

    Below it lie noise levels that the network has never seen.
    """
    t = torch.linspace(0, sde.T**0.25, 20_001, dtype=torch.float64)[1:] ** 4
    alpha, std = alpha_std(sde, t, torch.ones(len(t), 1, dtype=torch.float64))
    log_snr = log_snr_of(std / alpha)[:, 0]
    return t[log_snr <= log_snr_ends(scheduler)[0]][0].item()


class DrawnBy(DiffusionModule):
    """A model whose images come from a function such as `edm_sample`; else like any other.

    Args:
        model: a DiffusionModule. draw: (model, batch_size, steps, class_label, guidance_scale,
            **options) -> (images, evaluations). steps, options: handed on to it.
    """

    def __init__(self, model, draw, steps, **options):
        super().__init__(model.network, model.var_scheduler)
        self.draw, self.steps, self.options, self.evaluations = draw, steps, options, 0

    def sample(self, batch_size, class_label=None, guidance_scale=0.0):
        """Draw images (B, C, H, W)."""
        x, self.evaluations = self.draw(
            self, batch_size, self.steps, class_label, guidance_scale, **self.options
        )
        return x
