"""Task 1.2, first part: networks of (t, x), and the adapter that turns their output into a score.

A network is called as model(t, x) with t (B,) and x (B, D). What its output means (score, noise,
data or v) is known to `get_score_fn` alone: losses and samplers see scores.
"""

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from given.gradients import in_dtype_of
from given.levels import Process, ScoreFn, alpha_std, check_forward


class TimeEmbedding(nn.Module):
    """Sines and cosines of the time at geometric frequencies (Vaswani et al. 2017, section 3.5).

    Args:
        dim: length of the embedding, even.
        max_freq: the frequencies run from 1 to max_freq radians per unit of time.
    """

    def __init__(self, dim: int = 64, max_freq: float = 1000.0) -> None:
        super().__init__()
        if dim % 2 or dim < 4:
            raise ValueError(f"dim = {dim}: use an even number of at least 4 (sines and cosines).")
        self.register_buffer("freqs", torch.logspace(0, math.log10(max_freq), dim // 2))

    def forward(self, t: Tensor) -> Tensor:
        """(B,) -> (B, dim): [sin(w_1 t), ..., sin(w_n t), cos(w_1 t), ..., cos(w_n t)]."""
        # TODO 1.2a: replace the raise below with your code.
        # Hint: self.freqs holds the w_i. An outer product gives (B, dim/2) angles.
        raise NotImplementedError("TODO 1.2a: TimeEmbedding.forward")


class MLP(nn.Module):
    """Linear layers with SiLU between them, none after the last.

    Args:
        sizes: widths from input to output, such as [2, 128, 128, 2].
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        # TODO 1.2b: replace the raise below with your code.
        # Hint: len(sizes) - 1 linear layers, an activation after each but the last.
        raise NotImplementedError("TODO 1.2b: MLP.__init__")

    def forward(self, x: Tensor) -> Tensor:
        """(B, sizes[0]) -> (B, sizes[-1])."""
        # TODO 1.2b: replace the raise below with your code.
        # Hint: one line, if the layers are in an nn.Sequential.
        raise NotImplementedError("TODO 1.2b: MLP.forward")


class SimpleNet(nn.Module):
    """A small network of (t, x) with residual connections.

    x goes through an encoder to z_dim numbers, the time is embedded and mapped to z_dim numbers,
    their sum goes through residual blocks and out.

    Args:
        in_dim: D, numbers per point.
        enc_shapes: widths of the encoder's hidden layers.
        dec_shapes: hidden widths of the residual blocks, one block z + MLP(z) for each.
        z_dim: width at which x and t meet, even.
    """

    def __init__(
        self,
        in_dim: int = 2,
        enc_shapes: Sequence[int] = (64,),
        dec_shapes: Sequence[int] = (128, 128),
        z_dim: int = 64,
    ) -> None:
        super().__init__()
        # TODO 1.2c: replace the raise below with your code.
        # Hint: MLP and TimeEmbedding above are all you need. Keep blocks in an nn.ModuleList.
        raise NotImplementedError("TODO 1.2c: SimpleNet.__init__")

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        """(B,), (B, in_dim) -> (B, in_dim), in the dtype of the weights."""
        t, x = in_dtype_of(self, t, x)
        # TODO 1.2c: replace the raise below with your code.
        # Hint: a residual block adds to its input: z = z + block(z).
        raise NotImplementedError("TODO 1.2c: SimpleNet.forward")


class Denoiser(nn.Module):
    """An estimate of E[X_0 | X_t] with the preconditioning of Karras et al. 2022, for any process.

    x / alpha = x_0 + sigma z with sigma = std / alpha is all that a denoiser needs to see, so one
    trained network serves every process (set `sde` to another one). With s the data's deviation,

        D = c_skip x/alpha + c_out F(c_in x/alpha, log sigma),
        c_in = 1/sqrt(sigma^2 + s^2), c_skip = s^2 c_in^2, c_out = sigma s c_in

    (their table 1). F sees 3 y, 2 log sigma, and sines and cosines of y @ directions, where
    y = c_in x/alpha: Fourier features of the plane draw sharp edges sooner.

    Args:
        sde: the process that says which noise level belongs to a time.
        sigma_data: deviation s of the data.
        width: of the hidden layers.
        depth: of the hidden layers.
        features: number of random directions in the plane.
        bandwidth: their deviation.
    """

    def __init__(
        self,
        sde: Process,
        sigma_data: float = 2.0,
        width: int = 128,
        depth: int = 3,
        features: int = 16,
        bandwidth: float = 0.3,
    ) -> None:
        super().__init__()
        self.sde = sde
        self.sigma_data = sigma_data
        self.register_buffer("directions", 2 * math.pi * bandwidth * torch.randn(2, features))
        sizes = [2 + 1 + 2 * features] + depth * [width]
        layers = [
            layer
            for n_in, n_out in itertools.pairwise(sizes)
            for layer in (nn.Linear(n_in, n_out), nn.SiLU())
        ]
        self.layers = nn.Sequential(*layers, nn.Linear(width, 2))
        nn.init.zeros_(self.layers[-1].weight)
        nn.init.zeros_(self.layers[-1].bias)

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        """(B,), (B, 2) -> the denoised points (B, 2), in the dtype of the weights."""
        t, x = in_dtype_of(self, t, x)
        # TODO 1.2k: replace the raise below with your code.
        # Hint: alpha_std(self.sde, t, x) gives alpha and std, both (B, 1). With y = c_in x/alpha,
        #   feed self.layers with 3 y, 2 log sigma, and sine and cosine of y @ self.directions.
        raise NotImplementedError("TODO 1.2k: Denoiser.forward")


def get_score_fn(sde: Process, model: ScoreFn, predicts: str = "score") -> ScoreFn:
    """The score given by a network: the one adapter between networks and everything else.

    With X_t = alpha x_0 + std z:

        noise: score = -z / std          data: score = (alpha x_0 - x) / std^2
        v = alpha z - std x_0, for a process with alpha^2 + std^2 = 1: z = std x + alpha v

    (Song et al. 2021, section 3; Salimans and Ho 2022, section 4, for v.)

    Args:
        sde: the forward process.
        model: network (t, x) -> (B, D).
        predicts: "score", "noise", "data" or "v".

    Returns:
        score_fn(t, x) -> (B, D), in the dtype of x; the network is score_fn.model.

    Raises:
        ValueError: an unknown prediction, a reverse process, or v for a process that it is not for.
    """
    if predicts not in ("score", "noise", "data", "v"):
        raise ValueError(f"predicts = {predicts!r}: choose score, noise, data or v.")
    check_forward(sde)
    if predicts == "v":
        check_preserving(sde)

    def score_fn(t, x):
        prediction = model(*in_dtype_of(model, t, x)).to(x)
        if predicts == "score":
            return prediction
        alpha, std = alpha_std(sde, t, x)
        # TODO 1.2d: replace the raise below with your code.
        # Hint: three cases are left. alpha and std are (B, 1).
        raise NotImplementedError("TODO 1.2d: get_score_fn.score_fn")

    score_fn.model = model  # type: ignore[attr-defined]
    return score_fn


def check_preserving(sde: Process) -> None:
    """Refuse a process without alpha^2 + std^2 = 1, which the definition of v takes for granted."""
    t = torch.linspace(0.1, 1, 10, dtype=torch.float64) * sde.T
    alpha, std = alpha_std(sde, t, torch.ones(len(t), 1, dtype=torch.float64))
    error = (alpha**2 + std**2 - 1).abs().max().item()
    if error > 1e-3:
        raise ValueError(
            f"predicts = 'v' is for alpha^2 + std^2 = 1, as in OU and VPSDE, which "
            f"{type(sde).__name__} misses by {error:.2g}; choose noise, data or score."
        )
