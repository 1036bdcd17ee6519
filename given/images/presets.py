"""The networks that the papers train on CIFAR-10, as arguments of UNet.

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
    "uvit-s": UVIT_S,
    "uvit-s-deep": UVIT_S | {"depth": 16},
    "uvit-m": UVIT_S | {"width": 768, "depth": 16, "heads": 12, "patch": 4},
    "ncsnv2": {"name": "NCSNv2", "predicts": "ve", "time_features": "none", "ch": 128},
}
NETWORKS = CIFAR10 | LARGER
