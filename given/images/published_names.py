"""What public code calls the layers of the U-Net: for published.py.

`layers` names the layers of ours in the order in which an image meets them; a function of each
format says what it calls these, and PARTS what it calls what is inside.
"""

from collections.abc import Callable, Iterator

from given.images.layers import Attention
from given.images.unet import UNet

Layer = tuple[str, str, tuple]  # kind, our name, place in the network

PARTS: dict[str, dict[str, dict[str, list[str]]]] = {
    "diffusers": {
        "block": {
            "norm1": ["norm1"],
            "conv1": ["conv1"],
            "condition": ["time_emb_proj"],
            "norm2": ["norm2"],
            "conv2": ["conv2"],
            "shortcut": ["conv_shortcut"],
        },
        "attention": {
            "norm": ["group_norm"],
            "qkv": ["to_q", "to_k", "to_v"],
            "out": ["to_out.0"],
        },
    },
    "score_sde": {
        "block": {
            "norm1": ["GroupNorm_0"],
            "conv1": ["Conv_0"],
            "condition": ["Dense_0"],
            "norm2": ["GroupNorm_1"],
            "conv2": ["Conv_1"],
            "shortcut": ["Conv_2"],
        },
        "attention": {
            "norm": ["GroupNorm_0"],
            "qkv": ["NIN_0", "NIN_1", "NIN_2"],
            "out": ["NIN_3"],
        },
    },
    "guided_diffusion": {
        "block": {
            "norm1": ["in_layers.0"],
            "conv1": ["in_layers.2"],
            "condition": ["emb_layers.1"],
            "norm2": ["out_layers.0"],
            "conv2": ["out_layers.3"],
            "shortcut": ["skip_connection"],
        },
        "attention": {"norm": ["norm"], "qkv": ["qkv"], "out": ["proj_out"]},
    },
    "sdsb": {
        "block": {
            "norm1": ["norm0"],
            "conv1": ["conv0"],
            "condition": ["affine"],
            "norm2": ["norm1"],
            "conv2": ["conv1"],
            "shortcut": ["skip"],
        },
        "attention": {"norm": ["norm2"], "qkv": ["qkv"], "out": ["proj"]},
    },
}
for parts in PARTS.values():
    parts["plain"] = {"": [""]}


def layers(network: UNet) -> Iterator[Layer]:
    """Kind, name and place of each layer with weights, in the order in which an image meets them.

    Places: ("time", 0 or 1), ("down", level, block), ("half", level), ("middle", block),
    ("up", level from below, block), ("image", level from below), ("twice", level from below), ...
    """
    for k in range(2):
        yield "plain", f"time_embedding.layers.{2 * k}", ("time", k)
    yield "plain", "head", ("head",)
    for k, level in enumerate(network.down):
        for j, _ in enumerate(level.blocks):
            yield from block_of(network, f"down.{k}.blocks.{j}", ("down", k, j))
        if level.resample:
            yield resample_of(network, f"down.{k}.resample", ("half", k))
            if len(network.widen):
                yield "plain", f"widen.{k}", ("pyramid", k)
            elif len(network.pyramid):
                yield "plain", f"pyramid.{k}.conv", ("pyramid", k)
    for j, _ in enumerate(network.middle):
        yield from block_of(network, f"middle.{j}", ("middle", j))
    for k, level in enumerate(network.up):
        for j, _ in enumerate(level.blocks):
            yield from block_of(network, f"up.{k}.blocks.{j}", ("up", k, j))
        if k < len(network.images):
            yield "plain", f"images.{k}.0", ("image", k, 0)
            yield "plain", f"images.{k}.2", ("image", k, 1)
        if level.resample:
            yield resample_of(network, f"up.{k}.resample", ("twice", k))
    yield "plain", "norm", ("norm",)
    yield "plain", "tail", ("tail",)


def block_of(network: UNet, name: str, place: tuple) -> Iterator[Layer]:
    """The residual block of a UNetBlock, and its attention where it has one."""
    yield "block", f"{name}.block", place
    if isinstance(network.get_submodule(f"{name}.attention"), Attention):
        yield "attention", f"{name}.attention", place


def resample_of(network: UNet, name: str, place: tuple) -> Layer:
    """What changes the resolution: a residual block, or one convolution."""
    convolution = hasattr(network.get_submodule(name), "conv")
    return ("plain", f"{name}.conv", place) if convolution else ("block", name, place)


def diffusers_names(network: UNet) -> Iterator[str]:
    """What UNet2DModel calls each layer of `layers`."""
    plain = {"head": "conv_in", "norm": "conv_norm_out", "tail": "conv_out"}
    for kind, _, (place, *at) in layers(network):
        part = f"resnets.{at[-1]}" if kind == "block" else f"attentions.{at[-1] if at else 0}"
        if place == "time":
            yield f"time_embedding.linear_{at[0] + 1}"
        elif place in plain:
            yield plain[place]
        elif place in ("down", "up"):
            yield f"{place}_blocks.{at[0]}.{part}"
        elif place == "middle":
            yield f"mid_block.{part}"
        elif kind == "block":
            raise ValueError(
                "diffusers' UNet2DModel has no residual blocks that change resolution."
            )
        else:
            where = {"half": "down_blocks.{}.downsamplers", "twice": "up_blocks.{}.upsamplers"}
            yield where[place].format(at[0]) + ".0.conv"


def score_sde_names(network: UNet) -> Iterator[str]:
    """What score_sde's networks call each layer of `layers`: all are in one list."""
    skip = network.time_features == "fourier"  # the first of the list holds the frequencies
    for n, (kind, name, (place, *_)) in enumerate(layers(network)):
        inside = ""
        if place in ("half", "twice", "pyramid") and kind == "plain":
            fir = getattr(network.get_submodule(name.rsplit(".", 1)[0]), "fir", False)
            inside = ".Conv2d_0" if fir else ".Conv_0"
        yield f"all_modules.{n + skip}{inside}"


def guided_diffusion_names(network: UNet) -> Iterator[str]:
    """What UNetModel calls each layer of `layers`."""
    plain = {"head": "input_blocks.0.0", "norm": "out.0", "tail": "out.2"}
    blocks = len(network.up[0].blocks)  # of a level on the way up; one less and a halving below
    for kind, _, (place, *at) in layers(network):
        last = "0" if kind == "block" else "1"
        if place == "time":
            yield f"time_embed.{2 * at[0]}"
        elif place in plain:
            yield plain[place]
        elif place == "down":
            yield f"input_blocks.{1 + blocks * at[0] + at[1]}.{last}"
        elif place == "half":
            yield f"input_blocks.{blocks * (at[0] + 1)}.0" + (".op" if kind == "plain" else "")
        elif place == "middle":
            yield f"middle_block.{1 if kind == 'attention' else 2 * at[0]}"
        elif place == "up":
            yield f"output_blocks.{blocks * at[0] + at[1]}.{last}"
        else:
            attends = isinstance(network.up[at[0]].blocks[-1].attention, Attention)
            end = ".conv" if kind == "plain" else ""
            yield f"output_blocks.{blocks * (at[0] + 1) - 1}.{1 + attends}{end}"


def sdsb_names(network: UNet) -> Iterator[str]:
    """What DhariwalUNet calls each layer of `layers`; a block holds its attention."""
    plain = {"norm": "out_norm", "tail": "out_conv"}
    top, deepest = network.image_resolution, len(network.down) - 1
    for _, _, (place, *at) in layers(network):
        if place == "time":
            yield f"map_layer{at[0]}"
        elif place in plain:
            yield plain[place]
        elif place == "head":
            yield f"enc.{top}x{top}_conv"
        elif place == "middle":
            yield f"dec.{top >> deepest}x{top >> deepest}_in{at[0]}"
        else:
            level = at[0] if place in ("down", "half") else deepest - at[0]
            level += {"half": 1, "twice": -1}.get(place, 0)
            what = {"half": "down", "twice": "up"}.get(place) or f"block{at[1]}"
            side = "enc" if place in ("down", "half") else "dec"
            yield f"{side}.{top >> level}x{top >> level}_{what}"


NAMES: dict[str, Callable[[UNet], Iterator[str]]] = {
    "diffusers": diffusers_names,
    "score_sde": score_sde_names,
    "guided_diffusion": guided_diffusion_names,
    "sdsb": sdsb_names,
}


def keys(network: UNet, form: str) -> Iterator[tuple[str, list[str]]]:
    """Each name of `network`'s weights, with the names of what public code has for it.

    They are one, or three where queries, keys and values are apart.
    """
    own = network.state_dict().keys()
    for (kind, name, _), theirs in zip(layers(network), NAMES[form](network), strict=True):
        for part, their_parts in PARTS[form][kind].items():
            for end in ("weight", "bias"):
                ours = f"{name}.{part}.{end}".replace("..", ".")
                if ours in own:
                    yield (
                        ours,
                        [f"{theirs}.{each}.{end}".replace("..", ".") for each in their_parts],
                    )
