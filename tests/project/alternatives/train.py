"""Correct answers to the tasks of sde_todo/train.py, written another way: name -> [(file, old, new), ...]."""

from tests.project.trees import answer

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
    "ema by a helper without gradients": [
        ("train", "class EMA:", '''@torch.no_grad()
def blend(average: Tensor, new: Tensor, d: float) -> None:
    """average <- d average + (1 - d) new."""
    average.mul_(d).add_(new, alpha=1 - d)


class EMA:'''),
        answer("train", "EMA.update", """
            k = self.updates
            d = min((1 + k) / (10 + k), self.decay)
            for mine, theirs in zip(self.model.parameters(), self.source.parameters()):
                blend(mine, theirs, d)
            self.updates = k + 1"""),
    ],
    "ema by the state of both models": [
        answer("train", "EMA.update", """
            warm = (1 + self.updates) / (10 + self.updates)
            d = warm if warm < self.decay else self.decay
            self.updates = self.updates + 1
            new = self.source.state_dict()
            old = self.model.state_dict()
            mixed = {name: d * old[name] + (1 - d) * new[name] for name in old}
            self.model.load_state_dict(mixed)"""),
    ],
    "ema by all weights in one vector": [
        answer("train", "EMA.update", """
            from torch.nn.utils import parameters_to_vector, vector_to_parameters

            d = min(self.decay, (1 + self.updates) / (10 + self.updates))
            self.updates += 1
            with torch.inference_mode(False), torch.no_grad():
                now = parameters_to_vector(self.source.parameters())
                average = parameters_to_vector(self.model.parameters())
                vector_to_parameters(torch.lerp(now, average, d), self.model.parameters())"""),
    ],
    "ema by foreach": [
        answer("train", "EMA.update", """
            d = min(self.decay, (1 + self.updates) / (10 + self.updates))
            averages = [p.data for p in self.model.parameters()]
            torch._foreach_mul_(averages, d)
            torch._foreach_add_(averages, [p.data for p in self.source.parameters()], alpha=1 - d)
            self.updates += 1"""),
    ],
    "step by the marginal, with a closure and keywords": [
        answer("train", "get_sde_step_fn.step_fn", """
            mean, std = sde.marginal_prob(t, batch)
            z = torch.randn(batch.shape, dtype=batch.dtype, device=batch.device)
            x_t = mean + std * z
            alpha, std = alpha_std(sde, t, batch)
            y = dsm_target(z, std)
            if stable_target is not None:
                y = (alpha * stable_target(x_t, batch, alpha, std) - x_t) / std.square()
            g = torch.as_tensor(sde.sde_coeff(t, batch)[1]).expand(batch.shape)[:, 0]
            w = weight_fn(alpha[:, 0], std[:, 0], g) * time_weight

            def closure():
                opt.zero_grad()
                loss = loss_fn(t, x_t, score_fn, y=y, weight=w)
                loss.backward()
                return loss

            loss = opt.step(closure)
            for part in (ema, schedule):
                if part is ema and part is not None:
                    part.update()
                elif part is not None:
                    part.step()
            return loss.item()"""),
    ],
    "step with helpers and early forms": [
        ("train", "def get_sde_step_fn(", '''def noisy(sde: Process, t: Tensor, x0: Tensor) -> tuple[Tensor, ...]:
    """alpha, std, noise and x_t of a batch."""
    alpha, std = alpha_std(sde, t, x0)
    noise = torch.normal(0.0, 1.0, x0.shape).to(x0)
    return alpha, std, noise, torch.addcmul(alpha * x0, std, noise)


def get_sde_step_fn('''),
        answer("train", "get_sde_step_fn.step_fn", """
            alpha, std, noise, x_t = noisy(sde, t, batch)
            x0 = batch
            if stable_target is not None:
                x0 = stable_target(x_t, batch, alpha, std)
            y = (alpha * x0 - x_t) / (std * std)
            one = torch.ones_like(alpha)
            g = one * torch.as_tensor(sde.sde_coeff(t, one)[1])
            w = weight_fn(*(v.reshape(-1) for v in (alpha, std, g)))
            w = w.mul(time_weight)

            for p in model.parameters():
                p.grad = None
            loss = loss_fn(t, x_t, score_fn, y, w)
            loss.backward()
            opt.step()
            if schedule:
                schedule.step()
            if ema:
                ema.update()
            return loss.detach().cpu().item()"""),
    ],
    "steps of sb-fbsde with keywords, step by step": [
        answer("train", "get_sb_step_fn.alternating", """
            states = torch.empty_like(x).copy_(x)
            states.requires_grad = True
            z = policy(s, states)
            return loss_fn(dt=dt, x=states, z=z, z_other=z_other, g=chain.sigma)"""),
        answer("train", "get_sb_step_fn.joint", """
            B, N = len(x), len(states) - 1
            own, back = [], []
            for k in range(N):
                own.append(policy(times[k], states[k + 1]))
                back.append(other(1 - times[k + 1], states[k + 1]))
            lengths = torch.cat([times[k + 1] - times[k] for k in range(N)])
            flat = torch.cat([states[k + 1] for k in range(N)])
            # The divergence needs what was computed from the tensor that is handed on.
            z = policy(torch.cat(list(times[:N])), flat)
            z_other = other(1 - torch.cat(list(times[1:])), flat)
            assert torch.allclose(z, torch.cat(own), atol=1e-4)
            assert torch.allclose(z_other, torch.cat(back), atol=1e-4)
            end = prior_logp(states[N])
            return loss_fn(lengths, flat, z, z_other, chain.sigma, log_q=end)"""),
    ],
    "step with states by diffuse": [
        answer("train", "get_sde_step_fn.step_fn", """
            from given.levels import diffuse

            x_t, z = diffuse(sde, t, batch)
            alpha, std = alpha_std(sde, t, batch)
            y = dsm_target(z, std)
            if stable_target is not None:
                x0 = stable_target(x_t, batch, alpha, std)
                y = (x0 - x_t / alpha) * alpha / std**2
            _, g = sde.sde_coeff(t, batch)
            g = (g * torch.ones_like(batch))[:, 0]
            alpha, std = alpha.squeeze(1), std.squeeze(1)
            loss = loss_fn(t, x_t, score_fn, y, weight_fn(alpha, std, g) * time_weight)
            opt.zero_grad(set_to_none=False)
            loss.backward()
            opt.step()
            if schedule is not None:
                schedule.step()
            if ema is not None:
                ema.update()
            return loss.detach().item()"""),
    ],
    "ema by differences": [
        answer("train", "EMA.update", """
            decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
            self.updates += 1
            with torch.no_grad():
                for (_, kept), (_, new) in zip(
                    self.model.named_parameters(), self.source.named_parameters()
                ):
                    kept.sub_((1.0 - decay) * (kept - new))"""),
    ],
}  # fmt: skip
