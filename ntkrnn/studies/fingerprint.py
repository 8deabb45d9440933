"""What the runs of a study depend on, in words that a file can hold."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn._version import __version__
from ntkrnn.architectures import Architecture
from ntkrnn.data import Dataset


def axis(default: Any) -> Any:
    """A field of settings of which more values add runs and change none."""
    return dataclasses.field(default=default, metadata={"axis": True})


def fingerprint(settings: Any, dataset: Dataset | None = None, **more: str) -> dict[str, str]:
    """What a run depends on, in words and digests, to be compared before a study is continued.

    Args:
        settings: a dataclass; fields made by :func:`axis` do not count.
        dataset: what the study is about, if it does not make its data itself.
        more: what else the runs depend on.

    Returns:
        Words by name.

    Example:
        >>> from ntkrnn.data import load
        >>> from ntkrnn.architectures import Elman
        >>> from ntkrnn.studies import TrajectorySettings
        >>> marks = fingerprint(TrajectorySettings(Elman()), load("digits", n=4))
        >>> marks["study"], marks["steps"]
        ('Trajectory', '300')
    """
    fields = {
        f.name: getattr(settings, f.name)
        for f in dataclasses.fields(settings)
        if not f.metadata.get("axis")
    }
    if isinstance(fields.get("architecture"), Architecture):  # its width is one of the widths
        fields["architecture"] = dataclasses.replace(fields["architecture"], width=2)
    words = {name: repr(value) for name, value in fields.items()}
    if dataset is not None:
        words["data"] = f"{dataset.name} {_digest_of(dataset)}"
    return {
        "study": type(settings).__name__.removesuffix("Settings"),
        **words,
        **more,
        "dtype": str(jnp.zeros(()).dtype),
        "backend": jax.default_backend(),
        "jax": jax.__version__,
        "ntkrnn": __version__,
    }


def _digest_of(dataset: Dataset) -> str:
    digest = hashlib.sha256()
    for value in (dataset.x, dataset.lengths, dataset.labels):
        array = np.asarray("none" if value is None else value)
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        # The bytes of an array of objects are addresses.
        digest.update(repr(array.tolist()).encode() if array.dtype.hasobject else array.tobytes())
    return digest.hexdigest()[:16]
