"""Every command on the pages of experiments/papers, made small: does it end, and how?

    python benchmarks/papers.py --photos FOLDER

FOLDER holds photographs, in a folder for each class, two at least; they replace AFHQ, CelebA and
other sets that are not here. A command is run with its own options and those of SMALL; what a page
calls CKPT is a checkpoint of two steps on CIFAR-10. Each row has the exit status, the seconds and
the last line that the command printed; results/papers/ has the pictures.
"""

import argparse
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "experiments" / "papers"
OUT = ROOT / "results" / "papers"
EVAL = ROOT / "results" / "eval" / "cifar10_32"  # of dataset.py --dataset cifar10
BRIDGE = ROOT / "results" / "bridge" / "papers" / "last.ckpt"  # of the last bridge of images
# The options that make a command small; those of a page are given before and are overruled.
SMALL = {
    "image_diffusion/train.py": "--steps 2 --batch_size 2 --eval_every 2 --eval_images 2 "
    "--device cpu",
    "image_diffusion/sampling.py": "--num_samples 4 --steps 4 --device cpu --overwrite",
    "--scheduler rk45": "--num_samples 4 --tol 1e-1 --device cpu --overwrite",
    "image_diffusion/fid/measure_fid.py": "--features classifier --device cpu",
    "likelihood": "--num_samples 2 --tol 1e-1 --device cpu",
    "control": "--num_samples 2 --steps 4 --device cpu --overwrite",
    "image_diffusion classifier": f"--minutes 0.05 --device cpu --out {OUT / 'classifier.pt'}",
    "sde_todo bridge": "--num_steps 4 --rounds 1 --iters 4 --batch_size 16 --cache_size 16 "
    "--overwrite",
    "image_diffusion bridge": "--num_steps 4 --rounds 1 --iters 4 --batch_size 2 --cache_size 2 "
    "--num_samples 4 --device cpu --overwrite --exp_name papers",
    "image_diffusion bridge --method flow": "--rounds 1 --iters 2 --batch_size 2 --num_samples 4 "
    "--device cpu --overwrite --exp_name papers",
    "image_diffusion bridge --sample": f"--num_samples 2 --device cpu --save_dir {OUT / 'carried'} "
    "--overwrite",
}


def commands(page):
    """The commands of ours in the tables of a page: what begins with `python` in a last cell."""
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("|"):
            for code in re.findall(r"`([^`]*)`", line.strip("| ").rsplit("|", 1)[-1]):
                if code.startswith("python "):
                    yield code


def small(code, names):
    """A command with the names of a page filled in, and the options that make it small."""
    longest_first = sorted(names, key=len, reverse=True)
    pattern = rf"(?<![\w/-])({'|'.join(map(re.escape, longest_first))})(?!\w)"
    code = re.sub(pattern, lambda found: str(names[found[1]]), code)
    kinds = [kind for kind in SMALL if f" {kind}" in code or f"/{kind}" in code]
    words = shlex.split(code)[1:]
    return words + (shlex.split(SMALL[kinds[-1]]) if kinds else [])


def names_of(photos):
    """What the pages call by a name: the sets that are not here, a checkpoint, an output."""
    here = {"FOLDER": photos, "celeba-64": photos, "CKPT": OUT / "cifar10" / "last.ckpt"}
    here |= {"DATA": EVAL, "OUT": OUT / "samples", "BRIDGE": BRIDGE}
    pets = f"--prior {photos}:dog --dataset {photos}:cat --resolution 64"
    faces = f"--dataset {photos} --resolution 64"
    for kind in ("dog", "cat"):
        here |= {f"afhq-{kind}-{size}": f"{photos}:{kind}" for size in (64, 256)}
    here |= {"--preset afhq-64": f"--preset afhq-64 {pets}", "--dataset celeba": faces}
    here["--preset dsb-mnist"] = "--preset dsb-mnist --dataset fashion_colour"
    here["--dataset mnist"] = "--dataset fashion"  # which comes with the course
    for size in (256, 1024):  # minutes of a CPU for each image
        here[f"--resolution {size}"] = "--resolution 128"
    for name in ("celeba-64", "dsb-celeba"):
        here[f"--preset {name}"] = f"--preset {name} {faces}"
    return here


def run(words, environment, seconds):
    """Exit status, seconds and last line of a command."""
    start = time.perf_counter()
    try:
        ended = subprocess.run(
            [sys.executable, *words],
            cwd=ROOT,
            env=environment,
            timeout=seconds,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    except subprocess.TimeoutExpired:
        return "late", seconds, ""
    lines = [line for line in ended.stdout.strip().splitlines() if line.strip()]
    return ended.returncode, time.perf_counter() - start, lines[-1] if lines else ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--photos", type=Path, required=True, help="a folder for each class")
    parser.add_argument(
        "--pages", nargs="+", default=[page.stem for page in sorted(PAGES.glob("*.md"))]
    )
    parser.add_argument("--seconds", type=float, default=300, help="of a command at most")
    parser.add_argument("--list", action="store_true", help="print the small commands, run none")
    args = parser.parse_args()
    environment = {"COURSE": "solutions"} | os.environ | {"PYTHONPATH": str(ROOT)}
    names, failed = names_of(args.photos.resolve()), 0
    if not args.list:  # what the pages call CKPT
        first = ["image_diffusion/train.py", "--dataset", "cifar10", "--ch", "32", "--overwrite"]
        first += ["--save_dir", str(OUT / "cifar10")]
        first += shlex.split(SMALL["image_diffusion/train.py"])
        print(*run(first, environment, args.seconds))
    for page in args.pages:
        print(page, flush=True)
        for number, code in enumerate(commands(PAGES / f"{page}.md")):
            if "benchmarks/" in code or "VAE" in code:
                continue  # what says itself how long it takes, and what wants an autoencoder
            words = small(code, names)
            if "train.py" in words[0]:
                words += ["--save_dir", str(OUT / page / str(number)), "--overwrite"]
                words += ["--ch", "64"] * ("adm" in code) + ["--ch", "32"] * ("++256" in code)
            if args.list:
                print("  python", shlex.join(words))
                continue
            status, seconds, last = run(words, environment, args.seconds)
            failed += status != 0
            print(f"  {status!s:>4} {seconds:6.1f} s  {code[:90]}\n{'':16}{last[:110]}", flush=True)
    print(f"{failed} failed")


if __name__ == "__main__":
    main()
