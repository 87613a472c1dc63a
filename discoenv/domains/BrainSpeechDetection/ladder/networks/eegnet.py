"""EEGNet (Lawhern et al. 2018, "EEGNet: a compact convolutional network for EEG-based brain-computer interfaces")."""

from torch import nn


class Model(nn.Module):
    """Filters in time, for each of them filters over sensors, and separable convolutions."""

    def __init__(self, config):
        super().__init__()
        filters, depth = 8, 3
        width = filters * depth
        self.layers = nn.Sequential(
            nn.Conv2d(1, filters, (1, 17), padding=(0, 8), bias=False),
            nn.BatchNorm2d(filters),
            nn.Conv2d(filters, width, (config["CHANNELS"], 1), groups=filters, bias=False),
            nn.BatchNorm2d(width),
            nn.ELU(),
            nn.AvgPool2d((1, 4)),
            nn.Dropout(config["DROPOUT"]),
            nn.Conv2d(width, width, (1, 9), padding=(0, 4), groups=width, bias=False),
            nn.Conv2d(width, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ELU(),
            nn.AvgPool2d((1, 4)),
            nn.Flatten(),
            nn.Dropout(config["DROPOUT"]),
            nn.Linear(width * (config["LENGTH"] // 16), 1),
        )

    def forward(self, windows):
        return self.layers(windows[:, None]).squeeze(1)
