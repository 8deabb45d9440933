"""The tangent kernel of the ReLU network as an analytic function of the inner products of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np


class Tokens(NamedTuple):
    """What two sequences have in common, and how far apart they are where nothing is expanded."""

    squares: np.ndarray
    """``[L]``: squared norms."""
    distances: np.ndarray
    """``[L]``: ``||x_l||^2 - s_l``, half the squared distances."""
    shared: tuple[int, ...]
    """Positions where it is 0."""


class Kernel(NamedTuple):
    """Theta as a function of ``t_k = s_l/||x_l||^2`` at N positions l, real or complex."""

    tokens: Tokens
    positions: tuple[int, ...]

    def __call__(self, values: Sequence[Any]) -> np.ndarray:
        """Theta where the t_k are ``values``, broadcast; NaN beyond the singularity on the real axis.

        The distance ``D_l = Q_l - K_l`` is carried, not K_l: near correlation 1, where rescaled tokens
        live, it keeps the digits that K_l would lose.
        """
        at = dict(zip(self.positions, values, strict=True))
        total, distance, state, theta = 0.0, np.zeros(()), np.zeros(()), np.zeros(())
        for step, square in enumerate(self.tokens.squares):
            total += square
            if not total:
                continue  # nothing but zeros so far: no kernel yet
            token = square * (1 - at[step]) if step in at else self.tokens.distances[step]
            half = (distance + token) / (2 * total)  # (1 - rho)/2 = sin^2(angle/2)
            # On the disc |rho| < 1 of the series half has a positive real part: principal branches.
            root = np.sqrt(half)
            angle = 2 * np.arcsin(root)
            sine, cosine = 2 * root * np.sqrt(1 - half), 1 - 2 * half
            theta = (1 - angle / np.pi) * (state + theta)
            distance = total * (2 * half - (sine - angle * cosine) / np.pi)
            state = total - distance
        return theta


def largest_radius(kernel: Kernel) -> tuple[float, float]:
    """R, where the series in all t_k = R stops to converge, from below; and Theta there.

    Some correlation reaches 1 there, and not before R = 1, where both sequences are equal if all else
    is. Correlations grow with R, so bisection finds it.
    """
    n = len(kernel.positions)

    def value(radius: float) -> float:
        with np.errstate(invalid="ignore"):  # NaN is the sign of a correlation above 1
            return float(kernel([np.float64(radius)] * n))

    low, high = 1.0, 2.0
    while np.isfinite(value(high)):
        low, high = high, 2 * high
    while high - low > 1e-6 * low:
        middle = (low + high) / 2
        low, high = (middle, high) if np.isfinite(value(middle)) else (low, middle)
    return low, value(low)
