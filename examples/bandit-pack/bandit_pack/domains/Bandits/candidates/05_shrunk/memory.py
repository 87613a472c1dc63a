"""Means shrunk towards that of all arms, as if each arm had paid it a few times. Efron and Morris 1973."""

import numpy as np

STRENGTH = 3.0


class Memory:
    """Counts, means and variances of the rewards of each arm, with an empirical prior."""

    def __init__(self, problems, arms):
        """Begin empty: ``problems`` P, ``arms`` K."""
        self.rows = np.arange(problems)
        self.pulls, self.sums, self.squares = np.zeros((3, problems, arms))

    def update(self, pulled, rewards):
        """Take in arms int64[P] and their rewards float64[P]."""
        self.pulls[self.rows, pulled] += 1
        self.sums[self.rows, pulled] += rewards
        self.squares[self.rows, pulled] += rewards**2

    def read(self):
        """``pulls``, ``mean``, ``variance``: float64[P, K]."""
        tried = np.maximum(self.pulls, 1)
        arms = np.maximum((self.pulls > 0).sum(axis=1, keepdims=True), 1)
        overall = (self.sums / tried).sum(axis=1, keepdims=True) / arms
        pulls = self.pulls + STRENGTH
        mean = (self.sums + STRENGTH * overall) / pulls
        variance = np.maximum(self.squares / tried - (self.sums / tried) ** 2, 0)
        return pulls, mean, variance
