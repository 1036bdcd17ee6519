"""Samplers of image models, beside `DiffusionModule.sample` with the `step` of its scheduler.

Each has two interfaces:

    step(x, sigma, target, ...) -> x    one step from noise level sigma down to target
    draw(model, batch_size, class_label, guidance_scale, ...) -> images, evaluations
"""
