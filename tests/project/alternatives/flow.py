"""Correct answers to the tasks of sde_todo/flow.py, written another way: name -> [(file, old, new), ...]."""

from tests.project.mistakes import flow as here
from tests.project.trees import answer

ALTERNATIVES = {
    "line by lerp, velocity written out": [
        ("flow", here.LINE, "velocity = x1 - x0\n    return torch.lerp(x0, x1, t), velocity"),
        ("flow", "x_t, velocity = flow_path(x0, x1, t)",
         "s = t.view(-1, *[1] * (x0.ndim - 1))\n"
         "    velocity = x1 - x0\n    x_t = x0 + s * velocity"),
        ("flow", here.FLOW_LOSS,
         "error = (model(t, x_t) - velocity).flatten(1)\n"
         '    return torch.einsum("bi,bi->", error, error) / len(x0)'),
    ],
    "heun from the euler state, times of full length": [
        ("flow", here.SECOND,
         "there = x + v * dt\n        v_next = model(t_next * torch.ones(len(x)), there)"),
        ("flow", here.HEUN, "states.append(there + dt / 2 * (v_next - v))"),
    ],
    "coupling by scipy's assignment": [
        ("flow", here.PLAN,
         "from scipy.optimize import linear_sum_assignment\n\n"
         "    return torch.from_numpy(linear_sum_assignment(cost.numpy())[1])"),
    ],
    "coupling of single precision, with weights": [
        ("flow", "    cost = torch.cdist(x0.flatten(1).cpu().double(), x1.flatten(1).cpu().double()) ** 2\n"
         "    plan = transport_plan(cost.numpy())\n",
         "    import ot\n\n"
         "    a, b = x0.flatten(1), x1.flatten(1)\n"
         "    cost = ((a[:, None] - b[None]) ** 2).sum(2)\n"
         "    plan = ot.emd(ot.unif(len(a)), ot.unif(len(b)), cost.double().numpy())\n"),
        ("flow", here.PLAN, "return torch.from_numpy(plan).nonzero()[:, 1]"),
    ],
    "line from its end, in place": [
        answer("flow", "flow_path", """
            velocity = x1.sub(x0)
            x_t = x1.clone()
            x_t -= (1 - t) * velocity
            return x_t, velocity"""),
        answer("flow", "flow_loss", """
            x_t, velocity = flow_path(x0=x0, x1=x1, t=t)
            squares = torch.nn.functional.mse_loss(model(t, x_t), velocity, reduction="sum")
            return squares / x0.shape[0]"""),
    ],
    "line by einsum and autograd": [
        answer("flow", "flow_path", """
            def line(time: Tensor) -> Tensor:
                return time * x1 + (1 - time) * x0

            return torch.func.jvp(line, (t,), (torch.ones_like(t),))"""),
        answer("flow", "flow_loss", """
            losses = []
            x_t, velocity = flow_path(x0, x1, t)
            for error in model(t, x_t) - velocity:
                losses.append(torch.dot(error.flatten(), error.flatten()))
            return torch.stack(losses).mean()"""),
    ],
    "heun by the slopes in a list": [
        answer("flow", "flow_sample", """
            x = states[-1]
            dt = t_next - t
            ones = torch.ones(x.shape[0], dtype=x.dtype, device=x.device)
            slopes = [model(t * ones, x)]
            slopes.append(model(t_next * ones, torch.add(x, slopes[0], alpha=dt)))
            states.append(x + dt * torch.stack(slopes).mean(0))"""),
    ],
    "flow by two euler steps, their mean": [
        answer("flow", "flow_sample", """
            def euler(time, state):
                times = torch.full(state.shape[:1], time, dtype=state.dtype, device=state.device)
                return state + (t_next - t) * model(times, state)

            beyond = euler(t_next, euler(t, states[-1]))
            states.append((states[-1] + beyond) / 2)"""),
    ],
    "coupling by products, along the columns": [
        answer("flow", "ot_coupling", """
            import ot

            a, b = (v.reshape(len(v), -1).double().cpu().numpy() for v in (x0, x1))
            # |a - b|^2 up to what every pairing shares
            plan = ot.emd(ot.unif(len(a)), ot.unif(len(b)), -(a @ b.T) + abs(a @ b.T).max())
            i, j = plan.nonzero()
            out = torch.empty(len(a), dtype=torch.long, device=x0.device)
            out[torch.from_numpy(i)] = torch.from_numpy(j)
            return out"""),
    ],
    "coupling by scipy and ot.dist": [
        answer("flow", "ot_coupling", """
            import ot
            from scipy.optimize import linear_sum_assignment

            cost = ot.dist(x0.flatten(1).numpy(), x1.flatten(1).numpy(), metric="sqeuclidean")
            _, columns = linear_sum_assignment(cost)
            return torch.as_tensor(columns, device=x0.device)"""),
    ],
}  # fmt: skip
