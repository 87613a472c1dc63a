"""The distance of the nearest mode, and which one that is (Cui et al. 2019, Multimodal trajectory predictions)."""

import torch
import torch.nn.functional as F


def compute_loss(outputs, future, future_mask, config):
    """Mean distance of the winner, and the cross-entropy of the logits; the scales are not used."""
    known = future_mask.float()[:, None]
    distance = (outputs["trajectories"] - future[:, None]).square().sum(dim=-1).add(1e-6).sqrt()
    of_mode = (distance * known).sum(dim=-1) / known.sum(dim=-1)
    winner = of_mode.argmin(dim=1)
    rows = torch.arange(len(future), device=future.device)
    return of_mode[rows, winner].mean() + 0.5 * F.cross_entropy(outputs["logits"], winner)
