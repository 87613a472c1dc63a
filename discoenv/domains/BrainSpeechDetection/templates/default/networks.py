"""The network."""

import torch
from torch import nn


class Model(nn.Module):
    """A detector of speech in windows of MEG.

    Args:
        config: the run's configuration (dict): CHANNELS and LENGTH, C and T of what preprocess.py returns; SENSORS,
            SAMPLES, RATE (samples per second), FILTERS, HIDDEN, DROPOUT, MAX_PARAMETERS.
    """

    def __init__(self, config):
        super().__init__()
        # <solution>
        self.convolution = nn.Conv1d(config["CHANNELS"], config["FILTERS"], 5, stride=2, padding=2)
        self.dropout = nn.Dropout(config["DROPOUT"])
        self.recurrent = nn.GRU(config["FILTERS"], config["HIDDEN"], batch_first=True)
        self.head = nn.Linear(config["HIDDEN"], 1)
        # </solution>

    def forward(self, windows):
        """Logits of windows.

        Args:
            windows: float32[B, C, T], as preprocess.py gives them.

        Returns:
            float32[B]: log-odds of speech in the middle of the window.
        """
        # <solution>
        features = self.dropout(torch.relu(self.convolution(windows))).transpose(1, 2)
        _, last = self.recurrent(features)
        return self.head(self.dropout(last[0])).squeeze(1)
        # </solution>
