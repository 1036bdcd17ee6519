"""A published checkpoint, as one of this course: sample from it, measure it, control it.

    python -m image_diffusion import FOLDER mine.ckpt --format diffusers
    python -m image_diffusion import checkpoint_24.pth mine.ckpt --format score_sde --network ncsn++
    python -m image_diffusion import 64x64_diffusion.pt mine.ckpt --format guided_diffusion \\
        --network adm64 --resolution 64 --mode cosine --new_attention_order
    python -m image_diffusion import afhq256.pth bridge.ckpt --format sdsb --bridge afhq-256

The settings of a model are in the folder that diffusers writes; for the other formats --network
and --resolution name them. Both networks of a bridge of simplified DSB become one checkpoint, for
`bridge --sample`; --bridge names the preset it was trained with. Weights are tensors: a file that
only opens by executing code is refused.
"""

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from experiments.bridges.image_presets import SDSB_PRESETS
from experiments.images.diffusers_config import network_of, schedule_of
from given.images.load import build_network
from given.images.presets import NETWORKS
from given.images.published import from_public
from given.images.published_names import NAMES
from given.runtime.checkpoint import blamed_on, read_plain, save_whole
from given.runtime.cli import file_path, whole
from image_diffusion.scheduler import DDIMScheduler

Weights = dict[str, Tensor]
UNETS = [name for name, options in NETWORKS.items() if "name" not in options]
SONG = {"group_ch": 4, "published": True}  # of score_sde's networks, beside their presets
SOURCE = "a file of tensors alone, such as .safetensors"


def read_weights(path: Path) -> Any:
    """The tensors of a file of torch or of safetensors, and what is beside them.

    Raises:
        ValueError: no such file, a damaged one, or one that executing code would open.
    """
    if path.suffix != ".safetensors":
        return read_plain(path, source=SOURCE)
    try:
        from safetensors.torch import load_file
    except ImportError:
        raise ValueError(
            "A .safetensors file needs that package: pip install safetensors"
        ) from None
    if not path.is_file():
        raise ValueError(f"{path}: there is no such file.")
    with blamed_on(path, "download it again"):
        return load_file(path)


def from_diffusers(folder: Path) -> tuple[dict, dict, Weights, bool]:
    """Configurations of network and schedule, weights, and whether cosines come first.

    Args:
        folder: of a DDPMPipeline, or of a UNet2DModel alone, which then has DDPM's schedule.
    """
    base = folder / "unet" if (folder / "unet").is_dir() else folder
    theirs = read_json(base / "config.json")
    schedule = folder / "scheduler" / "scheduler_config.json"
    ours, predicts = schedule_of(read_json(schedule) if schedule.is_file() else {})
    names = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
    found = next((base / name for name in names if (base / name).is_file()), base / names[0])
    with blamed_on(base / "config.json", "use that of a UNet2DModel"):
        network = network_of(theirs, predicts) | {"T": ours["num_train_timesteps"]}
    return network, ours, read_weights(found), theirs.get("flip_sin_to_cos", True)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file that holds a dict."""
    if not path.is_file():
        raise ValueError(f"{path}: there is no such file; give the folder that diffusers wrote.")
    with blamed_on(path, "use a file that diffusers wrote"):
        found = json.loads(path.read_text())
        return dict(found)


def from_preset(path: Path, args: argparse.Namespace) -> tuple[dict, dict, Weights, bool]:
    """The same for score_sde and guided_diffusion, whose files do not say what they hold."""
    weights = tensors_of(read_weights(path), args.format, path)
    classes = len(weights.get("label_emb.weight", ()))
    network = {"name": "UNet", "T": 1000, "image_resolution": args.resolution, "in_ch": 3}
    network |= NETWORKS[args.network] | (SONG if args.format == "score_sde" else {})
    network |= {"use_cfg": bool(classes), "num_classes": classes or 1}
    schedule = {"num_train_timesteps": 1000, "mode": args.mode}
    return network, schedule, weights, args.format != "score_sde"


def tensors_of(state: Any, form: str, path: Path) -> Weights:
    """The weights in what a format's file holds: the averaged ones, where there are two."""
    if form == "score_sde" and isinstance(state, dict) and "model" in state:
        named = {k.removeprefix("module."): v for k, v in state["model"].items()}
        named.pop("sigmas", None)
        learned = [k for k in named if not k.endswith(".W") or named[k].ndim == 2]
        shadow = state.get("ema", {}).get("shadow_params", [named[k] for k in learned])
        state = named | dict(zip(learned, shadow, strict=True))
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ValueError(f"{path} does not hold the weights of {form}; choose another --format.")
    return {k: v.float() for k, v in state.items()}


def import_weights(path: Path, target: Path, args: argparse.Namespace) -> None:
    """Write a published checkpoint as one of this course."""
    folder = args.format == "diffusers"
    found = from_diffusers(path) if folder else from_preset(path, args)
    config, schedule, weights, cosines_first = found
    network = build_network(config, DDIMScheduler(**schedule).exact)
    with blamed_on(path, "check --network and --resolution"):
        network.load_state_dict(
            from_public(network, weights, args.format, cosines_first, args.new_attention_order)
        )
    state = {"config": {"network": config, "scheduler": schedule}, "network": network.state_dict()}
    save_whole(target, state)
    count = sum(p.numel() for p in network.parameters())
    print(f"{target}: {count / 1e6:.1f} M parameters; sample from it by sampling.py --ckpt_path.")


def import_bridge(path: Path, target: Path, preset: str) -> None:
    """Write a bridge of simplified DSB as one of this course (Tang et al. 2024, --reparam term).

    Its networks give the end of a chain, and are called by the number of the step, each in the
    clock of its own direction.

    Args:
        path: of a file with `forward_model`, from the prior to the data, and `backward_model`.
        target: the checkpoint to write.
        preset: of `experiments.bridges.image_presets.PRESETS`.
    """
    from experiments.bridges.images import published_config

    state, config = read_weights(path), published_config(preset)
    names = {"forward": "forward_model", "backward": "backward_model"}
    found = state if isinstance(state, dict) else {}
    if not all(isinstance(found.get(theirs), dict) for theirs in names.values()):
        raise ValueError(f"{path} has no forward_model and backward_model; leave --bridge away.")
    networks = {}
    for name, theirs in names.items():
        inside = {k: v for k, v in found[theirs].items() if k.startswith("network.")}
        weights = {re.sub(r"^network\.(module\.)?", "", k): v.float() for k, v in inside.items()}
        network = build_network(config["network"])
        with blamed_on(path, "check --bridge"):
            ours = from_public(network, weights, "sdsb", cosines_first=True)
        networks[name] = {f"net.{k}": v for k, v in ours.items()}
    save_whole(target, {"config": config, "network": networks})
    print(f"{target}: a bridge; carry images over it by `bridge --sample {target}`.")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("source", type=file_path, help="a file, or the folder of diffusers")
    parser.add_argument("target", type=file_path, help="the checkpoint to write")
    parser.add_argument("--format", choices=NAMES, required=True)
    parser.add_argument("--network", choices=UNETS, help="of the weights; see presets.py")
    parser.add_argument("--resolution", type=whole, default=32, help="pixels a side")
    parser.add_argument("--mode", choices=("linear", "cosine"), default="linear", help="schedule")
    parser.add_argument(
        "--new_attention_order",
        action="store_true",
        help="of guided_diffusion: queries, keys and values apart, as in its 64 x 64 model",
    )
    parser.add_argument("--bridge", choices=SDSB_PRESETS, help="of sdsb: both directions of one")
    args = parser.parse_args(arguments)
    if (args.format == "sdsb") != bool(args.bridge) or (args.bridge and args.network):
        raise ValueError("--bridge goes with --format sdsb, which needs it and takes no --network.")
    if args.bridge:
        import_bridge(args.source, args.target, args.bridge)
        return
    if (args.network is None) != (args.format == "diffusers"):
        raise ValueError(
            "--network goes with score_sde and guided_diffusion; diffusers names its own."
        )
    import_weights(args.source, args.target, args)
