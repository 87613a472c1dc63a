"""A multilayer perceptron of the focal history alone (as Becker et al. 2018, RED: a simple but effective baseline)."""

import torch
import torch.nn.functional as F
from torch import nn


class Model(nn.Module):
    """Neither neighbours nor map are looked at."""

    def __init__(self, config, anchors):
        super().__init__()
        self.register_buffer("anchors", anchors.clone())
        wide, self.queries = 2 * config["HIDDEN"], len(anchors)
        self.layers = nn.Sequential(
            nn.Linear(3 * config["HISTORY"], wide), nn.ReLU(), nn.Linear(wide, wide), nn.ReLU(),
            nn.Linear(wide, self.queries * (4 * config["FUTURE"] + 1)),
        )  # fmt: skip

    def forward(self, scene):
        """Steps from constant velocity and the anchors."""
        track, mask = scene["agents"][:, 0], scene["agents_mask"][:, 0].float()
        out = self.layers(torch.cat([(track / 20.0).flatten(1), mask], dim=1))
        logits, rest = out.split([self.queries, out.shape[1] - self.queries], dim=1)
        moves, scales = rest.view(len(track), self.queries, -1, 4).split(2, dim=-1)
        both = (mask[:, -3:] * mask[:, -4:-1])[..., None]
        step = ((track[:, -3:] - track[:, -4:-1]) * both).sum(dim=1) / both.sum(dim=1).clamp(min=1.0)
        times = torch.arange(1, moves.shape[2] + 1, device=track.device)[:, None]
        base = (step[:, None] * times)[:, None] + self.anchors
        return {
            "trajectories": base + moves.cumsum(dim=2),
            "scales": F.softplus(scales) + 0.05,
            "logits": logits,
            "anchors": self.anchors,
        }
