"""Mutants that no test should catch: they are as right as the solution."""

import re

from tests.project.mutants import Mutant

NOISE = r"(randn?_like|noise_like|self\.dw|\* z\)|bj->bi|noise\)$)"

# Kind, what the change looks like (old -> new), and why it is right.
RULES = [
    ("sign", NOISE, "noise is as likely as its negative"),
    ("dtype", r"\.to\(|from_numpy|\.cpu\(\)|device", "the same on a CPU, where the tests run"),
    ("dtype", r"float\(", "a tensor without axes is as good as a number"),
    ("", r"tqdm\(", "how the progress bar looks"),
    ("", r"strict=True|^True -> False$", "both have the same length"),
    ("in place", r"^(?!x0\.clone)", "the tensor is the function's own"),
    ("function", r"clamp\(min=0\)", "it is negative by rounding only"),
    ("dropped argument", r"dtype=torch.float64", "the same to rounding"),
    ("swapped arguments", r"mse_loss|cosine_similarity|^min\(|zip\(", "symmetric"),
    ("swapped arguments", r"weighted_mean", "it multiplies both"),
]


def reason(mutant: Mutant) -> str:
    """Why a mutant is as right as the solution; empty where it is not."""
    change = f"{mutant.old} -> {mutant.new}"
    for kind, pattern, why in RULES:
        if (not kind or kind == mutant.kind) and re.search(pattern, change):
            return why
    return EQUIVALENT.get(mutant.key, "")


LOOKUP = "sde_todo/loss.py:sample_time: "
SIZE = "how fine the table of times is, is free"
INSIDE = "every u lies in (0, 1), so no index and no time is clamped, but for rounding"
NEXT = "the straight line of the next cell of the table, 4000 of them, is the same to 1e-6"
NETWORK = "sde_todo/network.py:SimpleNet."
LEARNED = "the sign of what a linear layer gives is learned"

# By `Mutant.key`.
EQUIVALENT: dict[str, str] = {
    "sde_todo/sde.py:OU.sde_coeff: t -> x": "g = 1 in the shape of x",
    "sde_todo/sampling.py:walk: False -> True": "how the progress bar looks",
    f"{LOOKUP}torch.searchsorted(value, target).clamp(1, len(grid) - 1) -> "
    "torch.searchsorted(value, target)": INSIDE,
    f"{LOOKUP}(grid[i - 1] + (target - value[i - 1]) / slope).clamp(eps, sde.T) -> "
    "(grid[i - 1] + (target - value[i - 1]) / slope)": INSIDE,
    f"{LOOKUP}len(grid) - 1 -> (len(grid) + 1)": INSIDE,
    f"{LOOKUP}len(grid) - 1 -> len(grid)": INSIDE,
    f"{LOOKUP}1 -> 0": INSIDE,  # of len(grid) - 1
    f"{LOOKUP}1 -> 0 (#2)": INSIDE,  # of clamp(1, ...)
    f"{LOOKUP}1 -> 2": NEXT,  # of len(grid) - 1
    f"{LOOKUP}1 -> 2 (#2)": NEXT,  # of clamp(1, ...)
    f"{LOOKUP}4001 -> 4002": SIZE,
    f"{LOOKUP}4001 -> 8002": SIZE,
    f"{LOOKUP}0 -> 1 (#2)": "q is divided by a range shorter by one of 4000 cells",
    f"{LOOKUP}1 -> 2 (#5)": "q is divided by a range shorter by one of 4000 cells",
    f"{LOOKUP}u.double() -> u": "the same to rounding",
    "sde_todo/loss.py:StableTarget.__call__: std > self.above * alpha -> "
    "(std >= self.above * alpha)": "no draw lies on the border, for which nothing is said",
    f"{NETWORK}forward: self.encoder(x) + self.time(t) -> (self.encoder(x) - self.time(t))": (
        LEARNED
    ),
    f"{NETWORK}forward: z + block(nn.functional.silu(z)) -> (z - block(nn.functional.silu(z)))": (
        LEARNED
    ),
    f"{NETWORK}__init__: z_dim -> in_dim (#5)": (
        "how wide the hidden layer of the time's network is, is free"
    ),
    "image_diffusion/ddpm.py:DiffusionModule.sample: return_traj -> batch_size": "all states are kept where only the last is returned",
    "image_diffusion/ddpm.py:DiffusionModule.sample: False -> True": "how the progress bar looks",
    "image_diffusion/ddpm.py:DiffusionModule.drop_labels: torch.rand(len(class_label), device=class_label.device) -> torch.rand(len(class_label))": "the same on a CPU, where the tests run",
    "image_diffusion/ddpm.py:DiffusionModule.drop_labels: dropped < self.network.cfg_dropout -> (dropped <= self.network.cfg_dropout)": "equality has probability 0",
    'image_diffusion/guidance.py:Pool.adjoint: F.interpolate(y, scale_factor=self.k, mode="nearest") -> F.interpolate(y, scale_factor=self.k)': "nearest is the default",
    "image_diffusion/guidance.py:Measured.step_and_correct: 0 -> 1": "all rows have the same clock",
    "image_diffusion/inpainting.py:Inpainter.repaint: i < tries - 1 -> (i <= tries - 1)": "x is overwritten by x_s after the last try",
    "image_diffusion/inpainting.py:Inpainter.repaint: tries - 1 -> (tries + 1)": "x is overwritten by x_s after the last try",
    "image_diffusion/inpainting.py:Inpainter.repaint: tries - 1 -> tries": "x is overwritten by x_s after the last try",
    "image_diffusion/inpainting.py:Inpainter.repaint: 1 -> 0 (#2)": "x is overwritten by x_s after the last try",
    "image_diffusion/scheduler.py:DDIMScheduler.step: 0 -> 1": "sigma = 0 times noise is 0",
    "sde_todo/likelihood.py:trace: divergence.detach() -> divergence": "autograd.grad makes no graph here",
    "sde_todo/likelihood.py:trace: x -> probes (#2)": "the same type and device",
    "sde_todo/likelihood.py:interpolate: a -> b (#3)": "the same number of axes",
    "sde_todo/bridge.py:draw_between: start -> end (#2)": "the same shape",
    "sde_todo/flow.py:ot_coupling: x0 -> x1": "the same device",
    "sde_todo/likelihood.py:log_likelihood: x -> eps (#2)": "the same in double precision",
    "sde_todo/likelihood.py:elbo: x -> eps (#3)": "the same in double precision",
    "sde_todo/likelihood.py:interpolate: -1 + 1e-6 -> (-1 - 1e-06)": "opposite noises have no arc; float32 has no pi, so that they stay finite",
    "sde_todo/likelihood.py:interpolate: -1 + 1e-6 -> (-1)": "opposite noises have no arc; float32 has no pi, so that they stay finite",
    "sde_todo/likelihood.py:interpolate: 1e-6 -> 0": "opposite noises have no arc; float32 has no pi, so that they stay finite",
    "sde_todo/likelihood.py:interpolate: 1 -> 2 (#3)": "opposite noises have no arc; float32 has no pi, so that they stay finite",
    "sde_todo/likelihood.py:interpolate: 1e-6 -> 2e-06": "a little below 1, too",
    "sde_todo/likelihood.py:interpolate: 1e-6 -> 2e-06 (#2)": "a little above -1, too",
}
