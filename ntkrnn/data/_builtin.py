"""Built-in data sets: scikit-learn's digits, and the time series that aeon's wheel carries."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ntkrnn.data._dataset import Raw, padded
from ntkrnn.data._labels import text_labels


def builtin(name: str) -> Raw:
    """Load a built-in set, whole.

    Args:
        name: one of :data:`NAMES`.

    Returns:
        The sequences; for the sets from aeon the training rows first, then the test rows.

    Raises:
        ImportError: if the set needs an extra that is not installed.
        FileNotFoundError: if the installed aeon no longer carries the set; nothing is downloaded.

    Example:
        >>> builtin("digits").x.shape
        (1797, 8, 8)
    """
    return _LOADERS[name]()


def _digits() -> Raw:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError(
            f"data 'digits' needs scikit-learn, which did not import ({error}); run "
            "`pip install scikit-learn`."
        ) from error
    bunch: Any = load_digits()
    return _raw(
        "digits",
        np.asarray(bunch.images, np.float64),
        np.asarray(bunch.target),
        "scikit-learn load_digits: each image read as a sequence of 8 rows of 8 pixels",
    )


def _from_aeon(name: str, folder: str, loader: str) -> Callable[[], Raw]:
    def load() -> Raw:
        try:
            datasets = importlib.import_module("aeon.datasets")
        except ImportError as error:
            raise ImportError(
                f"data {name!r} comes with the package aeon, which did not import ({error}); run "
                '`pip install "ntkrnn[aeon]"`.'
            ) from error
        # aeon downloads what its wheel does not carry; a comparison must not depend on that.
        shipped = Path(str(datasets.__file__)).parent / "data" / folder
        if not shipped.is_dir():
            raise FileNotFoundError(
                f"data {name!r}: the installed aeon does not carry {folder} in its wheel (looked "
                f"for {shipped}); install another version of aeon, or pass the set as a .ts file."
            )
        x, y = getattr(datasets, loader)()
        # aeon keeps time last, [channels, T]; here it stands before the channels.
        series = [np.asarray(one, np.float64).T for one in x]
        source = f"aeon {loader}: training rows, then test rows"
        labels = text_labels([str(label) for label in y], lambda i: f"data {name!r}, row {i}", False)
        return _raw(name, padded(f"data {name!r}", series), labels, source)

    return load


def _raw(name: str, x: np.ndarray, labels: np.ndarray, source: str) -> Raw:
    def place(row: int, step: int = 0, channel: int = 0) -> str:
        return f"row {row}, step {step}, channel {channel} (counted from 0)"

    remedy = "Take another release of the set."
    return Raw(name, x, None, labels, source, f"data {name!r}", place, remedy)


_LOADERS: dict[str, Callable[[], Raw]] = {
    "digits": _digits,
    "japanese_vowels": _from_aeon("japanese_vowels", "JapaneseVowels", "load_japanese_vowels"),
    "italy_power_demand": _from_aeon(
        "italy_power_demand", "ItalyPowerDemand", "load_italy_power_demand"
    ),
    "gunpoint": _from_aeon("gunpoint", "GunPoint", "load_gunpoint"),
    "basic_motions": _from_aeon("basic_motions", "BasicMotions", "load_basic_motions"),
}
NAMES = tuple(_LOADERS)
