"""Correct answers to the tasks of image_diffusion/guidance.py, written another way: name -> [(file, old, new), ...]."""

from tests.project.mistakes import guidance as here

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
}  # fmt: skip
