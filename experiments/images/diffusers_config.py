"""The settings of diffusers' UNet2DModel and schedulers, and ours for the same model."""

import inspect
from typing import Any

from given.images.unet import UNet

SCHEDULES = {"linear": "linear", "scaled_linear": "quad", "squaredcos_cap_v2": "cosine"}
PREDICTIONS = {"epsilon": "noise", "v_prediction": "v"}
DOWN = {False: "DownBlock2D", True: "AttnDownBlock2D"}
UP = {False: "UpBlock2D", True: "AttnUpBlock2D"}
# What a UNet2DModel must have to be one of ours: its own name of a setting, and the value.
FIXED = {
    "center_input_sample": False,
    "time_embedding_type": "positional",
    "act_fn": "silu",
    "mid_block_scale_factor": 1,
    "mid_block_type": "UNetMidBlock2D",
    "norm_num_groups": 32,
    "add_attention": True,
    "downsample_type": "conv",
    "upsample_type": "conv",
    "class_embed_type": None,
}


def network_of(theirs: dict[str, Any], predicts: str) -> dict[str, Any]:
    """The configuration of our U-Net for one of UNet2DModel.

    Args:
        theirs: of config.json.
        predicts: "noise" or "v".

    Raises:
        ValueError: a setting that our U-Net does not have.
    """
    for name, value in FIXED.items():
        if theirs.get(name, value) != value:
            raise ValueError(f"{name} is {theirs[name]!r}; only {value!r} can be imported.")
    widths, size = theirs["block_out_channels"], theirs["sample_size"]
    down, up = theirs["down_block_types"], theirs["up_block_types"]
    if set(down) - set(DOWN.values()) or list(up) != [UP[k == DOWN[True]] for k in reversed(down)]:
        raise ValueError(f"The blocks {', '.join([*down, *up])} are not those of DDPM's U-Net.")
    if (
        any(width % widths[0] for width in widths)
        or theirs["in_channels"] != theirs["out_channels"]
    ):
        raise ValueError(f"Widths {widths} are no multiples of {widths[0]}, or channels differ.")
    if scaled(theirs) and theirs.get("attn_norm_num_groups") != theirs.get("norm_num_groups", 32):
        raise ValueError("Attention without a norm, as scale_shift has it, cannot be imported.")
    padding, shift = theirs.get("downsample_padding", 1), theirs.get("freq_shift", 0)
    if (padding, shift) not in ((1, 0), (0, 1)):
        raise ValueError(
            f"downsample_padding {padding} with freq_shift {shift}: only 1 with 0, or 0 with 1, "
            "can be imported."
        )
    classes = theirs.get("num_class_embeds")
    return {
        "name": "UNet",
        "T": 1000,
        "image_resolution": size,
        "in_ch": theirs["in_channels"],
        "ch": widths[0],
        "ch_mult": tuple(width // widths[0] for width in widths),
        "attn": tuple(k for k, name in enumerate(down) if name == DOWN[True]),
        "num_res_blocks": theirs["layers_per_block"],
        "dropout": theirs.get("dropout", 0.0),
        "scale_shift": scaled(theirs),
        "head_ch": theirs.get("attention_head_dim"),
        "group_ch": 1,
        "norm_eps": theirs.get("norm_eps", 1e-5),
        "published": padding == 0,
        "predicts": predicts,
        "use_cfg": classes is not None,
        "num_classes": classes or 1,
    }


def scaled(theirs: dict[str, Any]) -> bool:
    """Whether the noise level scales and shifts inside the blocks of a UNet2DModel."""
    return theirs.get("resnet_time_scale_shift", "default") == "scale_shift"


def schedule_of(theirs: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The configuration of our schedule for one of diffusers, and what the network predicts.

    Raises:
        ValueError: a schedule or a prediction that ours does not have.
    """
    mode, guess = theirs.get("beta_schedule", "linear"), theirs.get("prediction_type", "epsilon")
    if mode not in SCHEDULES or guess not in PREDICTIONS:
        raise ValueError(
            f"beta_schedule {mode!r} with prediction_type {guess!r}: only "
            f"{', '.join(SCHEDULES)} with {' or '.join(PREDICTIONS)} can be imported."
        )
    schedule = {
        "num_train_timesteps": theirs.get("num_train_timesteps", 1000),
        "beta_1": theirs.get("beta_start", 1e-4),
        "beta_T": theirs.get("beta_end", 0.02),
        "mode": SCHEDULES[mode],
    }
    return schedule, PREDICTIONS[guess]


def network_for(ours: dict[str, Any]) -> dict[str, Any]:
    """The settings of UNet2DModel for a configuration of our U-Net.

    Raises:
        ValueError: an option that UNet2DModel does not have, or norms of too few groups.
    """
    if ours["name"] == "UNet":
        ours = {k: v.default for k, v in inspect.signature(UNet).parameters.items()} | ours
    options = ("biggan", "fir", "skip_rescale", "input_pyramid", "output_pyramid", "attn_up_last")
    set_ones = [name for name in options if ours.get(name)]
    wrong = ours["name"] != "UNet" or ours.get("time_features", "positional") != "positional"
    if wrong or set_ones or ours.get("predicts") not in PREDICTIONS.values():
        raise ValueError(
            f"diffusers' UNet2DModel is DDPM's U-Net that predicts the noise or v; this is "
            f"{ours['name']}, predicts {ours.get('predicts')} {' '.join(set_ones)}".rstrip()
            + "."
        )
    widths = [ours["ch"] * factor for factor in ours["ch_mult"]]
    groups = {min(32, width // ours["group_ch"]) for width in widths}
    if len(groups) > 1:
        raise ValueError(
            f"UNet2DModel has one number of groups for all norms, where this network has "
            f"{sorted(groups)}; train with the U-Net of --network auto, which has 32."
        )
    attends = [k in ours["attn"] for k in range(len(widths))]
    published, count = ours["published"], groups.pop()
    return {
        "_class_name": "UNet2DModel",
        "sample_size": ours["image_resolution"],
        "in_channels": ours["in_ch"],
        "out_channels": ours["in_ch"],
        "block_out_channels": widths,
        "down_block_types": [DOWN[k] for k in attends],
        "up_block_types": [UP[k] for k in reversed(attends)],
        "layers_per_block": ours["num_res_blocks"],
        "dropout": ours["dropout"],
        "resnet_time_scale_shift": "scale_shift" if ours["scale_shift"] else "default",
        "attention_head_dim": ours["head_ch"],
        "norm_num_groups": count,
        "attn_norm_num_groups": count if ours["scale_shift"] else None,
        "norm_eps": ours["norm_eps"],
        "flip_sin_to_cos": False,
        "freq_shift": int(published),
        "downsample_padding": int(not published),
        "num_class_embeds": ours["num_classes"] + 1 if ours["use_cfg"] else None,
    }


def schedule_for(ours: dict[str, Any], predicts: str) -> dict[str, Any]:
    """The settings of diffusers' DDPMScheduler for our schedule and what our network predicts."""
    return {
        "_class_name": "DDPMScheduler",
        "num_train_timesteps": ours["num_train_timesteps"],
        "beta_start": ours.get("beta_1", 1e-4),
        "beta_end": ours.get("beta_T", 0.02),
        "beta_schedule": {ours_: theirs for theirs, ours_ in SCHEDULES.items()}[ours["mode"]],
        "prediction_type": {ours_: theirs for theirs, ours_ in PREDICTIONS.items()}[predicts],
        "clip_sample": True,
        "timestep_spacing": "trailing",  # from T - 1 down, as here
    }
