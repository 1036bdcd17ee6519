"""Copies of the notebooks at smaller sizes: `python -m tests.project.notebooks DIR`.

A test of them runs every cell in less time. A student's cells hold no switch for this: the sizes
are replaced in the copies.
"""

import sys
from pathlib import Path

import nbformat

from given.runtime.submission import ROOT

SMALLER = {  # notebook: {text of a cell, there just once: what the copy has instead}
    "HelloScore": {
        "(points, loss_fn=loss_fn)": "(points, loss_fn=loss_fn, N_steps=300)",
        "Sampler(), points, seed=1)": "Sampler(), points, seed=1, N=40)",
        "floor_recipe(points)": "floor_recipe(points, N_steps=200)",
    },
    "DDPM": {
        "steps, lr = 800,": "steps, lr = 80,",
        "(DDPMScheduler, (1000, 50))": "(DDPMScheduler, (100, 50))",
        "n, reference = 200,": "n, reference = 80,",
    },
    "Guidance": {"for s in (0, 1, 1.5, 3, 5, 10):": "for s in (1, 3, 10):"},
    "Inpainting": {"resamplings=5, step_size": "resamplings=2, step_size"},
    "SchroedingerBridge": {
        '"--iters", "512"': '"--iters", "64"',
        "trained_flow(coupled, steps=700)": "trained_flow(coupled, steps=70)",
    },
}


def shrink(path, changes):
    """A notebook with texts of its cells replaced."""
    notebook = nbformat.read(path, as_version=4)
    for old, new in changes.items():
        cells = [cell for cell in notebook.cells if old in cell.source]
        if len(cells) != 1 or cells[0].source.count(old) != 1:
            raise ValueError(f"{path.name}: {old!r} is not there just once; change SMALLER.")
        cells[0].source = cells[0].source.replace(old, new)
    return notebook


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        nbformat.write(shrink(path, SMALLER.get(path.stem, {})), folder / path.name)


if __name__ == "__main__":
    main()
