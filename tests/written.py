"""Data files written for a test, and what reading them says."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

import ntkrnn
from ntkrnn.data import Dataset, load

PACKAGE = Path(ntkrnn.__file__).parent


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def raw(path: Path, **options) -> Dataset:
    return load(path, standardize="none", **options)


def values(data: Dataset) -> list[list[list[float]]]:
    """Rows of ``[T_i, d]`` as lists, without padding."""
    n, steps, _ = data.x.shape
    lengths = [steps] * n if data.lengths is None else data.lengths.tolist()
    return [data.x[i, : lengths[i]].tolist() for i in range(n)]


def fails(path: Path, *words: str, error: type[Exception] = ValueError, **options) -> None:
    """One message of the library that names the file, not a chain that ends in somebody's internals."""
    with pytest.raises(error) as caught:
        raw(path, **options)
    for word in (path.name, *words):
        assert word in str(caught.value), (word, str(caught.value))
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert Path(last.filename).is_relative_to(PACKAGE), last
