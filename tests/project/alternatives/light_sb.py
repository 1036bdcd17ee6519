"""Correct answers to the tasks of sde_todo/light_sb.py, written another way: name -> [(file, old, new), ...]."""

from tests.project.mistakes import light_sb as here

LOG_V = (
    "        u = torch.linalg.solve_triangular(self.cholesky(), away.mT, upper=False)  # (K, D, B)\n"
    f"        {here.LOG_DET}\n"
    f"        {here.LOG_NORMAL}\n"
    "        return (self.log_alpha[:, None] + log_normal).logsumexp(0)"
)

ALTERNATIVES = {
    "potential by torch.distributions": [
        ("light_sb", LOG_V,
         "        normal = torch.distributions.MultivariateNormal(\n"
         "            self.r, scale_tril=math.sqrt(self.eps) * self.cholesky()\n"
         "        )\n"
         "        return (self.log_alpha + normal.log_prob(y[:, None])).logsumexp(1)"),
    ],
    "plan by full covariances": [
        ("light_sb", 'Lx = torch.einsum("kij,bi->bkj", self.cholesky(), x)',
         "L = self.cholesky()\n        S = L @ L.mT"),
        ("light_sb", here.LOG_WEIGHTS,
         'square = torch.einsum("bi,kij,bj->bk", x, S, x) / 2\n'
         "        return self.log_alpha + (square + x @ self.r.T) / self.eps"),
        ("light_sb", here.LIGHT_MEAN, "S = L @ L.mT\n        mean = self.r[k] + (S @ x[:, :, None])[..., 0]"),
        ("light_sb", here.LIGHT_NOISE,
         "root = torch.linalg.cholesky(S)\n"
         "        return mean + self.eps**0.5 * (root @ z[..., None]).squeeze(-1)"),
        ("light_sb", here.LIGHT_LOSS,
         "C = torch.logsumexp(self.log_weights(x0), dim=1)\n"
         "        return -(self.log_v(x1).sum() / len(x1)) + C.sum() / len(x0)"),
    ],
}  # fmt: skip
