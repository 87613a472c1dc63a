"""Polylines of road users and lanes as subgraphs, and a graph of all (Gao et al. 2020, VectorNet)."""

import torch
import torch.nn.functional as F
from torch import nn


class Subgraph(nn.Module):
    """A layer that mixes the vectors of a polyline: each with the maximum of all."""

    def __init__(self, before, width):
        super().__init__()
        self.layer = nn.Sequential(nn.Linear(before, width), nn.LayerNorm(width), nn.ReLU())

    def forward(self, vectors, mask):
        """Float32[..., T, 2 width] of float32[..., T, before]; mask bool[..., T]."""
        inner = self.layer(vectors)
        most = inner.masked_fill(~mask[..., None], -1e4).amax(dim=-2, keepdim=True).clamp(min=0.0)
        return torch.cat([inner, most.expand_as(inner)], dim=-1)


class Model(nn.Module):
    """Subgraphs, one layer of attention among polylines, and a perceptron on what the focal one has become."""

    def __init__(self, config, anchors):
        super().__init__()
        self.register_buffer("anchors", anchors.clone())
        hidden, self.queries = config["HIDDEN"], len(anchors)
        self.agents = nn.ModuleList([Subgraph(5, hidden // 2), Subgraph(hidden, hidden // 2)])
        self.lanes = nn.ModuleList([Subgraph(4, hidden // 2), Subgraph(hidden, hidden // 2)])
        self.graph = nn.MultiheadAttention(hidden, config["HEADS"], batch_first=True)
        self.norm = nn.LayerNorm(2 * hidden)
        self.head = nn.Sequential(
            nn.Linear(2 * hidden, 2 * hidden),
            nn.ReLU(),
            nn.Linear(2 * hidden, self.queries * (4 * config["FUTURE"] + 1)),
        )

    def forward(self, scene):
        """Steps from constant velocity and the anchors."""
        agents, seen = scene["agents"], scene["agents_mask"]
        mask = seen.float()[..., None]
        both = mask[:, :, 1:] * mask[:, :, :-1]
        moves = F.pad((agents[:, :, 1:] - agents[:, :, :-1]) * both, (0, 0, 1, 0))
        lanes, on_map = scene["lanes"], scene["lanes_mask"]
        along = F.pad(lanes[:, :, 1:] - lanes[:, :, :-1], (0, 0, 1, 0))
        tracks, lines = torch.cat([agents / 20.0, moves, mask], dim=-1), torch.cat([lanes / 20.0, along / 5.0], dim=-1)
        for layer in self.agents:
            tracks = layer(tracks, seen)
        for layer in self.lanes:
            lines = layer(lines, on_map)
        hide = [
            each.masked_fill(~known[..., None], -1e4).amax(dim=2) for each, known in ((tracks, seen), (lines, on_map))
        ]
        present = torch.cat([seen.any(dim=-1), on_map.any(dim=-1)], dim=1)
        nodes = torch.cat(hide, dim=1).masked_fill(~present[..., None], 0.0)
        focal, _ = self.graph(nodes[:, :1], nodes, nodes, key_padding_mask=~present)
        out = self.head(self.norm(torch.cat([nodes[:, 0], focal[:, 0]], dim=1)))
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
