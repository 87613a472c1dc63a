"""KL-UCB for rewards in [0, 1]: the largest mean plausible by Bernoulli's divergence. Garivier and Cappé 2011."""

import numpy as np

HALVINGS = 20


def divergence(p, q):
    """Kullback–Leibler divergence of Bernoulli distributions with means p and q."""
    q = np.clip(q, 1e-12, 1 - 1e-12)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(p > 0, p * np.log(p / q), 0) + np.where(p < 1, (1 - p) * np.log((1 - p) / (1 - q)), 0)


def index(pulls, mean, variance, confidence, step, horizon, rng):
    """The upper confidence bound of each arm, float64[P, K], by bisection; rewards beyond [0, 1] count as its ends."""
    mean = np.clip(mean, 0, 1)
    low, high = mean, np.ones_like(mean)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        plausible = pulls * divergence(mean, middle) <= confidence
        low, high = np.where(plausible, middle, low), np.where(plausible, high, middle)
    return low
