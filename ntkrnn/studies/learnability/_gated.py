"""What the experiments on gated cells share: the cells at common scales, and sampled kernels."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from ntkrnn import _checks
from ntkrnn.architectures import GRU, LSTM

CELLS = ("LSTM", "GRU")
GATES = {"LSTM": ("forget", 1), "GRU": ("update", 1)}
"""The gate that decides what is remembered, and its place among the biases."""


def gated(cell: str, width: int = 2, **fields: Any) -> Any:
    """A cell of :data:`CELLS`; the width does not matter to its limit.

    Example:
        >>> gated("GRU", 8, b_std=0.3).width
        8
    """
    _checks.choice("cells", cell, CELLS)
    return {"LSTM": LSTM, "GRU": GRU}[cell](width, **fields)


def default_float(x: np.ndarray) -> Any:
    """Float32, and float64 where JAX computes in it."""
    return jnp.asarray(x, jnp.result_type(float))


def upper(matrix: np.ndarray) -> np.ndarray:
    """Every pair of sequences once, from symmetric ``[..., N, N]``.

    Example:
        >>> upper(np.array([[1.0, 2.0], [2.0, 3.0]])).tolist()
        [1.0, 2.0, 3.0]
    """
    rows, columns = np.triu_indices(matrix.shape[-1])
    return matrix[..., rows, columns]
