"""The memory: what is kept of past rewards."""

import numpy as np


class Memory:
    """Counts, means and variances of the rewards of each arm, for P problems of K arms."""

    def __init__(self, problems, arms):
        """Begin empty: ``problems`` P, ``arms`` K."""
        # <solution>
        self.rows = np.arange(problems)
        self.pulls, self.sums, self.squares = np.zeros((3, problems, arms))
        # </solution>

    def update(self, pulled, rewards):
        """Take in one step: arms int64[P] that were pulled, and their rewards float64[P]."""
        # <solution>
        self.pulls[self.rows, pulled] += 1
        self.sums[self.rows, pulled] += rewards
        self.squares[self.rows, pulled] += rewards**2
        # </solution>

    def read(self):
        """``pulls``, ``mean``, ``variance``: float64[P, K] each; anything finite for arms that were not pulled."""
        # <solution>
        pulls = np.maximum(self.pulls, 1)
        mean = self.sums / pulls
        return self.pulls, mean, np.maximum(self.squares / pulls - mean**2, 0)
        # </solution>
