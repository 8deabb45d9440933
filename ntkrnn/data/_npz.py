"""Reads ``.npz``: arrays ``X``, and optionally ``lengths`` and ``y``."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from ntkrnn.data._dataset import Raw
from ntkrnn.data._messages import near


def read_npz(path: Path) -> Raw:
    """Read sequences written by ``numpy.savez(path, X=..., lengths=..., y=...)``.

    Args:
        path: the file. ``X`` is real, ``[N, T, d]`` or ``[N, T]`` (univariate); ``lengths``, if
            there, holds ``N`` whole numbers in ``1..T``; ``y``, if there, holds ``N`` labels.

    Returns:
        The sequences; what stands in the padding is ignored.

    Raises:
        ValueError: naming the file, the array, what came and what was expected. Pickled objects
            are never loaded.
    """
    if not zipfile.is_zipfile(path):
        kind = "the file is empty" if path.stat().st_size == 0 else "not a .npz archive"
        hint = " A single array saved by numpy.save is an .npy file." if _is_npy(path) else ""
        raise ValueError(
            f"{path}: {kind}; expected the arrays X [N, T, d] and, if they differ, lengths [N]."
            f"{hint} Write it with numpy.savez(path, X=x, lengths=lengths)."
        )
    try:
        archive = np.load(path, allow_pickle=False)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise ValueError(f"{path}: the archive cannot be read ({error}).") from None
    with archive:
        if "X" not in archive.files:
            found = ", ".join(archive.files) or "nothing"
            other = next((key for key in archive.files if key.lower() == "x"), None)
            hint = f" Did you mean {other!r}? The key is a capital X." if other else ""
            raise ValueError(f"{path}: has no array 'X'; found {found}.{hint}")
        x = _real(path, "X", _member(path, archive, "X"))
        lengths = _member(path, archive, "lengths") if "lengths" in archive.files else None
        labels = _member(path, archive, "y") if "y" in archive.files else None
        slip = [key for key in archive.files if lengths is None and near(key, ["lengths"])]
    if slip:
        raise ValueError(
            f"{path}: has an array {slip[0]!r}, which is not read. Did you mean 'lengths'?"
        )
    if x.ndim == 2:
        x = x[:, :, None]
    if x.ndim != 3:
        raise ValueError(
            f"{path}: X has rank {x.ndim} and shape {x.shape}, expected [N, T, d], or [N, T] for "
            "univariate series."
        )
    if 0 in x.shape:
        axis = "NTd"[x.shape.index(0)]
        raise ValueError(
            f"{path}: X is empty, its shape {x.shape} has no entries along {axis}; expected at "
            "least one sequence of one step and one channel."
        )
    if lengths is not None:
        lengths = _lengths(path, lengths, x.shape)
    if labels is not None and labels.shape != (len(x),):
        raise ValueError(
            f"{path}: y has shape {labels.shape}, expected ({len(x)},), one label for each row of X."
        )
    return Raw(path.stem, x, lengths, labels, f"file {path.name}")


def _is_npy(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(6) == b"\x93NUMPY"


def _member(path: Path, archive: np.lib.npyio.NpzFile, key: str) -> np.ndarray:
    try:
        array = archive[key]
    except ValueError as error:
        if "pickle" not in str(error):
            raise ValueError(f"{path}: the array {key!r} cannot be read ({error}).") from None
        raise ValueError(
            f"{path}: {key} holds Python objects (dtype object), which are not loaded because "
            "loading them can run code; expected a plain array. Sequences of unequal length are "
            "padded to one array X [N, T, d] with their lengths in lengths [N]."
        ) from None
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise ValueError(
            f"{path}: the array {key!r} is damaged ({error}); write the file anew."
        ) from None
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{path}: the member {key!r} is not an array saved by numpy.savez.")
    return array


def _real(path: Path, key: str, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{path}: {key} has dtype {array.dtype}, expected real numbers.")
    return array.astype(np.float64)


def _lengths(path: Path, lengths: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    n, steps = shape[:2]
    if lengths.shape != (n,):
        raise ValueError(
            f"{path}: lengths has shape {lengths.shape}, expected ({n},), one for each row of X "
            f"with shape {shape}."
        )
    if lengths.dtype.kind not in "iu":
        values = _real(path, "lengths", lengths)
        if not np.array_equal(values, np.round(values)):
            raise ValueError(
                f"{path}: lengths has dtype {lengths.dtype} and fractions, expected whole numbers."
            )
        lengths = values
    bad = np.flatnonzero((lengths < 1) | (lengths > steps))
    if bad.size:
        raise ValueError(
            f"{path}: lengths[{bad[0]}] is {lengths[bad[0]]:g}, expected 1 to T={steps}; drop "
            "empty sequences, and pad X to the longest."
        )
    return lengths.astype(np.int32)
