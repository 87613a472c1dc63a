"""Sensors dropped (Saeed et al. 2021, "Learning from heterogeneous EEG signals")."""

import torch

DROPPED, GAIN = 0.1, 0.1


def augment(windows, labels, generator, config):
    """Each sensor is silent with probability ``DROPPED``, and has another gain otherwise; and the base's shift."""
    count, channels, length = windows.shape
    most = config["SHIFT"]
    moved = torch.randint(-most, most + 1, (count, 1), generator=generator, device=windows.device)
    columns = (torch.arange(length, device=windows.device) + moved).clamp(0, length - 1)
    shifted = windows.gather(2, columns[:, None, :].expand_as(windows))
    kept = torch.rand(count, channels, 1, generator=generator, device=windows.device) >= DROPPED
    gains = 1.0 + GAIN * torch.randn(count, channels, 1, generator=generator, device=windows.device)
    return shifted * kept * gains, labels
