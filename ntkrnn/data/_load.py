"""From a name or a file to sequences that a kernel takes."""

from __future__ import annotations

import operator
import os
from pathlib import Path
from typing import Any

import numpy as np

from ntkrnn.data._builtin import NAMES, builtin
from ntkrnn.data._dataset import Dataset, Raw, valid_steps
from ntkrnn.data._files import SUFFIXES, read
from ntkrnn.data._messages import near, one_of
from ntkrnn.data._standardize import KINDS, standardize


def load(
    source: str | os.PathLike[str],
    *,
    n: int | None = None,
    at_most: int | None = None,
    seed: int = 0,
    standardize: str = "global",
) -> Dataset:
    """Load sequences, keep a seeded subset of them, and standardise what was kept.

    Args:
        source: a built-in name ("digits"; with the extra ``data`` also "japanese_vowels",
            "italy_power_demand", "gunpoint", "basic_motions"), or a file: ``.npz`` (``X``
            ``[N, T, d]`` or ``[N, T]``, optionally ``lengths`` and ``y``), ``.csv`` (one univariate
            series a row), UCR ``.tsv`` (label first), or ``.ts``. A built-in name wins over a file
            of that name; write ``./digits`` for the file.
        n: number of sequences to keep, drawn without replacement and kept in the order of the
            source, so that a file sorted by class does not give one class; None keeps all. A
            source with fewer is an error.
        at_most: the same with no error where the source has fewer; give ``n`` or ``at_most``.
        seed: seed of that draw.
        standardize: "none", "global", "channel" or "series", over the valid steps of the
            sequences kept.

    Returns:
        A :class:`Dataset`; ``x`` is float32 ``[n, T, d]`` with ``T`` the longest length kept.

    Raises:
        ValueError: naming the argument or the file, what came and what was expected.
        FileNotFoundError, IsADirectoryError: if the file is not there.
        ImportError: if the set needs the extra ``data`` and it is not installed.

    Cost: reads the whole source, in float64.

    Example:
        >>> from ntkrnn.data import load
        >>> digits = load("digits", n=10, standardize="channel")
        >>> digits.x.shape, digits.lengths, len(digits.standardization["mean"])
        ((10, 8, 8), None, 8)
    """
    one_of("standardize", standardize, KINDS)
    seed = _whole("seed", seed, 0)
    if n is not None:
        n = _whole("n", n, 1)
    if at_most is not None:
        at_most = _whole("at_most", at_most, 1)
        if n is not None:
            raise ValueError(f"at_most: got {at_most} beside n={n}; give one of the two.")
    raw = _checked(_open(source))
    if at_most is not None:
        n = min(at_most, len(raw.x))
    kept, selection = _subset(raw, n, seed)
    return _ready(kept, selection, standardize)


def _open(source: str | os.PathLike[str]) -> Raw:
    if isinstance(source, str) and source in NAMES:
        return builtin(source)
    if not isinstance(source, (str, os.PathLike)):
        raise TypeError(
            f"source: got {source!r} of type {type(source).__name__}, expected a built-in name "
            f"({', '.join(NAMES)}) or the path of a file."
        )
    path = Path(source)
    # A bare word without a suffix is a mistyped name more often than a missing file.
    bare = isinstance(source, str) and not path.suffix and path.name == source
    if bare and not path.exists():
        raise ValueError(
            f"data: got {source!r}, which is neither a built-in name ({', '.join(NAMES)}) nor a "
            f"file ({', '.join(SUFFIXES)}).{near(str(source), NAMES)}"
        )
    return read(path)


def _checked(raw: Raw) -> Raw:
    """``raw`` if every valid entry is a finite float32."""
    valid = valid_steps(raw.x, raw.lengths)[:, :, None]
    with np.errstate(over="ignore"):
        finite = np.isfinite(raw.x.astype(np.float32))
    bad = np.argwhere(valid & ~finite)
    if bad.size:
        row, step, channel = (int(i) for i in bad[0])
        value = raw.x[row, step, channel]
        what = f"{value:g}" + (", beyond the range of float32" if np.isfinite(value) else "")
        raise ValueError(
            f"data {raw.name!r}: got {what}, at row {row}, step {step}, channel {channel} (counted "
            f"from 0; {len(bad)} such entries in all), expected finite numbers in every valid "
            "step. Fill in or drop what is missing; if it is padding, give the lengths."
        )
    return raw


def _subset(raw: Raw, n: int | None, seed: int) -> tuple[Raw, dict[str, Any]]:
    total = len(raw.x)
    if n is None:
        n = total
    if n > total:
        raise ValueError(
            f"n: got {n}, but data {raw.name!r} has {total} sequences; pass n between 1 and "
            f"{total}, or leave it out to take all."
        )
    record = {"n": n, "of": total, "seed": None, "rows": None}
    if n == total:
        return raw, record
    rows = np.sort(np.random.default_rng(seed).choice(total, n, replace=False))
    kept = raw._replace(
        x=raw.x[rows],
        lengths=None if raw.lengths is None else raw.lengths[rows],
        labels=None if raw.labels is None else raw.labels[rows],
    )
    return kept, record | {"seed": seed, "rows": rows.tolist()}


def _ready(raw: Raw, selection: dict[str, Any], kind: str) -> Dataset:
    x, lengths = raw.x, raw.lengths
    if lengths is not None:
        longest = int(lengths.max())
        x = x[:, :longest]
        lengths = None if int(lengths.min()) == longest else lengths.astype(np.int32)
    x, record = standardize(x, lengths, kind)
    return Dataset(raw.name, x.astype(np.float32), lengths, raw.labels, record, selection, raw.source)


def _whole(argument: str, value: Any, least: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or number < least:
        raise ValueError(f"{argument}: got {value!r}, expected a whole number of at least {least}.")
    return number
