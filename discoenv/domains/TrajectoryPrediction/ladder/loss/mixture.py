"""The likelihood of a mixture of Laplace distributions (Bishop 1994, Mixture density networks)."""

import torch


def compute_loss(outputs, future, future_mask, config):
    """-log Σ_k π_k Π_t p(y_t | k), per known time."""
    known = future_mask.float()
    apart = (outputs["trajectories"] - future[:, None]).abs()
    likelihood = -(torch.log(2.0 * outputs["scales"]) + apart / outputs["scales"]).sum(dim=-1)
    of_mode = (likelihood * known[:, None]).sum(dim=-1)
    mixed = torch.logsumexp(outputs["logits"].log_softmax(dim=1) + of_mode, dim=1)
    return -(mixed / known.sum(dim=1)).mean()
