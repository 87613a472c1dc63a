"""Learned positions, layer norms and GELUs (Radford et al. 2019, Language models are multitask learners)."""

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
        self.place = nn.Embedding(config["CONTEXT"], config["WIDTH"])
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config["LAYERS"]))
        self.head = nn.Linear(config["WIDTH"], config["VOCABULARY"], bias=False)

    def forward(self, tokens):
        """Logits of the token after each one.

        Args:
            tokens: int64[B, T], T at most CONTEXT.

        Returns:
            float32[B, T, VOCABULARY]. Those at a position may depend on the tokens up to it, itself included, alone.
        """
        x = self.embed(tokens) + self.place(torch.arange(tokens.shape[1], device=tokens.device))
        for block in self.blocks:
            x = block(x)
        return self.head(_norm(x))


class _Block(nn.Module):
    """Attention, then a multilayer perceptron; each adds to its input."""

    def __init__(self, config):
        super().__init__()
        width = config["WIDTH"]
        self.heads = config["HEADS"]
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, x):
        """Float32[B, T, WIDTH] of the same."""
        x = x + self.out(self._attention(_norm(x)))
        return x + self.down(F.gelu(self.up(_norm(x))))

    def _attention(self, x):
        """Causal attention."""
        shape = (*x.shape[:2], self.heads, -1)
        query, key, value = (project(x).view(shape).transpose(1, 2) for project in (self.query, self.key, self.value))
        return F.scaled_dot_product_attention(query, key, value, is_causal=True).transpose(1, 2).flatten(2)


def _norm(x):
    """``x`` with mean 0 and variance 1 along the last axis (Ba et al. 2016), without weights."""
    return F.layer_norm(x, x.shape[-1:])
