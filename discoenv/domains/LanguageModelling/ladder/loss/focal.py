"""Focal loss, which weighs a token by (1 - p)^gamma (Lin et al. 2017, Focal loss for dense object detection)."""

import torch.nn.functional as F


def compute_loss(logits, targets, config):
    """Loss float32[] of logits float32[B, T, VOCABULARY] and targets int64[B, T]."""
    losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    return ((1.0 - (-losses).exp()) * losses).mean()  # gamma = 1
