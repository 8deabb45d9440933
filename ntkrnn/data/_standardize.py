"""Standardisation over the valid steps only, with a record of exactly what was done."""

from __future__ import annotations

from typing import Any

import numpy as np

from ntkrnn.data._dataset import on_host, valid_steps
from ntkrnn.data._messages import one_of

# Axes of [N, T, d] that one mean and one standard deviation are taken over.
_AXES: dict[str, tuple[int, ...]] = {"global": (0, 1, 2), "channel": (0, 1), "series": (1,)}
_OVER = {
    "none": "nothing",
    "global": "all valid entries of the sequences kept",
    "channel": "the valid entries of each channel of the sequences kept",
    "series": "the valid steps of each sequence and channel",
}
KINDS = ("none", *_AXES)


def standardize(
    x: Any,
    lengths: Any = None,
    kind: str = "series",
    *,
    like: dict[str, Any] | None = None,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Shift and scale sequences to mean 0 and standard deviation 1; padding becomes 0.

    Where all entries that share one mean are equal there is no scale to divide by: they are
    centred to exactly 0 and left unscaled (``std`` is recorded as 1).

    Args:
        x: ``[N, T, d]``, finite in every valid step.
        lengths: ``[N]`` valid leading steps, or None for all.
        kind: "none", "global" (one mean and std), "channel" (one pair per channel) or "series"
            (one pair per sequence and channel).
        like: the record of sequences that came before: those of the kinds "global" and "channel" lend
            their mean and std to these, which come on the same scale then.

    Returns:
        float64 ``[N, T, d]``, and the record ``{"kind", "over", "mean", "std"}``.

    Raises:
        TypeError, ValueError: naming the argument.

    Cost: a few passes over ``x``.

    Example:
        >>> x = np.array([[[1.0], [3.0]], [[5.0], [7.0]]])
        >>> y, record = standardize(x, None, "series")
        >>> y.ravel().tolist(), record["mean"]
        ([-1.0, 1.0, -1.0, 1.0], [[2.0], [6.0]])
    """
    one_of("standardize", kind, KINDS)
    x, lengths = on_host(x, lengths)
    mask = valid_steps(x, lengths)[:, :, None]
    record: dict[str, Any] = {"kind": kind, "over": _OVER[kind]}
    if kind == "none":
        return np.where(mask, x, 0.0), record | {"mean": None, "std": None}
    if like is not None and like["kind"] == kind != "series":
        return np.where(mask, (x - np.asarray(like["mean"])) / np.asarray(like["std"]), 0.0), like
    axes = _AXES[kind]
    where = np.broadcast_to(mask, x.shape)
    mean = x.mean(axis=axes, where=where, keepdims=True)
    std = x.std(axis=axes, where=where, keepdims=True)
    # Equality decides, not std == 0: the mean of equal numbers may round to a neighbour, and
    # dividing by that rounding would turn a constant into +-1.
    low = x.min(axis=axes, where=where, initial=np.inf, keepdims=True)
    high = x.max(axis=axes, where=where, initial=-np.inf, keepdims=True)
    constant = low == high
    mean = np.where(constant, low, mean)
    # std may underflow to 0 for entries that differ by less than 1e-154.
    std = np.where(constant | (std == 0), 1.0, std)
    record |= {"mean": np.squeeze(mean, axes).tolist(), "std": np.squeeze(std, axes).tolist()}
    return np.where(mask, (np.where(mask, x, mean) - mean) / std, 0.0), record
