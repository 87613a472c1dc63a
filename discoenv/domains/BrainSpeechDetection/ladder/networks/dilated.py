"""Dilated convolutions (Bai et al. 2018, "An empirical evaluation of generic convolutional and recurrent networks")."""

import torch
from torch import nn


class Model(nn.Module):
    """Residual blocks with dilations 1, 2, 4, 8 on every second sample; the middle and the mean decide."""

    def __init__(self, config):
        super().__init__()
        width = 32
        self.first = nn.Conv1d(config["CHANNELS"], width, 5, stride=2, padding=2)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(width, width, 3, padding=gap, dilation=gap, bias=False),
                nn.BatchNorm1d(width),
                nn.ReLU(),
                nn.Dropout(0.5 * config["DROPOUT"]),
            )
            for gap in (1, 2, 4, 8)
        )
        self.head = nn.Linear(2 * width, 1)

    def forward(self, windows):
        features = torch.relu(self.first(windows))
        for block in self.blocks:
            features = features + block(features)
        middle = features[:, :, features.shape[2] // 2 - 2 : features.shape[2] // 2 + 3].mean(dim=2)
        return self.head(torch.cat([middle, features.mean(dim=2)], dim=1)).squeeze(1)
