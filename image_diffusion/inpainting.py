"""Task 2.3: fill a hole in an image with a model that was never trained for it.

A mask has shape (B, 1, H, W) and is 1 in the hole and 0 where the image is known. Three ways to
make the sampler respect what is known:

replacement   after every step, what is known is pasted in, noised to the level of that step
RePaint       every step is repeated: back up by adding noise, down again, so that hole and
              surroundings agree (Lugmayr et al. 2022)
MCG           after every step, also the gradient of the misfit that the denoised estimate has in
              the known part (Chung et al. 2022); optional

    python -m image_diffusion inpaint --ckpt_path … --save_dir results/inpainting
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from given.gradients import check_gradients
from given.images.labels import check_labels
from given.images.masks import as_mask
from given.noise import noise_like


class Inpainter:
    """Images, their holes, and the model that fills them.

    Args:
        model: a DiffusionModule whose scheduler is DDPM or DDIM; its timesteps say which steps are
            made.
        x0: the images (B, C, H, W); the content of the hole is never used.
        mask: (B, 1, H, W) or (1, 1, H, W), 1 in the hole, 0 where x0 is known; of any type.
        class_label: see DiffusionModule.predict_noise.
        guidance_scale: see DiffusionModule.predict_noise.

    Raises:
        ValueError: a mask that does not fit, or holds other numbers than 0 and 1; images that are
            not floats; labels that are not B numbers of 1 .. K.
    """

    def __init__(
        self,
        model: Any,
        x0: Tensor,
        mask: Tensor,
        class_label: Tensor | None = None,
        guidance_scale: float = 0.0,
    ) -> None:
        if mask.shape[-2:] != x0.shape[-2:] or mask.shape[:2] not in ((1, 1), (len(x0), 1)):
            raise ValueError(
                f"A mask of shape {tuple(mask.shape)} does not fit images of shape "
                f"{tuple(x0.shape)}; it needs {(len(x0), 1, *x0.shape[2:])}."
            )
        if not x0.is_floating_point():
            raise ValueError(f"The images are {x0.dtype}; make floats in [-1, 1] of them.")
        x0 = x0.float()  # the type of the network
        mask = as_mask(mask).to(x0)
        if class_label is not None:
            check_labels(class_label, len(x0), model.num_classes)
        self.model, self.scheduler = model, model.var_scheduler
        self.x0, self.mask = x0 * (1 - mask), mask  # the hole is blank: no answer leaks
        self.class_label, self.guidance_scale = class_label, guidance_scale

    def predict_noise(self, x: Tensor, timestep: Tensor | float) -> Tensor:
        """The model's noise in x_t, guided where there is a class; like x."""
        return self.model.predict_noise(x, timestep, self.class_label, self.guidance_scale)

    def start(self) -> Tensor:
        """x_T from N(0, I), like x0."""
        return noise_like(self.x0)

    def paste_known(self, x: Tensor, timestep: int) -> Tensor:
        """Put what is known into x_t, at the noise level of x_t.

            mask x_t + (1 - mask) (sqrt(abar_t) x0 + sqrt(1 - abar_t) noise)

        with fresh noise; after the last step, at timestep -1, abar is 1 and x0 stays clean.

        Args:
            x: (B, C, H, W), at this timestep.
            timestep: t, or -1.

        Returns:
            like x.
        """
        abar = self.scheduler.abar(timestep)
        # TODO 2.3a: replace the raise below with your code.
        # Hint: noise_like(x) for the noise; abar says how much of it.
        raise NotImplementedError("TODO 2.3a: Inpainter.paste_known")

    @torch.no_grad()
    def replacement(self) -> Tensor:
        """Sample as ever, and paste what is known after every step (Song et al. 2021, I.2).

        Returns:
            (B, C, H, W), equal to x0 where the mask is 0.
        """
        x = self.start()
        # TODO 2.3b: replace the raise below with your code.
        # Hint: for each t: predict_noise, scheduler.step, paste_known.
        # Hint: after the step x is at scheduler.previous(t): paste at that timestep.
        raise NotImplementedError("TODO 2.3b: Inpainter.replacement")

    def renoise(self, x: Tensor, s: int, t: int) -> Tensor:
        """Go back up from x_s to x_t, t > s, by the forward process.

            x_t = sqrt(abar_t / abar_s) x_s + sqrt(1 - abar_t / abar_s) noise

        (Lugmayr et al. 2022, algorithm 1, line 10; for steps of any length.)

        Args:
            x: x_s (B, C, H, W).
            s: timestep of x; may be -1.
            t: timestep of the result.

        Returns:
            x_t, like x.
        """
        abar_s, abar_t = self.scheduler.abar(s), self.scheduler.abar(t)
        # TODO 2.3c: replace the raise below with your code.
        # Hint: as add_noise, with the ratio abar_t / abar_s instead of abar.
        raise NotImplementedError("TODO 2.3c: Inpainter.renoise")

    @torch.no_grad()
    def repaint(self, resamplings: int = 5) -> Tensor:
        """Replacement, with every step made `resamplings` times (Lugmayr et al. 2022, algorithm 1).

        Between two tries of a step x goes back up by `renoise`; after the last one it stays down.
        The step to the data is made once.

        Args:
            resamplings: U, at least 1; 1 is `replacement`.

        Returns:
            (B, C, H, W), equal to x0 where the mask is 0.
        """
        x = self.start()
        # TODO 2.3d: replace the raise below with your code.
        # Hint: an inner loop around the two lines of `replacement`.
        # Hint: renoise after every try but the last.
        raise NotImplementedError("TODO 2.3d: Inpainter.repaint")

    def mcg_gradient(self, x: Tensor, timestep: int) -> tuple[Tensor, Tensor]:
        """The noise in x_t, and the pull of what is known on x_t. Optional.

        With x0_hat = (x_t - sqrt(1 - abar_t) noise(x_t)) / sqrt(abar_t), which depends on x_t also
        through the network, and the misfit r = (1 - mask) (x0 - x0_hat) of each image:

            gradient of ||r||_2 with respect to x_t

        (Chung et al. 2022, eq. 14; the norm instead of its square makes the step size
        fit every noise level, as in Chung et al. 2023.)

        Args:
            x: x_t (B, C, H, W).
            timestep: t.

        Returns:
            the noise and the gradient, both like x and detached from the graph.
        """
        abar = self.scheduler.abar(timestep)
        check_gradients()
        # TODO 2.3e: replace the raise below with your code.
        # Hint: torch.enable_grad(), x.detach().requires_grad_(), torch.autograd.grad.
        # Hint: one norm for each image, and their sum: the images do not mix.
        raise NotImplementedError("TODO 2.3e: Inpainter.mcg_gradient")

    @torch.no_grad()
    def mcg(self, step_size: float = 0.5) -> Tensor:
        """Replacement, with a gradient step before what is known is pasted. Optional.

            x_s = paste_known(step(x_t) - step_size gradient)

        Args:
            step_size: in units of the images.

        Returns:
            (B, C, H, W), equal to x0 where the mask is 0.
        """
        x = self.start()
        # TODO 2.3f: replace the raise below with your code.
        # Hint: mcg_gradient gives the noise for the step as well.
        raise NotImplementedError("TODO 2.3f: Inpainter.mcg")

    def steps(self, name: str) -> Iterable[int]:
        """The scheduler's timesteps, with a progress bar."""
        return tqdm(self.scheduler.timesteps.tolist(), name, leave=False, disable=None)


if __name__ == "__main__":  # the spelling of before, for one release
    from given.runtime.cli import run_as

    run_as("image_diffusion inpaint")
