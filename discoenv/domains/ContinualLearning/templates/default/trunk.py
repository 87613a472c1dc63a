"""The network without its last layer: three convolutions with group normalisation."""

from itertools import pairwise

from torch import nn


class Trunk(nn.Module):
    """Maps images float32[N, C, H, W] to features float32[N, size].

    There is no batch normalisation: its statistics would be those of the last experience.

    Attributes:
        size: number of features.
    """

    GROUPS = 8
    #: Side of the map that is left of an image.
    SIDE = 2

    def __init__(self, config):
        super().__init__()
        channels = [config["IMAGE_SHAPE"][2], *config["WIDTHS"]]
        layers = []
        for before, after in pairwise(channels):
            layers += [
                nn.Conv2d(before, after, 3, padding=1),
                nn.GroupNorm(self.GROUPS, after),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
        self.layers = nn.Sequential(*layers[:-1], nn.AdaptiveAvgPool2d(self.SIDE), nn.Flatten())
        self.size = channels[-1] * self.SIDE**2

    def forward(self, images):
        """Features of images."""
        return self.layers(images)
