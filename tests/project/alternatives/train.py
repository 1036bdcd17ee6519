"""Correct answers to the tasks of sde_todo/train.py, written another way: name -> [(file, old, new), ...]."""

JOINT = (
    "        x = states[1:].flatten(0, 1)\n"
    "        z = policy(times[:-1].flatten(), x)\n"
    "        z_other = other(1 - times[1:].flatten(), x)\n"
    "        dt = times.diff(dim=0).flatten()\n"
)

ALTERNATIVES = {
    "ema by an explicit sum": [
        ("train", "            for average, p in pairs:\n                average.lerp_(p, 1 - d)",
         "            for average, p in pairs:\n                average.copy_(d * average + (1 - d) * p)"),
    ],
    "step with zero_grad at its end": [
        ("train", "        opt.zero_grad()\n        loss = loss_fn", "        loss = loss_fn"),
        ("train", "y, w)\n        loss.backward()\n        opt.step()\n",
         "y, w)\n        loss.backward()\n        opt.step()\n        opt.zero_grad()\n"),
    ],
    "target by the residual": [
        ("train", "y = dsm_target(z, std)", "y = (alpha * batch - x_t) / std**2"),
    ],
    "steps of sb-fbsde with clones and repeated times": [
        ("train", "        x = x.detach().requires_grad_()\n        return loss_fn(dt",
         "        x = x.clone()\n        x.requires_grad_(True)\n        return loss_fn(dt"),
        ("train", JOINT,
         "        x = torch.cat(list(states[1:]))\n"
         "        s = chain.s.to(x)\n"
         "        B = len(states[0])\n"
         "        z_other = other((1 - s[1:]).repeat_interleave(B), x)\n"
         "        z = policy(s[:-1].repeat_interleave(B), x)\n"
         "        dt = s.diff().repeat_interleave(B)\n"),
    ],
}  # fmt: skip
