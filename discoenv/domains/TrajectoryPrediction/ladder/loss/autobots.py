"""The loss of AutoBots (Girgis et al. 2022, Latent variable sequential set transformers).

Likelihoods weighted by the posterior over modes, the divergence of posterior and prior, the entropy of the widest mode,
and the distance of the best.
"""

import math

import torch


def compute_loss(outputs, future, future_mask, config):
    """Means over the batch; weights in the proportions of the paper, per known time."""
    known = future_mask.float()
    count = known.sum(dim=1, keepdim=True)
    apart = (outputs["trajectories"] - future[:, None]).abs()
    likelihood = -(torch.log(2.0 * outputs["scales"]) + apart / outputs["scales"]).sum(dim=-1)
    likelihood = (likelihood * known[:, None]).sum(dim=-1)
    prior = outputs["logits"].log_softmax(dim=1)
    posterior = (prior + likelihood).log_softmax(dim=1).detach()
    fit = -(posterior.exp() * likelihood / count).sum(dim=1).mean()
    divergence = (posterior.exp() * (posterior - prior)).sum(dim=1).mean()
    entropy = 1.0 + math.log(2.0 * math.pi) + torch.log(outputs["scales"]).sum(dim=-1)
    widest = ((entropy * known[:, None]).sum(dim=-1) / count).amax(dim=1).mean()
    distance = apart.square().sum(dim=-1).add(1e-6).sqrt()
    nearest = ((distance * known[:, None]).sum(dim=-1) / count).amin(dim=1).mean()
    return fit + 0.5 * divergence + 0.1 * widest + nearest
