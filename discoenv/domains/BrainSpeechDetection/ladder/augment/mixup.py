"""Mixup (Zhang et al. 2018, "mixup: beyond empirical risk minimization")."""

import torch

MOST = 0.3


def augment(windows, labels, generator, config):
    """A little of another window of the batch, and as much of its label."""
    other = torch.randperm(len(windows), generator=generator, device=windows.device)
    share = MOST * torch.rand(len(windows), generator=generator, device=windows.device)
    mixed = (1.0 - share)[:, None, None] * windows + share[:, None, None] * windows[other]
    return mixed, (1.0 - share) * labels + share * labels[other]
