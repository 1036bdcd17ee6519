"""The tasks of sde_todo/network.py; hints go from a nudge to nearly the line itself."""

from autograder.tasks import Task

SECTIONS = {"1.2": "Training"}
TASKS = {
    "1.2a": Task(
        "Time embedding",
        5,
        [
            "Each time is multiplied by each frequency.",
            "t[:, None] * freqs is (B, dim/2); sines first, then cosines.",
            "torch.cat([angles.sin(), angles.cos()], dim=1).",
        ],
    ),
    "1.2b": Task(
        "MLP",
        10,
        [
            "nn.Sequential takes any number of layers.",
            "One nn.Linear for each pair of neighbouring sizes, nn.SiLU between them.",
            "Append linear and activation in a loop, then drop the last activation.",
        ],
    ),
    "1.2c": Task(
        "SimpleNet",
        20,
        [
            "Encode x, embed t, add both, go through the blocks, map to in_dim numbers.",
            "Layers must be attributes (or in an nn.ModuleList), or the optimizer misses them.",
            "z = encoder(x) + time(t); for block in blocks: z = z + block(silu(z)); out(z).",
        ],
    ),
    "1.2d": Task(
        "From a prediction to a score",
        10,
        [
            "score = -(x - alpha x_0)/std^2 = -z/std: express it by what the network predicts.",
            "data: put x_0 = prediction. v: alpha^2 + std^2 = 1 lets you solve for z.",
            "noise: -p/std; data: (alpha p - x)/std^2; v: -(std x + alpha p)/std.",
        ],
    ),
    "1.2k": Task(
        "A preconditioned denoiser",
        20,
        [
            "Write y = c_in x/alpha; then c_skip x/alpha = s^2 c_in y.",
            "sigma = std/alpha. F gets 3 y, 2 log sigma, and Fourier features of y.",
            "return s**2 * c_in * y + sigma * s * c_in * F.",
        ],
        optional=True,
    ),
}
