"""Plausible mistakes in image_diffusion/inpainting.py: name -> (task, file, old, new, part of what is said)."""

KNOWN = "known = abar.sqrt() * self.x0 + (1 - abar).sqrt() * noise_like(x)"
PASTED = "return self.mask * x + (1 - self.mask) * known"
REPLACED = "            x = self.scheduler.step(x, t, self.predict_noise(x, t))\n            x = self.paste_known(x, self.scheduler.previous(t))"
UP = "return ratio.sqrt() * x + (1 - ratio).sqrt() * noise_like(x)"
AGAIN = "if i < tries - 1:\n                    x = self.renoise(x_s, s, t)"
TRY = "                x_s = self.scheduler.step(x, t, self.predict_noise(x, t))\n                x_s = self.paste_known(x_s, s)\n"
MISFIT = "misfit = (1 - self.mask) * (self.x0 - x0_hat)"
NORM = "misfit.flatten(1).norm(dim=1).sum()"
PULLED = "            x = self.scheduler.step(x, t, noise) - step_size * gradient\n            x = self.paste_known(x, self.scheduler.previous(t))"

MISTAKES = {
    "mask inverted": ("2.3a", "inpainting", PASTED, "return (1 - self.mask) * x + self.mask * known", "hole is where the mask is 1"),
    "known part clean": ("2.3a", "inpainting", KNOWN, "known = self.x0", "left clean"),
    "known part without noise": ("2.3a", "inpainting", KNOWN, "known = abar.sqrt() * self.x0", "seams"),
    "known part without roots": ("2.3a", "inpainting", KNOWN, "known = abar * self.x0 + (1 - abar) * noise_like(x)", "take the root"),
    "known part noised by the variance": ("2.3a", "inpainting", KNOWN, "known = abar.sqrt() * self.x0 + (1 - abar) * noise_like(x)", "1 - abar; take the root"),
    "known part exchanged": ("2.3a", "inpainting", KNOWN, "known = (1 - abar).sqrt() * self.x0 + abar.sqrt() * noise_like(x)", "exchanged"),
    "known part with all the noise": ("2.3a", "inpainting", KNOWN, "known = abar.sqrt() * self.x0 + (timestep >= 0) * noise_like(x)", "variance is 1"),
    "known part at t + 1": ("2.3a", "inpainting", KNOWN, "abar = self.scheduler.abar(timestep + 1) if timestep >= 0 else abar\n        " + KNOWN, "timestep t + 1"),
    "known part at t - 1": ("2.3a", "inpainting", KNOWN, "abar = self.scheduler.abar(timestep - 1) if timestep >= 0 else abar\n        " + KNOWN, "timestep t - 1"),
    "known part by a negative index": ("2.3a", "inpainting", KNOWN, "abar = self.scheduler.alphas_cumprod[int(timestep)]\n        " + KNOWN, "negative index"),
    "known part with one noise": ("2.3a", "inpainting", KNOWN, KNOWN.replace("noise_like(x)", "noise_like(x[:1])"), "same noise"),
    "hole noised as well": ("2.3a", "inpainting", PASTED, "return known + self.mask * x", "noise in it"),
    "pasted at the level of t": ("2.3b", "inpainting", REPLACED, REPLACED.replace("self.scheduler.previous(t)", "t"), "level of t"),
    "pasted before the step": ("2.3b", "inpainting", REPLACED, "            x = self.paste_known(x, t)\n            x = self.scheduler.step(x, t, self.predict_noise(x, t))", "before the step"),
    "pasted at t - 1": ("2.3b", "inpainting", REPLACED, REPLACED.replace("self.scheduler.previous(t)", "t - 1"), "t - 1"),
    "never pasted": ("2.3b", "inpainting", REPLACED, REPLACED.splitlines()[0], "nothing is pasted"),
    "pasted at the end": ("2.3b", "inpainting", REPLACED + "\n        return x", REPLACED.splitlines()[0] + "\n        return self.paste_known(x, -1)", "only at the end"),
    "not pasted at the end": ("2.3b", "inpainting", REPLACED, REPLACED.splitlines()[0] + "\n            if self.scheduler.previous(t) >= 0:\n                x = self.paste_known(x, self.scheduler.previous(t))", "after the last step nothing"),
    "replacement upwards": ("2.3b", "inpainting", 'self.steps("replacement")', 'reversed(list(self.steps("replacement")))', "run upwards"),
    "up without scale": ("2.3c", "inpainting", UP, "return x + (1 - ratio).sqrt() * noise_like(x)", "keeps its size"),
    "up as from the data": ("2.3c", "inpainting", "ratio = abar_t / abar_s", "ratio = abar_t", "instead of abar_t / abar_s"),
    "up one timestep": ("2.3c", "inpainting", "ratio = abar_t / abar_s", "ratio = abar_t / self.scheduler.abar(t - 1)", "one timestep"),
    "up without roots": ("2.3c", "inpainting", UP, "return ratio * x + (1 - ratio) * noise_like(x)", "is missing"),
    "up by the variance": ("2.3c", "inpainting", UP, "return ratio.sqrt() * x + (1 - ratio) * noise_like(x)", "take the root"),
    "up without noise": ("2.3c", "inpainting", UP, "return ratio.sqrt() * x", "there is none"),
    "up with all the noise": ("2.3c", "inpainting", UP, "return ratio.sqrt() * x + (1 - abar_t).sqrt() * noise_like(x)", "from the data"),
    "up with the ratio turned": ("2.3c", "inpainting", "ratio = abar_t / abar_s", "ratio = abar_s / abar_t", "below 1"),
    "up with one noise": ("2.3c", "inpainting", UP, UP.replace("noise_like(x)", "noise_like(x[:1])"), "same noise"),
    "repaint stays up": ("2.3d", "inpainting", AGAIN + "\n            x = x_s", "if s >= 0:\n                    x = self.renoise(x_s, s, t)\n                else:\n                    x = x_s", "after the last try"),
    "repaint never goes up": ("2.3d", "inpainting", AGAIN, "x = x_s", "does not go up"),
    "repaint forgets to go down": ("2.3d", "inpainting", "            x = x_s\n        return x", "        return x_s", "from the x_t of the last try"),
    "repaint repeats the last step": ("2.3d", "inpainting", "tries = resamplings if s >= 0 else 1", "tries = resamplings", "steps per timestep"),
    "repaint one try short": ("2.3d", "inpainting", "for i in range(tries):", "for i in range(max(tries - 1, 1)):", "steps per timestep"),
    "repaint pastes at t": ("2.3d", "inpainting", "x_s = self.paste_known(x_s, s)", "x_s = self.paste_known(x_s, t)", "level of t"),
    "repaint turns s and t": ("2.3d", "inpainting", "self.renoise(x_s, s, t)", "self.renoise(x_s, t, s)", "wrong order"),
    "repaint pastes once": ("2.3d", "inpainting", "x_s = self.paste_known(x_s, s)\n", "if i == tries - 1:\n                    x_s = self.paste_known(x_s, s)\n", "only after the last try"),
    "repaint tries from the same x": ("2.3d", "inpainting", AGAIN, "pass", "from the same x_t"),
    "mcg network detached": ("2.3e", "inpainting", "noise = self.predict_noise(x, timestep)\n            x0_hat = (x - (1 - abar).sqrt() * noise)", "noise = self.predict_noise(x, timestep).detach()\n            x0_hat = (x - (1 - abar).sqrt() * noise)", "detached"),
    "mcg squared norm": ("2.3e", "inpainting", NORM, "misfit.pow(2).sum()", "squared norm"),
    "mcg norm of the batch": ("2.3e", "inpainting", NORM, "misfit.norm()", "over the batch"),
    "mcg misfit of the hole": ("2.3e", "inpainting", MISFIT, "misfit = self.mask * (self.x0 - x0_hat)", "that of the hole"),
    "mcg misfit of all": ("2.3e", "inpainting", MISFIT, "misfit = self.x0 - x0_hat", "counts the hole"),
    "mcg misfit of x_t": ("2.3e", "inpainting", MISFIT, "misfit = (1 - self.mask) * (self.x0 - x)", "compares x_t"),
    "mcg estimate not divided": ("2.3e", "inpainting", "* noise) / abar.sqrt()", "* noise)", "not divided"),
    "mcg noise with a graph": ("2.3e", "inpainting", "return noise.detach(), gradient", "return noise, gradient", "graph"),
    "mcg gradient with a graph": ("2.3e", "inpainting", NORM + ", x)", NORM + ", x, create_graph=True)", "graph"),
    "mcg without enable_grad": ("2.3e", "inpainting", "with torch.enable_grad():", "with torch.no_grad():", "does not require grad"),
    "mcg gradient downwards": ("2.3e", "inpainting", "return noise.detach(), gradient", "return noise.detach(), -gradient", "sign"),
    "mcg returns the estimate": ("2.3e", "inpainting", "return noise.detach(), gradient", "return x0_hat.detach(), gradient", "estimate of x_0"),
    "mcg climbs": ("2.3f", "inpainting", PULLED, PULLED.replace("- step_size", "+ step_size"), "is added"),
    "mcg without gradient": ("2.3f", "inpainting", PULLED, PULLED.replace(" - step_size * gradient", ""), "not used"),
    "mcg without step size": ("2.3f", "inpainting", PULLED, PULLED.replace("step_size * ", ""), "step_size is not used"),
    "mcg gradient at x_s": ("2.3f", "inpainting", PULLED, PULLED.replace(" - step_size * gradient\n", "\n            x = x - step_size * self.mcg_gradient(x, t)[1]\n"), "at x_s"),
    "mcg pulls after pasting": ("2.3f", "inpainting", PULLED, PULLED.replace(" - step_size * gradient", "") + "\n            x = x - step_size * gradient", "after what is known"),
    "mcg pastes at t": ("2.3f", "inpainting", PULLED, PULLED.replace("self.scheduler.previous(t)", "t"), "level of t"),
    "mcg never pastes": ("2.3f", "inpainting", PULLED, PULLED.splitlines()[0], "nothing is pasted"),
    "repaint takes timestep 0 for the data": ("2.3d", "inpainting", "resamplings if s >= 0 else 1", "resamplings if s > 0 else 1", "steps per timestep"),
    "mcg makes its argument require gradients": ("2.3e", "inpainting", "x = x.detach().requires_grad_()", "x = x.requires_grad_()", "belongs to the caller"),
}  # fmt: skip
