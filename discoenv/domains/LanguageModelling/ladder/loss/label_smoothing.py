"""Cross-entropy with smoothed labels (Szegedy et al. 2016, Rethinking the Inception architecture, section 7)."""

import torch.nn.functional as F


def compute_loss(logits, targets, config):
    """Loss float32[] of logits float32[B, T, VOCABULARY] and targets int64[B, T]."""
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), label_smoothing=0.1)
