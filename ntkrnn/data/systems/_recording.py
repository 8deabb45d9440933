"""Systems known by a recording of their input and output."""

from __future__ import annotations

from typing import Any

import numpy as np

from ntkrnn import _checks
from ntkrnn.data._columns import Roles
from ntkrnn.data._names import role_of
from ntkrnn.data._table import COMMA, read_table
from ntkrnn.data._told import regular_file, told
from ntkrnn.data.systems._system import System, with_constant


def from_csv(path: Any, window: int, *, stride: int | None = None) -> System:
    r"""Cut a recording of one input and one output into sequences.

    Input and output are mapped to [-1, 1] by their least and largest values over the file; the tokens
    are ``(input, 1)/sqrt 2``. What a system remembers from before its window is not seen.

    Args:
        path: a file of comma-separated numbers, a time step a line: input, output. A header is skipped.
        window: T, lines of a sequence.
        stride: lines between the starts of windows; None for ``window``, without overlap.

    Returns:
        A :class:`System` named after the file.

    Raises:
        FileNotFoundError, TypeError, ValueError: naming the file, the line and the column, or the
            argument.

    Cost: that of reading the file.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder) / "tank.csv"
        ...     _ = path.write_text("in,out\n0,1\n1,2\n2,3\n3,5\n4,6\n")
        ...     from_csv(path, window=2).x.shape
        (2, 2, 2)
    """
    path = regular_file("path", path)
    window = _checks.positive_integer("window", window)
    stride = window if stride is None else _checks.positive_integer("stride", stride)
    with told(str(path)):
        recording = read_table(path, COMMA, Roles(), named_by_steps=False)
    table = recording.values
    if table.shape[1] != 2:
        raise ValueError(
            f"{path}: has {table.shape[1]} columns, expected two, the input and the output of a "
            "system, one time step a line."
        )
    names = recording.names or []
    no_signal = [name for name in names if role_of(name, names) in ("id", "time")]
    if no_signal:
        raise ValueError(
            f"{path}, line {recording.line}: the column {no_signal[0]!r} holds times or numbers "
            "of rows by its name, expected the input and the output; drop it, or name it otherwise."
        )
    bad = np.argwhere(~np.isfinite(table))
    if bad.size:
        row, column = (int(i) for i in bad[0])
        raise ValueError(
            f"{path}, {recording.where(row, column)}: got {table[row, column]}, "
            "expected a finite number; fill it, or cut the recording there."
        )
    if len(table) < window:
        raise ValueError(
            f"window: got {window} for the {len(table)} time steps of {path}, expected at most as many."
        )
    low, high = table.min(axis=0), table.max(axis=0)
    for column, (a, b) in enumerate(zip(low, high, strict=True), 1):
        if a == b:
            raise ValueError(f"{path}, column {column}: is {a:g} throughout, expected a signal.")
    # The middle first: the difference of the ends may overflow.
    table = (table - (0.5 * low + 0.5 * high)) / (0.5 * high - 0.5 * low)
    starts = np.arange(0, len(table) - window + 1, stride)
    cut = np.clip(np.stack([table[s : s + window] for s in starts]), -1, 1)
    return System(with_constant(cut[:, :, 0]), cut[:, :, 1:], path.stem)
