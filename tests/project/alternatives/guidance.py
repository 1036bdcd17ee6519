"""Correct answers to the tasks of image_diffusion/guidance.py, written another way: name -> [(file, old, new), ...]."""

from tests.project.mistakes import guidance as here
from tests.project.trees import answer

GRADIENT = f"            {here.LOGP}\n            {here.CHOSEN}\n            {here.SLOPE}\n"

ALTERNATIVES = {
    "gray by einsum and a row": [
        ("guidance", here.GRAY,
         "row = torch.ones(self.channels) / self.channels**0.5\n"
         '        return torch.einsum("c,bchw->bhw", row, x).unsqueeze(1)'),
        ("guidance", here.GRAY_T,
         "row = torch.ones(self.channels) / self.channels**0.5\n"
         '        return torch.einsum("c,bohw->bchw", row, y)'),
    ],
    "gray by the mean and repeat": [
        ("guidance", here.GRAY, "return x.mean(dim=1, keepdim=True) * self.channels**0.5"),
        ("guidance", here.GRAY_T,
         "return (y / self.channels**0.5).repeat(1, self.channels, 1, 1)"),
    ],
    "pool by a reshape": [
        ("guidance", here.POOL,
         "B, C, H, W = x.shape\n"
         "        blocks = x.reshape(B, C, H // self.k, self.k, W // self.k, self.k)\n"
         "        return blocks.sum((3, 5)) / self.k"),
        ("guidance", here.POOL_T,
         "y = y.repeat_interleave(self.k, 2).repeat_interleave(self.k, 3)\n"
         "        return y / self.k"),
    ],
    "pool by a convolution and its transpose": [
        ("guidance", here.POOL,
         "C = x.shape[1]\n"
         "        kernel = torch.full((C, 1, self.k, self.k), 1 / self.k).to(x)\n"
         "        return F.conv2d(x, kernel, stride=self.k, groups=C)"),
        ("guidance", here.POOL_T,
         "C = y.shape[1]\n"
         "        kernel = torch.full((C, 1, self.k, self.k), 1 / self.k).to(y)\n"
         "        return F.conv_transpose2d(y, kernel, stride=self.k, groups=C)"),
    ],
    "projection with the noise drawn like y": [
        ("guidance", here.TARGET, "y_t = a * self.y + b * noise_like(self.y)"),
    ],
    "projection of what is known, plus what is free": [
        ("guidance", here.CORRECTED,
         "free = x - self.operator.adjoint(self.operator.measure(x))\n"
         "        return free + self.operator.adjoint(y_t)"),
    ],
    "projection through the image of y": [
        ("guidance", here.TARGET,
         "known = a * self.operator.adjoint(self.y) + b * torch.randn_like(x)\n"
         "        y_t = self.operator.measure(known)"),
    ],
    "misfit by a root and backward": [
        ("guidance", "(gradient,) = torch.autograd.grad(" + here.NORM + ", x)",
         "misfit.square().sum(dim=(1, 2, 3)).sqrt().sum().backward()\n"
         "            gradient = x.grad"),
    ],
    "misfit the other way round, in the image": [
        ("guidance", here.MISFIT,
         "misfit = self.operator.adjoint(self.operator.measure(x0_hat) - self.y)"),
    ],
    "misfit in a loop over the images": [
        ("guidance", here.NORM, "sum(torch.linalg.vector_norm(r) for r in misfit)"),
    ],
    "misfit by python numbers": [
        ("guidance", here.X0_HAT,
         "a = float(abar)\n"
         "            x0_hat = x / a**0.5 - (1 / a - 1) ** 0.5 * noise"),
    ],
    "pc with ds as a tensor": [
        ("guidance", here.STEP, "x = reverse_diffusion_step(reverse, s, s_next - s, x)[0]"),
    ],
    "pc with the corrections by the forward process": [
        ("guidance", here.CORRECTION,
         "            x = reverse.forward.correct_fn(\n"
         "                reverse.T - s_next, x, reverse.score_fn, snr=snr)\n"
         "            x = self.project(x, a, b)\n"),
    ],
    "pc with levels of its own": [
        ("guidance", here.STEP,
         here.STEP + "\n        a, b = alpha_std(reverse, s_next, x[:1].double())\n"
         "        a, b = a[0].item(), b[0].item()"),
    ],
    "pc with a while loop": [
        ("guidance", here.LOOP + here.CORRECTION,
         "        while corrections > 0:\n"
         "            moved = reverse.correct_fn(s_next, x, snr=snr)\n"
         "            x, corrections = self.project(moved, a, b), corrections - 1\n"),
    ],
    "class gradient by cross entropy": [
        ("guidance", GRADIENT,
         "            loss = F.cross_entropy(\n"
         '                self.classifier(x, timestep), class_label - 1, reduction="sum")\n'
         "            return -torch.autograd.grad(loss, x)[0]\n"),
    ],
    "class gradient by an index and backward": [
        ("guidance", GRADIENT,
         "            logits = self.classifier(x, timestep)\n"
         "            logp = logits - logits.logsumexp(1, keepdim=True)\n"
         "            logp[range(len(x)), class_label - 1].sum().backward()\n"
         "            return x.grad\n"),
    ],
    "class gradient by one-hot labels": [
        ("guidance", GRADIENT,
         "            logp = torch.log(self.classifier(x, timestep).softmax(-1))\n"
         "            one_hot = F.one_hot(class_label - 1, logp.shape[1])\n"
         "            return torch.autograd.grad((one_hot * logp).sum(), x)[0].detach()\n"),
    ],
    "guided noise by the score": [
        ("guidance", here.GUIDED,
         "b = torch.sqrt(1 - abar)\n"
         "        score = -noise / b + guidance_scale * gradient\n"
         "        return -b * score"),
    ],
    "gray by a convolution, pool by kron": [
        answer("guidance", "Gray.measure", """
            kernel = torch.ones(1, self.channels, 1, 1).to(x) / self.channels**0.5
            return F.conv2d(x, kernel)"""),
        answer("guidance", "Gray.adjoint", """
            kernel = torch.full((1, self.channels, 1, 1), 1 / math.sqrt(self.channels)).to(y)
            return F.conv_transpose2d(y, kernel)"""),
        answer("guidance", "Pool.measure", """
            rows = x.unflatten(2, (-1, self.k)).sum(3)  # (B, C, H / k, W)
            return rows.unflatten(3, (-1, self.k)).sum(4).div(self.k)"""),
        answer("guidance", "Pool.adjoint", """
            block = torch.full((self.k, self.k), 1 / self.k).to(y)
            return torch.kron(y, block)"""),
    ],
    "gray and pool by loops": [
        answer("guidance", "Gray.measure", """
            total = torch.zeros_like(x[:, :1])
            for c in range(self.channels):
                total += x[:, c : c + 1]
            return total * self.channels**-0.5"""),
        answer("guidance", "Gray.adjoint", """
            share = y / self.channels**0.5
            return torch.cat([share for _ in range(self.channels)], dim=1)"""),
        answer("guidance", "Pool.measure", """
            shifts = [(i, j) for i in range(self.k) for j in range(self.k)]
            parts = [x[:, :, i :: self.k, j :: self.k] for i, j in shifts]
            return torch.stack(parts).sum(0) / self.k"""),
        answer("guidance", "Pool.adjoint", """
            B, C, h, w = y.shape
            out = y.new_zeros(B, C, h * self.k, w * self.k)
            for i in range(self.k):
                for j in range(self.k):
                    out[:, :, i :: self.k, j :: self.k] = y / self.k
            return out"""),
    ],
    "adjoint by autograd of the measurement": [
        answer("guidance", "Gray.adjoint", """
            with torch.enable_grad():
                x = y.new_zeros(len(y), self.channels, *y.shape[2:]).requires_grad_()
                return torch.autograd.grad(self.measure(x), x, y)[0]"""),
        answer("guidance", "Pool.adjoint", """
            shape = (*y.shape[:2], y.shape[2] * self.k, y.shape[3] * self.k)
            _, pull = torch.func.vjp(self.measure, y.new_zeros(shape))
            return pull(y)[0]"""),
    ],
    "projection in two steps": [
        answer("guidance", "Measured.project", """
            noise = torch.randn(x.shape, dtype=x.dtype, device=x.device)
            wanted = torch.add(a * self.y, b * self.operator.measure(noise))
            seen = self.operator.measure(x)
            out = x.clone()
            out -= self.operator.adjoint(seen)
            out += self.operator.adjoint(wanted)
            return out"""),
    ],
    "projection of the difference of two states": [
        answer("guidance", "Measured.project", """
            known = a * self.operator.adjoint(self.y) + b * noise_like(x)

            def measured(state: Tensor) -> Tensor:
                return self.operator.adjoint(self.operator.measure(state))

            return x - measured(x - known)"""),
    ],
    "misfit by a pullback": [
        answer("guidance", "Measured.mcg_gradient", """
            with torch.enable_grad():
                state = x.clone().detach().requires_grad_(True)
                noise = self.predict_noise(state, timestep)
                x0_hat = state / abar.sqrt() - ((1 - abar) / abar).sqrt() * noise
                seen = self.operator.measure(x0_hat)
            r = (seen - self.y).detach()
            unit = r / r.flatten(1).norm(dim=1).clamp(min=1e-12).reshape(-1, *[1] * (r.ndim - 1))
            gradient = torch.autograd.grad(seen, state, grad_outputs=unit)[0]
            return noise.detach(), gradient.detach()"""),
    ],
    "misfit by torch.func": [
        answer("guidance", "Measured.mcg_gradient", """
            def length(state):
                noise = self.predict_noise(state, timestep)
                x0_hat = (state - (1 - abar).sqrt() * noise) / abar.sqrt()
                misfit = self.operator.measure(x0_hat) - self.y
                return misfit.flatten(1).square().sum(1).sqrt().sum(), noise

            gradient, noise = torch.func.grad(length, has_aux=True)(x.detach())
            return noise.detach(), gradient.detach()"""),
    ],
    "pc by the corrector of the sampler": [
        answer("guidance", "Measured.step_and_correct", """
            from sde_todo.sampling import langevin

            ds = float(s_next[0] - s[0])
            state = reverse_diffusion_step(sde=reverse, s=s, ds=ds, x=x)[0]
            out = self.project(state, a=a, b=b)
            for _ in range(corrections):
                out = langevin(reverse, s_next, out, snr)
                out = self.project(out, a, b)
            return out"""),
    ],
    "pc as a list of moves": [
        answer("guidance", "Measured.step_and_correct", """
            def predict(state):
                return reverse_diffusion_step(reverse, s, (s_next[0] - s[0]).item(), state)[0]

            def correct(state):
                return reverse.correct_fn(s_next, state, snr=snr)

            for move in [predict] + corrections * [correct]:
                x = self.project(move(x), a, b)
            return x"""),
    ],
    "class gradient image by image": [
        answer("guidance", "ClassifierGuided.class_gradient", """
            times = torch.as_tensor(timestep, device=x.device).expand(len(x))
            rows = []
            for image, t, label in zip(x.detach(), times, class_label):
                with torch.enable_grad():
                    one = image[None].clone().requires_grad_()
                    logits = self.classifier(one, t[None])[0]
                    logp = logits[label - 1] - logits.logsumexp(0)
                    (gradient,) = torch.autograd.grad(logp, one)
                rows.append(gradient[0])
            return torch.stack(rows)"""),
    ],
    "class gradient by nll_loss and torch.func": [
        answer("guidance", "ClassifierGuided.class_gradient", """
            def loss(state: Tensor) -> Tensor:
                logp = F.log_softmax(self.classifier(state, timestep), dim=-1)
                return F.nll_loss(logp, class_label - 1, reduction="sum")

            return torch.func.grad(loss)(x.detach()).neg().detach()"""),
    ],
    "guided noise with numbers of each image": [
        answer("guidance", "ClassifierGuided.predict_noise", """
            push = self.class_gradient(x, timestep, class_label=class_label)
            level = torch.sigmoid(-log_snr).sqrt()  # sqrt(1 - abar), (B,)
            return noise - torch.einsum("b,bchw->bchw", guidance_scale * level, push)"""),
    ],
    "guided noise in place": [
        answer("guidance", "ClassifierGuided.predict_noise", """
            out = noise.clone()
            out -= (1 - abar) ** 0.5 * guidance_scale * self.class_gradient(x, timestep, class_label)
            return out"""),
    ],
}  # fmt: skip
