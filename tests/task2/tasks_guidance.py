"""The tasks of image_diffusion/guidance.py; hints go from a nudge to nearly the line itself."""

from autograder.tasks import Task

SECTIONS = {"2.5": "Control by a measurement or a classifier"}
TASKS = {
    "2.5a": Task(
        "Measurements and their transposes",
        15,
        [
            "Write A as a matrix: one row for each number that is measured. What makes the length "
            "of a row 1? The transpose hands each number back to the pixels that it came from.",
            "A row of C numbers 1/sqrt(C) has length 1, a row of k^2 numbers 1/k, too. The same "
            "factor is in the transpose.",
            "Gray: x.sum(1, keepdim=True) over math.sqrt(C), and y.expand(-1, C, -1, -1) over the "
            "same. Pool: k times F.avg_pool2d(x, k), and F.interpolate by the factor k, over k.",
        ],
        optional=True,
    ),
    "2.5b": Task(
        "Projection on a measurement",
        15,
        [
            "A x is what x measures now, y_t what it should. Change x by the difference and no "
            "more: A^T brings it into the image.",
            "y_t is the measurement of a x_0 + b noise: A is linear, so a y + b A noise.",
            "measure, adjoint = self.operator.measure, self.operator.adjoint; wanted = a * self.y "
            "+ b * measure(noise_like(x)); return x + adjoint(wanted - measure(x)).",
        ],
        optional=True,
    ),
    "2.5c": Task(
        "The gradient of any misfit",
        15,
        [
            "It is 2.3e with another misfit: y - A x0_hat instead of what a mask leaves.",
            "x must be a leaf that requires a gradient before the network sees it, so that the "
            "gradient goes through the noise as well; one norm for each image.",
            "r = self.y - self.operator.measure(x0_hat); torch.autograd.grad(r.flatten(1).norm("
            "dim=1).sum(), x)[0], inside torch.enable_grad(); return noise.detach() with it.",
        ],
        optional=True,
    ),
    "2.5d": Task(
        "Predictor, corrector, projection",
        20,
        [
            "After the step x is at the new time: what follows happens there, and a and b "
            "above belong to it.",
            "Step from s by s_next - s, project; then as often as asked: correct at s_next, "
            "project. Every call gives the x of the next.",
            "x, _ = reverse_diffusion_step(reverse, s, ds, x) with ds = (s_next - s)[0].item(); "
            "reverse.correct_fn(s_next, x, snr); self.project(x, a, b) after both.",
        ],
        optional=True,
    ),
    "2.5e": Task(
        "The gradient of a classifier",
        20,
        [
            "The classifier gives logits for every class. You want how log p of one class, that "
            "of the label, changes with the pixels.",
            "log_softmax over the classes, one column for each image, labels from 1. Images do "
            "not see each other, so the gradient of the sum holds all gradients.",
            "logp = self.classifier(x, timestep).log_softmax(1), x a leaf within enable_grad; "
            "torch.autograd.grad(logp[torch.arange(len(x)), class_label - 1].sum(), x)[0].",
        ],
        optional=True,
    ),
    "2.5f": Task(
        "Noise guided by a classifier",
        10,
        [
            "Scores add up. What is the score of x_t in terms of the noise?",
            "score = -noise / sqrt(1 - abar); add s times the gradient of log p to it and solve "
            "for the noise.",
            "return noise - guidance_scale * (1 - abar).sqrt() * "
            "self.class_gradient(x, timestep, class_label).",
        ],
        optional=True,
    ),
}
