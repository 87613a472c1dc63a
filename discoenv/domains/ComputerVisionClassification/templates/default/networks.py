"""The network."""

import torch.nn.functional as F
from torch import nn


class Model(nn.Module):
    """A classifier of images.

    Args:
        config: the run's configuration (dict): NUM_CLASSES, NUM_CHANNELS, HEIGHT, WIDTH, CHANNELS (widths of the
            stages), BLOCKS (per stage), RESIDUAL, DROPOUT, MAX_PARAMETERS.
    """

    def __init__(self, config):
        super().__init__()
        # <solution>
        layers, before = [], config["NUM_CHANNELS"]
        for stage, width in enumerate(config["CHANNELS"]):
            if stage:
                layers.append(nn.MaxPool2d(2))
            for _ in range(config["BLOCKS"]):
                layers.append(_Block(before, width, config["RESIDUAL"]))
                before = width
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(config["DROPOUT"])]
        self.layers = nn.Sequential(*layers, nn.Linear(before, config["NUM_CLASSES"]))
        # </solution>

    def forward(self, images):
        """Logits of images.

        Args:
            images: float32[B, C, H, W], as preprocess.py gives them.

        Returns:
            float32[B, NUM_CLASSES].
        """
        # <solution>
        return self.layers(images)
        # </solution>


class _Block(nn.Module):
    """Two convolutions with batch normalisation, around which the input is added (He et al. 2016)."""

    def __init__(self, before, width, residual):
        super().__init__()
        # <solution>
        self.first = nn.Conv2d(before, width, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(width)
        self.residual = residual
        self.around = nn.Identity()
        if residual and before != width:
            self.around = nn.Sequential(nn.Conv2d(before, width, 1, bias=False), nn.BatchNorm2d(width))
        # </solution>

    def forward(self, images):
        """Float32[B, width, H, W] of float32[B, before, H, W]."""
        # <solution>
        inner = self.second_norm(self.second(F.relu(self.first_norm(self.first(images)))))
        return F.relu(inner + self.around(images) if self.residual else inner)
        # </solution>
