"""Door: the U-Nets; their code is in given/images/unet.py."""

from given.images.patch_unet import PatchUNet
from given.images.unet import UNet

__all__ = ["PatchUNet", "UNet"]
