"""The weights of public code, in the U-Net of this course.

    diffusers         UNet2DModel of Hugging Face's diffusers
    score_sde         DDPM and NCSN++ of Song et al. 2021, in PyTorch
    guided_diffusion  UNetModel of Dhariwal and Nichol 2021 (ADM)
    sdsb              DhariwalUNet of Karras et al. 2022, in simplified DSB (Tang et al. 2024)

All of them are `UNet` with some options. What is missing or left over is an error.
"""

import math
import re

import torch
from torch import Tensor

from given.images.published_names import keys
from given.images.unet import UNet

Weights = dict[str, Tensor]
LABELS = {"guided_diffusion": "label_emb.weight", "diffusers": "class_embedding.weight"}
FREQUENCIES = "all_modules.0"  # of score_sde's Fourier features


def from_public(
    network: UNet,
    theirs: Weights,
    form: str,
    cosines_first: bool,
    new_attention_order: bool = False,
) -> Weights:
    """The weights of `network`, taken from those of public code.

    Args:
        network: of the same architecture; says the names and shapes.
        theirs: name -> tensor.
        form: of NAMES.
        cosines_first: whether the time features begin with the cosines. Ours begin with the sines:
            two halves of the first layer change places.
        new_attention_order: of guided_diffusion, where queries, keys and values of all heads are
            apart, as they are here.

    Returns:
        a state_dict. What a VE network of score_sde gives for images in [0, 1] and sigma / 2 is
        turned into the noise of images in [-1, 1] and sigma.

    Raises:
        ValueError: weights that are missing, left over, or of another shape.
    """
    rest, ours = dict(theirs), dict(network.state_dict())
    for name, names in keys(network, form):
        value = torch.cat([taken(rest, each) for each in names])
        if name.startswith("tail") and len(value) == 2 * network.in_ch:
            value = value[: network.in_ch]  # the second half is a variance
        if ".qkv." in name and form in HEADS_FIRST and not new_attention_order:
            value = HEADS_FIRST[form](value, network.get_submodule(name.rsplit(".", 2)[0]).heads)
        ours[name] = fitted(value, ours[name].shape, name, names[0])
    if cosines_first:
        first = ours["time_embedding.layers.0.weight"]
        ours["time_embedding.layers.0.weight"] = first.roll(first.shape[1] // 2, 1)
    labels = LABELS.get(form)
    if labels in rest and network.class_embedding is not None:
        known = rest.pop(labels)
        none = torch.zeros(network.num_classes + 1 - len(known), known.shape[1])
        ours["class_embedding.weight"] = torch.cat([none.to(known), known])  # label 0 is for none
    if f"{FREQUENCIES}.W" in rest and network.time_features == "fourier":
        ours |= fourier_of(ours, rest.pop(f"{FREQUENCIES}.W"))
    if network.predicts == "ve":  # theirs gives -noise, the score times sigma
        for name in ours:
            if re.match(r"tail|images\.\d\.2", name):
                ours[name] = -ours[name]
    if rest:
        raise ValueError(f"{min(rest)} has no place in this network; choose another --network.")
    return ours


def to_diffusers(network: UNet) -> Weights:
    """The weights of `network` under the names of UNet2DModel, which has none for some options.

    Raises:
        ValueError: a network with blocks that change the resolution.
    """
    own, theirs = network.state_dict(), {}
    for name, names in keys(network, "diffusers"):
        for each, part in zip(names, own[name].chunk(len(names)), strict=True):
            theirs[each] = part.contiguous()
    if "class_embedding.weight" in own:
        theirs["class_embedding.weight"] = own["class_embedding.weight"]
    return theirs


def taken(rest: Weights, name: str) -> Tensor:
    """The tensor of a name, which is then gone from `rest`."""
    if name in rest:
        return rest.pop(name)
    # score_sde's 1 x 1 convolutions are matrices (in, out), also where a shortcut is called Conv_2.
    stem = name.rsplit(".", 1)[0]
    for matrix in (stem, stem.replace("Conv_2", "NIN_0")):
        if name.endswith("weight") and f"{matrix}.W" in rest:
            return rest.pop(f"{matrix}.W").t()
        if name.endswith("bias") and f"{matrix}.b" in rest:
            return rest.pop(f"{matrix}.b")
    raise ValueError(f"{name} is missing; choose the --network and --resolution of these weights.")


def fitted(value: Tensor, shape: torch.Size, name: str, their_name: str) -> Tensor:
    """A tensor in the shape that ours has: axes of length 1 come and go, nothing else."""
    if [n for n in value.shape if n > 1] != [n for n in shape if n > 1]:
        raise ValueError(
            f"{their_name} is {tuple(value.shape)}, where {name} is {tuple(shape)}; choose the "
            "--network and --resolution of these weights."
        )
    return value.reshape(shape).contiguous()


def legacy_heads(value: Tensor, heads: int) -> Tensor:
    """Queries, keys and values (3 C, ...) of (heads, 3, c) rows, as (3, heads, c) rows."""
    return value.unflatten(0, (heads, 3, -1)).transpose(0, 1).flatten(0, 2)


def heads_outside(value: Tensor, heads: int) -> Tensor:
    """Queries, keys and values (3 C, ...) of (heads, c, 3) rows, as (3, heads, c) rows."""
    return value.unflatten(0, (heads, -1, 3)).movedim(2, 0).flatten(0, 2)


HEADS_FIRST = {"guided_diffusion": legacy_heads, "sdsb": heads_outside}


def fourier_of(ours: Weights, frequencies: Tensor) -> Weights:
    """The frequencies, and the first layer that sees them, for images in [-1, 1].

    score_sde has images in [0, 1], where sigma is half as large: c - log(2) where ours has c =
    log(sigma). The sine and cosine of w (c - log(2)) are those of w c, turned by w log(2).

    Args:
        ours: the weights so far; the first layer has (E, 2 F), of F sines and F cosines.
        frequencies: (F,) w / (2 pi).
    """
    w = 2 * math.pi * frequencies
    first = ours["time_embedding.layers.0.weight"]
    of_sin, of_cos = first.double().chunk(2, dim=1)
    angle = w.double() * math.log(2)
    turned = [
        of_sin * angle.cos() + of_cos * angle.sin(),
        of_cos * angle.cos() - of_sin * angle.sin(),
    ]
    return {
        "time_embedding.layers.0.weight": torch.cat(turned, dim=1).to(first),
        "time_embedding.frequencies": w,
    }
