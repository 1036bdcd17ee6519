"""Task 1.6, fourth part: LightSB, of which all is known in closed form."""

import numpy as np
from scipy.special import logsumexp

from autograder.formula import Formula
from autograder.harness import expect, expect_mean, graded

B, D, K = 7, 3, 4


def potential(rng, n=K, eps=0.6):
    """The parameters of a potential with n components; what is above the diagonal is not read."""
    return {
        "eps": eps,
        "log_alpha": rng.normal(size=n),
        "r": rng.normal(size=(n, D)),
        "log_diagonal": rng.uniform(-0.6, 0.4, (n, D)),
        "below": rng.normal(size=(n, D, D)),
    }


def factors(log_diagonal, below):
    """L of each component, (K, D, D)."""
    return np.tril(below, -1) + np.exp(log_diagonal)[:, :, None] * np.eye(D)


def light_sb(eps, log_alpha, r, log_diagonal, below):
    """The student's LightSB with these parameters."""
    import torch

    from sde_todo.light_sb import LightSB

    model = LightSB(float(eps), *r.shape)
    with torch.no_grad():
        model.log_alpha.copy_(log_alpha)
        model.r.copy_(r)
        model.log_diagonal.copy_(log_diagonal)
        model.below.copy_(below)
    return model


@graded("1.6r", points=2)
class LogPotential:
    """log v, a mixture of Gaussians with covariances that are not diagonal, and its gradient."""

    def inputs(rng):
        return potential(rng) | {"y": 1.5 * rng.normal(size=(B, D))}

    def probe(y, **parameters):
        model = light_sb(**parameters)
        log_v = model.log_v(y)
        log_v.sum().backward()
        return {"log_v": log_v, "grad": model.r.grad}

    def check(got, y, eps, log_alpha, r, log_diagonal, below):
        L = factors(log_diagonal, below)
        T = L.transpose(0, 2, 1)
        S = L @ T
        away = y[:, None] - r  # (B, K, D)

        square, log_det = exponent(away, eps * S), np.linalg.slogdet(S)[1]
        constant = D / 2 * np.log(2 * np.pi * eps)
        logs = log_alpha - square / 2 - log_det / 2 - constant
        want = logsumexp(logs, axis=1)

        def other(square, log_det=log_det, alpha=log_alpha):
            return logsumexp(alpha - square / 2 - log_det / 2 - constant, axis=1)

        mistakes = {
            "eps is missing in the covariance eps S": other(eps * square) + D / 2 * np.log(eps),
            "eps is missing in the exponent: |u|^2/(2 eps)": other(eps * square),
            "eps is missing in the constant: D/2 log(2 pi eps)": want + D / 2 * np.log(eps),
            "the factor 1/2 of the exponent is missing": other(2 * square),
            "the determinant has the wrong sign": other(square, -log_det),
            "the determinant is missing": other(square, 0.0),
            "log det L counts twice; L is the root of S": other(square, 2 * log_det),
            "log det L has a factor 1/2 too many: it is half of log det S already": other(
                square, log_det / 2
            ),
            "log alpha is missing": other(square, alpha=0.0),
            "alpha is normalised; v is no density": want - logsumexp(log_alpha),
            "it is a mean over the components; v is their sum": want - np.log(K),
            "it is the sum of the logarithms; v is the sum, then comes the logarithm": logs.sum(1),
            "it is the largest component alone": logs.max(1),
            "the logarithm is not taken": np.exp(want),
            "the constant D/2 log(2 pi eps) is missing": want + constant,
            "the constant is that of one coordinate; there are D": want + constant * (1 - 1 / D),
            "S is used instead of its inverse: u = L^{-1} (y - r)": other(
                exponent(away, eps * np.linalg.inv(S))
            ),
            "u is L (y - r); it is L^{-1} (y - r)": other(
                (np.einsum("kij,bkj->bki", L, away) ** 2).sum(2) / eps
            ),
            "L is transposed: u solves L u = y - r": other(exponent(away, eps * T @ L)),
            "S is used instead of L: u solves L u = y - r": other(exponent(away, eps * S @ S)),
        }
        u = np.linalg.solve(L, away[..., None])[..., 0]  # (B, K, D)

        def potential(alpha, u, power, of_u, two, eps, of_det, det, of_constant):
            energy = of_u * (u**power).sum(2) / (two * eps)
            return logsumexp(alpha + energy - of_det * det - of_constant * constant, axis=1)

        numbers = {
            "log alpha": log_alpha,
            "u = L^{-1} (y - r)": u,
            "the exponent of u": 2,
            "the factor of |u|^2": -1,
            "the 2 of 2 eps": 2,
            "eps": eps,
            "the factor of log det L": 1,
            "log det L": log_det / 2,
            "the factor of D/2 log(2 pi eps)": 1,
        }
        mistakes |= more_potentials(log_alpha, u, eps, log_det / 2, constant, logs, L, away)
        expect(got["log_v"], Formula(potential, numbers), "log v", mistakes)
        share = np.exp(logs - want[:, None])  # of each component, (B, K)
        slope = np.einsum("bk,kij,bkj->ki", share, np.linalg.inv(eps * S), away)
        # Float32 errs by up to 6e-6 of the largest entry, also where an entry is nearly 0.
        near = 5e-5 * np.abs(slope).max()
        expect(got["grad"], slope, "gradient of log v by the centres", atol=near)


def more_potentials(log_alpha, u, eps, log_det, constant, logs, L, away):
    """log v with other mistakes in the normal densities."""
    square, D = (u**2).sum(2), u.shape[2]

    def log_v(energy, det=log_det, rest=constant):
        return logsumexp(log_alpha + energy - det - rest, axis=1)

    upper = np.triu(L)  # what solve_triangular reads of L with upper=True
    turned = np.linalg.solve(upper, away[..., None])[..., 0]
    return {
        "log det L and the constant have the wrong sign": log_v(
            -square / (2 * eps), -log_det, -constant
        ),
        "log det L and the constant are missing": log_v(-square / (2 * eps), 0, 0),
        "log det L is a mean over the diagonal; it is a sum": log_v(
            -square / (2 * eps), log_det / D
        ),
        "|u|^2 is multiplied by 2 eps; divide": log_v(-square * 2 * eps),
        "|u|^2 is not divided by 2 eps": log_v(-square),
        "2 eps is divided by |u|^2; it is |u|^2/(2 eps)": log_v(-2 * eps / square),
        "|u|^2 is divided by 2/eps; it is 2 eps": log_v(-square * eps / 2),
        "|u|^2 is a mean over the coordinates; it is a sum": log_v(-square / D / (2 * eps)),
        "u is solved for with the upper triangle of L; L is lower": log_v(
            -(turned**2).sum(2) / (2 * eps)
        ),
        "the log densities are subtracted from log alpha": logsumexp(2 * log_alpha - logs, axis=1),
    }


def exponent(away, cov):
    """away^T cov^-1 away for each point and component, (B, K)."""
    return np.einsum("bki,kij,bkj->bk", away, np.linalg.inv(cov), away)


@graded("1.6s", points=1)
class LogWeights:
    """The weights of the plan's components at each x."""

    def inputs(rng):
        return potential(rng) | {"x": rng.normal(size=(B, D))}

    def probe(x, **parameters):
        return {"weights": light_sb(**parameters).log_weights(x)}

    def check(got, x, eps, log_alpha, r, log_diagonal, below):
        L = factors(log_diagonal, below)
        S = L @ L.transpose(0, 2, 1)
        square, product = np.einsum("bi,kij,bj->bk", x, S, x), x @ r.T
        transposed = np.einsum("bi,kji,kjl,bl->bk", x, L, L, x)
        want = log_alpha + square / (2 * eps) + product / eps
        Lx = np.einsum("kij,bi->bkj", L, x)

        def weights(alpha, Lx, power, two, x, of_x, below, eps, whole):
            energy = (Lx**power).sum(2) + two * x**of_x @ r.T
            return alpha + (energy / (below * eps)) ** whole

        numbers = {
            "log alpha": log_alpha,
            "L^T x": Lx,
            "the exponent of L^T x": 2,
            "the 2 of 2 x.r": 2,
            "x (of 2 x.r)": x,
            "the exponent of x in 2 x.r": 1,
            "the 2 of 2 eps": 2,
            "eps": eps,
            "the exponent of the fraction": 1,
        }
        expect(
            got["weights"],
            Formula(weights, numbers),
            "log weights",
            {
                "the fraction is subtracted; it is added to log alpha": 2 * log_alpha - want,
                "log alpha is missing, and the fraction is upside down": (1 / (want - log_alpha)),
                "x.r is missing": log_alpha + square / (2 * eps),
                "x^T S x is a mean over the coordinates; it is a sum": want
                - square * (1 - 1 / D) / (2 * eps),
                "the factor 2 of x.r is missing": log_alpha + (square + product) / (2 * eps),
                "the factor 1/2 is missing: divide by 2 eps": log_alpha
                + (square + 2 * product) / eps,
                "eps is missing": log_alpha + (square + 2 * product) / 2,
                "x^T S x = |L^T x|^2; here it is |L x|^2": log_alpha
                + (transposed + 2 * product) / (2 * eps),
                "x^T L x is used instead of x^T S x": log_alpha
                + (np.einsum("bi,kij,bj->bk", x, L, x) + 2 * product) / (2 * eps),
                "x^T S x is missing": log_alpha + product / eps,
                "x.r has the wrong sign": log_alpha + (square - 2 * product) / (2 * eps),
                "log alpha is missing": want - log_alpha,
                "alpha is added; it is its logarithm": want - log_alpha + np.exp(log_alpha),
                "they are normalised already": want - logsumexp(want, axis=1, keepdims=True),
                "these are the weights; take the logarithm": np.exp(want),
            },
        )


@graded("1.6s", points=1)
class LightLoss:
    """The loss: the mean log of the normaliser at x0, less the mean log of the potential at x1."""

    def inputs(rng):
        return {
            "x0": rng.normal(size=(B, D)),
            "x1": rng.normal(size=(B - 2, D)),
            "W": rng.normal(size=(D, K)),
            "w": rng.normal(size=D),
        }

    def probe(x0, x1, W, w):
        from sde_todo.light_sb import LightSB

        model = LightSB(0.7, K=W.shape[1], D=len(w))
        model.log_weights = lambda x: x @ W
        model.log_v = lambda y: y @ w - 2
        return {"loss": model.loss(x0, x1)}

    def check(got, x0, x1, W, w):
        logs, v = x0 @ W, (x1 @ w - 2).mean()
        C = logsumexp(logs, axis=1).mean()
        expect(
            got["loss"],
            C - v,
            "loss",
            {
                "the sign is wrong: it is to be made small": v - C,
                "log v has the wrong sign": C + v,
                "log v is missing": C,
                "log C is missing": -v,
                "x0 and x1 are exchanged: the normaliser belongs to the source": logsumexp(
                    x1 @ W, axis=1
                ).mean()
                - (x0 @ w - 2).mean(),
                "this is the mean of the components; C is their sum": C - np.log(K) - v,
                "this is the sum of the logarithms; C is the sum, then comes the logarithm": (
                    logs.sum(1).mean() - v
                ),
                "the sum runs over the batch; it runs over the components": logsumexp(
                    logs, axis=0
                ).mean()
                - v,
                "the mean is inside the logarithm: it is E log C(x0)": np.log(
                    np.exp(logs).sum(1).mean()
                )
                - v,
                "the logarithm of C is missing": np.exp(logs).sum(1).mean() - v,
                "it is a sum over the batch": B * C - (B - 2) * v,
                "log C is summed over the batch; it is a mean": B * C - v,
                "log v is summed over the batch; it is a mean": C - (B - 2) * v,
                "log v is taken at x0; it is at x1": C - (x0 @ w - 2).mean(),
                "log C is taken at x1; it is at x0": logsumexp(x1 @ W, axis=1).mean() - v,
            },
        )


@graded("1.6t", points=2)
class LightSample:
    """Draws of the plan: means without noise, then the covariance of each component."""

    def inputs(rng):
        return potential(rng, n=3, eps=0.3) | {"x": rng.normal(size=(6, D)), "n": 6000}

    def probe(x, n, eps, **parameters):
        import torch

        out = {}
        k = torch.arange(len(x)) % 3  # of each row; the weights leave no choice
        certain = torch.nn.functional.one_hot(k, 3) * 1e4
        model = light_sb(1e-12, **parameters)
        model.log_weights = lambda x: certain
        out["exact"] = model.sample(x)
        model = light_sb(eps, **parameters)
        model.log_weights = lambda x: certain[:3].repeat_interleave(n, 0)
        out["draws"] = model.sample(x[:3].repeat_interleave(n, 0)).reshape(3, n, -1)
        even = torch.tensor([0.2, 0.3, 0.5]).log() + 2
        model.log_weights = lambda x: even.expand(len(x), 3)
        out["mixed"] = model.sample(x[:1].repeat(n, 1))
        again = [model.sample(x, generator=torch.Generator().manual_seed(3)) for _ in range(2)]
        out["seeded"] = torch.stack(again)
        return out

    def check(got, x, n, eps, log_alpha, r, log_diagonal, below):
        L = factors(log_diagonal, below)
        T = L.transpose(0, 2, 1)
        S, k = L @ T, np.arange(len(x)) % 3

        def mean(matrix, centres=r):
            return centres[k] + np.einsum("bij,bj->bi", matrix[k], x)

        want = mean(S)
        means = {
            "r is missing: the mean is r + S x": mean(S, 0 * r),
            "S x is missing: the mean is r + S x": mean(0 * S),
            "L is used instead of S in the mean r + S x": mean(L),
            "L^T L is used instead of S = L L^T in the mean": mean(T @ L),
            "L^T is used instead of S in the mean r + S x": mean(T),
            "S is used instead of x + S x": mean(S + np.eye(D)),
            "S x is subtracted; the mean is r + S x": mean(-S),
            "the mean is missing: this is the noise alone": 0 * want,
            "the mean is taken from the first component for every row": r[0] + x @ S[0].T,
        }
        spread = np.einsum("kni,knj->kij", *[got["draws"] - got["draws"].mean(1)[:, None]] * 2) / n
        near = {"rtol": 0.1, "atol": 6 * eps * np.abs(S).max() / np.sqrt(n)}
        expect(
            spread,
            eps * S,
            "covariances of the components",
            {
                "eps is missing: the noise is sqrt(eps) L z": S,
                "the noise is eps L z; it is sqrt(eps) L z": eps**2 * S,
                "the noise is S z; it is L z": eps * S @ S,
                "the noise is L^T z; it is L z": eps * T @ L,
                "L is missing in the noise": eps * np.eye(D),
                "there is no noise": 0 * S,
                "the noise is the same for all rows": 0 * S,
            },
            **near,
        )
        expect(got["exact"], want, "draws with hardly any noise", means, atol=2e-4)
        for row, draws in enumerate(got["draws"]):
            expect_mean(draws, want[row], "mean of the draws")
        shares = np.array([0.2, 0.3, 0.5])
        centres = r + np.einsum("kij,j->ki", S, x[0])
        expect_mean(
            got["mixed"],
            shares @ centres,
            "mean over all components",
            {
                "the weights are not those of log_weights": centres.mean(0),
                "it is always the likeliest component": centres[2],
            },
        )
        expect(got["seeded"][1], got["seeded"][0], "draws with the same generator")
