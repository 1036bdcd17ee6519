"""Every table of the course, and one page of them: `python -m benchmarks [PART ...]`.

A part is a script of this folder with the arguments below, run as a process of its own. What it
prints lands in results/benchmarks/NAME.txt, and results/benchmarks/index.html shows the latest of
every part that has run, with the versions used. `make bench PARTS="fid peers"` does the same
in an environment that holds the public peers, too; a part whose peer is missing says so.
"""

import argparse
import datetime
import html
import os
import platform
import shlex
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

os.environ.setdefault("COURSE", "solutions")

import torch

from given.runtime.cli import require_docstrings
from given.runtime.files import write
from given.runtime.page import build_page

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "results" / "benchmarks"
PACKAGES = ("torch", "torchvision", "numpy", "scipy", "POT", "diffusers", "torchdiffeq", "torchcfm")
PACKAGES += ("denoising-diffusion-pytorch", "smalldiffusion", "pytorch-fid", "torch-fidelity")

# Name: what it shows, its script and arguments, minutes on 2 quiet cores.
PARTS = {
    "plane": ("Points: distance over the floor of two real sets", "plane.py", 75),
    "bridges": ("Bridges in the plane: distance over the floor", "bridges.py", 60),
    "images": ("Images: steps and speed beside public code", "images.py", 5),
    "gpu": ("Images on a GPU: what each measure brings", "gpu.py", 10),
    "samplers": ("Distance against evaluations, for every sampler", "samplers.py", 10),
    "likelihood": ("Bits per dimension", "likelihood.py", 20),
    "debias": ("Times of training drawn by importance", "debias.py", 8),
    "fid": ("FID: agreement with public packages, and speed", "fid.py", 5),
    "peers": ("Points, images and ODEs beside public packages", "peers.py", 6),
    "profiles": ("Where the time goes", "profiles.py", 3),
    "scale": ("From one process to 64 GPUs", "scale.py", 4),
    "grader": ("What the autograder notices", "grader.py", 30),
    "mutants": ("What the autograder says to small changes of the solutions", "mutants.py", 6),
    "endurance": ("Kills, full disks, clocks that jump", "endurance.py --minutes 30", 30),
}
PICTURES = {"samplers": "samplers.png", "debias": "debias.png"}


def run(name):
    """Run one part, show what it prints as it comes, and keep it; return its exit status."""
    _, command, minutes = PARTS[name]
    print(f"\n{name}: python benchmarks/{command}, about {minutes} minutes", flush=True)
    start, lines = time.perf_counter(), []
    arguments = [sys.executable, "-u", str(HERE / command.split()[0]), *command.split()[1:]]
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "encoding": "utf-8"}
    environment = os.environ | {"PYTHONUTF8": "1", "TQDM_DISABLE": "1"}
    with subprocess.Popen(arguments, cwd=HERE.parent, env=environment, **pipe) as child:
        for line in child.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    seconds, today = time.perf_counter() - start, datetime.date.today()
    head = f"python benchmarks/{command}   {today}, {seconds:.0f} s, exit status {child.returncode}"
    write(RESULTS / f"{name}.txt", f"{head}\n\n{''.join(lines)}")
    return child.returncode


def versions():
    """One line: the machine, Python, and the versions of what is installed."""
    found = [f"{platform.machine()} {platform.system()}, {os.cpu_count()} cores"]
    if torch.cuda.is_available():
        found.append(torch.cuda.get_device_name())
    found.append(f"Python {platform.python_version()}")
    for name in PACKAGES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def section(name):
    """A part's section of the page: title, command and what it printed."""
    head, _, body = (RESULTS / f"{name}.txt").read_text(encoding="utf-8").partition("\n\n")
    content = f'<div class="scroll"><pre>{html.escape(body)}</pre></div>'
    if (picture := RESULTS / PICTURES.get(name, "")).is_file():
        content += f'\n<img src="{picture.name}" alt="{html.escape(PARTS[name][0])}">'
    return f"{name}. {PARTS[name][0]}", head, content


def main():
    """Run the parts that are asked for, all of them where none is, and write the page."""
    require_docstrings()
    lengths = ", ".join(f"{name} {minutes}" for name, (*_, minutes) in PARTS.items())
    parser = argparse.ArgumentParser(
        prog="benchmarks", description=__doc__.split("\n")[0], epilog=f"Minutes: {lengths}."
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="default: all of them")
    args = parser.parse_args()
    if unknown := set(args.parts) - PARTS.keys():
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    RESULTS.mkdir(parents=True, exist_ok=True)
    failed = [name for name in args.parts or PARTS if run(name)]
    sections = [section(name) for name in PARTS if (RESULTS / f"{name}.txt").exists()]
    write(RESULTS / "index.html", build_page("Benchmarks", versions(), sections))
    print(f"\nPage: {RESULTS / 'index.html'}")
    if failed:
        sys.exit(f"These parts failed: {shlex.join(failed)}.")


if __name__ == "__main__":
    main()
