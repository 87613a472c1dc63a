"""ShallowConvNet (Schirrmeister et al. 2017, "Deep learning with convolutional neural networks for EEG decoding")."""

import torch
from torch import nn


class Model(nn.Module):
    """Filters in time and over sensors, squared, averaged, and their logarithm: the power of sources in bands."""

    def __init__(self, config):
        super().__init__()
        self.time = nn.Conv2d(1, 16, (1, 13), padding=(0, 6))
        self.space = nn.Conv2d(16, 24, (config["CHANNELS"], 1), bias=False)
        self.norm = nn.BatchNorm2d(24)
        self.pool = nn.AvgPool2d((1, 24), stride=(1, 8))
        self.dropout = nn.Dropout(config["DROPOUT"])
        self.head = nn.Linear(24 * ((config["LENGTH"] - 24) // 8 + 1), 1)

    def _features(self, windows):
        found = self.norm(self.space(self.time(windows[:, None])))
        return torch.log(self.pool(found**2).clamp(min=1e-6)).flatten(1)

    def forward(self, windows):
        return self.head(self.dropout(self._features(windows))).squeeze(1)
