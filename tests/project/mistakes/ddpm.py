"""Plausible mistakes in image_diffusion/ddpm.py: name -> (task, file, old, new, part of what is said)."""

LOSS = (
    "prediction = self.network(x_t, timestep, class_label)\n"
    '        error = F.mse_loss(prediction, noise, reduction="none").flatten(1).mean(1)  # (B,)\n'
    "        return error.mean() if weight is None else (weight * error).mean()"
)
DRAWN_T = "timestep = self.var_scheduler.uniform_sample_t(len(x0))"
ADDED = "x_t, noise = self.var_scheduler.add_noise(x0, timestep, noise)"
STEPPED = "x = self.var_scheduler.step(x, t, noise_pred)"
VISITED = 'tqdm(self.var_scheduler.timesteps, "sampling", leave=False, disable=None)'
RETURNED = "return traj if return_traj else x"
WHERE = "return torch.where(dropped, 0, class_label)"
DRAWN_U = "dropped = torch.rand(len(class_label), device=class_label.device)"
GUIDED = "return e_u + guidance_scale * (e_c - e_u)"
NULL = "torch.zeros_like(class_label))\n        e_c"

MISTAKES = {
    "loss against x0": ("2.1e", "ddpm", LOSS, "return F.mse_loss(self.network(x_t, timestep, class_label), x0)", "compared with x_0"),
    "loss against x_t": ("2.1e", "ddpm", LOSS, "return F.mse_loss(self.network(x_t, timestep, class_label), x_t)", "compared with x_t"),
    "loss against fresh noise": ("2.1e", "ddpm", LOSS, "return F.mse_loss(self.network(x_t, timestep, class_label), noise_like(noise))", "another draw"),
    "loss against noise drawn before": ("2.1e", "ddpm", ADDED, "target = noise_like(x0) if noise is None else noise\n        x_t, noise = self.var_scheduler.add_noise(x0, timestep, noise)\n        noise = target", "not in x_t"),
    "loss ignores the noise": ("2.1e", "ddpm", ADDED, "x_t, noise = self.var_scheduler.add_noise(x0, timestep)", "what is given is not used"),
    "loss ignores the timestep": ("2.1e", "ddpm", "        if timestep is None:\n            timestep =", "        timestep =", "what is given is not used"),
    "loss of x0": ("2.1e", "ddpm", LOSS, "return F.mse_loss(self.network(x0, timestep, class_label), noise)", "it gets x_t"),
    "loss of absolute errors": ("2.1e", "ddpm", LOSS, "return F.l1_loss(self.network(x_t, timestep, class_label), noise)", "absolute errors"),
    "loss sums over pixels": ("2.1e", "ddpm", LOSS, "return (self.network(x_t, timestep, class_label) - noise).pow(2).flatten(1).sum(1).mean()", "sum over pixels"),
    "loss is a sum": ("2.1e", "ddpm", LOSS, "return (self.network(x_t, timestep, class_label) - noise).pow(2).sum()", "this is a sum"),
    "loss with a half": ("2.1e", "ddpm", LOSS, "return 0.5 * F.mse_loss(self.network(x_t, timestep, class_label), noise)", "factor of 1/2"),
    "loss for each image": ("2.1e", "ddpm", LOSS, "return (self.network(x_t, timestep, class_label) - noise).pow(2).flatten(1).mean(1)", "has shape"),
    "loss without a class": ("2.1e", "ddpm", LOSS, "return F.mse_loss(self.network(x_t, timestep), noise)", "does not get class_label"),
    "loss without a gradient": ("2.1e", "ddpm", LOSS, "return F.mse_loss(self.network(x_t, timestep, class_label).detach(), noise)", "no gradient"),
    "loss under no_grad": ("2.1e", "ddpm", LOSS, "with torch.no_grad():\n            return F.mse_loss(self.network(x_t, timestep, class_label), noise)", "no gradient"),
    "loss as a number": ("2.1e", "ddpm", LOSS, "return F.mse_loss(self.network(x_t, timestep, class_label), noise).item()", "no gradient"),
    "loss at one timestep for all": ("2.1e", "ddpm", DRAWN_T, "timestep = self.var_scheduler.uniform_sample_t(1)", "share one timestep"),
    "loss never sees t = 0": ("2.1e", "ddpm", DRAWN_T, "timestep = torch.randint(1, self.var_scheduler.num_train_timesteps, (len(x0),))", "never are [0]"),
    "loss without the weight": ("2.1e", "ddpm", "if weight is None else (weight * error).mean()", "", "weight is not used"),
    "loss with the mean weight": ("2.1e", "ddpm", "(weight * error).mean()", "weight.mean() * error.mean()", "its own weight"),
    "loss as a weighted mean": ("2.1e", "ddpm", "(weight * error).mean()", "(weight * error).sum() / weight.sum()", "do not divide"),
    "loss at t / T": ("2.1e", "ddpm", LOSS, "return F.mse_loss(self.network(x_t, timestep / self.var_scheduler.num_train_timesteps, class_label), noise)", "evaluated at t / T"),
    "loss at early timesteps more often": ("2.1e", "ddpm", DRAWN_T, "T = self.var_scheduler.num_train_timesteps\n            timestep = (T * torch.rand(len(x0)) ** 1.5).long()", "more often than others"),
    "loss at timesteps beyond the last": ("2.1e", "ddpm", DRAWN_T, "timestep = torch.randint(self.var_scheduler.num_train_timesteps - 5, (len(x0),)) + 10", "outside"),
    "sampling upwards": ("2.1i", "ddpm", VISITED, VISITED.replace("timesteps,", "timesteps.flip(0),"), "run upwards"),
    "sampling visits every timestep": ("2.1i", "ddpm", VISITED, "reversed(range(self.var_scheduler.num_train_timesteps))", "n + 1"),
    "sampling skips the last step": ("2.1i", "ddpm", VISITED, "self.var_scheduler.timesteps[:-1]", "n + 1"),
    "sampling counts steps": ("2.1i", "ddpm", VISITED, "reversed(range(len(self.var_scheduler.timesteps)))", "count the steps down"),
    "sampling in place": ("2.1i", "ddpm", STEPPED, "x.copy_(self.var_scheduler.step(x, t, noise_pred))", "changed in place"),
    "trajectory without x_T": ("2.1i", "ddpm", "traj = [x]", "traj = []", "x_T first"),
    "trajectory is the last state": ("2.1i", "ddpm", RETURNED, "return x", "not the last one"),
    "sampling returns the prediction": ("2.1i", "ddpm", RETURNED, "return traj if return_traj else traj", "sample returns"),
    "trajectory stores before the step": ("2.1i", "ddpm", "            " + STEPPED + "\n            if return_traj:\n                traj.append(x)\n", "            if return_traj:\n                traj.append(x)\n            " + STEPPED + "\n", "before the step"),
    "sampling without a class": ("2.1i", "ddpm", "noise_pred = self.predict_noise(x, t, class_label, guidance_scale)", "noise_pred = self.predict_noise(x, t)", "gets neither"),
    "sampling without guidance": ("2.1i", "ddpm", "noise_pred = self.predict_noise(x, t, class_label, guidance_scale)", "noise_pred = self.predict_noise(x, t, class_label)", "guidance_scale"),
    "sampling steps with x exchanged": ("2.1i", "ddpm", STEPPED, "x = self.var_scheduler.step(noise_pred, t, x)", "are exchanged"),
    "score of x unscaled": ("2.1j", "ddpm", "self.predict_noise(x / size,", "self.predict_noise(x,", "not divided by sqrt(a^2 + b^2)"),
    "score of x / a": ("2.1j", "ddpm", "self.predict_noise(x / size,", "self.predict_noise(x / a,", "divided by a"),
    "score by the variance": ("2.1j", "ddpm", "return -noise / b\n", "return -noise / b**2\n", "b^2"),
    "score without division": ("2.1j", "ddpm", "return -noise / b\n", "return -noise\n", "division by b"),
    "score has the wrong sign": ("2.1j", "ddpm", "return -noise / b\n", "return noise / b\n", "sign"),
    "score is the noise": ("2.1j", "ddpm", "return -noise / b\n", "return noise\n", "this is the noise"),
    "score at a rounded timestep": ("2.1j", "ddpm", ".square().reshape(-1))\n", ".square().reshape(-1)).round()\n", "rounded"),
    "score with timesteps of four axes": ("2.1j", "ddpm", ".square().reshape(-1))\n", ".square())\n", "one for each image"),
    "score without a class": ("2.1j", "ddpm", "timestep, class_label, guidance_scale)\n            return", "timestep)\n            return", "gets neither"),
    "labels fall together": ("2.2a", "ddpm", DRAWN_U, "dropped = torch.rand(1, device=class_label.device)", "fall together"),
    "labels stay with p": ("2.2a", "ddpm", "dropped = dropped < self", "dropped = dropped > self", "stay with this probability"),
    "labels fall in evaluation": ("2.2a", "ddpm", "        if not self.training:\n            return class_label\n", "", "evaluation mode"),
    "labels fall only in evaluation": ("2.2a", "ddpm", "if not self.training:", "if self.training:", "evaluation mode"),
    "labels changed in place": ("2.2a", "ddpm", WHERE, "class_label[dropped] = 0\n        return class_label", "it must stay as it is"),
    "labels fall with .1": ("2.2a", "ddpm", "dropped < self.network.cfg_dropout", "dropped < 0.1", "default .1"),
    "labels fall to 1": ("2.2a", "ddpm", WHERE, "return torch.where(dropped, 1, class_label)", "null class is 0"),
    "labels fall to -1": ("2.2a", "ddpm", WHERE, "return torch.where(dropped, -1, class_label)", "null class is 0"),
    "labels become floats": ("2.2a", "ddpm", WHERE, "return class_label * (~dropped).float()", "whole numbers"),
    "labels never fall": ("2.2a", "ddpm", WHERE, "return class_label", "no label falls"),
    "labels fall by normal numbers": ("2.2a", "ddpm", DRAWN_U, "dropped = torch.randn(len(class_label), device=class_label.device)", "the numbers are normal"),
    "guidance exchanged": ("2.2b", "ddpm", GUIDED, "return e_c + guidance_scale * (e_u - e_c)", "exchanged"),
    "guidance from e_c": ("2.2b", "ddpm", GUIDED, "return e_c + guidance_scale * (e_c - e_u)", "1 + s"),
    "guidance without e_u": ("2.2b", "ddpm", GUIDED, "return guidance_scale * (e_c - e_u)", "e_u is missing"),
    "guidance adds": ("2.2b", "ddpm", GUIDED, "return guidance_scale * e_c + (1 + guidance_scale) * e_u", "(1 + s) e_u"),
    "guidance without scale": ("2.2b", "ddpm", GUIDED, "return e_c", "scale is not used"),
    "guidance without class": ("2.2b", "ddpm", GUIDED, "return e_u", "class is not used"),
    "guidance null class is 1": ("2.2b", "ddpm", NULL, NULL.replace("zeros", "ones"), "null class"),
    "guidance null class is the last": ("2.2b", "ddpm", NULL, NULL.replace("torch.zeros_like(class_label)", "torch.full_like(class_label, self.network.num_classes)"), "not the last"),
    "guidance clears the labels": ("2.2b", "ddpm", NULL, NULL.replace("torch.zeros_like(class_label)", "class_label.zero_()"), "class is not used"),
    "guidance of one class for all": ("2.2b", "ddpm", "e_c = self.network(x, timestep, class_label)", "e_c = self.network(x, timestep, class_label[:1].expand(len(x)))", "class of the first"),
}  # fmt: skip
