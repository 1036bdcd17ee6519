"""Plausible mistakes in Task 2.5, in the form of mistakes.py: (task, file, old, new, said)."""

GRAY = "return x.sum(1, keepdim=True) / math.sqrt(self.channels)"
GRAY_T = "return y.expand(-1, self.channels, -1, -1) / math.sqrt(self.channels)"
POOL = "return self.k * F.avg_pool2d(x, self.k)"
POOL_T = 'return F.interpolate(y, scale_factor=self.k, mode="nearest") / self.k'
TARGET = "y_t = a * self.y + b * self.operator.measure(noise_like(x))"
CORRECTED = "return x + self.operator.adjoint(y_t - self.operator.measure(x))"
PREDICTED = "            noise = self.predict_noise(x, timestep)\n            x0_hat"
X0_HAT = "x0_hat = (x - (1 - abar).sqrt() * noise) / abar.sqrt()"
MISFIT = "misfit = self.y - self.operator.measure(x0_hat)"
NORM = "misfit.flatten(1).norm(dim=1).sum()"
LEVEL = "a, b = alpha_std(reverse, s_next, x)"
STEP = "x, _ = reverse_diffusion_step(reverse, s, (s_next - s)[0].item(), x)"
PROJECTED = "        x = self.project(x, a, b)\n"
LOOP = "        for _ in range(corrections):\n"
CORRECTION = "            x = self.project(reverse.correct_fn(s_next, x, snr), a, b)\n"
BARE = "            x = reverse.correct_fn(s_next, x, snr)\n"
LOGP = "logp = self.classifier(x, timestep).log_softmax(1)"
CHOSEN = "chosen = logp.gather(1, class_label[:, None] - 1)"
SLOPE = "return torch.autograd.grad(chosen.sum(), x)[0]"
GUIDED = "return noise - guidance_scale * (1 - abar).sqrt() * gradient"

MISTAKES = {
    # 2.5a
    "gray is the mean": ("2.5a", "guidance", GRAY, "return x.mean(1, keepdim=True)", "this is the mean"),
    "gray is the sum": ("2.5a", "guidance", GRAY, "return x.sum(1, keepdim=True)", "this is the sum"),
    "gray of three channels": ("2.5a", "guidance", GRAY, "return x.sum(1, keepdim=True) / math.sqrt(3)", "number of channels"),
    "gray of the first three channels": ("2.5a", "guidance", GRAY, "weights = torch.tensor([0.299, 0.587, 0.114])[: x.shape[1], None, None]\n        return (weights * x[:, :3]).sum(1, keepdim=True)", "brightness"),
    "gray without its axis": ("2.5a", "guidance", GRAY, GRAY.replace(", keepdim=True", ""), "keepdim=True"),
    "gray multiplied": ("2.5a", "guidance", GRAY, GRAY.replace(" / ", " * "), "must be divided"),
    "gray adjoint without its factor": ("2.5a", "guidance", GRAY_T, "return y.expand(-1, self.channels, -1, -1)", "gets y itself"),
    "gray adjoint as an inverse": ("2.5a", "guidance", GRAY_T, "return y.expand(-1, self.channels, -1, -1) / self.channels", "not the transpose"),
    "gray adjoint multiplied": ("2.5a", "guidance", GRAY_T, GRAY_T.replace(" / ", " * "), "divides as the row does"),
    "gray adjoint of one channel": ("2.5a", "guidance", GRAY_T, "return y / math.sqrt(self.channels)", "one channel"),
    "gray adjoint into the first channel": ("2.5a", "guidance", GRAY_T, "out = torch.zeros(len(y), self.channels, *y.shape[2:])\n        out[:, :1] = y\n        return out", "only one channel"),
    "gray adjoint of three channels": ("2.5a", "guidance", GRAY_T, "return y.expand(-1, self.channels, -1, -1) / math.sqrt(3)", "self.channels"),
    "pool without k": ("2.5a", "guidance", POOL, "return F.avg_pool2d(x, self.k)", "factor k is missing"),
    "pool is the sum": ("2.5a", "guidance", POOL, "return self.k**2 * F.avg_pool2d(x, self.k)", "sum of a block"),
    "pool with k too many": ("2.5a", "guidance", POOL, "return self.k**3 * F.avg_pool2d(x, self.k)", "k^2 too large"),
    "pool is the maximum": ("2.5a", "guidance", POOL, "return F.max_pool2d(x, self.k)", "largest pixel"),
    "pool takes one pixel": ("2.5a", "guidance", POOL, "return x[:, :, :: self.k, :: self.k]", "one pixel of a block"),
    "pool overlaps": ("2.5a", "guidance", POOL, "return self.k * F.avg_pool2d(x, self.k, stride=1)", "has shape"),
    "pool adjoint without its factor": ("2.5a", "guidance", POOL_T, 'return F.interpolate(y, scale_factor=self.k, mode="nearest")', "gets y itself"),
    "pool adjoint of the mean": ("2.5a", "guidance", POOL_T, POOL_T + "**2", "transpose of the mean"),
    "pool adjoint multiplied": ("2.5a", "guidance", POOL_T, POOL_T.replace(" / ", " * "), "gets k y"),
    "pool adjoint smooth": ("2.5a", "guidance", POOL_T, 'return F.interpolate(y, scale_factor=self.k, mode="bilinear") / self.k', "interpolation smooths"),
    "pool adjoint into the corner": ("2.5a", "guidance", POOL_T, "out = y.new_zeros(*y.shape[:2], self.k * y.shape[2], self.k * y.shape[3])\n        out[:, :, :: self.k, :: self.k] = y\n        return out", "only one pixel"),
    "pool adjoint tiled": ("2.5a", "guidance", POOL_T, "return y.repeat(1, 1, self.k, self.k) / self.k", "tiled"),
    # 2.5b
    "projection with y unscaled": ("2.5b", "guidance", TARGET, TARGET.replace("a * self.y", "self.y"), "not scaled by a"),
    "projection with a squared": ("2.5b", "guidance", TARGET, TARGET.replace("a * self.y", "a**2 * self.y"), "a^2"),
    "projection with the root of a": ("2.5b", "guidance", TARGET, TARGET.replace("a * self.y", "a**0.5 * self.y"), "root of a"),
    "projection adds": ("2.5b", "guidance", CORRECTED, "return x + self.operator.adjoint(y_t)", "not taken away"),
    "projection forgets x": ("2.5b", "guidance", CORRECTED, "return self.operator.adjoint(y_t)", "what is free is lost"),
    "projection away": ("2.5b", "guidance", CORRECTED, CORRECTED.replace("x + self", "x - self"), "sign of the correction"),
    "projection without A^T": ("2.5b", "guidance", CORRECTED, "return x + y_t - self.operator.measure(x)", "A^T is missing"),
    "projection scales x": ("2.5b", "guidance", CORRECTED, CORRECTED.replace("return x +", "x = a * x\n        return x +"), "x is scaled by a"),
    "projection without noise": ("2.5b", "guidance", TARGET, "y_t = a * self.y", "there is none"),
    "projection with the variance": ("2.5b", "guidance", TARGET, TARGET.replace("b * self", "b**2 * self"), "b^2"),
    "projection with the root of b": ("2.5b", "guidance", TARGET, TARGET.replace("b * self", "b**0.5 * self"), "root of b"),
    "projection with all the noise": ("2.5b", "guidance", TARGET, TARGET.replace("b * self", "(b > 0) * self"), "b is not used"),
    "projection with noise not measured": ("2.5b", "guidance", TARGET, "y_t = a * self.y + b * noise_like(x)", "what is free, too"),
    "projection with noise on pixels": ("2.5b", "guidance", CORRECTED, "y_t = a * self.y\n        x_t = x + self.operator.adjoint(y_t - self.operator.measure(x))\n        return x_t + b * noise_like(x)", "what is free, too"),
    "projection with one noise": ("2.5b", "guidance", TARGET, TARGET.replace("noise_like(x)", "noise_like(x[:1])"), "same noise"),
    "projection in place": ("2.5b", "guidance", CORRECTED, CORRECTED.replace("return x +", "return x.add_(").replace("measure(x))", "measure(x)))"), "changed in place"),
    "projection left out": ("2.5b", "guidance", CORRECTED, "return x", "not projected"),
    # 2.5c
    "misfit with the network detached": ("2.5c", "guidance", X0_HAT, X0_HAT.replace("* noise)", "* noise.detach())"), "detached"),
    "misfit squared": ("2.5c", "guidance", NORM, "misfit.pow(2).sum()", "squared norm"),
    "misfit by half the square": ("2.5c", "guidance", NORM, "misfit.pow(2).sum() / 2", "half the squared"),
    "misfit of the batch": ("2.5c", "guidance", NORM, "misfit.norm()", "over the batch"),
    "misfit averaged": ("2.5c", "guidance", NORM, "misfit.flatten(1).norm(dim=1).mean()", "averaged over the batch"),
    "misfit of pixels": ("2.5c", "guidance", NORM, "misfit.norm(dim=1).sum()", "single pixels"),
    "misfit without y": ("2.5c", "guidance", MISFIT, "misfit = self.operator.measure(x0_hat)", "y is not used"),
    "misfit of what is free": ("2.5c", "guidance", MISFIT, "misfit = self.operator.adjoint(self.y) - x0_hat", "what is free"),
    "misfit of x_t": ("2.5c", "guidance", MISFIT, "misfit = self.y - self.operator.measure(x)", "with x_t"),
    "misfit estimate not divided": ("2.5c", "guidance", X0_HAT, X0_HAT.replace(" / abar.sqrt()", ""), "not divided"),
    "misfit estimate divided by abar": ("2.5c", "guidance", X0_HAT, X0_HAT.replace(" / abar.sqrt()", " / abar"), "divided by abar"),
    "misfit estimate with the variance": ("2.5c", "guidance", X0_HAT, X0_HAT.replace("(1 - abar).sqrt()", "(1 - abar)"), "takes 1 - abar"),
    "misfit gradient downwards": ("2.5c", "guidance", "return noise.detach(), gradient", "return noise.detach(), -gradient", "sign is wrong"),
    "misfit noise is the estimate": ("2.5c", "guidance", "return noise.detach(), gradient", "return x0_hat.detach(), gradient", "estimate of x_0"),
    "misfit noise with a graph": ("2.5c", "guidance", "return noise.detach(), gradient", "return noise, gradient", "graph"),
    "misfit without the class": ("2.5c", "guidance", PREDICTED, PREDICTED.replace("self.predict_noise(", "self.model.network("), "class and guidance are lost"),
    # 2.5d
    "pc does not project the step": ("2.5d", "guidance", PROJECTED + LOOP, LOOP, "nothing is projected after the step"),
    "pc does not project the correction": ("2.5d", "guidance", CORRECTION, BARE, "nothing is projected after a correction"),
    "pc projects the last correction": ("2.5d", "guidance", CORRECTION, BARE + PROJECTED, "only the last correction"),
    "pc projects once": ("2.5d", "guidance", PROJECTED + LOOP + CORRECTION, LOOP + BARE + PROJECTED, "it is projected once"),
    "pc never projects": ("2.5d", "guidance", PROJECTED + LOOP + CORRECTION, LOOP + BARE, "calls: nothing is projected."),
    "pc does not correct": ("2.5d", "guidance", LOOP + CORRECTION, "", "no correction"),
    "pc corrects once": ("2.5d", "guidance", LOOP, "        for _ in range(min(corrections, 1)):\n", "one correction"),
    "pc corrects first": ("2.5d", "guidance", "        " + STEP + "\n" + PROJECTED + LOOP + CORRECTION, LOOP + CORRECTION + "        " + STEP + "\n" + PROJECTED, "before the step"),
    "pc projects first": ("2.5d", "guidance", "        " + STEP + "\n" + PROJECTED + LOOP + CORRECTION, PROJECTED + "        " + STEP + "\n" + LOOP + "            x = reverse.correct_fn(s_next, self.project(x, a, b), snr)\n", "they come after"),
    "pc by euler": ("2.5d", "guidance", STEP, "x = reverse.predict_fn(s, x, s_next - s)", "Euler-Maruyama"),
    "pc without a step": ("2.5d", "guidance", "        " + STEP + "\n" + PROJECTED, "", "no step"),
    "pc steps from the new time": ("2.5d", "guidance", STEP, STEP.replace("(reverse, s,", "(reverse, s_next,"), "starts at the old one"),
    "pc steps backwards": ("2.5d", "guidance", STEP, STEP.replace("(s_next - s)", "(s - s_next)"), "runs forward"),
    "pc steps by the time reached": ("2.5d", "guidance", STEP, STEP.replace("(s_next - s)", "s_next"), "length of the step"),
    "pc steps evenly": ("2.5d", "guidance", STEP, STEP.replace("(s_next - s)[0].item()", "reverse.T / reverse.N"), "T / N"),
    "pc with a clock for all": ("2.5d", "guidance", STEP, STEP.replace("(reverse, s,", "(reverse, s[0],"), "a time for each image"),
    "pc corrects at the old time": ("2.5d", "guidance", CORRECTION, CORRECTION.replace("s_next", "s"), "clock of the corrections: it is the old time"),
    "pc corrects by t": ("2.5d", "guidance", CORRECTION, CORRECTION.replace("s_next", "reverse.T - s_next"), "it is t = T - s"),
    "pc without snr": ("2.5d", "guidance", CORRECTION, CORRECTION.replace(", snr", ""), "snr is not used"),
    "pc at the level of the old time": ("2.5d", "guidance", STEP, "a, b = alpha_std(reverse, s, x)\n        " + STEP, "they belong to the old time"),
    "pc projects the step at the old level": ("2.5d", "guidance", PROJECTED + LOOP, PROJECTED.replace("a, b", "*alpha_std(reverse, s, x)") + LOOP, "behind the step they belong"),
    "pc projects the correction at the old level": ("2.5d", "guidance", CORRECTION, CORRECTION.replace("a, b", "*alpha_std(reverse, s, x)"), "behind a correction they belong"),
    "pc exchanges a and b": ("2.5d", "guidance", STEP, "b, a = a, b\n        " + STEP, "exchanged"),
    "pc projects with the variance": ("2.5d", "guidance", STEP, "b = b**2\n        " + STEP, "b is squared"),
    "pc projects without noise": ("2.5d", "guidance", STEP, "b = 0.0\n        " + STEP, "b is 0"),
    "pc projects with y unscaled": ("2.5d", "guidance", STEP, "a = 1.0\n        " + STEP, "a is 1"),
    "pc projects on clean data": ("2.5d", "guidance", STEP, "a, b = 1.0, 0.0\n        " + STEP, "these are 1 and 0"),
    "pc drops a projection": ("2.5d", "guidance", PROJECTED + LOOP, PROJECTED.replace("x = ", "") + LOOP, "behind the step is dropped"),
    "pc drops a correction": ("2.5d", "guidance", CORRECTION, BARE.replace("x = ", "") + "    " + PROJECTED, "correct_fn gives is dropped"),
    "pc drops the projection of a correction": ("2.5d", "guidance", CORRECTION, BARE + "    " + PROJECTED.replace("x = ", ""), "behind a correction is dropped"),
    "pc drops the step": ("2.5d", "guidance", STEP, STEP.replace("x, _ = ", ""), "what the step gives is dropped"),
    "pc keeps the evaluations": ("2.5d", "guidance", STEP, STEP.replace("x, _ =", "x ="), "returns two things"),
    # 2.5e
    "class counted from 1": ("2.5e", "guidance", CHOSEN, "chosen = logp.gather(1, class_label[:, None])", "labels count from 1"),
    "class of the logit": ("2.5e", "guidance", LOGP, "logp = self.classifier(x, timestep)", "the logit"),
    "class of the probability": ("2.5e", "guidance", LOGP, LOGP.replace("log_softmax", "softmax"), "gradient of p;"),
    "class over the images": ("2.5e", "guidance", LOGP, LOGP.replace("log_softmax(1)", "log_softmax(0)"), "over the images"),
    "class of all images": ("2.5e", "guidance", CHOSEN, "chosen = logp[:, class_label - 1]", "labels of all"),
    "class of the first image": ("2.5e", "guidance", CHOSEN, "chosen = logp[:, class_label[0] - 1]", "label of the first"),
    "class averaged": ("2.5e", "guidance", SLOPE, SLOPE.replace("sum()", "mean()"), "take the sum"),
    "class by cross entropy": ("2.5e", "guidance", SLOPE, SLOPE.replace("chosen.sum()", "F.cross_entropy(logp, class_label - 1)"), "cross_entropy"),
    "class against its gradient": ("2.5e", "guidance", SLOPE, SLOPE.replace("chosen.sum()", "-chosen.sum()"), "a loss falls"),
    "class of every column": ("2.5e", "guidance", SLOPE, SLOPE.replace("chosen", "logp"), "all classes are summed"),
    "class at timestep 0": ("2.5e", "guidance", LOGP, LOGP.replace("(x, timestep)", "(x, 0)"), "timestep 0"),
    "class with a graph": ("2.5e", "guidance", SLOPE, SLOPE.replace(", x)", ", x, create_graph=True)"), "graph"),
    "class without enable_grad": ("2.5e", "guidance", "with torch.enable_grad():\n            x = x.detach().requires_grad_()\n            logp", "with torch.no_grad():\n            x = x.detach().requires_grad_()\n            logp", "does not require grad"),
    # 2.5f
    "guided with the wrong sign": ("2.5f", "guidance", GUIDED, GUIDED.replace("noise -", "noise +"), "the sign is wrong"),
    "guided without the level": ("2.5f", "guidance", GUIDED, GUIDED.replace(" * (1 - abar).sqrt()", ""), "sqrt(1 - abar) is missing"),
    "guided by sqrt(abar)": ("2.5f", "guidance", GUIDED, GUIDED.replace("(1 - abar)", "abar"), "sqrt(abar) stands"),
    "guided by the variance": ("2.5f", "guidance", GUIDED, GUIDED.replace(".sqrt()", ""), "stands for its root"),
    "guided with the level below": ("2.5f", "guidance", GUIDED, GUIDED.replace("* (1", "/ (1"), "divided by sqrt(1 - abar)"),
    "guided without scale": ("2.5f", "guidance", GUIDED, GUIDED.replace("guidance_scale * ", ""), "guidance_scale is not used"),
    "guided twice": ("2.5f", "guidance", GUIDED, GUIDED.replace("guidance_scale *", "guidance_scale**2 *"), "counts twice"),
    "guided by scale - 1": ("2.5f", "guidance", GUIDED, GUIDED.replace("guidance_scale *", "(guidance_scale - 1) *"), "guidance_scale - 1 stands"),
    "guided without the noise": ("2.5f", "guidance", GUIDED, GUIDED.replace("return noise -", "return -"), "noise of the network is lost"),
    "guided with the label counted from 0": ("2.5f", "guidance", GUIDED, "gradient = self.class_gradient(x, timestep, class_label - 1)\n        " + GUIDED, "counts labels from 1 itself"),
    "guided not at all": ("2.5f", "guidance", GUIDED, "return noise", "no guidance"),
    "guided with the noise scaled": ("2.5f", "guidance", GUIDED, "return guidance_scale * (noise - (1 - abar).sqrt() * gradient)", "scaled as well"),
    "guided with the model's own classes": ("2.5f", "guidance", GUIDED, "noise = self.network(x, timestep, class_label)\n        " + GUIDED, "own classes are not used"),
}  # fmt: skip
