"""The tasks of the marks of Task 2; hints go from a nudge to nearly the line itself."""

from autograder.tasks import Task

SECTIONS = {"2.4": "The marks of Task 2"}
TASKS = {
    "2.4a": Task(
        "Images without guidance",
        10,
        [
            "Nothing new to write: your scheduler and your model draw images with a network that "
            "comes with the course. Look at them: python image_diffusion/sampling.py.",
            "Noise is left in all of them: the last step, where abar is 1. They hardly differ or "
            "are pale: x0 or the direction in the step of DDIM. Noise only: the order of the "
            "timesteps.",
            "Every step has a test of its own in 2.1; if these pass and the images do not, look at "
            "2.1f, 2.1g and 2.1i, which they rest on.",
        ],
        file="image_diffusion/sampling.py",
    ),
    "2.4b": Task(
        "Images guided to a class",
        10,
        [
            "Nothing new to write. Look at one class: --class_label 1 --guidance_scale 1.5.",
            "Other classes than those asked for: the labels do not reach the network, or e_u and "
            "e_c are exchanged. Glaring, alike images: the scale counts twice.",
            "They rest on 2.2b and on how `sample` hands class_label and guidance_scale on, 2.1i.",
        ],
        file="image_diffusion/sampling.py",
    ),
    "2.4c": Task(
        "Filled holes",
        10,
        [
            "Nothing new to write. Look at originals, holes and fillings: "
            "python -m image_diffusion inpaint.",
            "A seam around the hole: the known part has the wrong noise level. What is known has "
            "changed: it is pasted, clean, after the last step too.",
            "The mark rests on 2.3a and 2.3b. RePaint makes better fillings and is not needed.",
        ],
        file="image_diffusion/inpainting.py",
    ),
}
