"""What all systems share: their form, random numbers, the constant channel, noise."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ntkrnn import _checks
from ntkrnn._memory import require
from ntkrnn._random import generator


class System(NamedTuple):
    """Inputs and outputs of a dynamical system."""

    x: np.ndarray
    """``[n, T, d]``, tokens of norm at most 1."""
    y: np.ndarray
    """``[n, T, 1]``"""
    name: str


def begin(key: Any, n: Any, length: Any) -> tuple[np.random.Generator, int, int]:
    """The generator of a key, and n and T as integers."""
    n, length = _checks.positive_integer("n", n), _checks.positive_integer("T", length)
    require(
        "n", 8 * 8 * n * length, f"n={n} records of T={length} steps", "draw fewer or shorter ones."
    )
    return generator(key), n, length


def with_constant(x: np.ndarray) -> np.ndarray:
    """``(x_t, 1)/sqrt 2`` for x in [-1, 1]."""
    return np.stack([x, np.ones_like(x)], axis=2) / (math.sqrt(2) * (1 + np.finfo(float).eps))


def noisy(rng: np.random.Generator, y: np.ndarray, noise: Any) -> np.ndarray:
    """``[n, T, 1]``: y ``[n, T]`` with Gaussian noise of this standard deviation."""
    noise = _checks.nonnegative_float("noise", noise)
    return (y + noise * rng.standard_normal(y.shape))[:, :, None]
