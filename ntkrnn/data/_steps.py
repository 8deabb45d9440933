"""Helpers that make sequences shorter or richer and respect their lengths: block means, differences."""

from __future__ import annotations

from typing import Any

import numpy as np

from ntkrnn import _checks
from ntkrnn.data._dataset import on_host, valid_steps


def block_means(
    x: Any, lengths: Any = None, max_steps: int = 40, *, rate: float | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    r"""Means over blocks of time, of one width for all sequences, so that lengths keep their ratios.

    With ``rate = max(T / max_steps, 1)`` time steps a block, which need not be a whole number::

        y_j = 1/|B_j| int_{B_j} x(s) ds,   B_j = [j rate, (j+1) rate) cut at the end of the sequence,

    where ``x(s) = x_t`` on ``[t, t+1)``: a step that two blocks share counts in both by its share.

    Args:
        x: ``[N, T, d]``, finite in every valid step.
        lengths: ``[N]`` valid leading steps, or None for all.
        max_steps: the most steps that the longest sequence keeps, at least 1.
        rate: steps a block in the place of ``T / max_steps``: that of sequences which came before.

    Returns:
        float64 ``[N, ceil(T / rate), d]``, 0 in the padding, and the lengths ``ceil(length / rate)``;
        None where all are equal. What is short enough already comes back as it is.

    Raises:
        TypeError, ValueError: naming the argument.

    Cost: O(N T d).

    Example:
        >>> y, _ = block_means(np.arange(6.0).reshape(1, 6, 1), max_steps=4)
        >>> y.ravel().round(3).tolist()
        [0.333, 1.667, 3.333, 4.667]
    """
    x, lengths = on_host(x, lengths)
    max_steps = _checks.positive_integer("max_steps", max_steps)
    n, steps = x.shape[:2]
    width = max(steps / max_steps, 1.0) if rate is None else _checks.positive_float("rate", rate)
    if width <= 1:
        return x, lengths
    counts = np.full(n, steps) if lengths is None else lengths
    # A length that is a whole number of blocks up to rounding is that number.
    blocks = np.maximum(np.ceil(counts / width - 1e-9).astype(np.int64), 1)
    edges = np.minimum(np.arange(int(blocks.max()) + 1) * width, counts[:, None])
    # The integral of x up to every edge: whole steps, and the share of the one that it cuts.
    total = np.concatenate([np.zeros_like(x[:, :1]), np.cumsum(x, axis=1)], axis=1)
    whole = np.minimum(edges.astype(np.int64), steps - 1)
    rows = np.arange(n)[:, None]
    integral = total[rows, whole] + (edges - whole)[:, :, None] * x[rows, whole]
    covered = np.diff(edges, axis=1)[:, :, None]
    means = np.diff(integral, axis=1) / np.where(covered > 0, covered, 1.0)
    means = np.where((np.arange(means.shape[1]) < blocks[:, None])[:, :, None], means, 0.0)
    return means, None if blocks.min() == blocks.max() else blocks


def differences(x: Any, lengths: Any = None) -> np.ndarray:
    """First differences along time, ``x_t - x_{t-1}``, with 0 at the first step and in the padding.

    Args:
        x: ``[N, T, d]``, finite in every valid step.
        lengths: ``[N]`` valid leading steps, or None for all.

    Returns:
        float64 ``[N, T, d]``, of the lengths of ``x``.

    Raises:
        TypeError, ValueError: naming the argument.

    Cost: O(N T d).

    Example:
        >>> differences(np.array([[[1.0], [3.0], [2.0]]])).ravel().tolist()
        [0.0, 2.0, -1.0]
    """
    x, lengths = on_host(x, lengths)
    changes = np.diff(x, axis=1, prepend=x[:, :1])
    return np.where(valid_steps(x, lengths)[:, :, None], changes, 0.0)
