"""Correct answers to the tasks of image_diffusion/ddpm.py, written another way: name -> [(file, old, new), ...]."""

from tests.project.mistakes import ddpm as here
from tests.project.trees import answer

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
    "loss by norms, image by image": [
        answer("ddpm", "DiffusionModule.get_loss", """
            B = x0.shape[0]
            t = self.var_scheduler.uniform_sample_t(B) if timestep is None else timestep
            x_t, target = self.var_scheduler.add_noise(x0, t, noise=noise)
            residual = self.network(x_t, t, class_label=class_label) - target
            errors = torch.linalg.vector_norm(residual.flatten(1), dim=1) ** 2 / residual[0].numel()
            if weight is not None:
                errors = torch.mul(errors, weight)
            return errors.sum().div(B)"""),
    ],
    "loss with own noise and a loop": [
        answer("ddpm", "DiffusionModule.get_loss", """
            if noise is None:
                noise = torch.randn(x0.shape, dtype=x0.dtype, device=x0.device)
            if timestep is None:
                T = self.var_scheduler.num_train_timesteps
                timestep = torch.randint(0, T, size=(len(x0),), device=x0.device)
            abar = self.var_scheduler.alphas_cumprod[timestep][:, None, None, None]
            x_t = abar.sqrt() * x0 + torch.sqrt(1 - abar) * noise
            output = self.network(x_t, timestep, class_label)
            total = 0.0
            for i in range(len(x0)):
                w = 1.0 if weight is None else weight[i]
                total = total + w * F.mse_loss(output[i], noise[i])
            return total / len(x0)"""),
    ],
    "sampling with a list of states and keywords": [
        answer("ddpm", "DiffusionModule.sample", """
            states = [x]
            visited = self.var_scheduler.timesteps
            for i in range(len(visited)):
                t = int(visited[i])
                e = self.predict_noise(
                    states[-1], timestep=t, class_label=class_label, guidance_scale=guidance_scale
                )
                states.append(self.var_scheduler.step(sample=states[-1], timestep=t, noise_pred=e))
            if return_traj:
                return states
            return states[-1]"""),
    ],
    "sampling in inference mode by a helper": [
        answer("ddpm", "DiffusionModule.sample", """
            def down(state: Tensor, t: Tensor) -> Tensor:
                prediction = self.predict_noise(state, t, class_label, guidance_scale)
                return self.var_scheduler.step(state, t, prediction)

            history = []
            with torch.inference_mode():
                for t in self.var_scheduler.timesteps:
                    history.append(x)
                    x = down(x, t)
            history = [state.clone() for state in (*history, x)]
            return history if return_traj else x.clone()"""),
    ],
    "score by way of x0": [
        answer("ddpm", "DiffusionModule.score_fn.score", """
            abar = (a**2 / (a**2 + b**2)).flatten()
            scaled = x / torch.sqrt(a**2 + b**2)
            timestep = self.var_scheduler.timestep_of(abar)
            noise = self.predict_noise(
                scaled, timestep, class_label=class_label, guidance_scale=guidance_scale
            )
            x0 = (x - b * noise) / a
            return (a * x0 - x) / b.square()"""),
    ],
    "score by the log SNR": [
        answer("ddpm", "DiffusionModule.score_fn.score", """
            log_snr = 2 * (torch.log(a) - torch.log(b))
            timestep = self.var_scheduler.levels.timestep_at(log_snr.reshape(len(x)))
            signal = torch.sigmoid(log_snr).sqrt()  # a / size
            e = self.predict_noise(x * (signal / a), timestep, class_label, guidance_scale)
            return e.neg().div(b)"""),
    ],
    "labels by numpy, one after the other": [
        answer("ddpm", "DiffusionModule.drop_labels", """
            if self.training is False:
                return class_label.clone()
            p = self.network.cfg_dropout
            labels = []
            for label, u in zip(class_label.tolist(), torch.rand(len(class_label)).tolist()):
                labels.append(0 if u < p else label)
            return torch.tensor(labels, dtype=class_label.dtype, device=class_label.device)"""),
    ],
    "labels by a mask of those that stay": [
        answer("ddpm", "DiffusionModule.drop_labels", """
            p = self.network.cfg_dropout if self.training else 0.0
            stay = torch.full(class_label.shape, 1.0 - p, device=class_label.device).bernoulli()
            return class_label * stay.to(class_label.dtype)"""),
    ],
    "guidance by the score's two parts": [
        answer("ddpm", "DiffusionModule.guided_noise", """
            null = class_label.new_zeros(class_label.shape)
            pair = torch.stack([self.network(x, timestep, labels) for labels in (null, class_label)])
            weights = torch.tensor([1 - guidance_scale, guidance_scale]).to(pair)
            return torch.einsum("k,kbchw->bchw", weights, pair)"""),
    ],
    "guidance as e_c and a push, with w = s - 1": [
        answer("ddpm", "DiffusionModule.guided_noise", """
            w = guidance_scale - 1
            e_c = self.network(x, timestep, class_label=class_label)
            e_u = self.network(x, timestep, class_label=torch.full_like(class_label, 0))
            out = e_c.clone()
            out += w * (e_c - e_u)
            return out"""),
    ],
    "guidance with the labels of both in one call, null first": [
        answer("ddpm", "DiffusionModule.guided_noise", """
            B = len(x)
            both = torch.cat([x, x], dim=0)
            labels = torch.cat([torch.zeros_like(class_label), class_label], dim=0)
            if torch.is_tensor(timestep) and timestep.ndim:
                timestep = timestep.repeat(2)
            out = self.network(both, timestep, class_label=labels)
            return out[:B] + guidance_scale * (out[B:] - out[:B])"""),
    ],
    "score with levels as numbers of each image": [
        answer("ddpm", "DiffusionModule.score_fn.score", """
            rows = []
            for i in range(len(x)):
                alpha, std = a[i].item(), b[i].item()
                size = (alpha**2 + std**2) ** 0.5
                time = self.var_scheduler.timestep_of(a.new_tensor([alpha**2 / size**2]))
                label = None if class_label is None else class_label[i : i + 1]
                noise = self.predict_noise(x[i : i + 1] / size, time, label, guidance_scale)
                rows.append(-noise / std)
            return torch.cat(rows)"""),
    ],
}  # fmt: skip
