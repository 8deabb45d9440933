"""Which reader reads which file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ntkrnn.data._csv import read_csv
from ntkrnn.data._dataset import Raw
from ntkrnn.data._messages import near
from ntkrnn.data._npz import read_npz
from ntkrnn.data._ts import read_ts
from ntkrnn.data._tsv import read_tsv

_READERS: dict[str, Callable[[Path], Raw]] = {
    ".npz": read_npz,
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".ts": read_ts,
}
SUFFIXES = tuple(_READERS)


def read(path: Path) -> Raw:
    """Read a data file by its suffix.

    Args:
        path: an existing file whose suffix is one of :data:`SUFFIXES`, in any case.

    Returns:
        The sequences as the file has them.

    Raises:
        FileNotFoundError, IsADirectoryError: if there is no such file.
        ValueError: if the suffix is unknown, or the file is not what its suffix says.
    """
    suffix = path.suffix.lower()
    if path.is_dir():
        raise IsADirectoryError(f"data: {path} is a folder, expected one file ({', '.join(SUFFIXES)}).")
    if not path.exists():
        raise FileNotFoundError(f"data: there is no file {path} (looked from the folder {Path.cwd()}).")
    if not path.is_file():
        raise ValueError(f"data: {path} is not a regular file.")
    if suffix not in _READERS:
        raise ValueError(
            f"data: {path} has the suffix {path.suffix!r}, expected one of {', '.join(SUFFIXES)}."
            f"{near(suffix, SUFFIXES)} Convert the file, or rename it if it is one of these."
        )
    return _READERS[suffix](path)
