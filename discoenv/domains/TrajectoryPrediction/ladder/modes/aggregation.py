"""More queries than modes, whose trajectories are clustered (Varadarajan et al. 2022, MultiPath++)."""

import torch

QUERIES, ROUNDS = 16, 4


def make_anchors(scenes, config, generator):
    """Learned queries."""
    return torch.zeros(min(QUERIES, config["MAX_QUERIES"]), config["FUTURE"], 2)


def choose(outputs, config):
    """Centres that cover the most probability, improved by weighted means of what is nearest to each."""
    trajectories, chances = outputs["trajectories"], outputs["logits"].softmax(dim=1)
    rows = torch.arange(len(chances), device=chances.device)
    apart = torch.cdist(trajectories[:, :, -1], trajectories[:, :, -1])
    reach = 1.0 + 0.1 * trajectories[:, :, -1].norm(dim=-1).mean(dim=1)[:, None, None]
    left, picked = chances.clone(), []
    for _ in range(config["MODES"]):  # greedily, the one around which most is left
        covered = (left[:, None] * (apart < reach)).sum(dim=-1)
        if picked:
            covered = covered.scatter(1, torch.stack(picked, dim=1), -1.0)
        best = covered.argmax(dim=1)
        picked.append(best)
        left = torch.where(apart[rows, best] < reach[:, 0], left * 0.05, left)
    centres = trajectories[rows[:, None], torch.stack(picked, dim=1)]
    for _ in range(ROUNDS):
        far = torch.cdist(trajectories.flatten(2), centres.flatten(2))  # [B, Q, MODES]
        share = torch.softmax(-far / (0.15 * far.amin(dim=2, keepdim=True).mean(dim=1, keepdim=True) + 1.0), dim=2)
        weight = share * chances[..., None]
        mass = weight.sum(dim=1).clamp(min=1e-9)
        centres = torch.einsum("bqk,bqtd->bktd", weight, trajectories) / mass[..., None, None]
    return centres, mass / mass.sum(dim=1, keepdim=True)
