"""What a data set is, before and after it is made ready for a network."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ntkrnn import _checks
from ntkrnn.data._limit import within_limit


class Dataset(NamedTuple):
    """Sequences ready for a kernel or a network, with a record of how they were made.

    Attributes:
        name: the built-in name, or the file's name without its folder and suffix.
        x: float32 ``[N, T, d]``; zero in the padding.
        lengths: int32 ``[N]``, the valid leading steps of each row, or None when every row has
            all ``T`` steps.
        labels: ``[N]``, or None where the source has none. Integers or text name classes, float64 are
            real numbers. Never used by a kernel.
        standardization: ``{"kind", "over", "mean", "std"}``; ``(x - mean) / std`` was done, with
            lists of shape ``[]`` ("global"), ``[d]`` ("channel") or ``[N, d]`` ("series").
        selection: ``{"n", "of", "seed", "rows"}``; which rows of the source these are. ``rows``
            and ``seed`` are None when all were kept.
        source: in words, where the sequences came from.
        reading: in words, how a file was read, whole; empty for what is no file.
    """

    name: str
    x: np.ndarray
    lengths: np.ndarray | None
    labels: np.ndarray | None
    standardization: dict[str, Any]
    selection: dict[str, Any]
    source: str
    reading: str = ""

    def describe(self) -> str:
        """One line for people: name, sizes, subset and standardisation.

        Returns:
            A sentence without a final newline.

        Example:
            >>> from ntkrnn.data import load
            >>> load("digits", n=64).describe()
            'digits: 64 of 1797 sequences (seed 0), 8 steps, 8 channels, standardised: global'
        """
        n, _, channels = self.x.shape
        chosen = self.selection
        if chosen["rows"] is None:
            many = count(n, "sequence")
        else:
            many = f"{n} of {chosen['of']} sequences (seed {chosen['seed']})"
        kind = self.standardization["kind"]
        done = "not standardised" if kind == "none" else f"standardised: {kind}"
        steps = in_steps(self.x, self.lengths)
        return f"{self.name}: {many}, {steps}, {count(channels, 'channel')}, {done}"


class Raw(NamedTuple):
    """Sequences as a source gives them: nothing checked, NaN where a value is missing."""

    name: str
    x: np.ndarray
    """Real ``[N, T, d]``, of the dtype of the source; NaN at the end of a row is padding."""
    lengths: np.ndarray | None
    """int ``[N]`` within ``1..T`` where the source says them apart from ``x``."""
    labels: np.ndarray | None
    source: str
    origin: str
    """The file or the set, as messages name it."""
    place: Callable[..., str]
    """``place(row)`` and ``place(row, step, channel)``, counted from 0: where that stands."""
    remedy: str
    """What to do in this format about values that are missing in the middle."""
    notes: tuple[str, ...] | None = None
    """How a file was read, beside its sizes; None for what is no file."""


def padded(origin: str, series: list[np.ndarray]) -> np.ndarray:
    """``[T_i, d]`` arrays, none of them empty, as one ``[N, T, d]`` with NaN at the end."""
    shape = len(series), max(map(len, series)), series[0].shape[1]
    within_limit(
        f"{origin}: one array {list(shape)} of all series, each padded to the longest,",
        8 * math.prod(shape),
        "Cut the longest, or split the set.",
    )
    x = np.full(shape, np.nan)
    for row, one in enumerate(series):
        x[row, : len(one)] = one
    return x


def valid_steps(x: np.ndarray, lengths: np.ndarray | None) -> np.ndarray:
    """Boolean ``[N, T]``: which steps belong to a sequence and are not padding."""
    n, steps = x.shape[:2]
    if lengths is None:
        return np.ones((n, steps), bool)
    return np.arange(steps) < lengths[:, None]


def on_host(x: Any, lengths: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """Finite float64 sequences ``[N, T, d]``, 0 in the padding, and their lengths."""
    array = np.asarray(_checks.real_array("x", x, "real numbers [N, T, d]"))
    if array.ndim != 3 or 0 in array.shape:
        raise ValueError(f"x: got shape {array.shape}, expected [N, T, d] with no axis empty.")
    checked: Any = _checks.lengths("lengths", lengths, array, "x")
    counts = None if checked is None else np.asarray(checked, np.int64)
    kept = np.where(valid_steps(array, counts)[:, :, None], array, 0).astype(np.float64)
    _checks.host_sequences("x", kept)
    return kept, counts


def cut(x: np.ndarray, lengths: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Without the steps that are padding in every row; ``lengths`` is None where no padding is left."""
    if lengths is None:
        return x, None
    longest = int(lengths.max())
    return x[:, :longest], None if int(lengths.min()) == longest else lengths


def in_steps(x: np.ndarray, lengths: np.ndarray | None) -> str:
    """How long the sequences are, in words."""
    if lengths is None:
        return count(x.shape[1], "step")
    return f"{int(lengths.min())} to {int(lengths.max())} steps"


def count(number: int, noun: str) -> str:
    """A number and its noun, which takes an s in the plural."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
