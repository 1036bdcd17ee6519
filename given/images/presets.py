"""Arguments of UNet: the networks that the papers train on CIFAR-10, and one for each resolution.

    python image_diffusion/train.py --dataset cifar10 --network ddpm++ --times vp

From DDPM (Ho et al. 2020) to DDPM++ and NCSN++ (Song et al. 2021, appendix H.2): residual blocks of
BigGAN, rescaled skips and 4 blocks a level; NCSN++ has the FIR filter, the residual input pyramid
and Fourier features of log sigma as well, and is made for the VE process. The "deep" ones have 8
blocks a level. `--predicts` and `--time_features` change a network's two ends: edm turns DDPM++ and
NCSN++ into those of Karras et al. 2022, and ve without time features is the noise conditioning of
NCSNv2 (Song and Ermon 2020, technique 3). What predicts ve wants `--mode linear`: its input has the
standard deviation sigma, which ends at 157 there and at 2e4 under a cosine schedule.
"""

DDPM = {
    "predicts": "noise",
    "ch": 128,
    "ch_mult": (1, 2, 2, 2),
    "attn": (1,),  # 16 x 16 pixels
    "num_res_blocks": 2,
    "dropout": 0.1,
}
DDPMPP = DDPM | {
    "num_res_blocks": 4,
    "biggan": True,
    "skip_rescale": True,
    "attn_up_last": True,
}
NCSNPP = DDPMPP | {
    "predicts": "ve",
    "time_features": "fourier",
    "fir": True,
    "input_pyramid": True,
}
CIFAR10 = {
    "ddpm": DDPM,
    "ddpm++": DDPMPP,
    "ddpm++deep": DDPMPP | {"num_res_blocks": 8},
    "ncsn++": NCSNPP,
    "ncsn++deep": NCSNPP | {"num_res_blocks": 8},
}

# Larger ones: Song et al. 2021 for CelebA-HQ, FFHQ and LSUN at 256 pixels, and for FFHQ at 1024;
# ADM at 64, 128 and 256 (Dhariwal and Nichol 2021, appendix I), and as simplified DSB has it (Tang
# et al. 2024), on 4 x 32 x 32 or 4 x 64 x 64 numbers that an autoencoder made of AFHQ; U-ViT for
# CIFAR-10 and CelebA 64 (Bao et al. 2023, table 1); and NCSNv2 (Song and Ermon 2020).
NCSNPP_256 = NCSNPP | {
    "ch_mult": (1, 1, 2, 2, 2, 2, 2),
    "attn": (4,),
    "num_res_blocks": 2,
    "input_pyramid": "skip",
    "output_pyramid": True,
}
ADM_64 = {
    "predicts": "noise",
    "ch": 192,
    "ch_mult": (1, 2, 3, 4),
    "attn": (1, 2, 3),  # 32 x 32, 16 x 16 and 8 x 8 pixels
    "num_res_blocks": 3,
    "dropout": 0.1,
    "biggan": True,
    "scale_shift": True,
    "head_ch": 64,
    "group_ch": 1,
    "norm_eps": 1e-5,
}
ADM_256 = ADM_64 | {
    "ch": 256,
    "ch_mult": (1, 1, 2, 2, 4, 4),
    "attn": (3, 4, 5),
    "num_res_blocks": 2,
    "dropout": 0.0,
}
DSB_28 = {
    "predicts": "noise",
    "ch": 64,
    "ch_mult": (1, 2, 2),
    "attn": (),
    "num_res_blocks": 2,
    "dropout": 0.0,
    "scale_shift": True,
    "head_ch": 32,
    "group_ch": 1,
    "norm_eps": 1e-5,
}
UVIT_S = {"name": "UViT", "predicts": "noise", "width": 512, "depth": 12, "heads": 8, "patch": 2}
LARGER = {
    "ncsn++256": NCSNPP_256,
    "ncsn++1024": NCSNPP_256
    | {"ch": 16, "ch_mult": (1, 2, 4, 8, 16, 32, 32, 32), "attn": (6,), "num_res_blocks": 1},
    "adm64": ADM_64,
    "adm128": ADM_256 | {"ch_mult": (1, 1, 2, 3, 4), "attn": (2, 3, 4)},
    "adm256": ADM_256,
    "adm-sdsb": ADM_64
    | {"ch": 96, "ch_mult": (1, 2, 2, 2), "attn": (2, 3), "num_res_blocks": 4, "group_ch": 4},
    # De Bortoli et al. 2021, for stacked MNIST and CelebA: attention in the middle alone.
    "dsb28": DSB_28,
    "dsb64": DSB_28 | {"ch_mult": (1, 2, 3, 4), "head_ch": 64},
    "uvit-s": UVIT_S,
    "uvit-sdsb": UVIT_S | {"patch": 4},
    "uvit-s-deep": UVIT_S | {"depth": 16},
    "uvit-m": UVIT_S | {"width": 768, "depth": 16, "heads": 12, "patch": 4},
    "ncsnv2": {"name": "NCSNv2", "predicts": "ve", "time_features": "none", "ch": 128},
}
NETWORKS = CIFAR10 | LARGER

# For other sets, by pixels a side: the network of DDPM with more levels, so that it attends at 16 x
# 16 pixels (128 and 512: at 8 x 8 too) whatever the size. 64 and 1024: the levels of Song et al.
# 2021 for CelebA and FFHQ; 256: Ho et al. 2020; 128, 512: Dhariwal and Nichol 2021, half as wide.
BY_RESOLUTION = {
    28: DDPM | {"ch": 64, "ch_mult": (1, 2, 2)},
    32: DDPM,
    64: DDPM | {"attn": (2,)},
    128: DDPM | {"ch_mult": (1, 1, 2, 3, 4), "attn": (3, 4)},
    256: DDPM | {"ch_mult": (1, 1, 2, 2, 4, 4), "attn": (4,)},
    512: DDPM | {"ch": 64, "ch_mult": (1, 2, 2, 4, 4, 8, 8), "attn": (5, 6)},
    1024: DDPM
    | {"ch": 16, "ch_mult": (1, 2, 4, 8, 16, 32, 32, 32), "attn": (6,), "num_res_blocks": 1},
}
BATCH = {28: 128, 32: 128, 64: 32, 128: 32, 256: 16, 512: 8, 1024: 8}  # images a step


def size_class(resolution: int) -> int:
    """The entry of `BY_RESOLUTION` for images of so many pixels a side: the next one above.

    Raises:
        ValueError: there is none for images that large.
    """
    fitting = [size for size in BY_RESOLUTION if size >= resolution]
    if not fitting:
        largest = max(BY_RESOLUTION)
        raise ValueError(
            f"There is no network for images of {resolution} pixels a side; use a --resolution of "
            f"{largest} at most."
        )
    return fitting[0]


def network_for(resolution: int) -> dict:
    """The U-Net for images of so many pixels a side, as a configuration of `build_network`."""
    return {"name": "UNet"} | BY_RESOLUTION[size_class(resolution)]
