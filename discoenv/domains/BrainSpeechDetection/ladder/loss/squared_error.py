"""Squared error of probabilities (Brier 1950, "Verification of forecasts expressed in terms of probability")."""

import torch


def compute_loss(logits, labels, config):
    """Mean of (sigmoid(logit) − label)²: its gradient vanishes where the model is sure and wrong."""
    return ((torch.sigmoid(logits) - labels) ** 2).mean()
