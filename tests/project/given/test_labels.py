"""Labels and masks of any type are understood or refused; as many steps are made as asked."""

import pytest
import torch

from experiments.images.samplers.draw import draw_images, load_model
from given.images.data.sources import ASSETS
from image_diffusion.guidance import Mask
from image_diffusion.inpainting import Inpainter
from image_diffusion.scheduler import DDIMScheduler, DPMSolverScheduler

BAD_LABELS = {
    (0, 1): "no class 0: classes count from 1 to 10",
    (10, 11): "no class 11",
    (-1, 1): "no class -1",
    (1.0, 2.0): "need .2,. whole numbers",
    (True, True): "need .2,. whole numbers",
    (1,): "need .2,. whole numbers",
}


@pytest.fixture(scope="module")
def model():
    made, _ = load_model(ASSETS / "fashion_ddpm.ckpt", DDIMScheduler)
    made.var_scheduler.set_timesteps(2)
    return made


@pytest.mark.parametrize(("labels", "said"), BAD_LABELS.items())
def test_labels_that_no_class_has_are_one_sentence(labels, said, model):
    x0, labels = torch.zeros(2, 1, 28, 28), torch.tensor(labels)
    calls = (
        lambda: model.sample(2, labels, 1.5),
        lambda: model.get_loss(x0, labels),
        lambda: draw_images(model, 2, labels, 1.5),
        lambda: Inpainter(model, x0, torch.zeros(2, 1, 28, 28), labels, 1.0),
    )
    for call in calls:
        with pytest.raises(ValueError, match=said):
            call()
    assert model.sample(2, torch.tensor([1, 10]), 1.5).shape == x0.shape


@pytest.mark.parametrize(
    "dtype", [torch.bool, torch.uint8, torch.int64, torch.float64, torch.float16, torch.float32]
)
def test_a_mask_may_have_any_type(dtype, model):
    x0 = torch.randn(2, 1, 28, 28)
    mask = torch.zeros(2, 1, 28, 28)
    mask[..., 14:] = 1
    filled = Inpainter(model, x0, mask.to(dtype)).replacement()
    assert filled.dtype == torch.float32 and torch.equal(filled[..., :14], x0[..., :14])
    assert Inpainter(model, x0, mask.mT.to(dtype)).replacement().dtype == torch.float32
    assert torch.equal(Mask(mask.to(dtype)).measure(x0), (1 - mask) * x0)


def test_images_of_other_types_are_understood_or_refused(model):
    mask = torch.zeros(1, 1, 28, 28)
    x0 = torch.randn(2, 1, 28, 28)
    assert Inpainter(model, x0.double(), mask).replacement().dtype == torch.float32
    with pytest.raises(ValueError, match="uint8; make floats"):
        Inpainter(model, x0.byte(), mask)
    with pytest.raises(ValueError, match="nothing between"):
        Mask(mask + 0.5)


@pytest.mark.parametrize("mode", ["linear", "cosine", "quad"])
def test_karras_spacing_makes_as_many_steps_as_asked(mode):
    for T in (1, 2, 50, 1000):
        scheduler = DPMSolverScheduler(T, mode=mode)
        for n in {1, 5, 10, 20, 100, 200, 500, 999, 1000, T} & set(range(1, T + 1)):
            scheduler.set_timesteps(n)
            steps = scheduler.timesteps
            assert len(steps) == n and (steps.diff() < 0).all(), (T, n)
            assert steps[-1] >= 0 and steps[0] < T


def test_every_number_of_steps_that_is_possible_is_made():
    for T in (999, 50, 2, 1):
        scheduler = DDIMScheduler(T)
        for spacing in ("trailing", "leading"):
            for n in range(1, T + 1):
                scheduler.set_timesteps(n, spacing)
                steps = scheduler.timesteps
                assert len(steps) == n and (steps.diff() < 0).all()
                assert steps[-1] >= 0 and steps[0] < T
    for n in (0, 1001, 2.5, -1):
        with pytest.raises(ValueError, match=f"{n} steps are not possible"):
            DDIMScheduler().set_timesteps(n)
