"""What fifteen minutes on a GPU tell: `python benchmarks/gpu.py --parts correct minutes`.

correct   every sampler, loss, network, checkpoint and report on the device, against the CPU
ladder    training images/s, one measure after the other added; then larger images
batch     images/s, memory and share of the peak from batch 32 up to the card's limit
sampling  evaluations of the network, and whole images, in images/s
minutes   FID against minutes of training; for CIFAR-10 by Inception this wants the set
          (`python image_diffusion/dataset.py --dataset cifar10`) and Inception's weights

Each part has a deadline, and starts nothing that would end after it. A row is printed when it is
there, and the JSON file is written again. No installation, POT or network is needed. Without a GPU
nothing is measured, unless --device cpu asks for the same rows there: the rehearsal is

    python benchmarks/gpu.py --device cpu --smallest

--halve FILE writes Inception's weights in half precision, 44 MB for 87, for --inception FILE.
"""

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("COURSE", "solutions")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

from benchmarks import gpu_correct, gpu_minutes, gpu_speed
from benchmarks.gpu_report import Deadline, Report
from given.images.data.sources import DATA_ROOT
from given.runtime.cli import file_path
from given.runtime.machine import pick_device

# Each part, and the seconds that it may take unless --deadline says otherwise.
PARTS = {
    "correct": (gpu_correct.correct, 150),
    "ladder": (gpu_speed.ladder, 150),
    "batch": (gpu_speed.batch, 150),
    "sampling": (gpu_speed.sampling, 100),
    "minutes": (gpu_minutes.minutes, 560),
}
BRIDGES = ["tr", "flow", "fr", "sdsb", "dsb", "dsbm", "sb-fbsde-alt", "sb-fbsde-joint"]
# The same script in a few minutes on a CPU.
SMALLEST = {"resolution": 8, "ch": 32, "batch_sizes": [2], "largest": 32, "seconds": 0.01}
SMALLEST |= {"samples": 4, "dataset": "fashion", "features": "classifier", "minutes": 0.05}
SMALLEST |= {"network": None, "checks": [0.02], "on_the_way": 20, "final": 40, "deadline": 300.0}
SMALLEST |= {"large": False, "bridges": ["tr"], "train_steps": 6, "batch_size": 16}


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--parts", nargs="+", choices=PARTS, default=[*PARTS][:4])
    add("--deadline", type=float, help="seconds of each part; default: its own")
    add("--device", default="auto")
    add("--smallest", action="store_true", help="the rehearsal: tiny sizes for every other option")
    add("--out", type=file_path, default="results/benchmarks/gpu.json")
    add("--resolution", type=int, default=32, help="pixels a side")
    add("--ch", type=int, help="width of the network; default: the preset's")
    add("--batch_sizes", type=int, nargs="+", default=[128, 512], help="of ladder; last: sampling")
    add("--largest", type=int, default=2**14, help="of batch")
    add("--seconds", type=float, default=2.0, help="of each figure of ladder, batch, sampling")
    add("--samples", type=int, default=5000, help="of sampling")
    add("--large", action=argparse.BooleanOptionalAction, default=True, help="AFHQ in ladder")
    add("--train_steps", type=int, default=100, help="of train.py in correct")
    add("--bridges", nargs="*", default=BRIDGES, help="methods of bridges in correct")
    add("--dataset", default="cifar10", help="of minutes")
    add("--data_root", type=file_path, default=DATA_ROOT)
    add("--network", default="ddpm", help="of minutes")
    add("--batch_size", type=int, default=512, help="of minutes")
    add("--minutes", type=float, default=5.0, help="of training")
    add("--checks", type=float, nargs="*", default=[1.0, 2.0, 4.0], help="minutes before an FID")
    add("--on_the_way", type=int, default=10_000, help="samples of such an FID")
    add("--final", type=int, default=50_000, help="samples at the end")
    add("--features", default="inception")
    add("--inception", type=file_path, help="a file of --halve")
    add("--reference", type=file_path, help=".npz of mu and sigma; default: measured, and kept")
    add("--halve", type=file_path, metavar="FILE", help="write Inception in half precision")
    args = parser.parse_args(arguments)
    if args.smallest:
        parser.set_defaults(**SMALLEST)
        args = parser.parse_args(arguments)
    return args


def main(arguments=None):
    args = parse(arguments)
    if args.halve:
        return gpu_minutes.halve(args.halve)
    device = pick_device(args.device)
    if args.device == "auto" and device.type != "cuda":
        return print("There is no CUDA device here: nothing was measured.")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    about = {"torch": torch.__version__, "device": name, "command": sys.argv[1:]}
    print(f"torch {torch.__version__}, {name}")
    report = Report(args.out, about)
    for part in args.parts:
        run, seconds = PARTS[part]
        run(args, device, report, Deadline(args.deadline or seconds))


if __name__ == "__main__":
    main()
