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
