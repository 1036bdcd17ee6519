"""Plausible mistakes in sde_todo/train.py: name -> (task, file, old, new, part of what is said)."""

MISTAKES = {
    "ema swapped": ("1.2m", "train", "            for average, p in pairs:\n                average.lerp_(p, 1 - d)", "            for average, p in pairs:\n                average.lerp_(p, d)", "exchanged"),
    "ema without warm-up": ("1.2m", "train", "d = min(self.decay, (1 + self.updates) / (10 + self.updates))", "d = self.decay", "no warm-up"),
    "ema forgets to count": ("1.2m", "train", "        self.updates += 1\n", "", "stays 0"),
    "step uses fresh noise": ("1.2n", "train", "y = dsm_target(z, std)", "y = dsm_target(torch.randn_like(z), std)", "noise that is not in x_t"),
    "step multiplies noise by the variance": ("1.2n", "train", "x_t = alpha * batch + std * z", "x_t = alpha * batch + std**2 * z", "std^2"),
    "step never clears the gradient": ("1.2n", "train", "        opt.zero_grad()\n        loss = loss_fn(", "        loss = loss_fn(", "add up"),
    "step averages before it steps": ("1.2n", "train", "        opt.step()\n        if ema is not None:\n            ema.update()\n        if schedule", "        if ema is not None:\n            ema.update()\n        opt.step()\n        if schedule", "before the optimizer"),
    "step forgets the time weight": ("1.2n", "train", "w = time_weight * weight_fn(", "w = weight_fn(", "time_weight"),
    "sb step with time mirrored": ("1.6q", "train", "return loss_fn(dt, x, policy(s, x), z_other, chain.sigma)", "return loss_fn(dt, x, policy(1 - s, x), z_other, chain.sigma)", "own clock"),
    "sb step without gradients of x": ("1.6q", "train", "        x = x.detach().requires_grad_()\n        return loss_fn(dt", "        return loss_fn(dt", "require gradients"),
    "joint step with the other's time not mirrored": ("1.6q", "train", "z_other = other(1 - times[1:].flatten(), x)", "z_other = other(times[1:].flatten(), x)", "not mirrored"),
    "joint step with the other's time off by one": ("1.6q", "train", "z_other = other(1 - times[1:].flatten(), x)", "z_other = other(1 - times[:-1].flatten(), x)", "off by one step"),
    "joint step at the states before": ("1.6q", "train", "x = states[1:].flatten(0, 1)", "x = states[:-1].flatten(0, 1)", "before the steps"),
    "joint step with detached paths": ("1.6q", "train", "x = states[1:].flatten(0, 1)", "x = states[1:].flatten(0, 1).detach().requires_grad_()", "detached"),
    "joint step with the density of the start": ("1.6q", "train", "prior_logp(states[-1])", "prior_logp(states[0])", "paths begin"),
}  # fmt: skip
