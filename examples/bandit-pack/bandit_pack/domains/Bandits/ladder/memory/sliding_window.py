"""Sliding-window UCB's memory: the last rewards alone. Garivier and Moulines 2011."""

from collections import deque

import numpy as np

WINDOW = 500


class Memory:
    """Counts, means and variances of the rewards of each arm over the last steps."""

    def __init__(self, problems, arms):
        """Begin empty: ``problems`` P, ``arms`` K."""
        self.rows = np.arange(problems)
        self.sums = np.zeros((3, problems, arms))
        self.window = deque()

    def update(self, pulled, rewards):
        """Take in arms int64[P] and their rewards float64[P]."""
        new = np.stack([np.ones_like(rewards), rewards, rewards**2])
        self.sums[:, self.rows, pulled] += new
        self.window.append((pulled, new))
        if len(self.window) > WINDOW:
            left, old = self.window.popleft()
            self.sums[:, self.rows, left] -= old

    def read(self):
        """``pulls``, ``mean``, ``variance``: float64[P, K]."""
        pulls, sums, squares = self.sums
        weight = np.maximum(pulls, 1)
        mean = sums / weight
        return pulls, mean, np.maximum(squares / weight - mean**2, 0)
