"""Squared error between logits and one-hot labels. Hui and Belkin 2021."""

import torch.nn.functional as F


def compute_loss(logits, labels, config):
    """Sum over classes, mean over the batch."""
    wanted = F.one_hot(labels, config["NUM_CLASSES"]).float()
    return (logits.float() - wanted).square().sum(dim=1).mean()
