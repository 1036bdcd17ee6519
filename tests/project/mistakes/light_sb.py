"""Plausible mistakes in sde_todo/light_sb.py: name -> (task, file, old, new, part of what is said)."""

LOG_NORMAL = "log_normal = -u.pow(2).sum(1) / (2 * self.eps) - log_det[:, None]  # (K, B)"
LOG_DET = "log_det = self.log_diagonal.sum(1) + 0.5 * D * math.log(2 * math.pi * self.eps)  # (K,)"
LOG_WEIGHTS = "return self.log_alpha + (Lx.pow(2).sum(2) + 2 * x @ self.r.T) / (2 * self.eps)"
LIGHT_LOSS = "return self.log_weights(x0).logsumexp(1).mean() - self.log_v(x1).mean()"
LIGHT_MEAN = 'mean = self.r[k] + torch.einsum("bij,bkj,bk->bi", L, L, x)'
LIGHT_NOISE = 'return mean + math.sqrt(self.eps) * torch.einsum("bij,bj->bi", L, z)'

MISTAKES = {
    "potential without eps": ("1.6r", "light_sb", LOG_NORMAL, "log_normal = -u.pow(2).sum(1) / 2 - log_det[:, None]", "eps is missing"),
    "potential without determinant": ("1.6r", "light_sb", LOG_DET, "log_det = torch.zeros(1) + 0.5 * D * math.log(2 * math.pi * self.eps)", "determinant is missing"),
    "potential with twice the determinant": ("1.6r", "light_sb", LOG_DET, LOG_DET.replace("self.log_diagonal.sum(1)", "2 * self.log_diagonal.sum(1)"), "counts twice"),
    "potential with S for L": ("1.6r", "light_sb", "u = torch.linalg.solve_triangular(self.cholesky(), away.mT, upper=False)", "u = torch.linalg.solve(self.cholesky() @ self.cholesky().mT, away.mT)", "S is used instead of L"),
    "potential is a mean": ("1.6r", "light_sb", "return (self.log_alpha[:, None] + log_normal).logsumexp(0)", "return (self.log_alpha[:, None] + log_normal).logsumexp(0) - math.log(len(self.r))", "mean over the components"),
    "potential with normalised alpha": ("1.6r", "light_sb", "return (self.log_alpha[:, None] + log_normal).logsumexp(0)", "return (self.log_alpha.log_softmax(0)[:, None] + log_normal).logsumexp(0)", "normalised"),
    "weights without 2": ("1.6s", "light_sb", LOG_WEIGHTS, LOG_WEIGHTS.replace("2 * x @", "x @"), "factor 2 of x.r"),
    "weights without half": ("1.6s", "light_sb", LOG_WEIGHTS, LOG_WEIGHTS.replace("(2 * self.eps)", "self.eps"), "divide by 2 eps"),
    "weights with L the wrong way": ("1.6s", "light_sb", 'Lx = torch.einsum("kij,bi->bkj", self.cholesky(), x)', 'Lx = torch.einsum("kij,bj->bki", self.cholesky(), x)', "|L^T x|^2"),
    "light loss upside down": ("1.6s", "light_sb", LIGHT_LOSS, "return self.log_v(x1).mean() - self.log_weights(x0).logsumexp(1).mean()", "sign is wrong"),
    "light loss sums over the batch": ("1.6s", "light_sb", LIGHT_LOSS, LIGHT_LOSS.replace("logsumexp(1)", "logsumexp(0)"), "runs over the batch"),
    "light loss with sets exchanged": ("1.6s", "light_sb", LIGHT_LOSS, "return self.log_weights(x1).logsumexp(1).mean() - self.log_v(x0).mean()", "exchanged"),
    "draws without r": ("1.6t", "light_sb", LIGHT_MEAN, LIGHT_MEAN.replace("self.r[k] + ", ""), "r is missing"),
    "draws with L for S": ("1.6t", "light_sb", LIGHT_MEAN, 'mean = self.r[k] + torch.einsum("bij,bj->bi", L, x)', "L is used instead of S"),
    "draws without eps": ("1.6t", "light_sb", LIGHT_NOISE, 'return mean + torch.einsum("bij,bj->bi", L, z)', "eps is missing"),
    "draws with eps": ("1.6t", "light_sb", LIGHT_NOISE, 'return mean + self.eps * torch.einsum("bij,bj->bi", L, z)', "sqrt(eps) L z"),
    "draws with noise S z": ("1.6t", "light_sb", LIGHT_NOISE, 'return mean + math.sqrt(self.eps) * torch.einsum("bij,bkj,bk->bi", L, L, z)', "noise is S z"),
    "draws without noise": ("1.6t", "light_sb", LIGHT_NOISE, "return mean", "no noise"),
}  # fmt: skip
