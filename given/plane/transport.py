"""Exact optimal transport between two clouds, by POT, whose failures are errors."""

import warnings

import numpy as np

MAX_PIVOTS = 10_000_000  # of the network simplex; 4,096 points take some 200,000


def transport_plan(cost: np.ndarray) -> np.ndarray:
    """The plan of least cost between N and M points of equal weight.

    With N = M it is a permutation: one entry of 1/N in each row and in each column. Time grows
    between N^2 and N^3: .01 s for 256 points, a second for 2,048 and some 5 s for 4,096.

    Args:
        cost: (N, M) of moving point i to point j.

    Returns:
        (N, M) float64 array whose rows sum to 1/N and columns to 1/M.

    Raises:
        ValueError: a cost is NaN or infinite, the solver stopped before the best plan, or POT is
            missing.
    """
    try:
        import ot  # a tenth of the start of a notebook, and seldom needed
    except ImportError:
        raise ValueError(
            "Optimal transport needs the package POT: pip install pot. A bridge does without by "
            "--no-ot."
        ) from None

    if not np.isfinite(cost).all():
        raise ValueError("A cost is NaN or infinite; look for such points in the two clouds.")
    least = cost.min(initial=0)  # POT wants no negative cost; an equal part of all decides nothing
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the log has them
        plan, log = ot.emd([], [], cost - least, numItermax=MAX_PIVOTS, log=True)
    if log["warning"]:
        sizes = "{} and {}".format(*cost.shape)
        raise ValueError(f"The transport between {sizes} points was not solved: {log['warning']}")
    return plan
