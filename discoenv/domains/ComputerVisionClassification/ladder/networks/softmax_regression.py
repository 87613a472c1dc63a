"""Softmax regression on pixels. Cox 1958, McFadden 1974."""

import math

from torch import nn


class Model(nn.Module):
    """One linear layer on the image, which is averaged to fewer pixels where the layer would be too large."""

    def __init__(self, config):
        super().__init__()
        channels, classes = config["NUM_CHANNELS"], config["NUM_CLASSES"]
        most = math.isqrt((config["MAX_PARAMETERS"] - classes) // (channels * classes))
        side = min(most, config["HEIGHT"], config["WIDTH"])
        self.layers = nn.Sequential(nn.AdaptiveAvgPool2d(side), nn.Flatten(), nn.Linear(channels * side**2, classes))

    def forward(self, images):
        """Logits float32[B, NUM_CLASSES] of float32[B, C, H, W]."""
        return self.layers(images)
