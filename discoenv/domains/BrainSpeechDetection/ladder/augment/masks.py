"""Masks in time (Park et al. 2019, "SpecAugment: a simple data augmentation method for speech recognition")."""

import torch

LONGEST = 0.15


def augment(windows, labels, generator, config):
    """A random part of up to ``LONGEST`` of each window is set to zero; and the base's shift."""
    count, _, length = windows.shape
    most = config["SHIFT"]
    moved = torch.randint(-most, most + 1, (count, 1), generator=generator, device=windows.device)
    times = torch.arange(length, device=windows.device)
    shifted = windows.gather(2, (times + moved).clamp(0, length - 1)[:, None, :].expand_as(windows))
    width = LONGEST * length * torch.rand(count, 1, generator=generator, device=windows.device)
    start = torch.rand(count, 1, generator=generator, device=windows.device) * (length - width)
    hidden = (times >= start) & (times < start + width)
    return shifted.masked_fill(hidden[:, None, :], 0.0), labels
