"""Residual blocks that weight their channels by what the whole image shows. Hu, Shen and Sun 2018."""

import torch.nn.functional as F
from torch import nn

#: A block's channels are squeezed into this many times fewer, but at least four.
REDUCTION = 16


class Model(nn.Module):
    """The base network with a gate on each channel of each block."""

    def __init__(self, config):
        super().__init__()
        layers, before = [], config["NUM_CHANNELS"]
        for stage, width in enumerate(config["CHANNELS"]):
            if stage:
                layers.append(nn.MaxPool2d(2))
            for _ in range(config["BLOCKS"]):
                layers.append(_Block(before, width))
                before = width
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(config["DROPOUT"])]
        self.layers = nn.Sequential(*layers, nn.Linear(before, config["NUM_CLASSES"]))

    def forward(self, images):
        """Logits float32[B, NUM_CLASSES] of float32[B, C, H, W]."""
        return self.layers(images)


class _Block(nn.Module):
    """Two convolutions with batch normalisation; their channels are gated, and added to the input."""

    def __init__(self, before, width):
        super().__init__()
        squeezed = max(4, width // REDUCTION)
        self.inner = nn.Sequential(
            nn.Conv2d(before, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(width, squeezed, 1),
            nn.ReLU(),
            nn.Conv2d(squeezed, width, 1),
            nn.Sigmoid(),
        )
        self.around = nn.Identity()
        if before != width:
            self.around = nn.Sequential(nn.Conv2d(before, width, 1, bias=False), nn.BatchNorm2d(width))

    def forward(self, images):
        """Float32[B, width, H, W] of float32[B, before, H, W]."""
        inner = self.inner(images)
        return F.relu(inner * self.gate(inner) + self.around(images))
