"""A bidirectional GRU with attention (Bahdanau et al. 2015, "Neural machine translation by jointly learning")."""

import torch
from torch import nn


class Model(nn.Module):
    """The base with a second direction; what is said at each time is weighed by attention."""

    def __init__(self, config):
        super().__init__()
        hidden = config["HIDDEN"] * 2 // 3
        self.convolution = nn.Conv1d(config["CHANNELS"], config["FILTERS"], 5, stride=2, padding=2)
        self.dropout = nn.Dropout(config["DROPOUT"])
        self.recurrent = nn.GRU(config["FILTERS"], hidden, batch_first=True, bidirectional=True)
        self.attention = nn.Linear(2 * hidden, 1)
        self.head = nn.Linear(2 * hidden, 1)

    def forward(self, windows):
        features = self.dropout(torch.relu(self.convolution(windows))).transpose(1, 2)
        states, _ = self.recurrent(features)
        weights = torch.softmax(self.attention(torch.tanh(states)), dim=1)
        return self.head(self.dropout((weights * states).sum(dim=1))).squeeze(1)
