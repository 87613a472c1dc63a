"""The mean reward so far, without exploration: follow the leader."""


def index(pulls, mean, variance, confidence, step, horizon, rng):
    """The mean of each arm, float64[P, K]."""
    return mean
