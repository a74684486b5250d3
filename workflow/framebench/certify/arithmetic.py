"""NumPy's arithmetic, exact up to float64 or perturbed at every operation as rounding can perturb it."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

ELEMENTARY = 8  # most roundings of an exp, a log, a quotient and the few additions around them


@dataclass
class Arithmetic:
    """Exact up to float64 (`unit` 0), or perturbed as rounding with unit roundoff `unit` may perturb it.

    An inner product of n terms satisfies |computed − x·y| ≤ γ_n |x|·|y| with γ_n ≈ n·unit, in any order of summation,
    with or without fused multiply-adds (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., eq. 3.5).
    `growth` maps n to the factor used in place of n. Each result is displaced by that much times a number drawn from
    [−1, 1].
    """

    unit: float = 0.0
    growth: Callable[[int], float] = float
    generator: np.random.Generator = field(default_factory=lambda: np.random.Generator(np.random.PCG64(0)))
    elementary: float = ELEMENTARY

    def product(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """The matrix product (m, n) × (n, p)."""
        exact = a @ b
        if not self.unit:
            return exact
        return self._displaced(exact, self.growth(a.shape[1]) * (np.abs(a) @ np.abs(b)))

    def total(self, a: np.ndarray) -> np.ndarray:
        """The sum over the first axis."""
        exact = a.sum(axis=0)
        if not self.unit:
            return exact
        return self._displaced(exact, self.growth(len(a)) * np.abs(a).sum(axis=0))

    def rounded(self, exact: np.ndarray, *terms: np.ndarray) -> np.ndarray:
        """The result of a few elementary operations on these terms (default: itself)."""
        if not self.unit:
            return exact
        return self._displaced(exact, self.elementary * sum(np.abs(term) for term in terms or (exact,)))

    def _displaced(self, exact: np.ndarray, units: np.ndarray) -> np.ndarray:
        return exact + self.unit * units * (2 * self.generator.random(exact.shape, exact.dtype) - 1)
