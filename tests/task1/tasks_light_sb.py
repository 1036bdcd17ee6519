"""The tasks of sde_todo/light_sb.py; hints go from a nudge to nearly the line itself."""

from autograder.tasks import Task

TASKS = {
    "1.6r": Task(
        "LightSB: the potential",
        20,
        [
            "It is the log of a sum of Gaussian densities with weights: logsumexp.",
            "With u = L^{-1} (y - r), |u|^2/eps is the exponent, and log det L that of the root.",
            "log_alpha - |u|^2/(2 eps) - log_diagonal.sum(1) - D/2 log(2 pi eps).",
        ],
        optional=True,
    ),
    "1.6s": Task(
        "LightSB: weights and loss",
        15,
        [
            "Multiply exp(x.y/eps) with a Gaussian in y and complete the square.",
            "log alpha + (x^T S x + 2 x^T r)/(2 eps); their logsumexp is log C(x).",
            "x^T S x = |L^T x|^2: torch.einsum('kij,bi->bkj', L, x).pow(2).sum(2).",
        ],
        optional=True,
    ),
    "1.6t": Task(
        "LightSB: draws",
        15,
        [
            "A component is drawn already; what is left is a Gaussian for each row.",
            "Its mean is r + S x and its covariance eps S, whose root is sqrt(eps) L.",
            "r[k] + L L^T x + sqrt(eps) L z with L = self.cholesky()[k].",
        ],
        optional=True,
    ),
}
