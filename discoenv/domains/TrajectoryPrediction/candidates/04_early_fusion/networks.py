"""All that a scene holds as one sequence, which latent queries read (Nayakanti et al. 2023, Wayformer)."""

import torch
import torch.nn.functional as F
from torch import nn

LATENTS = 12


class Model(nn.Module):
    """Tokens: two pieces of each history, and each lane. Latent queries read them, the modes read the latent ones."""

    def __init__(self, config, anchors):
        super().__init__()
        self.register_buffer("anchors", anchors.clone())
        hidden, heads = config["HIDDEN"], config["HEADS"]
        self.half = (config["HISTORY"] + 1) // 2
        self.track = nn.Sequential(nn.Linear(5 * self.half, hidden), nn.ReLU(), nn.Linear(hidden, hidden))
        self.line = nn.Sequential(nn.Linear(5 * config["LANE_POINTS"], hidden), nn.ReLU(), nn.Linear(hidden, hidden))
        self.kinds = nn.Parameter(0.02 * torch.randn(5, hidden))  # focal and others, old and new; lanes
        self.latents = nn.Parameter(torch.randn(LATENTS, hidden))
        self.queries = nn.Parameter(torch.randn(len(anchors), hidden))
        self.starts = nn.Linear(2 * config["FUTURE"], hidden)

        def reading():
            return nn.TransformerDecoderLayer(
                hidden, heads, 2 * hidden, config["DROPOUT"], batch_first=True, norm_first=True
            )

        self.encoder = nn.ModuleList(reading() for _ in range(config["LAYERS"]))
        self.decoder = nn.ModuleList(reading() for _ in range(config["LAYERS"]))
        self.norm = nn.LayerNorm(hidden)
        self.head = nn.Sequential(
            nn.Linear(hidden, 2 * hidden), nn.ReLU(), nn.Linear(2 * hidden, 4 * config["FUTURE"] + 1)
        )

    def forward(self, scene):
        """Steps from constant velocity and the anchors."""
        agents, seen = scene["agents"], scene["agents_mask"]
        mask = seen.float()[..., None]
        both = mask[:, :, 1:] * mask[:, :, :-1]
        moves = F.pad((agents[:, :, 1:] - agents[:, :, :-1]) * both, (0, 0, 1, 0))
        steps = torch.cat([agents / 20.0, moves, mask], dim=-1)
        old, new = (self.track(part.flatten(2)) for part in (steps[:, :, : self.half], steps[:, :, -self.half :]))
        lanes, on_map = scene["lanes"], scene["lanes_mask"]
        along = F.pad(lanes[:, :, 1:] - lanes[:, :, :-1], (0, 0, 1, 0))
        lines = self.line(torch.cat([lanes / 20.0, along / 5.0, on_map.float()[..., None]], dim=-1).flatten(2))
        others = agents.shape[1] - 1
        kinds = [torch.cat([self.kinds[k : k + 1], self.kinds[k + 1 : k + 2].expand(others, -1)]) for k in (0, 2)]
        tokens = torch.cat([old + kinds[0], new + kinds[1], lines + self.kinds[4]], dim=1)
        hidden = [~seen[:, :, : self.half].any(dim=-1), ~seen[:, :, -self.half :].any(dim=-1), ~on_map.any(dim=-1)]
        absent = torch.cat(hidden, dim=1)
        latents = self.latents + new[:, :1]
        for layer in self.encoder:
            latents = layer(latents, tokens, memory_key_padding_mask=absent)
        decoded = self.queries + self.starts(self.anchors.flatten(1) / 20.0) + new[:, :1]
        for layer in self.decoder:
            decoded = layer(decoded, torch.cat([latents, new[:, :1]], dim=1))
        out = self.head(self.norm(decoded))
        numbers, logits = out[..., :-1].reshape(len(agents), decoded.shape[1], -1, 4), out[..., -1]
        step = moves[:, 0, -3:].sum(dim=1) / both[:, 0, -3:].sum(dim=1).clamp(min=1.0)
        times = torch.arange(1, numbers.shape[2] + 1, device=agents.device)[:, None]
        base = (step[:, None] * times)[:, None] + self.anchors
        return {
            "trajectories": base + numbers[..., :2].cumsum(dim=2),
            "scales": F.softplus(numbers[..., 2:]) + 0.05,
            "logits": logits,
            "anchors": self.anchors,
        }
