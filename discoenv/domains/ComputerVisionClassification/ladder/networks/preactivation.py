"""Residual blocks that normalise and rectify before each convolution. He et al. 2016, Identity mappings."""

import torch.nn.functional as F
from torch import nn


class Model(nn.Module):
    """Stages and widths of the base network; nothing but additions and pooling lies on the shortcuts."""

    def __init__(self, config):
        super().__init__()
        before = config["CHANNELS"][0]
        layers = [nn.Conv2d(config["NUM_CHANNELS"], before, 3, padding=1, bias=False)]
        for stage, width in enumerate(config["CHANNELS"]):
            if stage:
                layers.append(nn.MaxPool2d(2))
            for _ in range(config["BLOCKS"]):
                layers.append(_Block(before, width))
                before = width
        layers += [nn.BatchNorm2d(before), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        self.layers = nn.Sequential(*layers, nn.Dropout(config["DROPOUT"]), nn.Linear(before, config["NUM_CLASSES"]))

    def forward(self, images):
        """Logits float32[B, NUM_CLASSES] of float32[B, C, H, W]."""
        return self.layers(images)


class _Block(nn.Module):
    """Two convolutions, each after normalisation and a rectifier, added to the input."""

    def __init__(self, before, width):
        super().__init__()
        self.first_norm = nn.BatchNorm2d(before)
        self.first = nn.Conv2d(before, width, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.around = nn.Conv2d(before, width, 1, bias=False) if before != width else None

    def forward(self, images):
        """Float32[B, width, H, W] of float32[B, before, H, W]."""
        active = F.relu(self.first_norm(images))
        inner = self.second(F.relu(self.second_norm(self.first(active))))
        return inner + (images if self.around is None else self.around(active))
