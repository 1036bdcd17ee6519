"""Correct answers to the tasks of image_diffusion/inpainting.py, written another way: name -> [(file, old, new), ...]."""

from tests.project.mistakes import inpainting as here
from tests.project.trees import answer

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
    "paste by a helper, with noise of its own": [
        answer("inpainting", "Inpainter.paste_known", """
            signal, level = float(abar) ** 0.5, (1 - float(abar)) ** 0.5
            known = signal * self.x0
            if level > 0:
                known = known + level * torch.randn(x.shape, dtype=x.dtype, device=x.device)
            return torch.lerp(known, x, self.mask.expand_as(x))"""),
    ],
    "paste by masked_scatter and torch.normal": [
        answer("inpainting", "Inpainter.paste_known", """
            std = torch.full_like(x, (1 - abar).sqrt().item())
            known = torch.normal(abar.sqrt().to(x) * self.x0, std)
            hole = (self.mask == 1).expand_as(x)
            return known.masked_scatter(hole, x[hole])"""),
    ],
    "paste image by image": [
        answer("inpainting", "Inpainter.paste_known", """
            masks = self.mask.expand(len(x), *self.mask.shape[1:])
            out = []
            for image, clean, mask in zip(x, self.x0, masks):
                noised = clean
                if timestep >= 0:
                    noised = abar.sqrt() * clean + (1 - abar).sqrt() * torch.randn_like(clean)
                out.append((mask * image + (1 - mask) * noised).to(x))
            return torch.stack(out)"""),
    ],
    "replacement over pairs of timesteps": [
        answer("inpainting", "Inpainter.replacement", """
            import itertools

            visited = self.scheduler.timesteps.tolist() + [-1]
            for now, then in itertools.pairwise(visited):
                e = self.predict_noise(x, timestep=now)
                x = self.paste_known(self.scheduler.step(x, now, e), timestep=then)
            return x"""),
    ],
    "replacement with the model's own prediction": [
        answer("inpainting", "Inpainter.replacement", """
            for t in self.scheduler.timesteps:
                noise = self.model.predict_noise(x, t, self.class_label, self.guidance_scale)
                x_s = self.scheduler.step(sample=x, timestep=t, noise_pred=noise)
                s = self.scheduler.previous(t)
                x = self.paste_known(x_s, s)
            return x"""),
    ],
    "up by numbers": [
        answer("inpainting", "Inpainter.renoise", """
            ratio = float(abar_t) / float(abar_s)
            z = torch.randn(x.shape, dtype=x.dtype, device=x.device)
            return ratio**0.5 * x + (1 - ratio) ** 0.5 * z"""),
    ],
    "up by variances": [
        answer("inpainting", "Inpainter.renoise", """
            signal = torch.sqrt(abar_t) / torch.sqrt(abar_s)
            variance = (1 - abar_t) - signal**2 * (1 - abar_s)
            out = torch.empty_like(x).normal_()
            out *= torch.sqrt(variance)
            out += signal * x
            return out"""),
    ],
    "repaint by a helper for one try": [
        answer("inpainting", "Inpainter.repaint", """
            def once(state: Tensor, t: int, s: int) -> Tensor:
                moved = self.scheduler.step(state, t, self.predict_noise(state, t))
                return self.paste_known(moved, s)

            for t in self.scheduler.timesteps.tolist():
                s = self.scheduler.previous(t)
                if s == -1:
                    return once(x, t, s)
                low = once(x, t, s)
                for _ in range(resamplings - 1):
                    low = once(self.renoise(low, s=s, t=t), t, s)
                x = low
            return x"""),
    ],
    "repaint with a while loop": [
        answer("inpainting", "Inpainter.repaint", """
            for t in self.steps(name="RePaint"):
                s, left = self.scheduler.previous(t), resamplings
                while True:
                    left -= 1
                    x = self.scheduler.step(x, t, self.predict_noise(x, t))
                    x = self.paste_known(x, s)
                    if left <= 0 or s < 0:
                        break
                    x = self.renoise(x, s, t)
            return x"""),
    ],
    "mcg by a pullback": [
        answer("inpainting", "Inpainter.mcg_gradient", """
            with torch.enable_grad():
                state = x.detach().clone().requires_grad_(True)
                noise = self.predict_noise(state, timestep)
            a, b = abar.sqrt(), (1 - abar).sqrt()
            x0_hat = (state.detach() - b * noise.detach()) / a
            misfit = torch.where(self.mask == 1, torch.zeros_like(x0_hat), x0_hat - self.x0)
            unit = misfit / misfit.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1)
            # x0_hat = (x - b noise(x)) / a, so the gradient is (unit - b J^T unit) / a.
            (through,) = torch.autograd.grad(noise, state, unit.to(noise))
            return noise.detach(), ((unit - b * through) / a).to(x)"""),
    ],
    "mcg by torch.func": [
        answer("inpainting", "Inpainter.mcg_gradient", """
            def misfit(state: Tensor) -> tuple[Tensor, Tensor]:
                noise = self.predict_noise(state, timestep)
                x0_hat = state / abar.sqrt() - (1 / abar - 1).sqrt() * noise
                r = (1 - self.mask) * (self.x0 - x0_hat)
                return torch.einsum("bchw,bchw->b", r, r).sqrt().sum(), noise

            with torch.enable_grad():
                gradient, noise = torch.func.grad(misfit, has_aux=True)(x.detach())
            return noise.detach(), gradient.detach()"""),
    ],
    "mcg with keywords, over pairs": [
        answer("inpainting", "Inpainter.mcg", """
            visited = self.scheduler.timesteps.tolist()
            for k, t in enumerate(visited):
                noise, gradient = self.mcg_gradient(x, timestep=t)
                x_s = self.scheduler.step(x, t, noise)
                x_s = torch.add(x_s, gradient, alpha=-step_size)
                s = visited[k + 1] if k + 1 < len(visited) else -1
                x = self.paste_known(x_s, s)
            return x"""),
    ],
}  # fmt: skip
