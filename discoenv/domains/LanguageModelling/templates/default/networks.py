"""The network: tokens in, logits of the next token out."""

import torch
import torch.nn.functional as F
from torch import nn


class Model(nn.Module):
    """A causal language model.

    Args:
        config: the run's configuration (dict): VOCABULARY, CONTEXT, LAYERS, WIDTH, HEADS, MAX_PARAMETERS.
    """

    def __init__(self, config):
        super().__init__()
        # <solution>
        self.embed = nn.Embedding(config["VOCABULARY"], config["WIDTH"])
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config["LAYERS"]))
        self.head = nn.Linear(config["WIDTH"], config["VOCABULARY"], bias=False)
        # </solution>

    def forward(self, tokens):
        """Logits of the token after each one.

        Args:
            tokens: int64[B, T], T at most CONTEXT.

        Returns:
            float32[B, T, VOCABULARY]. Those at a position may depend on the tokens up to it, itself included, alone.
        """
        # <solution>
        x = _norm(self.embed(tokens))
        for block in self.blocks:
            x = block(x)
        return self.head(_norm(x))
        # </solution>


class _Block(nn.Module):
    """Attention, then a multilayer perceptron; each adds to its input."""

    def __init__(self, config):
        super().__init__()
        # <solution>
        width = config["WIDTH"]
        self.heads = config["HEADS"]
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)
        # </solution>

    def forward(self, x):
        """Float32[B, T, WIDTH] of the same."""
        # <solution>
        x = x + self.out(self._attention(_norm(x)))
        return x + self.down(F.relu(self.up(_norm(x))).square())  # So et al. 2021
        # </solution>

    def _attention(self, x):
        """Causal attention with rotary positions (Su et al. 2021) and normalised queries and keys (Henry et al.)."""
        # <solution>
        shape = (*x.shape[:2], self.heads, -1)
        query, key, value = (project(x).view(shape).transpose(1, 2) for project in (self.query, self.key, self.value))
        query, key = (_rotated(_norm(each)) for each in (query, key))
        return F.scaled_dot_product_attention(query, key, value, is_causal=True).transpose(1, 2).flatten(2)
        # </solution>


def _norm(x):
    """``x`` divided by its root mean square along the last axis (Zhang & Sennrich 2019), without weights."""
    # <solution>
    return F.rms_norm(x, x.shape[-1:])
    # </solution>


def _rotated(x):
    """``x`` float32[B, H, T, D], each pair of its dimensions turned by an angle in proportion to the position."""
    # <solution>
    half = x.shape[-1] // 2
    frequencies = 10_000.0 ** (-torch.arange(half, device=x.device) / half)
    angles = torch.arange(x.shape[-2], device=x.device)[:, None] * frequencies
    cosine, sine = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], dim=-1)
    # </solution>
