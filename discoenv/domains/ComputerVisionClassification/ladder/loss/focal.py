"""The focal loss, which counts images less that are classified well. Lin et al. 2017."""

import torch
import torch.nn.functional as F

#: Exponent of the probability that is missing.
GAMMA = 2.0


def compute_loss(logits, labels, config):
    """Mean over the batch of -(1 - p)^GAMMA log p, with p the probability of the label."""
    negative = F.cross_entropy(logits.float(), labels, reduction="none")
    return ((1.0 - torch.exp(-negative)).clamp(min=0.0) ** GAMMA * negative).mean()
