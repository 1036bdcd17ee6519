"""What the networks of images share: they predict the noise in x_t, whatever their layers predict.

Each is called as network(x_t, timestep, class_label), or by the noise level itself as
network.at_log_snr(x_t, log_snr, class_label), and returns the noise (B, C, H, W). With
a = sqrt(abar), s = sqrt(1 - abar), x_t = a x_0 + s noise, sigma = s / a and x_sigma = x_t / a =
x_0 + sigma noise, the layers inside may see another input and predict another quantity:

    noise    F(x_t) = noise                                              (Ho et al. 2020)
    v        F(x_t) = v = a noise - s x_0                       (Salimans and Ho 2022, appendix D)
    ve       F(x_sigma) = noise, so that the score of x_sigma is -F / sigma
                                        (Song and Ermon 2020, technique 3; Song et al. 2021)
    edm      D = c_skip x_sigma + c_out F(c_in x_sigma), noise = (x_sigma - D) / sigma
                                                       (Karras et al. 2022, eq. 7, table 1)

The size of v is the same at every timestep. Under a cosine schedule the simple loss of its noise
weighs the noise levels almost as Karras et al. 2022 do.
"""

from typing import Any

import torch
from torch import Tensor, nn

from given.images.layers import FourierEmbedding, TimeEmbedding
from given.levels import NoiseLevels, signal_and_noise

PREDICTS = ("noise", "v", "ve", "edm")
TIME_FEATURES = ("positional", "fourier", "none")
SIGMA_DATA = 0.5  # standard deviation of the pixels (Karras et al. 2022, table 1)


class NoisePredictor(NoiseLevels):
    """What the networks share: conditions in, noise out. A subclass has `trunk(x, emb)`.

    Args:
        T: number of training timesteps.
        image_resolution: pixels a side.
        in_ch: channels of the images.
        emb_ch: width of the condition.
        use_cfg: whether there are class labels.
        cfg_dropout: share of labels that training drops.
        num_classes: of the labels, which count from 1; 0 is for none.
        alphas_cumprod: (T,) the schedule's abar. Only a network that predicts noise from positional
            features can do without, and then it cannot be called by log SNR.
        predicts: what the trunk gives, see above; by default "v", or "noise" without abar.
        time_features: "positional" of the timestep, "fourier" of log sigma; under edm either is of
            c_noise = log(sigma) / 4; or "none": the trunk does not see the noise level.

    Attributes:
        logit: whether its images are logits of pixels, see logit.py.

    Raises:
        ValueError: a prediction or features that do not exist, or that lack the schedule.
    """

    logit = False

    def __init__(
        self,
        T: int,
        image_resolution: int,
        in_ch: int,
        emb_ch: int,
        use_cfg: bool,
        cfg_dropout: float,
        num_classes: int,
        alphas_cumprod: Tensor | None = None,
        predicts: str | None = None,
        time_features: str = "positional",
    ) -> None:
        predicts = predicts or ("noise" if alphas_cumprod is None else "v")
        check_options(predicts, time_features, alphas_cumprod)
        super().__init__(alphas_cumprod, persistent=needs_schedule(predicts, time_features))
        self.T, self.image_resolution, self.in_ch = T, image_resolution, in_ch
        self.use_cfg, self.cfg_dropout, self.num_classes = use_cfg, cfg_dropout, num_classes
        self.predicts, self.time_features, self.emb_ch = predicts, time_features, emb_ch
        self.time_embedding: nn.Module | None
        if time_features == "fourier":
            self.time_embedding = FourierEmbedding(emb_ch // 4, emb_ch)
        else:
            positional = time_features == "positional"
            self.time_embedding = TimeEmbedding(emb_ch // 4, emb_ch) if positional else None
        self.class_embedding = nn.Embedding(num_classes + 1, emb_ch) if use_cfg else None

    def forward(
        self, x: Tensor, timestep: Tensor | float, class_label: Tensor | None = None
    ) -> Tensor:
        """Predict the noise in x_t.

        Args:
            x: (B, C, H, W) images x_t.
            timestep: a number or (B,), whole or between two of them.
            class_label: (B,) from 1, 0 for none; None for all none.

        Returns:
            (B, C, H, W).
        """
        times = one_for_each(timestep, x)
        log_snr = None if self.log_snr is None else self.log_snr_at(times)
        return self.at_log_snr(x, log_snr, class_label, times)

    def at_log_snr(
        self,
        x: Tensor,
        log_snr: Tensor | None,
        class_label: Tensor | None = None,
        timestep: Tensor | None = None,
    ) -> Tensor:
        """Predict the noise in x_t of a given log SNR.

        Args:
            x: (B, C, H, W) images x_t = a x_0 + s noise with a^2 + s^2 = 1.
            log_snr: (B,) log(a^2 / s^2); None where the network knows no schedule.
            class_label: (B,) from 1, 0 for none; None for all none.
            timestep: (B,) of this log SNR, where it is known; else positional features look it up.

        Returns:
            (B, C, H, W).
        """
        emb = self._condition(x, log_snr, class_label, timestep)
        out = self.trunk(self._trunk_input(x, log_snr), emb)
        return self._noise_from(out, x, log_snr)

    def trunk(self, x: Tensor, emb: Tensor) -> Tensor:
        """What a subclass computes from its input (B, C, H, W) and the conditions (B, E)."""
        raise NotImplementedError(f"{type(self).__name__} has no trunk.")

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile `at_log_snr`, which a call by timestep goes through as well."""
        compiled = torch.compile(self.at_log_snr, *args, **kwargs)
        self.at_log_snr = compiled  # type: ignore[method-assign]

    def _condition(self, x, log_snr, class_label, timestep=None):
        """(B, E) of the noise level and the class, or whatever `_combine` makes of the two."""
        B, device = len(x), x.device
        if self.time_embedding is None:
            emb = torch.zeros(B, self.emb_ch, device=device)
        else:
            emb = self.time_embedding(self._level(log_snr, timestep))
        if class_label is not None and not self.use_cfg:
            raise ValueError(
                "This network was trained without class labels; "
                "train one with --use_cfg, or leave the class and guidance out."
            )
        if self.use_cfg:
            if class_label is None:
                class_label = torch.zeros(B, dtype=torch.long, device=device)
            return self._combine(emb, self.class_embedding(class_label))
        return self._combine(emb, None)

    def _combine(self, level, label):
        """(B, E), the embedding of the noise level, plus that of the class if there is one."""
        return level if label is None else level + label

    def _level(self, log_snr, timestep):
        """(B,) the number that the time features are of; log(sigma) is -log_snr / 2."""
        if self.predicts == "edm":
            return -log_snr / 8
        if self.time_features == "fourier":
            return -log_snr / 2
        return self.timestep_at(log_snr) if timestep is None else timestep

    def _trunk_input(self, x, log_snr):
        """x_t; or x_sigma = x_t / a; or c_in x_sigma = x_t / sqrt(s^2 + (sigma_data a)^2)."""
        if self.predicts in ("noise", "v"):
            return x
        a, s = signal_and_noise(log_snr)
        if self.predicts == "ve":
            return x / a
        return x / (s**2 + (SIGMA_DATA * a) ** 2).sqrt()

    def _noise_from(self, out, x, log_snr):
        """The noise, from the trunk's output and x_t.

        v: a out + s x_t. edm: with c_skip = sigma_data^2 / (sigma^2 + sigma_data^2) and c_out =
        sigma sigma_data / sqrt(sigma^2 + sigma_data^2),

            (x_sigma - D) / sigma = s x_t / size^2 - sigma_data a out / size,
            size^2 = s^2 + (sigma_data a)^2,

        which needs no difference of two large numbers; with sigma_data = 1 the output is -v.
        """
        if self.predicts in ("noise", "ve"):
            return out
        a, s = signal_and_noise(log_snr)
        if self.predicts == "v":
            return a * out + s * x
        size = (s**2 + (SIGMA_DATA * a) ** 2).sqrt()
        return s / size**2 * x - SIGMA_DATA * a / size * out


def one_for_each(timestep: Tensor | float, x: Tensor) -> Tensor:
    """(B,) timesteps on the device of x (B, ...), of a number or (B,).

    A number is written there by a kernel: copied there, it would make the host wait at every step.
    """
    if isinstance(timestep, Tensor) and (timestep.ndim or timestep.device == x.device):
        return timestep.to(x.device).expand(len(x))
    number = timestep.item() if isinstance(timestep, Tensor) else timestep
    return torch.full((len(x),), number, device=x.device)


def gives_noise(network: nn.Module) -> bool:
    """Whether the trunk of a network gives the noise itself; then sampling clips x_0.

    Where the noise is nearly all of x_t, an error of it is multiplied by 1 / sqrt(abar) in x_0.
    """
    return getattr(network, "predicts", None) in ("noise", "ve")


def needs_schedule(predicts: str | None, time_features: str) -> bool:
    """Whether a network has to know abar to be called by timestep."""
    return predicts != "noise" or time_features == "fourier"


def check_options(predicts: str | None, time_features: str, alphas_cumprod: Tensor | None) -> None:
    """Refuse what no network predicts or is conditioned on, and what lacks its schedule."""
    if predicts not in PREDICTS:
        raise ValueError(f"Unknown predicts {predicts!r}; use one of {', '.join(PREDICTS)}.")
    if time_features not in TIME_FEATURES:
        raise ValueError(
            f"Unknown time_features {time_features!r}; use one of {', '.join(TIME_FEATURES)}."
        )
    if alphas_cumprod is None and needs_schedule(predicts, time_features):
        raise ValueError(
            f"predicts={predicts!r} with time_features={time_features!r} depends on abar; "
            f"give the schedule's alphas_cumprod."
        )
