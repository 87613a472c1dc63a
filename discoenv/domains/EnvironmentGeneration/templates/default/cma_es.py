"""CMA-ES (Hansen, 2016, The CMA evolution strategy: a tutorial), with any number of parents."""

import numpy as np


class CMAES:
    """A normal distribution N(mean, sigma² C) that moves towards parents.

    Args:
        mean: float64[n], where it begins.
        sigma: float, first step size.
        batch_size: int, solutions between two updates.
    """

    def __init__(self, mean, sigma, batch_size):
        self._sigma0, self._batch_size = sigma, batch_size
        self.reset(mean)

    def reset(self, mean):
        """Begin again at ``mean``, with the first step size and the identity as covariance."""
        n = len(mean)
        self.mean, self.sigma, self.covariance = np.array(mean, np.float64), self._sigma0, np.eye(n)
        self._path_c, self._path_sigma, self._evaluations = np.zeros(n), np.zeros(n), 0
        self._variances, self._basis = np.ones(n), np.eye(n)

    def ask(self, rng):
        """Draw float64[batch_size, n] solutions."""
        z = rng.normal(size=(self._batch_size, len(self.mean)))
        return self.mean + self.sigma * (z * np.sqrt(self._variances)) @ self._basis.T

    def tell(self, parents):
        """Move towards float64[μ, n] parents, the best first; μ may be 0."""
        self._evaluations += self._batch_size
        if not len(parents):
            return
        n, count = len(self.mean), len(parents)
        weights = np.log(count + 0.5) - np.log(np.arange(1, count + 1))
        weights /= weights.sum()
        effective = 1 / (weights**2).sum()
        cc = (4 + effective / n) / (n + 4 + 2 * effective / n)
        cs = (effective + 2) / (n + effective + 5)
        c1 = 2 / ((n + 1.3) ** 2 + effective)
        cmu = min(1 - c1, 2 * (effective - 2 + 1 / effective) / ((n + 2) ** 2 + effective))
        damping = 1 + 2 * max(0.0, np.sqrt((effective - 1) / (n + 1)) - 1) + cs
        steps = (parents - self.mean) / self.sigma
        step = weights @ steps
        self.mean = self.mean + self.sigma * step
        white = self._basis @ ((self._basis.T @ step) / np.sqrt(self._variances))
        self._path_sigma = (1 - cs) * self._path_sigma + np.sqrt(cs * (2 - cs) * effective) * white
        length = self._path_sigma @ self._path_sigma / n
        is_short = length / (1 - (1 - cs) ** (2 * self._evaluations / self._batch_size)) < 2 + 4 / (n + 1)
        self._path_c = (1 - cc) * self._path_c + is_short * np.sqrt(cc * (2 - cc) * effective) * step
        kept = 1 - c1 * (1 - (1 - is_short) * cc * (2 - cc)) - cmu
        spread = (steps * weights[:, None]).T @ steps
        covariance = kept * self.covariance + c1 * np.outer(self._path_c, self._path_c) + cmu * spread
        self.covariance = (covariance + covariance.T) / 2
        variances, self._basis = np.linalg.eigh(self.covariance)
        self._variances = np.maximum(variances, 1e-20)
        self.sigma *= float(np.exp(min(1.0, cs / damping * (length - 1) / 2)))

    def is_degenerate(self):
        """Whether the distribution is too narrow, or narrow in one direction, to go on."""
        largest, smallest = self._variances.max(), self._variances.min()
        return bool(largest / smallest > 1e14 or self.sigma * np.sqrt(largest) < 1e-11)
