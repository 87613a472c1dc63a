"""CMA-ES (Hansen, 2016, The CMA evolution strategy: a tutorial, arXiv:1604.00772), with any number of parents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from .archives import Array, FloatArray


class Rates(NamedTuple):
    """Weights of the parents and learning rates that follow from their number (tutorial, table 1).

    Attributes:
        weights: float64[parents], positive, from the best, with sum 1.
        mueff: variance-effective number of parents.
        cc, cs, c1, cmu, damps: rates of the evolution paths, of both updates of the covariance, and of the step size.
    """

    weights: FloatArray
    mueff: float
    cc: float
    cs: float
    c1: float
    cmu: float
    damps: float


def rates(parents: int, n: int) -> Rates:
    """Rates for a number of parents in ``n`` dimensions."""
    raw = np.log(parents + 0.5) - np.log(np.arange(1, parents + 1))
    weights = raw / raw.sum()
    mueff = float(1 / (weights**2).sum())
    cc = (4 + mueff / n) / (n + 4 + 2 * mueff / n)
    cs = (mueff + 2) / (n + mueff + 5)
    c1 = 2 / ((n + 1.3) ** 2 + mueff)
    cmu = min(1 - c1, 2 * (mueff - 2 + 1 / mueff) / ((n + 2) ** 2 + mueff))
    damps = 1 + 2 * max(0.0, float(np.sqrt((mueff - 1) / (n + 1))) - 1) + cs
    return Rates(weights, mueff, cc, cs, c1, cmu, damps)


class CMAES:
    """A normal distribution N(mean, sigma² C) that moves towards parents.

    With parents x_1, …, x_μ from the best on, y_i = (x_i − m) / σ, and ȳ = Σ w_i y_i:

        m ← m + σ ȳ
        p_σ ← (1 − c_σ) p_σ + √(c_σ (2 − c_σ) μ_eff) C^(−1/2) ȳ
        p_c ← (1 − c_c) p_c + h √(c_c (2 − c_c) μ_eff) ȳ
        C ← (1 − c_1 (1 − (1 − h) c_c (2 − c_c)) − c_μ) C + c_1 p_c p_cᵀ + c_μ Σ w_i y_i y_iᵀ
        σ ← σ exp(min(1, c_σ / d_σ (|p_σ|² / n − 1) / 2))

    where h is 0 while |p_σ|² is large, else 1.

    Args:
        mean: first mean, float64[n].
        sigma: first step size.
        batch_size: solutions between two updates.
    """

    def __init__(self, mean: FloatArray, sigma: float, batch_size: int) -> None:
        self._sigma0 = sigma
        self._batch_size = batch_size
        n = len(mean)
        r = rates(batch_size // 2 or 1, n)
        self._lazy_evals = 0.5 * batch_size / ((r.c1 + r.cmu) * n)
        self.reset(mean)

    def reset(self, mean: FloatArray) -> None:
        """Begin again at ``mean``, with the first step size and the identity as covariance."""
        n = len(mean)
        self.mean = np.array(mean, np.float64)
        self.sigma = self._sigma0
        self.covariance = np.eye(n)
        self.path_c, self.path_sigma = np.zeros(n), np.zeros(n)
        self.evals = 0
        self._eigen_evals = 0
        self._eigenvalues, self._basis = np.ones(n), np.eye(n)

    def ask(self, rng: np.random.Generator) -> FloatArray:
        """Draw float64[batch_size, n] solutions."""
        if self.evals > self._eigen_evals + self._lazy_evals:
            self.covariance = (self.covariance + self.covariance.T) / 2
            eigenvalues, self._basis = np.linalg.eigh(self.covariance)
            self._eigenvalues = np.maximum(eigenvalues, 1e-20)
            self._eigen_evals = self.evals
        z = rng.normal(size=(self._batch_size, len(self.mean)))
        return self.mean + self.sigma * (z * np.sqrt(self._eigenvalues)) @ self._basis.T

    def tell(self, parents: FloatArray) -> None:
        """Update with float64[μ, n] parents, the best first; without parents only evaluations are counted."""
        self.evals += self._batch_size
        if not len(parents):
            return
        n = len(self.mean)
        r = rates(len(parents), n)
        ys = (parents - self.mean) / self.sigma
        y = r.weights @ ys
        self.mean = self.mean + self.sigma * y
        z = self._basis @ ((self._basis.T @ y) / np.sqrt(self._eigenvalues))
        self.path_sigma = (1 - r.cs) * self.path_sigma + np.sqrt(r.cs * (2 - r.cs) * r.mueff) * z
        length = float(self.path_sigma @ self.path_sigma) / n
        h = float(length / (1 - (1 - r.cs) ** (2 * self.evals / self._batch_size)) < 2 + 4 / (n + 1))
        self.path_c = (1 - r.cc) * self.path_c + h * np.sqrt(r.cc * (2 - r.cc) * r.mueff) * y
        keep = 1 - r.c1 * (1 - (1 - h) * r.cc * (2 - r.cc)) - r.cmu
        rank_mu = (ys * r.weights[:, None]).T @ ys
        self.covariance = keep * self.covariance + r.c1 * np.outer(self.path_c, self.path_c) + r.cmu * rank_mu
        self.sigma *= float(np.exp(min(1.0, r.cs / r.damps * (length - 1) / 2)))

    def is_degenerate(self) -> bool:
        """Whether the distribution is too narrow, or narrow in one direction, to go on."""
        largest, smallest = self._eigenvalues.max(), self._eigenvalues.min()
        return bool(largest / smallest > 1e14 or self.sigma * np.sqrt(largest) < 1e-11)

    def state(self) -> dict[str, Array]:
        """Arrays from which :meth:`restore` makes the same distribution."""
        return {
            "mean": self.mean,
            "sigma": np.array(self.sigma),
            "covariance": self.covariance,
            "path_c": self.path_c,
            "path_sigma": self.path_sigma,
            "evals": np.array([self.evals, self._eigen_evals]),
            "eigenvalues": self._eigenvalues,
            "basis": self._basis,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become the distribution whose :meth:`state` this is."""
        self.mean, self.covariance = state["mean"], state["covariance"]
        self.path_c, self.path_sigma = state["path_c"], state["path_sigma"]
        self.sigma = float(state["sigma"])
        self.evals, self._eigen_evals = (int(n) for n in state["evals"])
        self._eigenvalues, self._basis = state["eigenvalues"], state["basis"]
