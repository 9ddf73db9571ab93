"""Bayesian regression on connections and pairs of connections, and where a function of that kind is greatest.

Bits are +1 and -1 here. A function is f(x) = constant + sum_i w_i x_i + sum_{i<j} W_ij x_i x_j with independent normal
coefficients, so values have the kernel

    k(x, z) = v0 + v1 * (x.z) / m + v2 * ((x.z)^2 - m) / (m (m - 1))

in which v1 and v2 are the variances that connections and pairs contribute. Everything is solved in the space of the n
observed schemes, whatever the number of coefficients (1,486 for 54 blocks).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

CONSTANT = 1.0
NOISES = (0.003, 0.03, 0.1, 0.3)
PAIR_SHARES = (0.0, 0.2, 0.5, 0.8)


@dataclass(frozen=True)
class Quadratic:
    """A function of x in {-1, +1}^m, less its constant: `linear` (m,), `pairs` (m, m) symmetric, diagonal zero."""

    linear: np.ndarray
    pairs: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Values (n,) of x (n, m); each pair counts once."""
        return x @ self.linear + 0.5 * ((x @ self.pairs) * x).sum(1)

    def climb(self, x: np.ndarray) -> np.ndarray:
        """The local optima (n, m) that the steepest single flips lead to from x (n, m)."""
        x = x.copy()
        rows = np.arange(len(x))
        while True:
            gains = -2 * x * (self.linear + x @ self.pairs)
            best = gains.argmax(1)
            moving = gains[rows, best] > 1e-12
            if not moving.any():
                return x
            x[rows[moving], best[moving]] *= -1


class QuadraticRegression:
    """The posterior over such functions.

    How much pairs and noise contribute is chosen by the evidence (marginal likelihood), from a small grid.

    Args:
        x: observed schemes (n, m), of -1 and +1.
        y: their values (n,); their unit does not matter.
        pairs: whether pairs may contribute.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, *, pairs: bool = True) -> None:
        self.x, self.m = x.astype(float), x.shape[1]
        spread = float(y.std()) or 1.0
        self.y = (y - y.mean()) / spread
        products = self.x @ self.x.T
        self._linear = products / self.m
        self._pairs = (products**2 - self.m) / max(self.m * (self.m - 1), 1)
        shares = PAIR_SHARES if pairs and self.m > 1 else (0.0,)
        self.share, self.noise = max(
            ((share, noise) for share in shares for noise in NOISES), key=lambda pair: self.evidence(*pair)
        )
        self._factor = cho_factor(self._covariance(self.share, self.noise), lower=True)
        # The scale of the whole covariance that makes the observations likeliest, given its shape.
        self.scale = float(np.sqrt(self.y @ cho_solve(self._factor, self.y) / len(self.y))) or 1.0

    def _covariance(self, share: float, noise: float) -> np.ndarray:
        return CONSTANT + (1 - share) * self._linear + share * self._pairs + noise * np.eye(len(self.y))

    def evidence(self, share: float, noise: float) -> float:
        """Logarithm of the marginal likelihood, up to a constant, at the likeliest scale."""
        factor = cho_factor(self._covariance(share, noise), lower=True)
        fit = max(float(self.y @ cho_solve(factor, self.y)), 1e-12)
        return -0.5 * len(self.y) * np.log(fit) - float(np.log(np.diag(factor[0])).sum())

    def mean(self) -> Quadratic:
        """The posterior mean, in units of the values' standard deviation."""
        return self._from_weights(cho_solve(self._factor, self.y))

    def sample(self, draw: np.random.Generator) -> Quadratic:
        """A function from the posterior: one from the prior, corrected by what it misses (Matheron's rule)."""
        linear = draw.standard_normal(self.m) * np.sqrt((1 - self.share) / self.m)
        upper = np.triu(draw.standard_normal((self.m, self.m)), 1)
        pairs = (upper + upper.T) * np.sqrt(self.share / max(self.m * (self.m - 1) / 2, 1))
        prior = Quadratic(self.scale * linear, self.scale * pairs)
        disturbance = np.sqrt(CONSTANT) * draw.standard_normal() + np.sqrt(self.noise) * draw.standard_normal(
            len(self.y)
        )
        missed = self.y - prior(self.x) - self.scale * disturbance
        correction = self._from_weights(cho_solve(self._factor, missed))
        return Quadratic(prior.linear + correction.linear, prior.pairs + correction.pairs)

    def _from_weights(self, weights: np.ndarray) -> Quadratic:
        """The function sum_s weights_s k(x_s, .), for weights (n,)."""
        pairs = self.x.T @ (weights[:, None] * self.x) * (2 * self.share / max(self.m * (self.m - 1), 1))
        np.fill_diagonal(pairs, 0)
        return Quadratic((1 - self.share) / self.m * (weights @ self.x), pairs)
