"""Correct answers to the tasks of sde_todo/light_sb.py, written another way: name -> [(file, old, new), ...]."""

from tests.project.mistakes import light_sb as here
from tests.project.trees import answer

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
    "potential component by component": [
        answer("light_sb", "LightSB.log_v", """
            logs = []
            for k, L in enumerate(self.cholesky()):
                u = torch.linalg.solve(L, away[k].T)  # (D, B)
                square = torch.einsum("db,db->b", u, u)
                log_det = torch.log(torch.diagonal(L)).sum()
                constant = D * math.log(2 * math.pi * self.eps) / 2
                logs.append(self.log_alpha[k] - square / (2 * self.eps) - log_det - constant)
            return torch.logsumexp(torch.stack(logs, dim=1), dim=1)"""),
        answer("light_sb", "LightSB.log_weights", """
            columns = []
            for log_alpha, r, L in zip(self.log_alpha, self.r, self.cholesky()):
                square = (x @ L).square().sum(dim=1)
                columns.append(log_alpha + square / (2 * self.eps) + (x @ r) / self.eps)
            return torch.stack(columns, -1)"""),
        answer("light_sb", "LightSB.loss", """
            log_C = torch.log(torch.exp(self.log_weights(x0)).sum(dim=-1))
            return torch.mean(log_C) - torch.mean(self.log_v(x1))"""),
        answer("light_sb", "LightSB.sample", """
            L = self.cholesky()[k]
            upper = L.transpose(1, 2)
            inner = torch.bmm(upper, x.unsqueeze(2)) + math.sqrt(self.eps) * z.unsqueeze(2)
            return self.r[k] + torch.bmm(L, inner).squeeze(2)"""),
    ],
    "potential by precisions": [
        answer("light_sb", "LightSB.log_v", """
            L = self.cholesky()
            cov = self.eps * torch.bmm(L, L.mT)  # (K, D, D)
            square = torch.einsum("kbi,kij,kbj->kb", away, torch.linalg.inv(cov), away)
            log_normal = -0.5 * (square + torch.logdet(2 * math.pi * cov)[:, None])
            logs = (log_normal.T + self.log_alpha).T
            return torch.logsumexp(logs, 0)"""),
        answer("light_sb", "LightSB.log_weights", """
            L = self.cholesky()
            S = L @ L.mT
            half = torch.einsum("kij,bj->bki", S, x) / 2 + self.r  # (B, K, D)
            return torch.einsum("bki,bi->bk", half, x) / self.eps + self.log_alpha"""),
        answer("light_sb", "LightSB.loss", """
            log_C = torch.stack([torch.logsumexp(row, 0) for row in self.log_weights(x0)])
            return log_C.sum().div(len(x0)).sub(self.log_v(x1).mean())"""),
        answer("light_sb", "LightSB.sample", """
            L = self.cholesky().index_select(0, k)
            S = torch.matmul(L, L.mT)
            out = self.r[k].clone()
            out += torch.matmul(S, x[..., None])[..., 0]
            out += torch.matmul(L, z[..., None])[..., 0] * self.eps**0.5
            return out"""),
    ],
}  # fmt: skip
