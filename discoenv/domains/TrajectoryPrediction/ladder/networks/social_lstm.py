"""Recurrent encoders of all road users, pooled (after Alahi et al. 2016, Social LSTM, with global pooling); no map."""

import torch
import torch.nn.functional as F
from torch import nn


class Model(nn.Module):
    """A gated recurrent unit reads each history; the focal one decodes with what the others have in common."""

    def __init__(self, config, anchors):
        super().__init__()
        self.register_buffer("anchors", anchors.clone())
        hidden, self.queries = config["HIDDEN"], len(anchors)
        self.read = nn.GRU(5, hidden, batch_first=True)
        self.pool = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU())
        self.head = nn.Sequential(
            nn.Linear(2 * hidden, 2 * hidden),
            nn.ReLU(),
            nn.Linear(2 * hidden, self.queries * (4 * config["FUTURE"] + 1)),
        )

    def forward(self, scene):
        """Steps from constant velocity and the anchors."""
        agents, mask = scene["agents"], scene["agents_mask"].float()[..., None]
        both = mask[:, :, 1:] * mask[:, :, :-1]
        moves = F.pad((agents[:, :, 1:] - agents[:, :, :-1]) * both, (0, 0, 1, 0))
        _, last = self.read(torch.cat([agents / 20.0, moves, mask], dim=-1).flatten(0, 1))
        last = last[0].view(len(agents), agents.shape[1], -1)
        present = (mask.sum(dim=2) > 0).float()
        others = (self.pool(last) * present)[:, 1:].amax(dim=1)
        out = self.head(torch.cat([last[:, 0], others], dim=1))
        logits, rest = out.split([self.queries, out.shape[1] - self.queries], dim=1)
        steps, scales = rest.view(len(agents), self.queries, -1, 4).split(2, dim=-1)
        step = moves[:, 0, -3:].sum(dim=1) / both[:, 0, -3:].sum(dim=1).clamp(min=1.0)
        times = torch.arange(1, steps.shape[2] + 1, device=agents.device)[:, None]
        base = (step[:, None] * times)[:, None] + self.anchors
        return {
            "trajectories": base + steps.cumsum(dim=2),
            "scales": F.softplus(scales) + 0.05,
            "logits": logits,
            "anchors": self.anchors,
        }
