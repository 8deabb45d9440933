"""Parts of a study kept on disk: each in a file of its own, whole or absent, checked when read."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from flax import serialization

from ntkrnn._version import __version__
from ntkrnn.data import Dataset
from ntkrnn.report.files import write_bytes, write_json
from ntkrnn.studies.engines import StudyError

_MAGIC = b"ntkrnn piece 1\n"
_DIGEST = 32


Piece: TypeAlias = Mapping[str, Any]
"""The arrays that a run gave, by name."""


class Store(Protocol):
    """Where finished runs are kept."""

    def load(self, name: str) -> Piece | None:
        """A run that was kept, or None."""
        ...

    def save(self, name: str, piece: Piece) -> None:
        """Keep a run."""
        ...


class DamagedPieceWarning(UserWarning):
    """A kept run could not be read, and is done again."""


def axis(default: Any) -> Any:
    """A field of settings of which more values add runs and change none."""
    return dataclasses.field(default=default, metadata={"axis": True})


def fingerprint(settings: Any, dataset: Dataset | None = None) -> dict[str, Any]:
    """What a run depends on, in words and digests, to be compared before a study is continued.

    Example:
        >>> from ntkrnn.data import load
        >>> from ntkrnn.architectures import Elman
        >>> from ntkrnn.studies import TrajectorySettings
        >>> fingerprint(TrajectorySettings(Elman()), load("digits", n=4))["steps"]
        '300'
    """
    fields = {
        f.name: getattr(settings, f.name)
        for f in dataclasses.fields(settings)
        if not f.metadata.get("axis")
    }
    if "architecture" in fields:  # its width is one of the widths
        fields["architecture"] = dataclasses.replace(fields["architecture"], width=2)
    words = {name: repr(value) for name, value in fields.items()}
    if dataset is not None:
        data = hashlib.sha256()
        for array in (dataset.x, dataset.lengths, dataset.labels):
            data.update(b"none" if array is None else np.ascontiguousarray(array).tobytes())
        words["data"] = f"{dataset.name} {data.hexdigest()[:16]}"
    return {
        **words,
        "dtype": str(jnp.zeros(()).dtype),
        "jax": jax.__version__,
        "ntkrnn": __version__,
    }


class Pieces:
    """A folder of finished runs.

    Each file holds a magic line, the SHA-256 digest of the rest, and a flax msgpack of the arrays.

    Args:
        folder: made if it is not there.
        marks: of :func:`fingerprint`.
        resume: continue with what is there; otherwise runs of an earlier sweep are removed.

    Raises:
        StudyError: if the folder holds runs of other settings, naming the first that differs.
        OSError: if the folder cannot be read or written.
    """

    def __init__(self, folder: Path, marks: dict[str, Any], resume: bool) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        header = folder / "settings.json"
        if resume and header.exists():
            self._compare(header, marks)
        else:
            for old in folder.glob("*.msgpack"):
                old.unlink()
        write_json(header, marks)

    def _compare(self, header: Path, marks: dict[str, Any]) -> None:
        try:
            before = json.loads(header.read_text())
        except ValueError:
            raise StudyError(
                f"{header} is not readable as JSON; remove the folder, or start without --resume."
            ) from None
        for name in marks:
            if before.get(name) != marks[name]:
                raise StudyError(
                    f"{self.folder} holds runs with {name} = {before.get(name)}, and now it is "
                    f"{marks[name]}; continue with the same settings, or start anew without --resume."
                )

    def path(self, name: str) -> Path:
        """The file of a run."""
        return self.folder / f"{name}.msgpack"

    def save(self, name: str, piece: Piece) -> None:
        """Write a run in one step."""
        body = serialization.msgpack_serialize({name: np.asarray(a) for name, a in piece.items()})
        content = _MAGIC + hashlib.sha256(body).digest() + body
        write_bytes(self.path(name), content)

    def load(self, name: str) -> Piece | None:
        """A run that was kept; None if there is none, or if it is damaged, which is reported."""
        path = self.path(name)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        body = content[len(_MAGIC) + _DIGEST :]
        digest = content[len(_MAGIC) : len(_MAGIC) + _DIGEST]
        if not content.startswith(_MAGIC) or hashlib.sha256(body).digest() != digest:
            warnings.warn(
                f"{path} is damaged or was not written by this program; the run is done again.",
                DamagedPieceWarning,
                stacklevel=2,
            )
            return None
        return dict(serialization.msgpack_restore(body))  # pyright: ignore[reportArgumentType]
