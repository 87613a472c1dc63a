"""More queries than modes; those that end near a more probable one are passed over (Shi et al. 2022)."""

import torch

QUERIES, NEAR = 16, 0.15


def make_anchors(scenes, config, generator):
    """Learned queries."""
    return torch.zeros(min(QUERIES, config["MAX_QUERIES"]), config["FUTURE"], 2)


def choose(outputs, config):
    """The most probable one, again and again; those that end within a part of the distance covered count less then."""
    trajectories, chances = outputs["trajectories"], outputs["logits"].softmax(dim=1)
    rows = torch.arange(len(chances), device=chances.device)
    ends = trajectories[:, :, -1]
    reach = 1.0 + NEAR * ends.norm(dim=-1).mean(dim=1, keepdim=True)
    left, picked = chances.clone(), []
    for _ in range(min(config["MODES"], chances.shape[1])):
        best = left.argmax(dim=1)
        picked.append(best)
        near = (ends - ends[rows, best][:, None]).norm(dim=-1) < reach
        left = torch.where(near, left * 0.05, left)
        left[rows, best] = -1.0
    order = torch.stack(picked, dim=1)
    probabilities = chances.gather(1, order)
    return trajectories[rows[:, None], order], probabilities / probabilities.sum(dim=1, keepdim=True)
