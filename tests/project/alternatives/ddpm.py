"""Correct answers to the tasks of image_diffusion/ddpm.py, written another way: name -> [(file, old, new), ...]."""

from tests.project.mistakes import ddpm as here

ALTERNATIVES = {
    "loss by the mean of squares": [
        ("ddpm", here.LOSS, "error = noise - self.network(x_t, timestep, class_label)\n"
         "        if weight is not None:\n"
         "            error = error * weight.sqrt().reshape(-1, 1, 1, 1)\n"
         "        return (error**2).mean()"),
    ],
    "loss of each image, then their mean": [
        ("ddpm", here.LOSS, "error = self.network(x_t, timestep, class_label) - noise\n"
         "        weight = torch.ones(len(x0)) if weight is None else weight\n"
         '        squares = torch.einsum("bchw,bchw,b->b", error, error, weight)\n'
         "        return squares.mean() / error[0].numel()"),
    ],
    "loss that draws noise itself": [
        ("ddpm", here.ADDED, "if noise is None:\n            noise = torch.randn_like(x0)\n"
         "        x_t = self.var_scheduler.add_noise(x0, timestep, noise)[0]"),
        ("ddpm", here.DRAWN_T,
         "timestep = torch.randint(self.var_scheduler.num_train_timesteps, (x0.shape[0],))"),
    ],
    "loss with keywords": [
        ("ddpm", here.LOSS, "noise_pred = self.network(x_t, timestep=timestep, class_label=class_label)\n"
         '        if weight is None:\n            return F.mse_loss(noise_pred, noise, reduction="mean")\n'
         '        squares = F.mse_loss(noise_pred, noise, reduction="none")\n'
         "        return torch.mean(squares * weight[:, None, None, None])"),
    ],
    "sampling by index, with timesteps of each image": [
        ("ddpm", "for t in " + here.VISITED, "for t in self.var_scheduler.timesteps.tolist()"),
        ("ddpm", "noise_pred = self.predict_noise(x, t, class_label, guidance_scale)",
         "times = torch.full((batch_size,), t, device=self.device)\n"
         "            noise_pred = self.predict_noise(x, times, class_label, guidance_scale)"),
        ("ddpm", "            if return_traj:\n                traj.append(x)\n",
         "            traj.append(x.clone())\n"),
        ("ddpm", here.RETURNED, "return traj if return_traj else traj[-1]"),
    ],
    "score with the noise scaled back": [
        ("ddpm", "            size = (a**2 + b**2).sqrt()\n"
         "            timestep = self.var_scheduler.timestep_of((a / size).square().reshape(-1))\n",
         "            size = torch.hypot(a, b)\n"
         "            snr = (a / b).flatten() ** 2\n"
         "            timestep = self.var_scheduler.timestep_of(snr / (1 + snr))\n"),
        ("ddpm", "return -noise / b\n", "return -(noise / b)\n"),
    ],
    "labels by a product": [
        ("ddpm", here.WHERE, "return class_label * ~dropped"),
        ("ddpm", "        if not self.training:\n            return class_label\n", ""),
        ("ddpm", "dropped = dropped < self.network.cfg_dropout",
         "dropped = (dropped < self.network.cfg_dropout) & self.training"),
    ],
    "labels by bernoulli, in a copy": [
        ("ddpm", here.DRAWN_U, "dropped = torch.full(class_label.shape, float(self.network.cfg_dropout))"),
        ("ddpm", "dropped = dropped < self.network.cfg_dropout", "dropped = torch.bernoulli(dropped).bool()"),
        ("ddpm", here.WHERE,
         "class_label = class_label.clone()\n        class_label[dropped] = 0\n        return class_label"),
    ],
    "labels by masked_fill": [
        ("ddpm", here.WHERE, "return class_label.masked_fill(dropped, 0)"),
    ],
    "guidance in one call": [
        ("ddpm", "        e_u = self.network(x, timestep, torch.zeros_like(class_label))\n"
         "        e_c = self.network(x, timestep, class_label)\n",
         "        times = torch.as_tensor(timestep, device=x.device).expand(len(x)).repeat(2)\n"
         "        labels = torch.cat([torch.zeros_like(class_label), class_label])\n"
         "        e_u, e_c = self.network(torch.cat([x, x]), times, labels).chunk(2)\n"),
    ],
    "guidance as a weighted sum": [
        ("ddpm", here.GUIDED, "return (1 - guidance_scale) * e_u + guidance_scale * e_c"),
        ("ddpm", here.NULL, "class_label * 0)\n        e_c"),
    ],
    "guidance by lerp, the network without a label": [
        ("ddpm", here.GUIDED, "return torch.lerp(e_u, e_c, guidance_scale)"),
        ("ddpm", "self.network(x, timestep, " + here.NULL, "self.network(x, timestep)\n        e_c"),
    ],
}  # fmt: skip
