"""The tasks of sde_todo/loss.py; hints go from a nudge to nearly the line itself."""

from autograder.tasks import Task

TASKS = {
    "1.2e": Task(
        "Denoising score matching",
        15,
        [
            "The target is the gradient of the log of a Gaussian density.",
            "x - mean = std z, and the gradient divides by std^2: one std is left.",
            "-z/std; loss: half the squared error, summed per sample, times weight, mean over B.",
        ],
    ),
    "1.2f": Task(
        "Divergence, exact and by Hutchinson",
        25,
        [
            "The divergence is the trace of the Jacobian dy/dx, one number per sample.",
            "grad(y[:, i].sum(), x) gives row i of every Jacobian of the batch at once; of that "
            "row, only entry i is on the diagonal.",
            "Hutchinson: vjp = grad(y, x, v, create_graph=True)[0]; (vjp * v) summed per sample.",
        ],
    ),
    "1.2g": Task(
        "Implicit score matching",
        10,
        [
            "Per sample: half the squared norm of the score plus its divergence.",
            "Sum over the coordinates of each sample before the mean over the batch.",
            "0.5 * s.pow(2).flatten(1).sum(1) + get_div(s, x, self.method, self.noise).",
        ],
    ),
    "1.2h": Task(
        "Sliced score matching",
        10,
        [
            "It is implicit score matching with the divergence seen along one random direction.",
            "v^T (ds/dx) v = v . grad_x (s . v).",
            "vjp = grad((s * v).sum(), x, create_graph=True)[0]; add (vjp * v) summed per sample.",
        ],
        optional=True,
    ),
    "1.2i": Task(
        "Uniform times",
        5,
        [
            "Never t = 0: there std = 0 and the target -z/std is infinite.",
            "u is in [0, 1]; stretch it to [eps, T].",
            "t = eps + (sde.T - eps) * u, weights of one.",
        ],
    ),
    "1.2j": Task(
        "Debiased times",
        25,
        [
            "A density proportional to dF/dt is drawn by drawing F uniformly and solving for t.",
            "Here F = log(std^2/alpha^2): tabulate log_nsr over a fine grid and interpolate.",
            "The weight is (1/(T - eps)) / q(t), with q the slope of F over F(T) - F(eps).",
        ],
        optional=True,
    ),
    "1.2l": Task(
        "The stable target",
        20,
        [
            "Bayes: the weight of centre c is its prior times N(x; alpha c, std^2 I).",
            "Terms without c drop out of a softmax: (y.c - |c|^2/2)/sigma^2 + log weight is left.",
            "torch.where(sigma > self.above, logits.softmax(1) @ centres, x0).",
        ],
        optional=True,
    ),
    "1.6o": Task(
        "SB-FBSDE, alternating loss",
        15,
        [
            "Compare with implicit score matching: half a square, a product, a divergence.",
            "z (z/2 + z_other) is summed over the coordinates; the divergence is that of g z.",
            "weighted_mean(product + get_div(g * z, x, self.method, self.noise), dt).",
        ],
        optional=True,
    ),
    "1.6p": Task(
        "SB-FBSDE, joint loss",
        15,
        [
            "A path adds up over its steps; the mean is over paths.",
            "The divergence is that of g z_other, and log q of the end is subtracted.",
            "(dt * per_state).sum() / len(log_q) - log_q.mean().",
        ],
        optional=True,
    ),
}
