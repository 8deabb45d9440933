"""From a name or a file to sequences that a kernel takes."""

from __future__ import annotations

import operator
import os
import re
from typing import Any

import numpy as np

from ntkrnn.data._builtin import NAMES, builtin
from ntkrnn.data._columns import Roles
from ntkrnn.data._dataset import Dataset, Raw, cut, valid_steps
from ntkrnn.data._files import SUFFIXES, no_columns, read
from ntkrnn.data._limit import within_limit
from ntkrnn.data._messages import near, one_of
from ntkrnn.data._reader import Reader, read_by
from ntkrnn.data._settle import in_words, settle
from ntkrnn.data._standardize import KINDS, standardize
from ntkrnn.data._told import regular_file


def load(
    source: str | os.PathLike[str],
    *,
    n: int | None = None,
    at_most: int | None = None,
    seed: int = 0,
    standardize: str = "global",
    label_column: str | int | None = None,
    long: str | tuple[str | int, str | int] | None = None,
    reader: Reader | None = None,
) -> Dataset:
    """Load sequences, keep a seeded subset of them, and standardise what was kept.

    Args:
        source: a built-in name ("digits"; with the extra ``data`` also "japanese_vowels",
            "italy_power_demand", "gunpoint", "basic_motions"), or a file, read as its suffix says:

            - ``.npz``: ``X`` ``[N, T, d]`` or ``[N, T]``, optionally ``lengths`` and ``y``;
            - ``.csv``: one univariate series a row, with a header of words or without; or, with
              ``long``, one time step a row;
            - ``.tsv``: the same separated by tabs, with the label first, as in the archive of UCR,
              unless ``label_column`` or ``long`` say otherwise;
            - ``.ts``: of sktime and aeon, without time stamps.

            Missing values at the end of a series (NaN, in text also ``?`` and empty cells) are
            padding, and are refused elsewhere. A built-in name wins over a file of that name; write
            ``./digits`` for the file.
        n: number of sequences to keep, drawn without replacement and kept in the order of the
            source, so that a file sorted by class does not give one class; None keeps all. A
            source with fewer is an error.
        at_most: the same with no error where the source has fewer; give ``n`` or ``at_most``.
        seed: seed of that draw.
        standardize: "none", "global", "channel" or "series", over the valid steps of the
            sequences kept.
        label_column: the column of a ``.csv`` or ``.tsv`` that holds labels, by its name in the
            header or by its position, counted from 1, or from the end as -1.
        long: the columns of series and time, ``"ID,TIME"`` or a pair, of a table with one time step
            a row: rows with one id are a series, sorted by time, and all other columns are channels.
        reader: for a file of a format of your own, whatever its suffix: a function ``path -> (series,
            labels)`` to a list of real arrays ``[T_i]`` or ``[T_i, d]`` and a list of labels, or None.

    Returns:
        A :class:`Dataset`; ``x`` is float32 ``[n, T, d]`` with ``T`` the longest length kept. Its
        ``reading`` says how a file was read.

    Raises:
        ValueError, TypeError: naming the argument, or the file and the line, what came and what was
            expected; a table that could be read in two ways is refused. So is a file that takes more
            than a quarter of the memory, by its headers, before it is unpacked.
        OSError: if the file is not there or cannot be read.
        ImportError: if the set needs the extra ``data`` and it is not installed.

    Cost: reads the whole source; what is kept is held in float64.

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
    raw = _open(source, Roles.of(label_column, long), reader)
    if at_most is not None:
        n = min(at_most, len(raw.x))
    kept, selection = _subset(raw, n, seed)
    return _ready(kept, selection, standardize, in_words(raw))


def _open(source: str | os.PathLike[str], roles: Roles, reader: Reader | None) -> Raw:
    if reader is not None:
        if not callable(reader):
            raise TypeError(f"reader: got {reader!r}, expected a function path -> (series, labels).")
        no_columns("a file that reader reads", roles)
        return settle(read_by(reader, regular_file("data", source)))
    if isinstance(source, str) and source in NAMES:
        no_columns(f"the built-in set {source!r}", roles)
        return settle(builtin(source))
    if not isinstance(source, (str, os.PathLike)):
        raise TypeError(
            f"source: got {source!r} of type {type(source).__name__}, expected a built-in name "
            f"({', '.join(NAMES)}) or the path of a file."
        )
    try:
        path = regular_file("data", source)
    except FileNotFoundError:
        # A bare word without a suffix is a mistyped name more often than a missing file.
        if isinstance(source, str) and re.fullmatch(r"[\w -]{1,80}", source):
            raise ValueError(
                f"data: got {source!r}, which is neither a built-in name ({', '.join(NAMES)}) nor a "
                f"file ({', '.join(SUFFIXES)}).{near(source, NAMES)}"
            ) from None
        raise
    return settle(read(path, roles))


def _subset(raw: Raw, n: int | None, seed: int) -> tuple[Raw, dict[str, Any]]:
    total = len(raw.x)
    if n is None:
        n = total
    if n > total:
        raise ValueError(
            f"n: got {n}, but {raw.origin} has {total} sequences; pass n between 1 and "
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


def _ready(raw: Raw, selection: dict[str, Any], kind: str, reading: str) -> Dataset:
    x, lengths = cut(raw.x, raw.lengths)
    within_limit(
        f"{raw.origin}: holding {list(x.shape)} numbers in float64",
        8 * x.size,
        "Take fewer sequences with n.",
    )
    x = np.where(valid_steps(x, lengths)[:, :, None], x, 0).astype(np.float64)
    x, record = standardize(x, lengths, kind)
    lengths = None if lengths is None else lengths.astype(np.int32)
    return Dataset(
        raw.name, x.astype(np.float32), lengths, raw.labels, record, selection, raw.source, reading
    )


def _whole(argument: str, value: Any, least: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or number < least:
        raise ValueError(f"{argument}: got {value!r}, expected a whole number of at least {least}.")
    return number
