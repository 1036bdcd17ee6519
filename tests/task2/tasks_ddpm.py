"""The tasks of image_diffusion/ddpm.py; hints go from a nudge to nearly the line itself."""

from autograder.tasks import Task

SECTIONS = {"2.2": "Guidance"}
TASKS = {
    "2.1e": Task(
        "The simple loss",
        15,
        [
            "Noise the images to timesteps drawn at random and ask the network for the noise.",
            "add_noise returns x_t and the noise in it; the mean of the squared differences "
            "between that noise and network(x_t, timestep, class_label) is the loss.",
            "x_t, noise = self.var_scheduler.add_noise(x0, timestep, noise); "
            "return F.mse_loss(self.network(x_t, timestep, class_label), noise).",
        ],
    ),
    "2.1i": Task(
        "Sampling: the whole chain",
        10,
        [
            "A loop over self.var_scheduler.timesteps, which already run downwards.",
            "At each t: the noise of x by self.predict_noise, then the scheduler's step. Keep "
            "every state, x_T too, for return_traj.",
            "x = self.var_scheduler.step(x, t, self.predict_noise(x, t, class_label, "
            "guidance_scale)); traj.append(x).",
        ],
    ),
    "2.1j": Task(
        "The score of an image model",
        25,
        [
            "The network knows x_t only with a^2 + b^2 = 1. Scale x until it looks like that.",
            "After division by sqrt(a^2 + b^2) x is the x_t with abar = a^2 / (a^2 + b^2), and "
            "the score of x itself is -noise / b.",
            "size = (a**2 + b**2).sqrt(); ask predict_noise for x / size at "
            "timestep_of(((a / size) ** 2).reshape(-1)); return -noise / b.",
        ],
        optional=True,
    ),
    "2.2a": Task(
        "Labels dropped in training",
        10,
        [
            "The network learns both with and without a class if some images lose theirs. Each "
            "image decides on its own, and only in training.",
            "Draw one uniform number for each image: the label becomes 0 where it lies below "
            "network.cfg_dropout. Leave the given tensor as it is.",
            "dropped = torch.rand(len(class_label), device=class_label.device) < "
            "self.network.cfg_dropout; torch.where(dropped, 0, class_label) if self.training.",
        ],
    ),
    "2.2b": Task(
        "Classifier-free guidance",
        10,
        [
            "Ask the network twice, without and with the class, and go past the second answer in "
            "the direction from the first to the second.",
            "e_u + s (e_c - e_u), with label 0 for e_u. Check: s = 0 gives e_u, s = 1 gives e_c.",
            "e_u = self.network(x, timestep, torch.zeros_like(class_label)); e_c the same with "
            "class_label.",
        ],
    ),
}
