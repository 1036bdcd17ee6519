"""Door: the layers of the U-Nets; their code is in given/images/layers.py."""

from given.images.layers import *  # noqa: F403
