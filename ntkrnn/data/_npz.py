"""Reads ``.npz``: arrays ``X``, and optionally ``lengths`` and ``y``."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ntkrnn.data._dataset import Raw
from ntkrnn.data._labels import array_labels
from ntkrnn.data._limit import within_limit
from ntkrnn.data._messages import near
from ntkrnn.data._told import told

_READ = ("X", "lengths", "y")
_KINDS = {"X": "fiub", "lengths": "fiu", "y": "fiubUS"}
_EXPECTED = {"X": "real numbers", "lengths": "whole numbers", "y": "numbers or text"}
_DENSEST, _SMALL = 500, 64 * 2**20
"""A member above 64 MiB is refused if it unpacks to 500 times its size: no data do, and a few hundred
kilobytes would fill the memory."""


_VERSIONS: Any = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class _Header(NamedTuple):
    info: zipfile.ZipInfo
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def size(self) -> int:
        """Bytes of the entries."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_npz(path: Path) -> Raw:
    """Read sequences written by ``numpy.savez(path, X=..., lengths=..., y=...)``.

    Args:
        path: the file. ``X`` is real, ``[N, T, d]`` or ``[N, T]`` (univariate); ``lengths``, if
            there, holds ``N`` whole numbers in ``1..T``; ``y``, if there, holds ``N`` labels.

    Returns:
        The sequences; what stands in the padding is ignored.

    Raises:
        ValueError: naming the file, the array, what came and what was expected. Shapes, types and
            sizes are judged from the headers before an array is unpacked, and pickled objects are
            never loaded.
    """
    if not zipfile.is_zipfile(path):
        kind = "the file is empty" if path.stat().st_size == 0 else "not a .npz archive"
        hint = " A single array saved by numpy.save is an .npy file." if _is_npy(path) else ""
        raise ValueError(
            f"{path}: {kind}; expected the arrays X [N, T, d] and, if they differ, lengths [N]."
            f"{hint} Write it with numpy.savez(path, X=x, lengths=lengths)."
        )
    with zipfile.ZipFile(path) as archive:
        members = _members(path, archive)
        headers = {key: _header(path, archive, key, members[key]) for key in _READ if key in members}
        _check_shapes(path, headers)
        total = sum(one.size for one in headers.values())
        within_limit(f"{path}: holding all of its arrays", total, "Split the file.")
        arrays = {key: _unpacked(path, archive, key, one) for key, one in headers.items()}
    x = arrays["X"]
    if x.ndim == 2:
        x = x[:, :, None]
    lengths = _lengths(path, arrays["lengths"], x.shape) if "lengths" in arrays else None
    labels = array_labels(arrays["y"], lambda i: f"{path}: y[{i}]") if "y" in arrays else None
    remedy = (
        "Fill in or drop what is missing; if it is padding, give the lengths."
        if lengths is None
        else "Fill in or drop what is missing, or give lengths that end before it."
    )
    notes = tuple(key for key in ("lengths", "y") if key in arrays)
    return Raw(
        path.stem,
        x,
        lengths,
        labels,
        f"file {path.name}",
        str(path),
        _place,
        remedy,
        (f"from {' and '.join(['X', *notes])}",),
    )


def _place(row: int, step: int | None = None, channel: int = 0) -> str:
    if step is None:
        return f"row {row} of X (counted from 0)"
    return f"row {row}, step {step}, channel {channel} of X (counted from 0)"


def _is_npy(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(6) == b"\x93NUMPY"


def _members(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The members that are read, and what their names and the list of all say against them."""
    listed = [(info.filename.removesuffix(".npy"), info) for info in archive.infolist()]
    keys = [key for key, _ in listed]
    if "X" not in keys:
        given = ", ".join(keys)[:200] or "nothing"
        other = next((key for key in keys if key.lower() == "x"), None)
        hint = f" Did you mean {other!r}? The key is a capital X." if other else ""
        raise ValueError(f"{path}: has no array 'X'; found {given}.{hint}")
    slip = [key for key in keys if "lengths" not in keys and near(key, ["lengths"])]
    if slip:
        raise ValueError(
            f"{path}: has an array {slip[0]!r}, which is not read. Did you mean 'lengths'?"
        )
    for key in _READ:
        if keys.count(key) > 1:
            raise ValueError(f"{path}: has {keys.count(key)} arrays {key!r}, expected one.")
    return dict(listed)


def _header(path: Path, archive: zipfile.ZipFile, key: str, info: zipfile.ZipInfo) -> _Header:
    """Shape and dtype of a member, from the first bytes of it."""
    if info.flag_bits & 1:
        raise ValueError(f"{path}: the archive is encrypted; write it anew without a password.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(
            f"{path}: the array {key!r} is compressed by a method that is not read (of the number "
            f"{info.compress_type}); expected the archive of numpy.savez or numpy.savez_compressed."
        )
    if info.file_size > max(_SMALL, _DENSEST * info.compress_size):
        raise ValueError(
            f"{path}: the array {key!r} unpacks from {info.compress_size} to {info.file_size} bytes, "
            f"more than {_DENSEST} times as many; write it anew with numpy.savez, uncompressed."
        )
    with told(f"{path}: the array {key!r}", Exception), archive.open(info) as file:
        magic, version = file.read(6), tuple(file.read(2))
        header = None
        if magic == b"\x93NUMPY" and version in _VERSIONS:
            shape, _, dtype = _VERSIONS[version](file)
            header = _Header(info, shape, dtype)
        rest = info.file_size - file.tell()
    if magic != b"\x93NUMPY":
        raise ValueError(f"{path}: the member {key!r} is not an array saved by numpy.savez.")
    if header is None:
        raise ValueError(
            f"{path}: the array {key!r} has the format {'.'.join(map(str, version))} of .npy, expected "
            "1.0 or 2.0, which numpy.savez writes."
        )
    if any(not 0 <= size < 2**63 for size in header.shape):
        raise ValueError(
            f"{path}: the array {key!r} is damaged: no array has the shape that it declares."
        )
    if not header.dtype.hasobject and header.size != rest:
        declared = f"{path}: the array {key!r} with the declared shape {header.shape}"
        within_limit(declared, header.size, "Check what wrote it.")
        raise ValueError(
            f"{path}: the array {key!r} is damaged: it declares {header.size} bytes and has {rest}."
        )
    return header


def _check_shapes(path: Path, headers: dict[str, _Header]) -> None:
    for key, (_, _, dtype) in headers.items():
        if dtype.hasobject:
            raise ValueError(
                f"{path}: {key} holds Python objects (dtype {dtype}), which are not loaded because "
                "loading them can run code; expected a plain array. Sequences of unequal length are "
                "padded to one array X [N, T, d] with their lengths in lengths [N]."
            )
        if dtype.kind not in _KINDS[key]:
            raise ValueError(f"{path}: {key} has dtype {dtype}, expected {_EXPECTED[key]}.")
    shape = headers["X"].shape
    if len(shape) not in (2, 3):
        raise ValueError(
            f"{path}: X has rank {len(shape)} and shape {shape}, expected [N, T, d], or [N, T] for "
            "univariate series."
        )
    if min(shape) < 1:
        axis = "NTd"[[size < 1 for size in shape].index(True)]
        raise ValueError(
            f"{path}: X is empty, its shape {shape} has no entries along {axis}; expected at "
            "least one sequence of one step and one channel."
        )
    for key in ("lengths", "y"):
        if key in headers and headers[key].shape != (shape[0],):
            raise ValueError(
                f"{path}: {key} has shape {headers[key].shape}, expected ({shape[0]},), one for each "
                f"row of X with shape {shape}."
            )


def _unpacked(path: Path, archive: zipfile.ZipFile, key: str, header: _Header) -> np.ndarray:
    with told(f"{path}: the array {key!r}", ValueError), archive.open(header.info) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _lengths(path: Path, lengths: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    steps = shape[1]
    if lengths.dtype.kind == "f" and not np.array_equal(lengths, np.round(lengths)):
        raise ValueError(
            f"{path}: lengths has dtype {lengths.dtype} and fractions, expected whole numbers."
        )
    bad = np.flatnonzero((lengths < 1) | (lengths > steps))
    if bad.size:
        raise ValueError(
            f"{path}: lengths[{bad[0]}] is {lengths[bad[0]]:g}, expected 1 to T={steps}; drop "
            "empty sequences, and pad X to the longest."
        )
    return lengths.astype(np.int32)
