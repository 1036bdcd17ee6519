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
    ("in place", r"", "the tensor is the function's own"),
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


EQUIVALENT: dict[str, str] = {}
