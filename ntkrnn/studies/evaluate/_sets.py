"""Sets with fixed splits into training and test data, as the archives that publish them have them."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ntkrnn._checks import choice
from ntkrnn.data import load
from ntkrnn.studies.engines import StudyError


class Part(NamedTuple):
    """Series or records, and what they are labelled with."""

    x: np.ndarray
    """``[N, T, d]``."""
    y: np.ndarray
    """Classes ``[N]``, or outputs of records ``[N, T]``."""
    lengths: np.ndarray | None = None
    """``[N]``."""


class Split(NamedTuple):
    """Training and test data."""

    train: Part
    test: Part


class TestSet(NamedTuple):
    """A set by its name, read when its turn comes."""

    __test__ = False  # pytest collects what begins with Test

    name: str
    read: Callable[[], list[Split]]
    """One split, or several whose scores are averaged."""


def digest(splits: Sequence[Split]) -> str:
    """Eight letters that change with the arrays of a set."""
    found = hashlib.sha256()
    for array in (array for split in splits for part in split for array in part):
        value = np.asarray("none" if array is None else array)
        found.update(f"{value.dtype.str}{value.shape}".encode())
        found.update(np.ascontiguousarray(value).tobytes())
    return found.hexdigest()[:8]


def sets_of(suite: str, folder: Path) -> list[TestSet]:
    """The sets of a folder, by name.

    - "ucr", "uea": ``NAME/NAME_TRAIN.ts`` with ``NAME_TEST.ts``, or ``.tsv``; the same without the
      folder; or ``NAME.npz`` with X_train, y_train, X_test, y_test and, where lengths differ, len_train
      and len_test.
    - "uci": ``NAME/NAME_R.dat`` with ``NAME/conxuntos_kfold.dat``, the splits of Fernandez-Delgado et
      al. 2014; or ``NAME.npz`` with X, y and the rows fold0_train, fold0_test, fold1_train, ...
    - "sysid": ``NAME.npz``, ``.mat`` or ``.csv`` with u_train, y_train, u_test, y_test, or uEst, yEst,
      uVal, yVal.

    Raises:
        StudyError: if there are none.
    """
    found: dict[str, TestSet] = {}
    for name, read in _READERS[choice("suite", suite, SUITES)](folder):
        found.setdefault(name, TestSet(name, read))
    if not found:
        raise StudyError(
            f"{folder} has no sets of the suite {suite!r}; expected NAME.npz or {_EXPECTED[suite]}, as "
            "ntkrnn evaluate --help says."
        )
    return [found[name] for name in sorted(found)]


def belongs(suite: str, splits: Sequence[Split]) -> bool:
    """Whether a set is of a suite: one channel in "ucr", several in "uea", classes in both."""
    train = splits[0].train
    if suite not in ("ucr", "uea"):
        return True
    return train.y.dtype.kind != "f" and (train.x.shape[2] == 1) == (suite == "ucr")


_Found = list[tuple[str, Callable[[], list[Split]]]]


def _series(folder: Path) -> _Found:
    found: _Found = []
    for suffix in (".ts", ".tsv"):
        for path in [*folder.glob(f"*/*_TRAIN{suffix}"), *folder.glob(f"*_TRAIN{suffix}")]:
            name = path.name.removesuffix(f"_TRAIN{suffix}")
            test = path.with_name(f"{name}_TEST{suffix}")
            if path.parent in (folder, folder / name) and test.exists():
                found.append((name, lambda a=path, b=test: [Split(_loaded(a), _loaded(b))]))
    arrays = [(path.stem, lambda a=path: [_split_arrays(a)]) for path in folder.glob("*.npz")]
    return [*found, *arrays]


def _loaded(path: Path) -> Part:
    data = load(path, standardize="none")
    if data.labels is None:
        raise StudyError(f"{path}: got no labels, expected a class for every series.")
    return Part(data.x, data.labels, data.lengths)


def _split_arrays(path: Path) -> Split:
    arrays = _arrays(path, ("X_train", "y_train", "X_test", "y_test"))
    parts = []
    for half in ("train", "test"):
        x = arrays[f"X_{half}"]
        lengths = arrays.get(f"len_{half}")
        if lengths is not None and (lengths == x.shape[1]).all():
            lengths = None
        parts.append(Part(x if x.ndim == 3 else x[:, :, None], arrays[f"y_{half}"], lengths))
    return Split(*parts)


def _tables(folder: Path) -> _Found:
    found: _Found = []
    for path in folder.glob("*/*_R.dat"):
        name = path.name.removesuffix("_R.dat")
        rows = path.with_name("conxuntos_kfold.dat")
        if path.parent.name == name and rows.exists():
            found.append((name, lambda a=path, b=rows: _original_folds(a, b)))
    return [*found, *((path.stem, lambda a=path: _table_arrays(a)) for path in folder.glob("*.npz"))]


def _original_folds(table: Path, rows: Path) -> list[Split]:
    """A table with a column of row numbers before it and classes behind it; lines of rows from 0."""
    try:
        values = np.loadtxt(table, skiprows=1)[:, 1:]
        lines = [np.array(line.split(), int) for line in rows.read_text().splitlines() if line.strip()]
        x, y = values[:, :-1], values[:, -1].astype(int)
        return [_rows(x, y, a, b) for a, b in zip(lines[::2], lines[1::2], strict=True)]
    except (ValueError, IndexError) as error:
        raise StudyError(
            f"{table} or {rows.name} is not as expected, numbers below a header and rows of folds: "
            f"{error}"
        ) from None


def _table_arrays(path: Path) -> list[Split]:
    arrays = _arrays(path, ("X", "y", "fold0_train", "fold0_test"))
    folds = [
        key.removesuffix("_train") for key in arrays if key.endswith("_train") and key[:4] == "fold"
    ]
    rows = [(arrays[f"{fold}_train"], arrays[f"{fold}_test"]) for fold in sorted(folds)]
    return [_rows(arrays["X"], arrays["y"], *pair) for pair in rows]


def _rows(x: np.ndarray, y: np.ndarray, train: np.ndarray, test: np.ndarray) -> Split:
    """Every feature of a table is a step of a series."""
    series = x[:, :, None]
    return Split(Part(series[train], y[train]), Part(series[test], y[test]))


_NAMES = (("u_train", "y_train", "u_test", "y_test"), ("uEst", "yEst", "uVal", "yVal"))


def _systems(folder: Path) -> _Found:
    return [
        (path.stem, lambda a=path: [_system(a)])
        for suffix in (".npz", ".mat", ".csv")
        for path in folder.glob(f"*{suffix}")
        if not path.name.startswith("published")
    ]


def _system(path: Path) -> Split:
    if path.suffix == ".npz":
        arrays = _arrays(path)
    elif path.suffix == ".mat":
        from scipy.io import loadmat

        try:
            arrays = loadmat(path)
        except Exception as error:  # scipy raises what it likes of a file that is none
            raise StudyError(f"{path}: not a .mat file of version 7.2 or before ({error}).") from None
    else:
        table = np.genfromtxt(path, delimiter=",", names=True)
        arrays = {name: table[name] for name in table.dtype.names or ()}
    for names in _NAMES:
        if all(name in arrays for name in names):
            u, y, u_test, y_test = (_steps(path, name, arrays[name]) for name in names)
            return Split(Part(u[None], y[None, :, 0]), Part(u_test[None], y_test[None, :, 0]))
    raise StudyError(
        f"{path}: has {', '.join(key for key in arrays if key[:2] != '__')}; expected "
        f"{' or '.join(', '.join(names) for names in _NAMES)}."
    )


def _steps(path: Path, name: str, array: Any) -> np.ndarray:
    """``[T, d]`` of a column, a row, or several columns; missing steps at the end are dropped."""
    values = np.asarray(array, np.float64)
    values = values.reshape(-1, 1) if min(values.shape) == 1 or values.ndim == 1 else values
    values = values[~np.isnan(values).all(axis=1)]
    if values.ndim != 2 or not np.isfinite(values).all() or not len(values):
        raise StudyError(f"{path}: {name} has missing steps, or is no record [T] or [T, d].")
    return values


def _arrays(path: Path, needs: Sequence[str] = ()) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise StudyError(f"{path}: cannot be read ({error}).") from None
    missing = [key for key in needs if key not in arrays]
    if missing:
        raise StudyError(f"{path}: has no array {missing[0]!r}; found {', '.join(arrays)[:200]}.")
    return arrays


_READERS: dict[str, Callable[[Path], _Found]] = {
    "ucr": _series,
    "uea": _series,
    "uci": _tables,
    "sysid": _systems,
}
SUITES = tuple(_READERS)
_EXPECTED = {
    "ucr": "NAME/NAME_TRAIN.ts",
    "uea": "NAME/NAME_TRAIN.ts",
    "uci": "NAME/NAME_R.dat",
    "sysid": "NAME.mat",
}
