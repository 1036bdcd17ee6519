"""Door: the U-Nets; their code is in given/images/unet.py."""

from given.images.unet import PatchUNet, UNet

__all__ = ["PatchUNet", "UNet"]
