"""The network."""

import torch
import torch.nn.functional as F
from torch import nn


class Model(nn.Module):
    """A model of where the focal road user of a scene goes.

    Args:
        config: the run's configuration (dict): AGENTS (N), HISTORY, LANES (L), LANE_POINTS, FUTURE, HIDDEN, HEADS,
            LAYERS, DROPOUT, MAX_PARAMETERS.
        anchors: float32[Q, FUTURE, 2], departures from constant velocity, as make_anchors of modes.py made them; all
            zero, if it makes none.
    """

    def __init__(self, config, anchors):
        super().__init__()
        # <solution>
        hidden, heads, drop = config["HIDDEN"], config["HEADS"], config["DROPOUT"]
        self.register_buffer("anchors", anchors.clone())
        self.steps = nn.Linear(5, hidden)
        self.time = nn.Parameter(0.02 * torch.randn(config["HISTORY"], hidden))
        self.temporal = _encoder(hidden, heads, drop)
        self.points = nn.Sequential(nn.Linear(4, hidden), nn.ReLU(), nn.Linear(hidden, hidden))
        self.kinds = nn.Parameter(0.02 * torch.randn(3, hidden))  # the focal road user, others, lanes
        self.social = nn.ModuleList(_encoder(hidden, heads, drop) for _ in range(config["LAYERS"]))
        self.queries = nn.Parameter(torch.randn(len(anchors), hidden))
        self.starts = nn.Linear(2 * config["FUTURE"], hidden)
        self.decoder = nn.ModuleList(
            nn.TransformerDecoderLayer(hidden, heads, 2 * hidden, drop, batch_first=True, norm_first=True)
            for _ in range(config["LAYERS"])
        )
        self.norm = nn.LayerNorm(hidden)
        self.head = nn.Sequential(nn.Linear(hidden, 2 * hidden), nn.ReLU(), nn.Linear(2 * hidden, 4 * config["FUTURE"]))
        self.logit = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1))
        # </solution>

    def forward(self, scene):
        """What may happen in B scenes.

        Args:
            scene: dict of tensors: "agents" float32[B, N, HISTORY, 2], metres, the focal road user first, at the origin
                at the last time; "agents_mask" bool[B, N, HISTORY], what was seen; "lanes" float32[B, L, LANE_POINTS,
                2]; "lanes_mask" bool[B, L, LANE_POINTS]. There are zeros where nothing is.

        Returns:
            dict of tensors: "trajectories" float32[B, Q, FUTURE, 2], metres; "scales" float32[B, Q, FUTURE, 2],
            positive; "logits" float32[B, Q]; "anchors" float32[Q, FUTURE, 2].
        """
        # <solution>
        tokens, absent = self.encode(scene)
        count = len(tokens)
        queries = self.queries + self.starts(self.anchors.flatten(1) / 20.0)
        decoded = queries + tokens[:, :1]
        for layer in self.decoder:
            decoded = layer(decoded, tokens, memory_key_padding_mask=absent)
        decoded = self.norm(decoded)
        moves, scales = self.head(decoded).view(count, len(queries), -1, 4).split(2, dim=-1)
        times = torch.arange(1, moves.shape[2] + 1, device=moves.device)[:, None]
        straight = (_velocity(scene)[:, None] * times)[:, None]  # constant velocity
        return {
            "trajectories": straight + self.anchors + moves.cumsum(dim=2),
            "scales": F.softplus(scales) + 0.05,
            "logits": self.logit(decoded)[..., 0],
            "anchors": self.anchors,
        }
        # </solution>

    def encode(self, scene):
        """Tokens float32[B, N + L, HIDDEN] of road users and lanes, and which are absent, bool[B, N + L]."""
        # <solution>
        mask = scene["agents_mask"]
        count, agents, times = mask.shape
        known = mask.float()[..., None]
        moves = torch.zeros_like(scene["agents"])
        both = known[:, :, 1:] * known[:, :, :-1]
        moves[:, :, 1:] = (scene["agents"][:, :, 1:] - scene["agents"][:, :, :-1]) * both
        steps = self.steps(torch.cat([scene["agents"] / 20.0, moves, known], dim=-1)) + self.time
        present = mask.any(dim=-1)
        hidden = ~(mask | ~present[..., None])  # where nothing was seen at all, attention still needs something
        steps = self.temporal(steps.flatten(0, 1), src_key_padding_mask=hidden.flatten(0, 1))
        steps = steps.view(count, agents, times, -1).masked_fill(hidden[..., None], -1e4).amax(dim=2)
        lanes, lane = scene["lanes"], scene["lanes_mask"].any(dim=-1)
        along = torch.cat([torch.zeros_like(lanes[:, :, :1]), lanes[:, :, 1:] - lanes[:, :, :-1]], dim=2)
        points = self.points(torch.cat([lanes / 20.0, along / 5.0], dim=-1))
        points = points.masked_fill(~(scene["lanes_mask"] | ~lane[..., None])[..., None], -1e4).amax(dim=2)
        kinds = torch.cat([self.kinds[:1], self.kinds[1:2].expand(agents - 1, -1)])
        tokens = torch.cat([steps + kinds, points + self.kinds[2]], dim=1)
        absent = ~torch.cat([present, lane], dim=1)
        for layer in self.social:
            tokens = layer(tokens, src_key_padding_mask=absent)
        return tokens, absent
        # </solution>


def _encoder(hidden, heads, drop):
    """A layer of self-attention."""
    # <solution>
    return nn.TransformerEncoderLayer(hidden, heads, 2 * hidden, drop, batch_first=True, norm_first=True)
    # </solution>


def _velocity(scene):
    """Metres per step of the focal road user, float32[B, 2]: the mean of its last three steps, those that were seen."""
    # <solution>
    track, mask = scene["agents"][:, 0, -4:], scene["agents_mask"][:, 0, -4:]
    both = (mask[:, 1:] & mask[:, :-1]).float()[..., None]
    return ((track[:, 1:] - track[:, :-1]) * both).sum(dim=1) / both.sum(dim=1).clamp(min=1.0)
    # </solution>
