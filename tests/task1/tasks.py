"""The tasks of Task 1: what they are called, where they are, how long they take, and their hints.

Hints come in levels, from a nudge to nearly the line itself: `pytest --hints 1.1a`, `1.1a:2`, ...
"""

from autograder.board import Task
from tests.task1 import tasks_bridge, tasks_likelihood

SECTIONS = {
    "1.1": "Forward and reverse processes",
    "1.2": "Training",
    "1.3": "Sampling",
    "1.4": "The marks",
    "1.5": "Likelihood",
    "1.6": "Flow matching and Schrödinger bridges",
}

TASKS = {
    "1.1a": Task(
        "Ornstein-Uhlenbeck process",
        "sde_todo/sde.py",
        15,
        [
            "Both answers are in the docstring: read f and g off dX = -X/2 dt + dW, then solve the "
            "two ordinary differential equations for mean and variance.",
            "The mean decays like exp(-t/2), the variance like 1 - exp(-t). Which of the two does "
            "marginal_prob want, the variance or its root?",
            "return torch.exp(-t / 2) * x0, torch.sqrt(1 - torch.exp(-t))  after per_sample.",
        ],
    ),
    "1.1b": Task(
        "VP process",
        "sde_todo/sde.py",
        15,
        [
            "It is the OU process on another clock: t becomes B(t), the integral of beta.",
            "beta is a straight line from beta_min to beta_max, so B is beta_min t plus half the "
            "slope times t squared.",
            "mean exp(-B/2) x0, std sqrt(1 - exp(-B)), f = -beta/2 x, g = sqrt(beta).",
        ],
    ),
    "1.1c": Task(
        "VE process",
        "sde_todo/sde.py",
        10,
        [
            "There is no drift: the variance grows as the integral of g squared.",
            "g^2 is the derivative of sigma(t)^2. Write sigma(t) as an exponential first.",
            "g = sigma(t) sqrt(2 log(sigma_max/sigma_min) / T); std = sigma(t).",
        ],
    ),
    "1.1d": Task(
        "Sub-VP process",
        "sde_todo/sde.py",
        10,
        [
            "The drift is that of VP; only the noise is smaller.",
            "Try var = (1 - exp(-B))^2 in d var/dt = -beta var + g^2.",
            "std = 1 - exp(-B), g = sqrt(beta (1 - exp(-2B))).",
        ],
    ),
    "1.1e": Task(
        "The prior: draws and log density",
        "sde_todo/sde.py",
        10,
        [
            "The prior is N(0, s^2 I) with s = self.prior_std().",
            "The log density sums over all D numbers of a sample; so does its constant.",
            "-|x|^2/(2 s^2) - D/2 log(2 pi s^2), with x.flatten(1) for |x|^2 and D.",
        ],
    ),
    "1.1f": Task(
        "Brownian increment and a forward step",
        "sde_todo/sde.py",
        10,
        [
            "Over a time dt a Brownian motion gains variance dt.",
            "A step is x + f dt + g dw, with the dt that was passed, or self.dt.",
            "dw = math.sqrt(dt) * torch.randn_like(x).",
        ],
    ),
    "1.1g": Task(
        "The reverse process, SDE and ODE",
        "sde_todo/sde.py",
        20,
        [
            "Everything of the forward process is asked at t = T - s. Time runs backwards, so the "
            "drift changes its sign.",
            "lam = 0: drift -f + g^2 score, diffusion g. lam = 1: drift -f + g^2 score / 2, none.",
            "drift = -f + (1 - lam/2) g^2 score, diffusion = sqrt(1 - lam) g.",
        ],
    ),
    "1.2a": Task(
        "Time embedding",
        "sde_todo/network.py",
        5,
        [
            "Each time is multiplied by each frequency.",
            "t[:, None] * freqs is (B, dim/2); sines first, then cosines.",
            "torch.cat([angles.sin(), angles.cos()], dim=1).",
        ],
    ),
    "1.2b": Task(
        "MLP",
        "sde_todo/network.py",
        10,
        [
            "nn.Sequential takes any number of layers.",
            "One nn.Linear for each pair of neighbouring sizes, nn.SiLU between them.",
            "Append linear and activation in a loop, then drop the last activation.",
        ],
    ),
    "1.2c": Task(
        "SimpleNet",
        "sde_todo/network.py",
        20,
        [
            "Encode x, embed t, add both, go through the blocks, map to in_dim numbers.",
            "Layers must be attributes (or in an nn.ModuleList), or the optimizer misses them.",
            "z = encoder(x) + time(t); for block in blocks: z = z + block(silu(z)); out(z).",
        ],
    ),
    "1.2d": Task(
        "From a prediction to a score",
        "sde_todo/network.py",
        10,
        [
            "score = -(x - alpha x_0)/std^2 = -z/std: express it by what the network predicts.",
            "data: put x_0 = prediction. v: alpha^2 + std^2 = 1 lets you solve for z.",
            "noise: -p/std; data: (alpha p - x)/std^2; v: -(std x + alpha p)/std.",
        ],
    ),
    "1.2e": Task(
        "Denoising score matching",
        "sde_todo/loss.py",
        15,
        [
            "The target is the gradient of the log of a Gaussian density.",
            "x - mean = std z, and the gradient divides by std^2: one std is left.",
            "-z/std; loss: half the squared error, summed per sample, times weight, mean over B.",
        ],
    ),
    "1.2f": Task(
        "Divergence, exact and by Hutchinson",
        "sde_todo/loss.py",
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
        "sde_todo/loss.py",
        10,
        [
            "Per sample: half the squared norm of the score plus its divergence.",
            "Sum over the coordinates of each sample before the mean over the batch.",
            "0.5 * s.pow(2).flatten(1).sum(1) + get_div(s, x, self.method, self.noise).",
        ],
    ),
    "1.2h": Task(
        "Sliced score matching",
        "sde_todo/loss.py",
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
        "sde_todo/loss.py",
        5,
        [
            "Never t = 0: there std = 0 and the target -z/std is infinite.",
            "u is in [0, 1]; stretch it to [eps, T].",
            "t = eps + (sde.T - eps) * u, weights of one.",
        ],
    ),
    "1.2j": Task(
        "Debiased times",
        "sde_todo/loss.py",
        25,
        [
            "A density proportional to dF/dt is drawn by drawing F uniformly and solving for t.",
            "Here F = log(std^2/alpha^2): tabulate log_nsr over a fine grid and interpolate.",
            "The weight is (1/(T - eps)) / q(t), with q the slope of F over F(T) - F(eps).",
        ],
        optional=True,
    ),
    "1.2k": Task(
        "A preconditioned denoiser",
        "sde_todo/network.py",
        20,
        [
            "Write y = c_in x/alpha; then c_skip x/alpha = s^2 c_in y.",
            "sigma = std/alpha. F gets 3 y, 2 log sigma, and Fourier features of y.",
            "return s**2 * c_in * y + sigma * s * c_in * F.",
        ],
        optional=True,
    ),
    "1.2l": Task(
        "The stable target",
        "sde_todo/loss.py",
        20,
        [
            "Bayes: the weight of centre c is its prior times N(x; alpha c, std^2 I).",
            "Terms without c drop out of a softmax: (y.c - |c|^2/2)/sigma^2 + log weight is left.",
            "torch.where(sigma > self.above, logits.softmax(1) @ centres, x0).",
        ],
        optional=True,
    ),
    "1.2m": Task(
        "Moving average of the weights",
        "sde_todo/train.py",
        10,
        [
            "The average keeps the fraction d of itself, and d is near 1.",
            "d = min(decay, (1 + k)/(10 + k)) with k the number of updates before this one.",
            "average.lerp_(p, 1 - d) for every pair of parameters, then self.updates += 1.",
        ],
    ),
    "1.2n": Task(
        "One training step",
        "sde_todo/train.py",
        25,
        [
            "Noise the batch to the drawn times, ask the loss, step the optimizer.",
            "x_t = mean + std z; y = dsm_target(z, std); w = time_weight * weight_fn(...), (B,).",
            "Order: opt.zero_grad, loss.backward, opt.step, ema.update, schedule.step.",
        ],
    ),
    "1.3a": Task(
        "Time grid",
        "sde_todo/sampling.py",
        10,
        [
            "Space t, not s, and return s = T - t.",
            "Equal steps in t^(1/rho), from T down to eps.",
            "torch.linspace(T ** (1 / rho), eps ** (1 / rho), N + 1) ** rho.",
        ],
    ),
    "1.3b": Task(
        "Euler-Maruyama and the walk",
        "sde_todo/sampling.py",
        15,
        [
            "The trajectory starts with the given x and gets one state after each step.",
            "s goes in as a tensor (B,), the step length is the difference of neighbouring times.",
            "x, evaluations = step(sde, s.expand(len(x)), s_next - s, x); x_traj.append(x).",
        ],
    ),
    "1.3c": Task(
        "Langevin corrector, predictor-corrector",
        "sde_todo/sde.py",
        20,
        [
            "Langevin: a step eps along the score and noise of variance 2 eps.",
            "eps = 2 (snr |z|/|score|)^2, norms per sample, then their mean over the batch.",
            "The corrector acts after the predictor, so at s + ds.",
        ],
    ),
    "1.3d": Task(
        "ODE by Euler and Heun",
        "sde_todo/sampling.py",
        15,
        [
            "The slope is ode_coeff(s, x)[0].",
            "Heun: go an Euler step, ask for the slope there, and use the mean of both from x.",
            "The second slope is at s + ds. Two evaluations.",
        ],
    ),
    "1.3e": Task(
        "Reverse diffusion",
        "sde_todo/sampling.py",
        20,
        [
            "In the reverse clock, t belongs to s and t - ds to s + ds.",
            "a = alpha(s)/alpha(s + ds), b^2 = std(s)^2 - a^2 std(s + ds)^2.",
            "(2 - a) x + b^2 score + b z, score at t = T - s.",
        ],
    ),
    "1.3f": Task(
        "Adaptive RK45",
        "sde_todo/sampling.py",
        15,
        [
            "scipy.integrate.solve_ivp works on flat float64 arrays.",
            "Write slope(s, flat): reshape, ask ode_coeff, flatten again. t_eval = the timesteps.",
            "solution.y.T has one row per time; solution.nfev counts the evaluations.",
        ],
    ),
    "1.3g": Task(
        "Exponential multistep",
        "sde_todo/sampling.py",
        40,
        [
            "Order 1 first: y' = r y + (1 - r) D with r = sigma'/sigma.",
            "The polynomial is integrated exactly if its powers are: one small linear system.",
            "weights = solve(u_j^k, I_k); y' = r y + r sum_j w_j D_j.",
        ],
        optional=True,
    ),
    "1.3h": Task(
        "Ancestral sampling",
        "sde_todo/sampling.py",
        20,
        [
            "It has the a, b^2 and score of reverse diffusion, and nearly its mean.",
            "The state before knows where the data are: its variance is smaller than b^2.",
            "(x + b^2 score)/a + b std(s + ds)/std(s) z.",
        ],
        optional=True,
    ),
    "1.3i": Task(
        "Annealed Langevin",
        "sde_todo/sampling.py",
        10,
        [
            "It is the corrector of 1.3c with a step that no norm decides.",
            "eps = 2 (snr std)^2, with the std that the process has at its clock s.",
            "x + eps * score + torch.sqrt(2 * eps) * torch.randn_like(x).",
        ],
        optional=True,
    ),
    "1.3j": Task(
        "Any predictor with any corrector",
        "sde_todo/sampling.py",
        10,
        [
            "Write a function inside the function: it steps first and then corrects.",
            "After the step the clock shows s + ds, for every correction.",
            "return x, evaluations + corrections  at the end of the inner function.",
        ],
        optional=True,
    ),
    "1.4a": Task(
        "Trained samples by the SDE",
        "sde_todo/recipe.py",
        30,
        [
            "Put the parts together: network, EMA, Adam, step function, loop, score function.",
            "If the samples are blurred, train longer or lower the rate to 0 at the end.",
            "SimpleNet predicting noise, Adam 8e-3 with warmup_linear, 1,500 steps of 512 pass.",
        ],
    ),
    "1.4b": Task(
        "Trained samples by the ODE",
        "sde_todo/recipe.py",
        5,
        [
            "The same score, sampled with Heun in 50 evaluations.",
            "If the SDE passes and the ODE does not, look at ode_coeff and at the time grid.",
            "Late times matter: rho = 2 puts more steps near the data.",
        ],
    ),
    "1.4c": Task(
        "Down to the floor",
        "sde_todo/recipe.py",
        60,
        [
            "Four ideas: preconditioning, log-uniform noise, the stable target, a better sampler.",
            "VESDE with uniform t has log-uniform noise; each part names its paper.",
            "Everything is in the docstring and hint of floor_recipe.",
        ],
        optional=True,
    ),
}
TASKS |= tasks_likelihood.TASKS | tasks_bridge.TASKS
