"""Sequences of the experiments: a shared marker first, then tokens of one norm."""

from __future__ import annotations

import numpy as np

from ntkrnn.theory import sample_tokens

NORMS = {"unit": 0.0, "balanced": 0.5, "small": 1.5}
"""Powers p of the norm ``L^{-p}`` of the tokens behind the marker."""
REGIMES = ("unit", "small")
"""Those that WSHC21 tells apart."""


def token_norm(regime: str, length: int) -> float:
    """The norm of the tokens behind the marker, in sequences of ``length`` with the marker."""
    return float(length) ** -NORMS[regime]


def marked(tokens: np.ndarray, norm: float) -> np.ndarray:
    """``[n, L-1, d]`` unit tokens to sequences ``[n, L, d+1]``: (0, 1), then ``(norm x*_t, 0)``.

    Example:
        >>> marked(np.ones((1, 1, 1)), 0.5).tolist()
        [[[0.0, 1.0], [0.5, 0.0]]]
    """
    n, steps, dim = tokens.shape
    x = np.zeros((n, steps + 1, dim + 1))
    x[:, 0, dim] = 1
    x[:, 1:, :dim] = norm * tokens
    return x


def split_tokens(seed: int, train: int, test: int, steps: int, dim: int) -> tuple[np.ndarray, int]:
    """Independent uniform unit tokens ``[train + test, steps, dim]``, and where the test begins."""
    return sample_tokens(seed, train + test, steps, dim), train


def standardized(y: np.ndarray) -> np.ndarray:
    """Targets with mean 0 and variance 1."""
    return (y - y.mean()) / y.std()


def sizes_up_to(most: int, least: int = 4) -> list[int]:
    """Powers of 2 from ``least`` to ``most``.

    Example:
        >>> sizes_up_to(32)
        [4, 8, 16, 32]
    """
    return [least * 2**i for i in range(int(np.log2(most / least)) + 1)]
