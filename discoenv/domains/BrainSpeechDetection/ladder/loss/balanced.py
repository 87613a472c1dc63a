"""Class-balanced cross-entropy (King and Zeng 2001, "Logistic regression in rare events data")."""

import torch.nn.functional as F


def compute_loss(logits, labels, config):
    """Cross-entropy in which speech and silence weigh the same.

    Logits are moved by the prior odds before, so that they remain those of the training windows (Menon et al. 2021).
    """
    share = config["SPEECH_SHARE"]
    weights = labels * 0.5 / share + (1.0 - labels) * 0.5 / (1.0 - share)
    return F.binary_cross_entropy_with_logits(logits, labels, weight=weights)
