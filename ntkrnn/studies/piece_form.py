"""The form of a kept run: a magic line with its version, a digest, and a msgpack of what it digests."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

import numpy as np
from flax import serialization

KIND = b"ntkrnn piece "
MAGIC = KIND + b"2\n"
_DIGEST = 32
_NUMBERS = "biufc"

Piece: TypeAlias = Mapping[str, Any]
"""The arrays that a run gave, by name."""


class UnusableError(Exception):
    """Why the content of a file cannot be used."""


def encode(name: str, settings: str, piece: Piece) -> bytes:
    """A run as bytes, with its name and a digest of the settings that it was made with."""
    arrays = {key: np.asarray(array) for key, array in piece.items()}
    body = serialization.msgpack_serialize({"settings": settings, "name": name, "arrays": arrays})
    return MAGIC + hashlib.sha256(body).digest() + body


def decode(content: bytes, name: str, settings: str, needs: Collection[str]) -> Piece:
    """The run in some bytes.

    Args:
        content: of :func:`encode`, or not.
        name: the run is to have.
        settings: it is to have been made with, as a digest.
        needs: names of arrays that it is to hold.

    Returns:
        Arrays of numbers by name.

    Raises:
        UnusableError: if it is not that run, or not whole.

    Example:
        >>> decode(encode("a", "s", {"loss": np.arange(2)}), "a", "s", ("loss",))
        {'loss': array([0, 1])}
    """
    record = _record(content)
    if record.get("settings") != settings:
        raise UnusableError("was made with other settings")
    if record.get("name") != name:
        raise UnusableError(f"holds the run {record.get('name')!r}")
    arrays = record["arrays"]
    for key in needs:
        if key not in arrays:
            raise UnusableError(f"is damaged: it has no {key!r}")
    for key, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in _NUMBERS:
            raise UnusableError(f"is damaged: its {key!r} is no array of numbers")
    return arrays


def _record(content: bytes) -> dict[str, Any]:
    """What the bytes hold, their form checked."""
    if not content.startswith(KIND):
        raise UnusableError("is damaged or was not written by this program")
    if not content.startswith(MAGIC):
        raise UnusableError("is of another version of this program")
    digest, body = content[len(MAGIC) :][:_DIGEST], content[len(MAGIC) + _DIGEST :]
    if hashlib.sha256(body).digest() != digest:
        raise UnusableError("is damaged")
    try:
        record: Any = serialization.msgpack_restore(body)
    except Exception as error:  # msgpack and flax raise what they like
        raise UnusableError(f"is damaged ({type(error).__name__})") from error
    if not isinstance(record, dict) or not isinstance(record.get("arrays"), dict):
        raise UnusableError("is damaged: it holds no arrays by name")
    return record
