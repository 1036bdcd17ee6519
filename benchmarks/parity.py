"""The networks of this course beside those of the public code: the same weights, the same output.

    python benchmarks/parity.py --public FOLDER

FOLDER holds clones of openai/guided-diffusion, yang-song/score_sde_pytorch, ermongroup/ncsnv2,
baofff/U-ViT and NVlabs/edm; rows of clones that are not there are passed over. diffusers is
in benchmarks/peers.txt, and so is what the others import. Every network gets random weights, which
ours takes over; both see the same images in float64. The table has the largest difference,
relative to the largest output, the parameters of both, and the MiB that training keeps of one image
in both. In one row a checkpoint goes to diffusers and back, and both sample from the same noise in
20 steps of DDIM, in float32.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("COURSE", "solutions")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from benchmarks.parity_song import ncsnv2, score_sde
from benchmarks.parity_tools import TIMES, images, imported, own, renamed, saved_mib, shaken
from given.images.cost import cost_of
from given.images.load import build_network
from given.images.presets import CIFAR10
from given.images.published import from_public
from given.runtime.checkpoint import save_whole


def diffusers_ddpm(folder):
    """google/ddpm-cifar10-32."""
    from diffusers import UNet2DModel

    theirs = shaken(
        UNet2DModel(
            sample_size=32,
            block_out_channels=(128, 256, 256, 256),
            down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=None,
            flip_sin_to_cos=False,
            freq_shift=1,
            downsample_padding=0,
            norm_eps=1e-6,
        )
    )
    ours = own(
        name="UNet", image_resolution=32, **CIFAR10["ddpm"] | {"group_ch": 4, "published": True}
    )
    ours.load_state_dict(from_public(ours, theirs.state_dict(), "diffusers", False))
    x = images(32)
    return theirs, ours, theirs(x, TIMES).sample, ours(x, TIMES)


def adm(folder):
    """The 64 x 64 network of Dhariwal and Nichol 2021, with classes."""
    with imported(folder / "guided-diffusion", "guided_diffusion"):
        from guided_diffusion.nn import GroupNorm32
        from guided_diffusion.script_util import create_model

        GroupNorm32.forward = torch.nn.GroupNorm.forward  # without its way through float32

        theirs = create_model(
            64,
            64,
            3,
            learn_sigma=True,
            class_cond=True,
            use_scale_shift_norm=True,
            resblock_updown=True,
            num_head_channels=64,
            attention_resolutions="32,16,8",
            dropout=0.1,
        )
        theirs, theirs.dtype = shaken(theirs), torch.float64
        ours = own(
            name="UNet",
            image_resolution=64,
            ch=64,
            ch_mult=(1, 2, 3, 4),
            attn=(1, 2, 3),
            num_res_blocks=3,
            biggan=True,
            scale_shift=True,
            head_ch=64,
            group_ch=1,
            norm_eps=1e-5,
            dropout=0.1,
            use_cfg=True,
            num_classes=1000,
            predicts="noise",
        )
        ours.load_state_dict(from_public(ours, theirs.state_dict(), "guided_diffusion", True))
        x, y = images(64), torch.tensor([0, 5, 999])
        return theirs, ours, theirs(x, TIMES, y)[:, :3], ours(x, TIMES, y + 1)


def edm_adm(folder):
    """The network of simplified DSB (Tang et al. 2024): that of EDM, 96 wide, on 4 x 32 x 32."""
    with imported(folder / "edm", "training", "torch_utils", "dnnlib"):
        from training.networks import DhariwalUNet

        theirs = shaken(
            DhariwalUNet(
                32,
                4,
                4,
                model_channels=96,
                channel_mult=[1, 2, 2, 2],
                num_blocks=4,
                attn_resolutions=[8, 4],
            )
        )
        ours = own(
            name="UNet",
            image_resolution=32,
            in_ch=4,
            ch=96,
            ch_mult=(1, 2, 2, 2),
            attn=(2, 3),
            num_res_blocks=4,
            biggan=True,
            scale_shift=True,
            head_ch=64,
            group_ch=4,
            norm_eps=1e-5,
            predicts="noise",
        )
        weights = {k: v for k, v in theirs.state_dict().items() if "resample_filter" not in k}
        ours.load_state_dict(from_public(ours, weights, "sdsb", True))
        x = images(32, 4)
        return theirs, ours, theirs(x, TIMES.double(), None), ours(x, TIMES)


def uvit(folder):
    """U-ViT-S/2, with ten classes."""
    with imported(folder / "U-ViT", "libs"):
        from libs.uvit import UViT

        theirs = UViT(
            img_size=32,
            patch_size=2,
            in_chans=3,
            embed_dim=512,
            depth=12,
            num_heads=8,
            num_classes=10,
        )
        theirs = shaken(theirs)
        ours = own(name="UViT", image_resolution=32, predicts="noise", use_cfg=True, num_classes=9)
        ours.load_state_dict(renamed(theirs.state_dict(), UVIT_NAMES))
        first = ours.time_embedding  # theirs begin with the cosines
        first.register_forward_hook(lambda _, __, out: out.roll(out.shape[1] // 2, 1))
        x, y = images(32), torch.tensor([0, 5, 9])
        return theirs, ours, theirs(x, TIMES, y), ours(x, TIMES, y)


UVIT_NAMES = {
    "patch_embed.proj": "patches",
    "pos_embed": "positions",
    "label_emb": "class_embedding",
    "in_blocks": "down",
    "mid_block": "middle",
    "out_blocks": "up",
    "decoder_pred": "pixels",
    "final_layer": "tail",
    "attn.qkv": "qkv",
    "attn.proj": "out",
    "mlp.fc1": "layers.0",
    "mlp.fc2": "layers.2",
    "skip_linear": "join",
}


def there_and_back(folder):
    """A checkpoint of ours in diffusers: 20 steps of DDIM from one noise, there, here, and back."""
    from diffusers import DDIMScheduler as Theirs
    from diffusers import DDPMPipeline

    from experiments.images import export, import_weights
    from experiments.images.samplers.draw import load_model
    from image_diffusion.scheduler import DDIMScheduler

    options = {"ch": 32, "ch_mult": (1, 2, 2), "group_ch": 1, "num_res_blocks": 1, "head_ch": 16}
    config = {"name": "UNet", "T": 1000, "image_resolution": 32, "predicts": "noise", **options}
    config |= {"use_cfg": True, "num_classes": 4}
    schedule = {"num_train_timesteps": 1000, "mode": "linear"}
    network = build_network(config, DDIMScheduler(**schedule).exact)
    torch.manual_seed(0)
    for parameter in network.parameters():
        parameter.data.add_(0.02 * torch.randn_like(parameter))
    with tempfile.TemporaryDirectory() as name:
        first, middle, last = (Path(name) / each for each in ("a.ckpt", "diffusers", "b.ckpt"))
        model = {"network": config, "scheduler": schedule, "classes": list("abcd")}
        save_whole(first, {"config": model, "network": network.state_dict()})
        export.main([str(first), str(middle), "--format", "diffusers"])
        import_weights.main([str(middle), str(last), "--format", "diffusers"])
        pipeline = DDPMPipeline.from_pretrained(middle)
        back = load_model(last, DDIMScheduler)[0].network
    ours, theirs = DDIMScheduler(**schedule), Theirs.from_config(pipeline.scheduler.config)
    theirs.register_to_config(clip_sample=False)
    ours.set_timesteps(20)
    theirs.set_timesteps(20)
    labels, x = torch.tensor([0, 1, 4]), torch.randn(3, 3, 32, 32)
    samples = {"there": x, "here": x, "back": x}
    for t in ours.timesteps.tolist():
        guess = pipeline.unet(samples["there"], t, class_labels=labels).sample
        samples["there"] = theirs.step(guess, t, samples["there"]).prev_sample
        for which, net in (("here", network.eval()), ("back", back)):
            more = (labels + 1) * (which == "back") + labels * (which == "here")
            samples[which] = ours.step(samples[which], t, net(samples[which], t, more))
    assert (samples["here"] - samples["back"]).abs().max() < 1e-4 * samples["here"].abs().max()
    return pipeline.unet, network, samples["there"], samples["here"]


ROWS = {
    "DDPM 32 (diffusers)": diffusers_ddpm,
    "ADM 64, classes (guided-diffusion)": adm,
    "ADM of SDSB (edm)": edm_adm,
    "DDPM (score_sde)": lambda f: score_sde(
        f, "ddpm", "vp.ddpm.cifar10_continuous", attn_up_last=True
    ),
    "DDPM++ (score_sde)": lambda f: score_sde(f, "ddpm++", "vp.cifar10_ddpmpp_continuous"),
    "20 steps of DDIM, there and back (diffusers)": there_and_back,
    "U-ViT-S/2, classes (U-ViT)": uvit,
    "NCSNv2 32 (ncsnv2)": lambda f: ncsnv2(f, 32, "cifar10"),
    "NCSNv2 128, deeper (ncsnv2)": lambda f: ncsnv2(f, 128, "bedroom"),
    "NCSN++ (score_sde)": lambda f: score_sde(f, "ncsn++", "ve.cifar10_ncsnpp_continuous"),
    "NCSN++ 256 (score_sde)": lambda f: score_sde(f, "ncsn++256", "ve.ffhq_256_ncsnpp_continuous"),
    "NCSN++ 1024 (score_sde)": lambda f: score_sde(f, "ncsn++1024", "ve.ffhq_ncsnpp_continuous"),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--public", type=Path, default=Path("public"))
    parser.add_argument("--only", default="", help="rows with this in their name")
    args = parser.parse_args()
    for name, build in ROWS.items():
        if args.only not in name:
            continue
        try:
            with torch.no_grad():
                theirs, ours, a, b = build(args.public)
        except ModuleNotFoundError as error:
            print(f"{name:<44} no {error.name}", flush=True)
            continue
        counts = [
            sum(p.numel() for p in net.parameters() if p.requires_grad) for net in (theirs, ours)
        ]
        error = ((a - b).abs().max() / a.abs().max()).item()
        line = f"{name:<44} {error:.1e}  {counts[0]:>12,} {counts[1]:>12,}"
        if hasattr(theirs, "inputs"):
            own_mib = cost_of(ours.config).saved / 2**20
            line += f"  {saved_mib(theirs):7.0f} {own_mib:7.0f} MiB"
        print(line, flush=True)


if __name__ == "__main__":
    main()
