"""Each class of a batch counts alike. King and Zeng 2001, Logistic regression in rare events data."""

import torch


class Sampler:
    """One to one; weights are inverse to how often a class occurs in the batch."""

    def __init__(self, config, seed):
        self.most = config["MAX_BATCH"]

    def compose(self, current, stored, draw):
        """The current batch and replay, with weights whose mean is one."""
        rows = torch.arange(len(current))
        replayed = draw(self.most - len(rows)) if len(stored) else rows[:0]
        labels = torch.cat([current.labels, stored.labels[replayed]])
        counts = torch.bincount(labels)
        return rows, replayed, len(labels) / (counts[labels] * (counts > 0).sum())
