"""What a data set is, before and after it is made ready for a network."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Dataset(NamedTuple):
    """Sequences ready for a kernel or a network, with a record of how they were made.

    Attributes:
        name: the built-in name, or the file's name without its folder and suffix.
        x: float32 ``[N, T, d]``; zero in the padding.
        lengths: int32 ``[N]``, the valid leading steps of each row, or None when every row has
            all ``T`` steps.
        labels: ``[N]``, or None where the source has none. Never used by a kernel.
        standardization: ``{"kind", "over", "mean", "std"}``; ``(x - mean) / std`` was done, with
            lists of shape ``[]`` ("global"), ``[d]`` ("channel") or ``[N, d]`` ("series").
        selection: ``{"n", "of", "seed", "rows"}``; which rows of the source these are. ``rows``
            and ``seed`` are None when all were kept.
        source: in words, where the sequences came from.
    """

    name: str
    x: np.ndarray
    lengths: np.ndarray | None
    labels: np.ndarray | None
    standardization: dict[str, Any]
    selection: dict[str, Any]
    source: str

    def describe(self) -> str:
        """One line for people: name, sizes, subset and standardisation.

        Returns:
            A sentence without a final newline.

        Example:
            >>> from ntkrnn.data import load
            >>> load("digits", n=64).describe()
            'digits: 64 of 1797 sequences (seed 0), 8 steps, 8 channels, standardised: global'
        """
        n, steps, channels = self.x.shape
        chosen = self.selection
        if chosen["rows"] is None:
            count = _count(n, "sequence")
        else:
            count = f"{n} of {chosen['of']} sequences (seed {chosen['seed']})"
        if self.lengths is None:
            length = _count(steps, "step")
        else:
            length = f"{int(self.lengths.min())} to {int(self.lengths.max())} steps"
        kind = self.standardization["kind"]
        done = "not standardised" if kind == "none" else f"standardised: {kind}"
        return f"{self.name}: {count}, {length}, {_count(channels, 'channel')}, {done}"


class Raw(NamedTuple):
    """Sequences as a source gives them: float64, padded with anything, nothing checked yet."""

    name: str
    x: np.ndarray
    """float64 ``[N, T, d]``."""
    lengths: np.ndarray | None
    """int32 ``[N]`` within ``1..T``, or None when every row has all ``T`` steps."""
    labels: np.ndarray | None
    source: str


def from_list(name: str, series: list[np.ndarray], labels: Any, source: str) -> Raw:
    """Pad a list of ``[T_i, d]`` arrays, none of them empty, to one :class:`Raw`."""
    lengths = np.array([len(one) for one in series], np.int32)
    x = np.zeros((len(series), int(lengths.max()), series[0].shape[1]))
    for row, one in enumerate(series):
        x[row, : len(one)] = one
    equal = bool((lengths == lengths[0]).all())
    return Raw(
        name, x, None if equal else lengths, None if labels is None else np.asarray(labels), source
    )


def valid_steps(x: np.ndarray, lengths: np.ndarray | None) -> np.ndarray:
    """Boolean ``[N, T]``: which steps belong to a sequence and are not padding."""
    n, steps = x.shape[:2]
    if lengths is None:
        return np.ones((n, steps), bool)
    return np.arange(steps) < lengths[:, None]


def tidy_labels(texts: list[str]) -> np.ndarray:
    """Labels as integers where every one is a whole number, otherwise as they were written."""
    try:
        numbers = [float(text) for text in texts]
    except ValueError:
        return np.array(texts)
    if all(number.is_integer() and abs(number) < 2**53 for number in numbers):
        return np.array([int(number) for number in numbers])
    return np.array(texts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
