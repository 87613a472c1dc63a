"""Cosines with random frequencies and phases, which approximate a Gaussian kernel. Rahimi and Recht 2007."""

import numpy as np

COUNT = 40
LENGTH = 0.7
_RNG = np.random.default_rng(0)
FREQUENCIES = _RNG.normal(size=COUNT) / LENGTH
PHASES = _RNG.uniform(0, 2 * np.pi, size=COUNT)


def features(x):
    """Features float64[N, 41] of inputs float64[N]."""
    waves = np.sqrt(2 / COUNT) * np.cos(x[:, None] * FREQUENCIES + PHASES)
    return np.concatenate([np.ones((len(x), 1)), waves], axis=1)
