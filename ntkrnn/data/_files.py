"""Which reader reads which file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ntkrnn.data._columns import Roles
from ntkrnn.data._dataset import Raw
from ntkrnn.data._long import series_of_ids
from ntkrnn.data._messages import near
from ntkrnn.data._npz import read_npz
from ntkrnn.data._table import COMMA, TAB, read_table
from ntkrnn.data._told import told
from ntkrnn.data._ts import read_ts
from ntkrnn.data._wide import series_of_rows


def read(path: Path, roles: Roles) -> Raw:
    """Read a data file by its suffix.

    Args:
        path: a regular file whose suffix is one of :data:`SUFFIXES`, in any case.
        roles: the columns of a table that hold no values.

    Returns:
        The sequences as the file has them.

    Raises:
        OSError: if it cannot be read.
        ValueError: if the suffix is unknown, the file is not what its suffix says, or it is no table
            and columns are asked for.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(
            f"data: {path} has the suffix {path.suffix!r}, expected one of {', '.join(SUFFIXES)}."
            f"{near(suffix, SUFFIXES)} Convert the file, or rename it if it is one of these."
        )
    if suffix not in _TABLES:
        no_columns(str(path), roles)
    with told(str(path)):
        return _TABLES[suffix](path, roles) if suffix in _TABLES else _ARRAYS[suffix](path)


def no_columns(what: str, roles: Roles) -> None:
    """Raise ValueError if columns are asked for, which ``what`` does not have."""
    for role, value in roles._asdict().items():
        if value is not None:
            raise ValueError(
                f"{'label_column' if role == 'label' else 'long'}: got {value!r} for {what}, which has "
                f"no columns; leave it out. {' and '.join(_TABLES)} are tables."
            )


def _csv(path: Path, roles: Roles) -> Raw:
    table = read_table(path, COMMA, roles)
    return series_of_ids(table) if roles.long else series_of_rows(table)


def _tsv(path: Path, roles: Roles) -> Raw:
    if roles != Roles():
        table = read_table(path, TAB, roles)
        return series_of_ids(table) if roles.long else series_of_rows(table)
    # The archive of UCR: the class first in every row.
    return series_of_rows(read_table(path, TAB, Roles(label=1)), real=False)


_TABLES: dict[str, Callable[[Path, Roles], Raw]] = {".csv": _csv, ".tsv": _tsv}
_ARRAYS: dict[str, Callable[[Path], Raw]] = {".npz": read_npz, ".ts": read_ts}
SUFFIXES = (".npz", ".csv", ".tsv", ".ts")
