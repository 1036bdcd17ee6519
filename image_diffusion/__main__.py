"""Commands of Task 2: `python -m image_diffusion demo|inpaint|control|...`."""

from given.runtime.cli import run_package

NOTHING = "Stopped; nothing was saved."
COMMANDS = {
    "demo": (
        "experiments.images.demo",
        "the whole course on one page",
        "Stopped; the same command goes on.",
    ),
    "inpaint": (
        "experiments.images.compare_inpainting",
        "fill holes in test images in three ways, and compare",
        NOTHING,
    ),
    "control": (
        "experiments.images.control",
        "colour gray images, sharpen, fill holes, choose a class",
        NOTHING,
    ),
    "likelihood": (
        "experiments.images.bits_per_dim",
        "bits per dimension of test images, by ODE and by ELBO",
        NOTHING,
    ),
    "bridge": (
        "experiments.bridges.images",
        "a Schrödinger bridge between two sets of images",
        "Stopped; --resume goes on from last.ckpt.",
    ),
    "export": (
        "experiments.images.export",
        "a smaller checkpoint, with what sampling needs, or a folder for diffusers",
        NOTHING,
    ),
    "import": (
        "experiments.images.import_weights",
        "a published checkpoint of diffusers, score_sde, ... as one of this course",
        NOTHING,
    ),
    "classifier": (
        "experiments.images.train_classifier",
        "train the network of --features classifier, or one for guidance",
        NOTHING,
    ),
    "subset": (
        "given.images.data.make_subset",
        "make the set that comes with the course",
        NOTHING,
    ),
}

if __name__ == "__main__":
    run_package("image_diffusion", COMMANDS)
