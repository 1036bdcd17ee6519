"""Files, devices, the command line, pages, figures: nothing about diffusion."""
