"""The pictures of image_diffusion/ddpm.py: what was expected beside what came."""

import numpy as np

from autograder import standins
from autograder import standins_images as toy
from autograder.harness import picture
from autograder.pictures import Curves, Histogram, draws, image_pair, panels
from tests.task2.pictures_scheduler import SIDE, noised, photos
from tests.task2.test_ddpm import toy_model


@picture("2.1e")
class LossCurve:
    """The loss of a network w x_t + .02 t over its weight w, and which timesteps are drawn."""

    def inputs(rng):
        t = rng.permutation(toy.T)[:8]
        images, weights = rng.normal(size=(2, 8, 2, 4, 4)), np.linspace(-1, 2, 17)
        return {"x0": images[0], "noise": images[1], "t": t, "weights": weights}

    def probe(x0, noise, t, weights):
        import torch

        model, losses = toy_model(), []
        for w in weights:
            model.network.weight.data.fill_(w)
            losses.append(model.get_loss(x0, None, noise, t).detach())
        model.network.timesteps.clear()
        for _ in range(10):
            model.get_loss(x0.repeat(50, 1, 1, 1))
        return {"loss": torch.stack(losses), "t": torch.cat(model.network.timesteps)}

    def draw(got, x0, noise, t, weights):
        x_t, shift = noised(x0, t, noise), 0.02 * t.reshape(-1, 1, 1, 1)
        want = [np.mean((noise - w * x_t - shift) ** 2) for w in weights]
        loss = Curves("loss", weights, np.array(want), got["loss"], "w")
        x = np.linspace(-0.5, toy.T - 0.5, 81)
        drawn = draws(got["t"], (4000,))
        even = Histogram("share of the timesteps", drawn, x, 0 * x + 1 / toy.T, "t")
        return panels("The simple loss", loss, even)


def pictured_model(images, timesteps):
    """A student's DiffusionModule whose network answers x - (image of the class)."""
    import torch

    class Pictured(toy.ToyNetwork):
        image_resolution, in_ch = SIDE, 1

        def forward(self, x, timestep, class_label=None):
            label = 0 if class_label is None else class_label
            return x - images[torch.as_tensor(label).expand(len(x))]

    class Halving(toy.ToySteps):
        def step(self, sample, timestep, noise_pred, eta=0.0):
            return sample - 0.4 * noise_pred

    model = toy_model(timesteps)
    model.network, model.var_scheduler = Pictured(), Halving(list(timesteps))
    return model.eval()


@picture("2.1i")
class Chain:
    """Every state from the one before, until the noise (left) has become the image (right)."""

    def inputs(rng):
        return {"images": photos()[[9]], "timesteps": np.array([36, 30, 24, 18, 12, 6, 0])}

    def probe(images, timesteps):
        import torch

        states = pictured_model(images, timesteps.tolist()).sample(1, return_traj=True)
        return {"traj": torch.cat(list(states))}

    def draw(got, images, timesteps):
        n = len(timesteps) + 1
        traj = draws(got["traj"], (n, 1, SIDE, SIDE))
        part = 0.6 ** np.arange(n).reshape(-1, 1, 1, 1)
        want = part * traj[:1] + (1 - part) * images
        return image_pair("A toy chain", want, traj, [f"x {k}" for k in range(n)])


@picture("2.1j")
class ScoreLines:
    """The score of a Gaussian image law over the brightness of an image, at three times."""

    def inputs(rng):
        return {"times": np.array([0.2, 0.6, 1.5]), "x": np.linspace(-1.5, 1.5, 21)}

    def probe(times, x):
        import torch

        from image_diffusion.ddpm import DiffusionModule

        images = x.reshape(-1, 1, 1, 1).expand(-1, 2, 4, 4)
        with toy.toy_scheduler("DDIMScheduler") as scheduler:
            score = DiffusionModule(toy.GaussianNoise(), scheduler).score_fn(standins.ToyProcess())
            values = [score(t.expand(len(x)), images)[:, 0, 0, 0] for t in times]
        return {"score": torch.stack(values, 1)}

    def draw(got, times, x):
        a, b = standins.alpha(times), standins.std(times)
        want = -(x[:, None] - 0.4 * a) / (0.3**2 * a**2 + b**2)
        part = Curves("at t = 0.2, 0.6 and 1.5", x, want, got["score"], "brightness")
        return panels("The score of an image model", part, columns=1)


@picture("2.2a")
class DroppedShares:
    """The share of labels that fall is cfg_dropout in training, and none in evaluation."""

    def inputs(rng):
        return {"rates": np.linspace(0, 1, 9), "labels": rng.integers(1, 7, size=4000)}

    def probe(rates, labels):
        import torch

        shares = []
        for p in rates.tolist():
            model = toy_model(cfg_dropout=p)
            both = (model.train().drop_labels(labels), model.eval().drop_labels(labels))
            shares.append([(kept == 0).float().mean() for kept in both])
        return {"shares": torch.tensor(shares)}

    def draw(got, rates, labels):
        shares = draws(got["shares"], (9, 2))
        parts = [
            Curves("in training", rates, rates, shares[:, 0], "cfg_dropout"),
            Curves("in evaluation", rates, 0 * rates, shares[:, 1], "cfg_dropout"),
        ]
        return panels("Share of labels that become 0", *parts)


@picture("2.2b")
class GuidedImages:
    """The answer for a boot, pushed away from the mean of all classes as the scale grows."""

    def inputs(rng):
        images = np.concatenate([photos().mean(0, keepdims=True), photos()])
        return {"images": images, "scales": np.array([0.0, 0.5, 1.0, 2.0, 4.0])}

    def probe(images, scales):
        import torch

        model, x = pictured_model(images, (9, 3)), torch.zeros(1, 1, SIDE, SIDE)
        label = torch.tensor([10])
        return {"out": torch.cat([model.guided_noise(x, 9, label, s) for s in scales.tolist()])}

    def draw(got, images, scales):
        want = -(images[:1] + scales.reshape(-1, 1, 1, 1) * (images[10:] - images[:1]))
        yours = draws(got["out"], want.shape)
        labels = [f"s = {s:g}" for s in scales]
        return image_pair("Guided answers (turned to positives)", -want, -yours, labels)
