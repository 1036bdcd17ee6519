"""Task 2.5, optional: control a model that was never trained for it.

Two ways to add a condition to a score: the gradient of a classifier that reads noisy images

    grad log p(x_t | c) = grad log p(x_t) + grad log p(c | x_t),

and a linear measurement y = A x_0 that the images have to agree with. What is known of a hole's
surroundings, the gray level of a colour image, the mean of every block of pixels: each is such a
measurement, with rows that are orthonormal, A A^T = I. Then A^T y is an image, A^T A projects on
what is measured, and x - A^T A x is what is free. (For a hole, A y is an image with a blank in the
hole, and A = A^T the projection itself.)

    python -m image_diffusion control --task colour

Sources: Song et al. 2021, "Score-based generative modeling through SDEs" (arXiv 2011.13456),
appendix I; Dhariwal and Nichol 2021, "Diffusion models beat GANs" (arXiv 2105.05233).
"""

import itertools
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from given.gradients import check_gradients
from given.images.masks import as_mask
from given.images.noise_predictor import one_for_each
from given.levels import Process, ReverseProcess
from given.noise import noise_like
from image_diffusion.ddpm import DiffusionModule
from image_diffusion.inpainting import Inpainter


class Mask:
    """What is known around a hole: A x = (1 - mask) x. Given.

    Args:
        mask: (B, 1, H, W) or (1, 1, H, W), 1 in the hole; of any type.

    Raises:
        ValueError: a mask that holds other numbers than 0 and 1.
    """

    def __init__(self, mask: Tensor) -> None:
        self.mask = as_mask(mask)

    def measure(self, x: Tensor) -> Tensor:
        """A x, (B, C, H, W), 0 in the hole."""
        return (1 - self.mask) * x

    def adjoint(self, y: Tensor) -> Tensor:
        """A^T y, like y."""
        return (1 - self.mask) * y


class Gray:
    """The gray level: A x = sum_c x_c / sqrt(C), one channel of C.

    This is the first channel of a colour space that decouples gray from colour by an orthogonal
    matrix (Song et al. 2021, appendix I.3); A^T y is the image without colour.

    Args:
        channels: C.
    """

    def __init__(self, channels: int = 3) -> None:
        self.channels = channels

    def measure(self, x: Tensor) -> Tensor:
        """A x, (B, 1, H, W)."""
        # TODO 2.5a: replace the raise below with your code.
        # Hint: keepdim=True keeps the axis of the channels.
        raise NotImplementedError("TODO 2.5a: Gray.measure")

    def adjoint(self, y: Tensor) -> Tensor:
        """A^T y, (B, C, H, W): the same share of y in every channel."""
        # TODO 2.5a: replace the raise below with your code.
        # Hint: A is a row of C numbers 1 / sqrt(C); its transpose is a column of the same numbers.
        raise NotImplementedError("TODO 2.5a: Gray.adjoint")


class Pool:
    """Fewer pixels: A x = k times the mean of every k x k block.

    The factor k makes the rows unit vectors. Super-resolution looks for an x with such a y.

    Args:
        k: pixels a side of a block; H and W are multiples of it.
    """

    def __init__(self, k: int) -> None:
        self.k = k

    def measure(self, x: Tensor) -> Tensor:
        """A x, (B, C, H / k, W / k)."""
        # TODO 2.5a: replace the raise below with your code.
        # Hint: F.avg_pool2d takes the means.
        raise NotImplementedError("TODO 2.5a: Pool.measure")

    def adjoint(self, y: Tensor) -> Tensor:
        """A^T y, (B, C, H, W): every pixel of a block gets y / k."""
        # TODO 2.5a: replace the raise below with your code.
        # Hint: F.interpolate(..., mode="nearest") repeats pixels.
        raise NotImplementedError("TODO 2.5a: Pool.adjoint")


class Measured(Inpainter):
    """Images that agree with a measurement: `replacement`, `repaint` and `mcg` of Task 2.3, and
    `predictor_corrector`.

    Args:
        model: a DiffusionModule.
        operator: with `measure` and `adjoint`, A A^T = I.
        y: A x_0 of the images that are wanted.
        class_label: see Inpainter.
        guidance_scale: see Inpainter.
    """

    def __init__(
        self,
        model: Any,
        operator: Any,
        y: Tensor,
        class_label: Tensor | None = None,
        guidance_scale: float = 0.0,
    ) -> None:
        x0 = operator.adjoint(y)
        no_hole = torch.zeros(1, 1, *x0.shape[2:], device=x0.device)
        super().__init__(model, x0, no_hole, class_label, guidance_scale)
        self.operator, self.y = operator, y

    def project(self, x: Tensor, a: Tensor | float, b: Tensor | float) -> Tensor:
        """Give x, a state a x_0 + b noise, the measurement that it should have; the rest stays.

            x + A^T (y_t - A x),    y_t = a y + b A noise

        with fresh noise (Song et al. 2021, appendix I.2 and I.3).

        Args:
            x: (B, C, H, W).
            a: a number, or (B, 1, 1, 1).
            b: a number, or (B, 1, 1, 1).

        Returns:
            like x.
        """
        # TODO 2.5b: replace the raise below with your code.
        # Hint: self.operator.measure is A, self.operator.adjoint A^T, noise_like(x) the noise.
        raise NotImplementedError("TODO 2.5b: Measured.project")

    def paste_known(self, x: Tensor, timestep: int) -> Tensor:
        """`project` at the noise level of a timestep; the data, without noise, at timestep -1."""
        abar = self.scheduler.abar(timestep).item()
        return self.project(x, math.sqrt(abar), math.sqrt(1 - abar))

    def mcg_gradient(self, x: Tensor, timestep: int) -> tuple[Tensor, Tensor]:
        """The noise in x_t, and the gradient of ||y - A x0_hat||_2 with respect to x_t.

        As `Inpainter.mcg_gradient`, for any measurement (Chung et al. 2023, DPS, eq. 16).

        Args:
            x: x_t (B, C, H, W).
            timestep: t.

        Returns:
            the noise and the gradient, both like x and detached from the graph.
        """
        abar = self.scheduler.abar(timestep)
        check_gradients()
        # TODO 2.5c: replace the raise below with your code.
        # Hint: x0_hat = (x - sqrt(1 - abar) noise) / sqrt(abar), with the graph through the noise.
        # Hint: one norm for each image, and their sum, as in 2.3e.
        raise NotImplementedError("TODO 2.5c: Measured.mcg_gradient")

    def step_and_correct(
        self,
        reverse: ReverseProcess,
        s: Tensor,
        s_next: Tensor,
        x: Tensor,
        corrections: int = 1,
        snr: float = 0.16,
    ) -> Tensor:
        """A reverse-diffusion step and Langevin steps, with `project` after each of them.

        (Song et al. 2021, algorithm 1 and appendix I.) Needs Task 1.1 and 1.3.

        Args:
            reverse: a reverse process of `sde_todo.sde`.
            s: (B,) its clock before the step.
            s_next: (B,) its clock after the step.
            x: (B, C, H, W), at s.
            corrections: how many Langevin steps.
            snr: size of the Langevin steps.

        Returns:
            x at s_next, like x.
        """
        from given.levels import alpha_std
        from sde_todo.sampling import reverse_diffusion_step

        a, b = alpha_std(reverse, s_next, x)  # x at s_next is a x_0 + b noise
        # TODO 2.5d: replace the raise below with your code.
        # Hint: reverse_diffusion_step(reverse, s, ds, x) gives the state and its evaluations.
        # Hint: reverse.correct_fn(s_next, x, snr) at the new time.
        raise NotImplementedError("TODO 2.5d: Measured.step_and_correct")

    @torch.no_grad()
    def predictor_corrector(
        self, sde: Process, eps: float = 1e-3, corrections: int = 1, snr: float = 0.16
    ) -> Tensor:
        """Sample along the reverse of a process by `step_and_correct`; needs 2.1j too.

        Args:
            sde: a process of `sde_todo.sde`; takes sde.N steps.
            eps: where time ends.
            corrections: see `step_and_correct`.
            snr: see `step_and_correct`.

        Returns:
            (B, C, H, W), with the measurement y.
        """
        from given.levels import alpha_std
        from sde_todo.sampling import clock

        score_fn = self.model.score_fn(sde, self.class_label, self.guidance_scale)
        reverse, x = sde.reverse(score_fn), sde.prior_sampling(self.x0)
        times = clock(sde, eps, 1.0, x)[:, None].expand(-1, len(x))  # (N + 1, B)
        pairs = list(itertools.pairwise(times))
        for s, s_next in tqdm(pairs, "predictor-corrector", leave=False, disable=None):
            x = self.step_and_correct(reverse, s, s_next, x, corrections, snr)
        t = sde.T - times[-1]
        a, b = alpha_std(sde, t, x)
        x0 = (x + b**2 * score_fn(t, x)) / a
        return self.project(x0, 1.0, 0.0)


class ClassifierGuided(DiffusionModule):
    """A model guided to a class by a classifier of noisy images; samples like any other.

    Args:
        model: a DiffusionModule, its own classes not used.
        classifier: (x_t, timestep) -> class logits (B, K), for the same schedule; `num_classes` is
            K.
    """

    def __init__(self, model: Any, classifier: nn.Module) -> None:
        super().__init__(model.network, model.var_scheduler)
        self.classifier = classifier

    @property
    def num_classes(self) -> int:
        """K of the classifier."""
        return self.classifier.num_classes

    def class_gradient(self, x: Tensor, timestep: Tensor | float, class_label: Tensor) -> Tensor:
        """grad_x log p(class_label | x_t) of the classifier.

        Args:
            x: x_t (B, C, H, W).
            timestep: a number or (B,).
            class_label: (B,) from 1.

        Returns:
            like x, detached from the graph.
        """
        check_gradients()
        # TODO 2.5e: replace the raise below with your code.
        # Hint: torch.enable_grad(), x.detach().requires_grad_(), log_softmax over the classes.
        # Hint: labels count from 1, columns from 0. The sum over the batch has each one's gradient.
        raise NotImplementedError("TODO 2.5e: ClassifierGuided.class_gradient")

    def predict_noise(
        self,
        x: Tensor,
        timestep: Tensor | float,
        class_label: Tensor | None = None,
        guidance_scale: float = 0.0,
    ) -> Tensor:
        """The noise, moved against the classifier's gradient (Dhariwal and Nichol, algorithm 2).

            noise - s sqrt(1 - abar_t) grad_x log p(class_label | x_t)

        Args:
            x: x_t (B, C, H, W).
            timestep: a number or (B,).
            class_label: (B,) from 1, or None.
            guidance_scale: s.

        Returns:
            like x.
        """
        noise = self.network(x, timestep)
        if class_label is None or guidance_scale == 0:
            return noise
        log_snr = self.var_scheduler.levels.log_snr_at(one_for_each(timestep, x))
        abar = log_snr.sigmoid().reshape(-1, 1, 1, 1)
        # TODO 2.5f: replace the raise below with your code.
        # Hint: noise is minus sqrt(1 - abar) times the score: hence the sign and the factor.
        raise NotImplementedError("TODO 2.5f: ClassifierGuided.predict_noise")
