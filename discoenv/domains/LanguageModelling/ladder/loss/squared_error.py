"""Squared error of probabilities (Brier 1950, Verification of forecasts expressed in terms of probability)."""

import torch.nn.functional as F


def compute_loss(logits, targets, config):
    """Loss float32[] of logits float32[B, T, VOCABULARY] and targets int64[B, T]."""
    chances = logits.softmax(dim=-1)
    return (chances - F.one_hot(targets, logits.shape[-1])).square().sum(dim=-1).mean()
