"""Focal loss (Lin et al. 2017, "Focal loss for dense object detection")."""

import torch
import torch.nn.functional as F

GAMMA = 1.0


def compute_loss(logits, labels, config):
    """Cross-entropy, weighted by (1 − p)^gamma, where p is the probability of what is true."""
    each = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    wrong = torch.abs(labels - torch.sigmoid(logits))
    return 2.0 * (wrong**GAMMA * each).mean()
