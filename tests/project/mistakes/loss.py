"""Plausible mistakes in sde_todo/loss.py: name -> (task, file, old, new, part of what is said)."""

SBA = "return weighted_mean(product + get_div(g * z, x, self.method, self.noise), dt)"
SBJ_DIV = "per_state = per_state + get_div(g * z_other, x, self.method, self.noise)"
SBJ = "return (dt * per_state).sum() / len(log_q) - log_q.mean()"

MISTAKES = {
    "dsm target with std squared": ("1.2e", "loss", "return -z / std\n", "return -z / std**2\n", "one std"),
    "dsm target with wrong sign": ("1.2e", "loss", "return -z / std\n", "return z / std\n", "sign"),
    "dsm without half": ("1.2e", "loss", "per_sample = 0.5 * (model(t, x) - y)", "per_sample = (model(t, x) - y)", "1/2"),
    "dsm mean over coordinates": ("1.2e", "loss", "(model(t, x) - y).pow(2).flatten(1).sum(1)", "(model(t, x) - y).pow(2).flatten(1).mean(1)", "mean over the coordinates"),
    "dsm ignores the weight": ("1.2e", "loss", "per_sample = 0.5 * (model(t, x) - y).pow(2).flatten(1).sum(1)  # (B,)\n        return weighted_mean(per_sample, weight)", "return (0.5 * (model(t, x) - y).pow(2).flatten(1).sum(1)).mean()", "weight is not used"),
    "divergence sums the jacobian": ("1.2f", "loss", "return sum(grad.flatten(1)[:, i] for i, grad in enumerate(grads))", "return torch.autograd.grad(y.sum(), x, create_graph=True)[0].flatten(1).sum(1)", "trace"),
    "divergence of the whole batch": ("1.2f", "loss", "return sum(grad.flatten(1)[:, i] for i, grad in enumerate(grads))", "return sum(grad.flatten(1)[:, i] for i, grad in enumerate(grads)).sum()", "shape"),
    "divergence without graph": ("1.2f", "loss", "grads = [torch.autograd.grad(c.sum(), x, create_graph=True)[0] for c in columns]", "grads = [torch.autograd.grad(c.sum(), x, retain_graph=True)[0] for c in columns]", "does not require grad"),
    "hutchinson without the second v": ("1.2f", "loss", "vjp = torch.autograd.grad(y, x, v, create_graph=True)[0]\n    return (vjp * v).flatten(1).sum(1)", "vjp = torch.autograd.grad(y, x, v, create_graph=True)[0]\n    return vjp.flatten(1).sum(1)", "again"),
    "hutchinson ignores the noise": ("1.2f", "loss", "v = random_probe(x, noise)\n", "v = random_probe(x)\n", "other kind"),
    "ism norm over the batch": ("1.2g", "loss", "per_sample = 0.5 * s.pow(2).flatten(1).sum(1) + get_div(", "per_sample = 0.5 * torch.norm(s) ** 2 + get_div(", "shrinks with B"),
    "ism without half": ("1.2g", "loss", "per_sample = 0.5 * s.pow(2).flatten(1).sum(1) + get_div(", "per_sample = s.pow(2).flatten(1).sum(1) + get_div(", "1/2"),
    "ism divergence subtracted": ("1.2g", "loss", "per_sample = 0.5 * s.pow(2).flatten(1).sum(1) + get_div(", "per_sample = 0.5 * s.pow(2).flatten(1).sum(1) - get_div(", "wrong sign"),
    "ssm without the second v": ("1.2h", "loss", "+ (vjp * v).flatten(1).sum(1)\n", "+ vjp.flatten(1).sum(1)\n", "both sides"),
    "ssm without half": ("1.2h", "loss", "per_sample = 0.5 * s.pow(2).flatten(1).sum(1) + (vjp", "per_sample = s.pow(2).flatten(1).sum(1) + (vjp", "1/2"),
    "times start at 0": ("1.2i", "loss", "t = eps + (sde.T - eps) * u\n", "t = sde.T * u\n", "infinite"),
    "times end at 1": ("1.2i", "loss", "t = eps + (sde.T - eps) * u\n", "t = eps + (1 - eps) * u\n", "taken for 1"),
    "debiased weights forgotten": ("1.2j", "loss", "(1 / ((sde.T - eps) * q)).float()", "torch.ones_like(q).float()", "biased"),
    "debiased weights upside down": ("1.2j", "loss", "(1 / ((sde.T - eps) * q)).float()", "q.float()", "q itself"),
    "stable target without weights": ("1.2l", "loss", "/ sigma**2 + self.log_weight  # (rows, K)", "/ sigma**2  # (rows, K)", "weights of the centres"),
    "stable target without square": ("1.2l", "loss", "(y @ c.T - c.pow(2).sum(1) / 2)", "(y @ c.T)", "|c|^2"),
    "sba without half": ("1.6o", "loss", "product = (z * (0.5 * z + z_other))", "product = (z * (z + z_other))", "1/2 is missing"),
    "sba divergence without g": ("1.6o", "loss", SBA, "return weighted_mean(product + get_div(z, x, self.method, self.noise), dt)", "of g z"),
    "sba without the other policy": ("1.6o", "loss", "product = (z * (0.5 * z + z_other))", "product = (z * (0.5 * z))", "z_other is missing"),
    "sba without dt": ("1.6o", "loss", SBA, "return weighted_mean(product + get_div(g * z, x, self.method, self.noise))", "dt is missing"),
    "sba with the joint square": ("1.6o", "loss", "product = (z * (0.5 * z + z_other))", "product = (0.5 * (z + z_other) ** 2)", "joint loss"),
    "sba ignores the method": ("1.6o", "loss", SBA, "return weighted_mean(product + get_div(g * z, x), dt)", "self.method"),
    "sbj mean over states": ("1.6p", "loss", SBJ, "return (dt * per_state).mean() - log_q.mean()", "mean over all states"),
    "sbj divergence of the wrong policy": ("1.6p", "loss", SBJ_DIV, SBJ_DIV.replace("g * z_other", "g * z"), "that of z;"),
    "sbj divergence without g": ("1.6p", "loss", SBJ_DIV, SBJ_DIV.replace("g * z_other", "z_other"), "without g"),
    "sbj without log q": ("1.6p", "loss", SBJ, "return (dt * per_state).sum() / len(log_q)", "log q is missing"),
    "sbj with log q added": ("1.6p", "loss", SBJ, "return (dt * per_state).sum() / len(log_q) + log_q.mean()", "log q has the wrong sign"),
    "sbj without half": ("1.6p", "loss", "per_state = 0.5 * (z + z_other)", "per_state = (z + z_other)", "1/2 is missing"),
}  # fmt: skip
