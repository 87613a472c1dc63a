"""One trajectory, which is answered six times (as Alahi et al. 2016, Social LSTM, predicts)."""

import torch


def make_anchors(scenes, config, generator):
    """One query."""
    return torch.zeros(1, config["FUTURE"], 2)


def choose(outputs, config):
    """The same trajectory as often as there are modes; the first is certain."""
    trajectories = outputs["trajectories"][:, :1].expand(-1, config["MODES"], -1, -1)
    probabilities = torch.zeros(trajectories.shape[:2], device=trajectories.device)
    probabilities[:, 0] = 1.0
    return trajectories, probabilities
