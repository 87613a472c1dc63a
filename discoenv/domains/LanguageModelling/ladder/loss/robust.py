"""Cross-entropy without the rows that cost most, which are noise.

Trimmed loss: Shen & Sanghavi 2019, Learning with bad training data via iterative trimmed loss minimization. Of each
batch a sixth of the rows is left out, once a fifth of training is done.
"""

import torch.nn.functional as F


def compute_loss(logits, targets, config):
    """Loss float32[] of logits float32[B, T, VOCABULARY] and targets int64[B, T]."""
    losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)
    if config["STEP"] < 0.2 * config["STEPS"]:
        return losses.mean()
    rows = losses.mean(dim=1)
    return rows.sort().values[: max(1, len(rows) * 5 // 6)].mean()
