"""Correct answers to the tasks of image_diffusion/inpainting.py, written another way: name -> [(file, old, new), ...]."""

from tests.project.mistakes import inpainting as here

ALTERNATIVES = {
    "paste by where": [
        ("inpainting", here.PASTED, "return torch.where(self.mask.bool(), x, known)"),
    ],
    "paste by add_noise": [
        ("inpainting", here.KNOWN, "known = self.x0\n"
         "        if timestep >= 0:\n"
         "            times = torch.full((len(x),), int(timestep), device=x.device)\n"
         "            known, _ = self.scheduler.add_noise(self.x0, times)"),
    ],
    "paste in place": [
        ("inpainting", here.PASTED, "inside = self.mask.bool().expand_as(x)\n"
         "        known[inside] = x[inside]\n        return known"),
    ],
    "paste and up in place of x": [
        ("inpainting", here.PASTED, "x *= self.mask\n"
         "        x += (1 - self.mask) * known\n        return x"),
        ("inpainting", here.UP, "x.mul_(ratio.sqrt())\n"
         "        return x.add_(noise_like(x), alpha=(1 - ratio).sqrt().item())"),
    ],
    "replacement that pastes x0 itself in the end": [
        ("inpainting", here.REPLACED + "\n        return x", here.REPLACED
         + "\n        return self.paste_known(x, -1)"),
    ],
    "up by random numbers of a given law": [
        ("inpainting", here.UP,
         "return torch.normal(x * ratio**0.5, ((1 - ratio) ** 0.5).expand_as(x))"),
    ],
    "repaint with an early break": [
        ("inpainting", here.AGAIN, "if i == tries - 1:\n                    break\n"
         "                x = self.renoise(x_s, s, t)"),
    ],
    "repaint that goes up before a try": [
        ("inpainting", here.TRY, "                if i:\n"
         "                    x = self.renoise(x_s, s, t)\n" + here.TRY),
        ("inpainting", "                if i < tries - 1:\n                    x = self.renoise(x_s, s, t)\n", ""),
    ],
    "repaint with one variable": [
        ("inpainting", here.TRY, here.TRY.replace("x_s", "x")),
        ("inpainting", "x = self.renoise(x_s, s, t)", "x = self.renoise(x, s, t)"),
        ("inpainting", "            x = x_s\n", ""),
    ],
    "mcg by backward": [
        ("inpainting", "(gradient,) = torch.autograd.grad(" + here.NORM + ", x)",
         here.NORM + ".backward()\n            gradient = x.grad"),
        ("inpainting", "x = x.detach().requires_grad_()", "x = x.clone().requires_grad_(True)"),
    ],
    "mcg norm by a root": [
        ("inpainting", here.NORM, "misfit.square().sum((1, 2, 3)).sqrt().sum()"),
        ("inpainting", here.MISFIT, "misfit = (x0_hat - self.x0) * (self.mask == 0)"),
    ],
    "mcg pulls in place": [
        ("inpainting", here.PULLED, here.PULLED.replace(" - step_size * gradient",
         "\n            x -= step_size * gradient")),
    ],
    "noise by plain torch": [
        ("inpainting", here.KNOWN,
         "known = abar.sqrt() * self.x0 + torch.sqrt(1 - abar) * torch.randn(x.shape)"),
        ("inpainting", here.UP,
         "return ratio.sqrt() * x + torch.sqrt(1 - ratio) * torch.randn(*x.shape, dtype=x.dtype)"),
    ],
}  # fmt: skip
