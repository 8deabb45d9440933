"""What is done to series before a kernel reads them, learned from those of ``fit``.

Standardised over their valid steps, averaged over blocks of time so that long series cost no more than
short ones, and joined with their first and second differences as further channels, which tell a kernel
of states how a series moves; these are standardised too, since they have scales of their own.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ntkrnn.data import block_means, differences, standardize
from ntkrnn.estimators._sequences import Sequences

ORDERS = (0, 1, 2)
"""Of differences: the channels themselves, how they move, and how that changes."""


class Preparation(NamedTuple):
    """Everything that later series are prepared with as the first ones were."""

    rate: float
    """Steps of a block."""
    before: dict[str, Any]
    """Record of the first standardisation, of the series as they came."""
    after: dict[str, Any]
    """Of that of all differences, which are channels of one array."""

    @property
    def kind(self) -> str:
        """What shares a mean and a standard deviation: "series", "channel", "global" or "none"."""
        return self.before["kind"]

    def __call__(self, sequences: Sequences) -> Sequences:
        """``[N, T', 3 d]``: the channels, and after them their first and second differences."""
        return _prepared(sequences, self.kind, self.rate, self)[0]


def learned(sequences: Sequences, kind: str, max_steps: int) -> tuple[Preparation, Sequences]:
    """How to prepare series like these, and these prepared.

    Args:
        sequences: as they came.
        kind: of standardisation.
        max_steps: the most steps that the longest of them keeps.

    Cost: O(N T d).
    """
    rate = max(sequences.x.shape[1] / max_steps, 1.0)
    prepared, before, after = _prepared(sequences, kind, rate, None)
    return Preparation(rate, before, after), prepared


def _prepared(
    sequences: Sequences, kind: str, rate: float, like: Preparation | None
) -> tuple[Sequences, dict[str, Any], dict[str, Any]]:
    x, lengths = sequences
    x, before = standardize(x, lengths, kind, like=like and like.before)
    x, lengths = block_means(x, lengths, rate=rate)
    first = differences(x, lengths)
    changes = np.concatenate([first, differences(first, lengths)], axis=2)
    changes, after = standardize(changes, lengths, kind, like=like and like.after)
    every = np.concatenate([x, changes], axis=2)
    return Sequences(every, lengths), _shared(before), _shared(after)


def _shared(record: dict[str, Any]) -> dict[str, Any]:
    """A record without the means of single series, which no other series needs."""
    return record | {"mean": None, "std": None} if record["kind"] == "series" else record


def up_to(order: int, x: np.ndarray, dtype: str) -> np.ndarray:
    """The channels with their differences up to an order.

    Higher ones are set to 0, so that one compiled program serves for all orders. A kernel divides by
    the number of channels, zeros included; the others are scaled up for it.

    Args:
        order: out of :data:`ORDERS`.
        x: prepared series ``[N, T, 3 d]``.
        dtype: of the result.
    """
    used = (order + 1) * (x.shape[2] // len(ORDERS))
    kept = np.zeros(x.shape, dtype)
    kept[:, :, :used] = np.sqrt(x.shape[2] / used) * x[:, :, :used]
    return kept
