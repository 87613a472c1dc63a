"""Fourier surrogates (Schwabedal et al. 2018, "Addressing class imbalance using Fourier transform surrogates")."""

import torch

SPREAD = 0.15


def augment(windows, labels, generator, config):
    """Phases of all frequencies are turned a little, in all sensors alike; powers stay."""
    spectrum = torch.fft.rfft(windows, dim=2)
    turns = torch.rand(len(windows), 1, spectrum.shape[2], generator=generator, device=windows.device) - 0.5
    turns[..., 0] = 0.0
    turned = spectrum * torch.exp(2j * torch.pi * SPREAD * turns)
    return torch.fft.irfft(turned, n=windows.shape[2], dim=2), labels
