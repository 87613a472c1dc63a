"""Discounted UCB's memory: old rewards count less and less. Kocsis and Szepesvári 2006."""

import numpy as np

DISCOUNT = 0.995


class Memory:
    """Counts, means and variances of the rewards of each arm, with exponential forgetting."""

    def __init__(self, problems, arms):
        """Begin empty: ``problems`` P, ``arms`` K."""
        self.rows = np.arange(problems)
        self.sums = np.zeros((3, problems, arms))

    def update(self, pulled, rewards):
        """Take in arms int64[P] and their rewards float64[P]."""
        self.sums *= DISCOUNT
        self.sums[:, self.rows, pulled] += np.stack([np.ones_like(rewards), rewards, rewards**2])

    def read(self):
        """``pulls``, ``mean``, ``variance``: float64[P, K]."""
        pulls, sums, squares = self.sums
        weight = np.maximum(pulls, 1e-12)
        mean = sums / weight
        return pulls, mean, np.maximum(squares / weight - mean**2, 0)
