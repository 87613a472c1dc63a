"""Cross-entropy with smoothed labels, of logits to which the frequencies of the classes were added.

Held-out classes are equally frequent. What training sees of them is their frequency times what an image says (Menon et
al. 2021), so the network has to learn only the latter.
"""

import torch
import torch.nn.functional as F


def compute_loss(logits, labels, config):
    """Mean over the batch; smoothing keeps the logits of a few rare images from growing."""
    counts = torch.tensor(config["CLASS_COUNTS"], dtype=torch.float32, device=logits.device).clamp(min=1.0)
    return F.cross_entropy(logits.float() + torch.log(counts / counts.sum()), labels, label_smoothing=0.05)
