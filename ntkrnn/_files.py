"""Files that are whole or absent."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import re
import secrets
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import IO, Any

import jax
import numpy as np

_PART = re.compile(r"\.(.+)\.[0-9a-f]{8}\.part")


def make_folder(path: str | os.PathLike[str]) -> Path:
    """A folder for results, made with those above it if it is not there.

    Args:
        path: of the folder.

    Returns:
        The path.

    Raises:
        ValueError: if the path is empty, which would be the current folder.
        OSError: if it cannot be made or written to; names the path.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     make_folder(f"{folder}/a/b").is_dir()
        True
    """
    if not os.fspath(path):
        raise ValueError("got an empty path, expected a folder for results; '.' is the current one.")
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
    return folder


def write_atomically(path: str | os.PathLike[str], write: Callable[[IO[bytes]], None]) -> Path:
    """Write a file so that ``path`` holds all of it, or what it held before.

    The bytes go to a temporary file in the same folder, which then takes the name of ``path`` in
    one step; if ``write`` raises, the temporary file is removed.

    Args:
        path: the file to write; its folder exists.
        write: called once with a binary file open for writing.

    Returns:
        The path.

    Raises:
        OSError: if the file cannot be written; its ``filename`` is ``path``.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_atomically(f"{folder}/a.txt", lambda file: file.write(b"hi")).read_text()
        'hi'
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        # "x": never write into a file of somebody else's that happens to have this name.
        with part.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            part.unlink()
        if isinstance(error, OSError) and error.errno is not None:
            # A full disk names no file, and the temporary one is nobody's business.
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    return path


def remove_parts(folder: Path, of: Collection[str] | None = None) -> None:
    """Remove the temporary files of :func:`write_atomically` whose writers were killed.

    Only where nobody else is writing: a temporary file in use looks the same.

    Args:
        folder: to look into.
        of: names of the files that were being written; None for all.
    """
    for path in folder.iterdir():
        part = _PART.fullmatch(path.name)
        if part and (of is None or part[1] in of) and path.is_file():
            path.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike[str], data: bytes) -> Path:
    """Write bytes as they are; see :func:`write_atomically`."""

    def put(file: IO[bytes]) -> None:
        file.write(data)

    return write_atomically(path, put)


def write_json(path: str | os.PathLike[str], value: Mapping[str, Any]) -> Path:
    """Write a mapping as JSON, two spaces a level; NumPy numbers and arrays become plain ones.

    JSON has no NaN and no infinity. Such a number is written as null, and a last key ``"not_finite"``
    lists the figures that hold one, so that a null that means "nothing" is told from one that means
    "diverged".

    Args:
        path: the file.
        value: strings, numbers, booleans, None, arrays, and lists and mappings of them.

    Returns:
        The path.

    Raises:
        TypeError: if a value has no JSON form; names its key.
        OSError: if the file cannot be written; names it.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = write_json(f"{folder}/a.json", {"loss": {"last": [1.0, float("inf")]}})
        ...     json.loads(path.read_text())
        {'loss': {'last': [1.0, None]}, 'not_finite': ['loss.last']}
    """
    strange: dict[str, None] = {}  # in order, each once
    try:
        plain = _plain(value, "", strange)
    except TypeError as error:
        raise TypeError(f"{Path(path).name}: {error}") from None
    if strange:
        plain["not_finite"] = list(strange)
    text = json.dumps(plain, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    return write_bytes(path, text.encode())


def write_npz(path: str | os.PathLike[str], arrays: Mapping[str, Any]) -> Path:
    """Write arrays as an uncompressed ``.npz`` that loads with ``allow_pickle=False``.

    Args:
        path: the file.
        arrays: by name; none of them of Python objects.

    Returns:
        The path.

    Raises:
        TypeError: if an array is of Python objects; names it.
    """
    plain: dict[str, Any] = {key: np.asarray(value) for key, value in arrays.items()}
    for key, array in plain.items():
        if array.dtype == object:
            raise TypeError(f"{Path(path).name}: {key} is an array of Python objects.")
    return write_atomically(path, lambda file: np.savez(file, **plain))


def _plain(value: Any, where: str, strange: dict[str, None]) -> Any:
    """``value`` in JSON's own types; the figures that are not finite are added to ``strange``."""
    if isinstance(value, (jax.Array, np.ndarray, np.generic)):
        value = np.asarray(value).tolist()
    if isinstance(value, Mapping):
        inside = f"{where}." if where else ""
        return {str(key): _plain(entry, f"{inside}{key}", strange) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry, f"{where}[{i}]", strange) for i, entry in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        strange[re.sub(r"(\[\d+\])+$", "", where)] = None
        return None
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"{where} is of type {type(value).__name__}, which has no JSON form.")
