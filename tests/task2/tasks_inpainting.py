"""The tasks of image_diffusion/inpainting.py; hints go from a nudge to nearly the line itself."""

from autograder.tasks import Task

SECTIONS = {"2.3": "Inpainting"}
TASKS = {
    "2.3a": Task(
        "What is known, at the right noise level",
        10,
        [
            "x_t is noisy. A clean patch in it looks to the network like nothing it was trained "
            "on, so the known part needs the noise of x_t.",
            "known = sqrt(abar_t) x0 + sqrt(1 - abar_t) noise, and the mask, 1 in the hole, says "
            "where x stays.",
            "known = abar.sqrt() * self.x0 + (1 - abar).sqrt() * noise_like(x); "
            "return self.mask * x + (1 - self.mask) * known.",
        ],
    ),
    "2.3b": Task(
        "Replacement",
        10,
        [
            "Sample as in 2.1i, with one more line in the loop.",
            "After the step from t the image is at scheduler.previous(t): that is the level "
            "to paste at.",
            "x = self.scheduler.step(x, t, self.predict_noise(x, t)); "
            "x = self.paste_known(x, self.scheduler.previous(t)).",
        ],
    ),
    "2.3c": Task(
        "Back up: noise added to x_s",
        10,
        [
            "It is add_noise, but the start is x_s, which holds noise already.",
            "Between s and t the signal shrinks by sqrt(abar_t / abar_s); fresh noise makes up "
            "the missing variance 1 - abar_t / abar_s.",
            "ratio = abar_t / abar_s; ratio.sqrt() * x + (1 - ratio).sqrt() * noise_like(x).",
        ],
    ),
    "2.3d": Task(
        "RePaint",
        20,
        [
            "The loop of replacement, with an inner loop around its two lines.",
            "From x (at t) make x_s; unless this was the last try, x = renoise(x_s, s, t) and "
            "once more. After the last try x = x_s.",
            "tries = resamplings if s >= 0 else 1; for i in range(tries): step, paste; "
            "if i < tries - 1: x = self.renoise(x_s, s, t).",
        ],
    ),
    "2.3e": Task(
        "The gradient of the misfit",
        25,
        [
            "How must x_t move for the guess of the clean image to agree with what is known? "
            "The guess depends on x_t through the network as well.",
            "Make x a leaf that requires a gradient, compute noise, x0_hat and the misfit "
            "(1 - mask)(x0 - x0_hat), and differentiate the sum of the norms, one per image.",
            "torch.autograd.grad(misfit.flatten(1).norm(dim=1).sum(), x)[0], all of it inside "
            "torch.enable_grad(); return noise.detach() with it.",
        ],
        optional=True,
    ),
    "2.3f": Task(
        "MCG",
        10,
        [
            "The loop of replacement, with a pull towards what is known after the step.",
            "Both the noise and the gradient belong to x_t, before the step: mcg_gradient gives "
            "the two at once.",
            "noise, gradient = self.mcg_gradient(x, t); "
            "x = self.scheduler.step(x, t, noise) - step_size * gradient; then paste_known.",
        ],
        optional=True,
    ),
}
