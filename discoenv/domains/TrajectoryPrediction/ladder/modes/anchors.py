"""Queries start from means of clusters of departures from constant velocity (after Chai et al. 2019, MultiPath)."""

import torch


def departures(scenes):
    """Futures that are known at all times, less constant velocity, float32[M, FUTURE, 2]."""
    track, mask = scenes["agents"][:, 0, -4:], scenes["agents_mask"][:, 0, -4:]
    both = (mask[:, 1:] & mask[:, :-1]).float()[..., None]
    step = ((track[:, 1:] - track[:, :-1]) * both).sum(dim=1) / both.sum(dim=1).clamp(min=1.0)
    times = torch.arange(1, scenes["future"].shape[1] + 1)[:, None]
    return (scenes["future"] - step[:, None] * times)[scenes["future_mask"].all(dim=1)]


def make_anchors(scenes, config, generator):
    """K-means (Lloyd), begun at random ones."""
    flat = departures(scenes).flatten(1)
    if len(flat) < config["MODES"]:
        return torch.zeros(config["MODES"], config["FUTURE"], 2)
    centres = flat[torch.randperm(len(flat), generator=generator)[: config["MODES"]]]
    for _ in range(30):
        nearest = torch.cdist(flat, centres).argmin(dim=1)
        groups = [flat[nearest == k] for k in range(len(centres))]
        centres = torch.stack([each.mean(dim=0) if len(each) else centres[k] for k, each in enumerate(groups)])
    return centres.view(len(centres), -1, 2)


def choose(outputs, config):
    """All of them, by their logits."""
    return outputs["trajectories"][:, : config["MODES"]], outputs["logits"][:, : config["MODES"]].softmax(dim=1)
