"""Correct answers to the tasks of sde_todo/flow.py, written another way: name -> [(file, old, new), ...]."""

from tests.project.mistakes import flow as here

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
         "    plan = ot.emd([], [], cost.numpy())\n",
         "    a, b = x0.flatten(1), x1.flatten(1)\n"
         "    cost = ((a[:, None] - b[None]) ** 2).sum(2)\n"
         "    plan = ot.emd(ot.unif(len(a)), ot.unif(len(b)), cost.double().numpy())\n"),
        ("flow", here.PLAN, "return torch.from_numpy(plan).nonzero()[:, 1]"),
    ],
}  # fmt: skip
