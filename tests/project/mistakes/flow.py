"""Plausible mistakes in sde_todo/flow.py: name -> (task, file, old, new, part of what is said)."""

LINE = "return (1 - t) * x0 + t * x1, x1 - x0"
FLOW_LOSS = "return (model(t, x_t) - velocity).pow(2).flatten(1).sum(1).mean()"
HEUN = "states.append(x + 0.5 * dt * (v + v_next))"
SECOND = "v_next = model(x.new_full((len(x),), t_next), x + dt * v)"
PLAN = "return torch.from_numpy(plan.argmax(1)).to(x0.device)"

MISTAKES = {
    "line with t reversed": ("1.6a", "flow", LINE, "return t * x0 + (1 - t) * x1, x1 - x0", "wrong way"),
    "velocity with wrong sign": ("1.6a", "flow", LINE, "return (1 - t) * x0 + t * x1, x0 - x1", "sign is wrong"),
    "velocity is the target": ("1.6a", "flow", LINE, "return (1 - t) * x0 + t * x1, x1", "this is x1"),
    "line is a diffusion": ("1.6a", "flow", LINE, "return (1 - t**2).sqrt() * x0 + t * x1, x1 - x0", "diffusion"),
    "flow loss against the target": ("1.6b", "flow", FLOW_LOSS, "return (model(t, x_t) - x1).pow(2).flatten(1).sum(1).mean()", "target is x1"),
    "flow loss mean over coordinates": ("1.6b", "flow", FLOW_LOSS, "return (model(t, x_t) - velocity).pow(2).mean()", "mean over the coordinates"),
    "flow loss of mean velocities": ("1.6b", "flow", FLOW_LOSS, "return (model(t, x_t).mean(0) - velocity.mean(0)).pow(2).sum()", "the mean comes last"),
    "flow loss with half": ("1.6b", "flow", FLOW_LOSS, "return 0.5 * (model(t, x_t) - velocity).pow(2).flatten(1).sum(1).mean()", "factor 1/2"),
    "flow loss with ends exchanged": ("1.6b", "flow", "x_t, velocity = flow_path(x0, x1, t)", "x_t, velocity = flow_path(x1, x0, t)", "wrong way"),
    "flow loss evaluates at x1": ("1.6b", "flow", FLOW_LOSS, "return (model(t, x1) - velocity).pow(2).flatten(1).sum(1).mean()", "evaluated at x1"),
    "flow by euler": ("1.6c", "flow", HEUN, "states.append(x + dt * v)", "Euler steps"),
    "flow second velocity at the old time": ("1.6c", "flow", SECOND, "v_next = model(x.new_full((len(x),), t), x + dt * v)", "wrong time"),
    "flow second velocity at the old state": ("1.6c", "flow", SECOND, "v_next = model(x.new_full((len(x),), t_next), x)", "Euler step first"),
    "flow velocities added": ("1.6c", "flow", HEUN, "states.append(x + dt * (v + v_next))", "not averaged"),
    "flow back with positive steps": ("1.6c", "flow", "x, dt = states[-1], t_next - t\n", "x, dt = states[-1], abs(t_next - t)\n", "negative"),
    "flow time as a number": ("1.6c", "flow", "v = model(x.new_full((len(x),), t), x)", "v = model(x.new_full((1,), t), x)", "time for each sample"),
    "coupling is the identity": ("1.6d", "flow", PLAN, "return torch.arange(len(x0)).to(x0.device)", "as before"),
    "coupling of nearest neighbours": ("1.6d", "flow", PLAN, "return cost.argmin(1)", "nearest neighbour"),
    "coupling inverted": ("1.6d", "flow", PLAN, "return torch.from_numpy(plan.argmax(0)).to(x0.device)", "inverse"),
    "coupling maximises": ("1.6d", "flow", "plan = transport_plan(cost.numpy())", "plan = transport_plan(-cost.numpy())", "maximises"),
    "coupling with plain distances": ("1.6d", "flow", "x1.flatten(1).cpu().double()) ** 2", "x1.flatten(1).cpu().double())", "not squared"),
    "coupling greedy": ("1.6d", "flow", PLAN, "j = []\n    for row in cost:\n        row[j] = torch.inf\n        j.append(int(row.argmin()))\n    return torch.tensor(j)", "nearest that is left"),
}  # fmt: skip
