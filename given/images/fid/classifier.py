"""The small network whose features measure the default set."""

from torch import Tensor, nn

from given.images.data.sources import ASSETS

CLASSIFIER = ASSETS / "classifier.pt"


WIDTHS = (32, 64, 80, 80, 64)  # channels after each convolution of the classifier


STRIDES = (2, 2, 1, 1, 1)


class FeatureNet(nn.Module):
    """A classifier of five 3x3 convolutions; its features are their last output's spatial mean.

    Args:
        channels: of the images, 1 or 3.
        resolution: pixels a side that it was trained on.
        classes: how many.
    """

    def __init__(self, channels: int = 1, resolution: int = 28, classes: int = 10) -> None:
        super().__init__()
        self.channels, self.resolution = channels, resolution
        layers, width = [], channels
        for out, stride in zip(WIDTHS, STRIDES, strict=True):
            layers += [nn.Conv2d(width, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out)]
            layers += [nn.ReLU()]
            width = out
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(width, classes)

    def features(self, x: Tensor) -> Tensor:
        """Features (B, 64) of images (B, C, H, W) in [-1, 1]."""
        return self.body(x).mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Class logits (B, classes) of images (B, C, H, W) in [-1, 1]."""
        return self.head(self.features(x))
