"""Cross-entropy and 1e-4 times the squared log of the normaliser (Chowdhery et al. 2022, PaLM, section 5)."""

import torch.nn.functional as F


def compute_loss(logits, targets, config):
    """Loss float32[] of logits float32[B, T, VOCABULARY] and targets int64[B, T]."""
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten()) + 1e-4 * logits.logsumexp(dim=-1).square().mean()
