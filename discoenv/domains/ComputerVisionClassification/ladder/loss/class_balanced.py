"""Cross-entropy, weighted by the inverse effective number of a class's images. Cui et al. 2019."""

import torch
import torch.nn.functional as F

#: Share of new information that each further image of a class leaves.
BETA = 0.999


def compute_loss(logits, labels, config):
    """Mean over the batch; the weights of all classes have mean one."""
    counts = torch.tensor(config["CLASS_COUNTS"], dtype=torch.float32, device=logits.device).clamp(min=1.0)
    weights = (1.0 - BETA) / (1.0 - BETA**counts)
    weights = weights / weights.mean()
    return (weights[labels] * F.cross_entropy(logits.float(), labels, reduction="none")).mean()
