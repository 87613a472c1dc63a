"""Relaxed winner takes all: the others get a little of the gradient (Rupprecht et al. 2017)."""

import torch.nn.functional as F

SHARE = 0.05


def compute_loss(outputs, future, future_mask, config):
    """Distances weighted by 1 - SHARE for the winner and SHARE for all others together; cross-entropy of the logits."""
    known = future_mask.float()[:, None]
    distance = (outputs["trajectories"] - future[:, None]).square().sum(dim=-1).add(1e-6).sqrt()
    of_mode = (distance * known).sum(dim=-1) / known.sum(dim=-1)
    winner = of_mode.argmin(dim=1)
    best, mean = of_mode.amin(dim=1), of_mode.mean(dim=1)
    return ((1.0 - SHARE) * best + SHARE * mean).mean() + 0.5 * F.cross_entropy(outputs["logits"], winner)
