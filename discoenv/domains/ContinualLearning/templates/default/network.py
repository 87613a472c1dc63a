"""A trunk and one linear layer for the classes of all experiences, there from the start."""

import torch
from torch import nn
from trunk import Trunk


class Network(nn.Module):
    """Classifies images.

    Attributes:
        UNKNOWN: logit of classes that have not been seen yet.
    """

    UNKNOWN = -1e4

    def __init__(self, config):
        super().__init__()
        self.trunk = Trunk(config)
        self.head = nn.Linear(self.trunk.size, config["CLASSES"])
        self.register_buffer("seen", torch.zeros(config["CLASSES"], dtype=torch.bool))

    def begin_experience(self, task, classes):
        """The next experience has the classes int64[K]."""
        self.seen[classes] = True

    def forward(self, images, tasks):
        """Logits float32[N, CLASSES] and features float32[N, F] of float32[N, C, H, W]; ``tasks`` is not used."""
        features = self.trunk(images)
        return self.head(features).masked_fill(~self.seen, self.UNKNOWN), features

    def predict(self, images):
        """Labels int64[N]."""
        return self(images, None)[0].argmax(dim=1)

    def isolate(self, tasks):
        """Nothing is isolated: all parameters learn from all items."""
