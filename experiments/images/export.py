"""A checkpoint for others: smaller, or as diffusers has it.

    python -m image_diffusion export last.ckpt small.ckpt
    python -m image_diffusion export last.ckpt FOLDER --format diffusers

A folder of diffusers is opened by `DDPMPipeline.from_pretrained(FOLDER)`, its network alone by
`UNet2DModel.from_pretrained(FOLDER, subfolder="unet")`. There a class counts as here: 0 for none.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from experiments.images.diffusers_config import network_for, schedule_for
from given.images.load import build_network
from given.images.logit import refuse_logits
from given.images.published import to_diffusers
from given.runtime.checkpoint import blamed_on, load_weights, read_checkpoint, save_whole
from given.runtime.cli import file_path
from given.runtime.files import atomic_write, write


def export(source: Path | str, target: Path | str) -> None:
    """Write the configuration and the weights, in half precision, to a smaller checkpoint.

    log_snr stays whole: Fourier features multiply its rounding error by 100.
    """
    state = read_checkpoint(source)
    weights = {k: v if k == "log_snr" else v.half() for k, v in state["network"].items()}
    save_whole(target, {"config": state["config"], "network": weights})


def export_diffusers(source: Path | str, folder: Path) -> None:
    """Write a folder that diffusers opens: the network, its schedule, and the pipeline of both.

    Raises:
        ValueError: a network that diffusers does not have, or no safetensors here.
    """
    try:
        from safetensors.torch import save
    except ImportError:
        raise ValueError("diffusers reads .safetensors: pip install safetensors") from None
    state = read_checkpoint(source)
    config = state["config"]
    refuse_logits(config, source, "diffusers")
    with blamed_on(source, "use a checkpoint of train.py"):
        settings = network_for(config["network"])
        network = build_network(config["network"])
    load_weights(network, state["network"], source)
    pipeline = {
        "_class_name": "DDPMPipeline",
        "unet": ["diffusers", "UNet2DModel"],
        "scheduler": ["diffusers", "DDPMScheduler"],
    }
    schedule = schedule_for(config["scheduler"], config["network"]["predicts"])
    for name, content in (
        ("unet/config.json", settings),
        ("scheduler/scheduler_config.json", schedule),
        ("model_index.json", pipeline),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write(folder / name, json.dumps(content, indent=2) + "\n")
    with atomic_write(folder / "unet" / "diffusion_pytorch_model.safetensors") as file:
        file.write(save(to_diffusers(network)))
    print(f'{folder}: DDPMPipeline.from_pretrained("{folder}") opens it.')


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("source", type=file_path, help="a checkpoint that train.py wrote")
    parser.add_argument("target", type=file_path, help="the file to write; a folder for diffusers")
    parser.add_argument("--format", choices=("half", "diffusers"), default="half")
    args = parser.parse_args(arguments)
    if args.format == "diffusers":
        export_diffusers(args.source, args.target)
    else:
        export(args.source, args.target)
