"""The network: tokens in, logits of the next token out."""

import torch
import torch.nn.functional as F
from torch import nn


class Model(nn.Module):
    """A causal language model.

    Args:
        config: the run's configuration (dict): VOCABULARY, CONTEXT, LAYERS, WIDTH, MAX_PARAMETERS.
    """

    def __init__(self, config):
        super().__init__()
        # <solution>
        self.embed = nn.Embedding(config["VOCABULARY"], config["WIDTH"])
        self.blocks = nn.ModuleList(_Block(config["WIDTH"]) for _ in range(config["LAYERS"]))
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
    """A short convolution and a gated recurrence (De et al. 2024, Griffin), then a multilayer perceptron."""

    def __init__(self, width):
        super().__init__()
        # <solution>
        self.value = nn.Linear(width, width, bias=False)
        self.gate = nn.Linear(width, width, bias=False)
        self.forget = nn.Linear(width, width, bias=False)
        self.decay = nn.Parameter(torch.linspace(-3.0, 3.0, width))  # states that last from one token to hundreds
        self.kernel = nn.Parameter(torch.tensor([0.1, 0.2, 0.3, 0.4])[:, None].repeat(1, width))
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)
        # </solution>

    def forward(self, x):
        """Float32[B, T, WIDTH] of the same."""
        # <solution>
        inner = _norm(x)
        x = x + self.out(F.silu(self.gate(inner)) * _norm(self._recurrence(inner)))
        return x + self.down(F.relu(self.up(_norm(x))).square())
        # </solution>

    def _recurrence(self, x):
        """States h_t = a_t h_{t-1} + sqrt(1 - a_t²) v_t, where v is convolved and a_t depends on x_t."""
        # <solution>
        value = self.value(x)
        padded = F.pad(value, (0, 0, len(self.kernel) - 1, 0))
        value = sum(padded[:, lag : lag + x.shape[1]] * weight for lag, weight in enumerate(self.kernel))
        log_a = -F.softplus(self.forget(x) - self.decay)
        return _scan(log_a, torch.sqrt(-torch.expm1(2.0 * log_a) + 1e-6) * value)
        # </solution>


def _scan(log_a, b):
    """All h_t = exp(log_a_t) h_{t-1} + b_t, of float32[B, T, D] each, in log2(T) steps (Hillis & Steele 1986)."""
    # <solution>
    a, step = log_a.exp(), 1
    while step < b.shape[1]:
        b = torch.cat([b[:, :step], b[:, step:] + a[:, step:] * b[:, :-step]], dim=1)
        a = torch.cat([a[:, :step], a[:, step:] * a[:, :-step]], dim=1)
        step *= 2
    return b
    # </solution>


def _norm(x):
    """``x`` divided by its root mean square along the last axis (Zhang & Sennrich 2019), without weights."""
    # <solution>
    return F.rms_norm(x, x.shape[-1:])
    # </solution>
