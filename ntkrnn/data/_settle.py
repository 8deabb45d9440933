"""What every source must hold: padding at the end alone, and finite numbers before it."""

from __future__ import annotations

import numpy as np

from ntkrnn.data._dataset import Raw, cut, in_steps, valid_steps


def settle(raw: Raw) -> Raw:
    """The lengths of all sequences, every valid entry a finite float32.

    Where the source does not say lengths, the steps at the end of a sequence that are missing in
    every channel are its padding.

    Returns:
        ``raw`` with lengths, None where all sequences have all steps.

    Raises:
        ValueError: naming the file, the row and the step of a value that is missing before the end
            of its sequence, infinite, or beyond the range of float32, and a sequence without any.
    """
    if raw.lengths is None and raw.x.dtype.kind == "f":
        raw = raw._replace(lengths=_lengths(raw))
    x, lengths = cut(raw.x, raw.lengths)
    raw = raw._replace(x=x, lengths=lengths)
    valid = valid_steps(raw.x, raw.lengths)[:, :, None]
    with np.errstate(over="ignore"):
        finite = np.isfinite(raw.x.astype(np.float32))
    bad = np.argwhere(valid & ~finite)
    if bad.size:
        row, step, channel = (int(i) for i in bad[0])
        raise ValueError(
            f"{raw.origin}, {raw.place(row, step, channel)}: got {_value(raw.x[row, step, channel])} "
            f"(entries that are not finite: {len(bad)}), expected a finite number in every valid step. "
            f"{raw.remedy}"
        )
    return raw


def in_words(raw: Raw) -> str:
    """One line on how a file was read, with the sizes of all of it; empty for what is no file."""
    if raw.notes is None:
        return ""
    n, _, channels = raw.x.shape
    parts = [f"read as {n} series of {in_steps(raw.x, raw.lengths)}"]
    if channels > 1:
        parts[0] += f" and {channels} channels"
    if raw.labels is not None and raw.labels.dtype.kind == "f":
        parts.append("labels are real numbers")
    return ", ".join([parts[0], *raw.notes, *parts[1:]])


def _lengths(raw: Raw) -> np.ndarray:
    present: np.ndarray = np.logical_not(np.isnan(raw.x).all(axis=2))
    empty = np.flatnonzero(~present.any(axis=1))
    if empty.size:
        raise ValueError(
            f"{raw.origin}, {raw.place(int(empty[0]))}: every value is missing (series without any: "
            f"{len(empty)}), expected at least one number. Drop the series, and its label with it."
        )
    return present.shape[1] - np.argmax(present[:, ::-1], axis=1)


def _value(value: np.generic) -> str:
    if np.isnan(value):
        return "a missing value before the end of its sequence"
    return f"{value:g}" + (", beyond the range of float32" if np.isfinite(value) else "")
