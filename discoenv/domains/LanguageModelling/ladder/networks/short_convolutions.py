"""The base decoder with causal convolutions over four tokens before attention and multilayer perceptron.

Allen-Zhu 2025, Physics of language models 4.1 (canon layers); So et al. 2021, Primer.
"""

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
        self.embed = nn.Embedding(config["VOCABULARY"], config["WIDTH"])
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config["LAYERS"]))
        self.head = nn.Linear(config["WIDTH"], config["VOCABULARY"], bias=False)

    def forward(self, tokens):
        """Logits of the token after each one.

        Args:
            tokens: int64[B, T], T at most CONTEXT.

        Returns:
            float32[B, T, VOCABULARY]. Those at a position may depend on the tokens up to it, itself included, alone.
        """
        x = _norm(self.embed(tokens))
        for block in self.blocks:
            x = block(x)
        return self.head(_norm(x))


class _Block(nn.Module):
    """Attention, then a multilayer perceptron; each adds to its input."""

    def __init__(self, config):
        super().__init__()
        width = config["WIDTH"]
        self.heads = config["HEADS"]
        self.before_attention = nn.Parameter(torch.zeros(4, width))
        self.before_perceptron = nn.Parameter(torch.zeros(4, width))
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, x):
        """Float32[B, T, WIDTH] of the same."""
        x = x + self.out(self._attention(_mixed(_norm(x), self.before_attention)))
        return x + self.down(F.relu(self.up(_mixed(_norm(x), self.before_perceptron))).square())  # So et al. 2021

    def _attention(self, x):
        """Causal attention with rotary positions (Su et al. 2021) and normalised queries and keys (Henry et al.)."""
        shape = (*x.shape[:2], self.heads, -1)
        query, key, value = (project(x).view(shape).transpose(1, 2) for project in (self.query, self.key, self.value))
        query, key = (_rotated(_norm(each)) for each in (query, key))
        return F.scaled_dot_product_attention(query, key, value, is_causal=True).transpose(1, 2).flatten(2)


def _mixed(x, kernel):
    """``x`` float32[B, T, W] and what ``kernel`` float32[4, W] makes of each place and the three before it."""
    padded = F.pad(x, (0, 0, len(kernel) - 1, 0))
    return x + sum(padded[:, lag : lag + x.shape[1]] * weight for lag, weight in enumerate(kernel))


def _norm(x):
    """``x`` divided by its root mean square along the last axis (Zhang & Sennrich 2019), without weights."""
    return F.rms_norm(x, x.shape[-1:])


def _rotated(x):
    """``x`` float32[B, H, T, D], each pair of its dimensions turned by an angle in proportion to the position."""
    half = x.shape[-1] // 2
    frequencies = 10_000.0 ** (-torch.arange(half, device=x.device) / half)
    angles = torch.arange(x.shape[-2], device=x.device)[:, None] * frequencies
    cosine, sine = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], dim=-1)
