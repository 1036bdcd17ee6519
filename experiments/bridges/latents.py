"""Bridges between what an autoencoder makes of images: --encoder DIR.

DIR is a folder that `AutoencoderKL.save_pretrained` of Hugging Face's diffusers wrote. Your own
diffusers opens it: its weights are tensors alone (.safetensors), nothing in it is executed, and
nothing is fetched. Simplified DSB (Tang et al. 2024) uses that of Stable Diffusion XL. The latents
of a set are computed once and kept beside the decoded sets.
"""

import hashlib
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from given.images.data.imageset import DATA_ROOT, to_tensor
from given.runtime.checkpoint import blamed_on
from given.runtime.files import atomic_write

BATCH = 8  # images coded together


class Autoencoder:
    """Images (B, 3, H, W) in [-1, 1] as latents (B, C, h, w) of about variance 1, and back.

    Args:
        folder: of an AutoencoderKL.
        device: where it works.

    Raises:
        ValueError: no such folder, or diffusers is not installed.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        if not (folder / "config.json").is_file():
            raise ValueError(
                f"--encoder {folder}: give a folder with the config.json of diffusers."
            )
        try:
            from diffusers import AutoencoderKL
        except ImportError:
            raise ValueError("--encoder needs that package: pip install diffusers") from None
        with blamed_on(folder, "use a folder that AutoencoderKL.save_pretrained wrote"):
            net: Any = AutoencoderKL.from_pretrained(
                str(folder), use_safetensors=True, local_files_only=True
            )
        self.net, self.folder, self.device = net.to(device).eval(), folder, device
        self.scale = net.config.scaling_factor
        self.shift = getattr(net.config, "shift_factor", None) or 0.0

    @torch.no_grad()
    def encode(self, x: Tensor) -> Tensor:
        """The modes of the latents of x (B, 3, H, W), scaled; on the device of x."""
        parts = [self.net.encode(p.to(self.device)).latent_dist.mode() for p in x.split(BATCH)]
        return (self.scale * (torch.cat(parts).float() - self.shift)).to(x.device)

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        """The images (..., 3, H, W) of latents z (..., C, h, w); on the device of z."""
        parts = (z.flatten(0, -4) / self.scale + self.shift).split(BATCH)
        x = torch.cat([self.net.decode(p.to(self.device)).sample.float() for p in parts])
        return x.unflatten(0, z.shape[:-3]).to(z.device)

    def latents(self, images: np.ndarray) -> np.ndarray:
        """(N, h, w, C) float32, memory-mapped, of (N, H, W, 3) uint8: computed if not kept yet."""
        if images.shape[-1] != 3:
            raise ValueError(f"--encoder codes RGB images; these have {images.shape[-1]} channels.")
        some = np.ascontiguousarray(images[:: len(images) // 1000 + 1])
        files = sorted(self.folder.glob("*.safetensors"))
        stats = [f"{f.name} {f.stat().st_size} {f.stat().st_mtime_ns}" for f in files]
        key = f"{images.shape} {zlib.crc32(some.data)} {self.scale} {self.shift} {stats}"
        file = DATA_ROOT / "latents" / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.npy"
        if not file.exists():
            self._write(file, images)
        return np.load(file, mmap_mode="r")

    def _write(self, file, images):
        """Write latents batch by batch, so that a large set needs no memory."""
        shape = self.encode(to_tensor(images[:1])).shape[1:]
        whole = (len(images), *shape[1:], shape[0])
        with atomic_write(file) as part:
            header = {"descr": "<f4", "fortran_order": False, "shape": whole}
            np.lib.format.write_array_header_1_0(part, header)
            for k in tqdm(range(0, len(images), BATCH), "encoding", leave=False, disable=None):
                z = self.encode(to_tensor(images[k : k + BATCH]))
                part.write(z.permute(0, 2, 3, 1).contiguous().numpy().astype("<f4").tobytes())


def open_autoencoder(config: dict, folder: Path | None, device: torch.device) -> Autoencoder | None:
    """The autoencoder of a bridge; None where it carries pixels.

    Args:
        config: of the bridge, with `encoder` where it carries latents.
        folder: of the command line, instead of the one of the configuration.
        device: where it works.

    Raises:
        ValueError: it is not known, or of no use.
    """
    if "encoder" not in config:
        if folder:
            raise ValueError(f"--encoder {folder}: this bridge carries pixels; leave it away.")
        return None
    found = folder or config["encoder"]
    if not found:
        raise ValueError("This bridge carries latents: name their autoencoder by --encoder.")
    return Autoencoder(Path(found), device)
