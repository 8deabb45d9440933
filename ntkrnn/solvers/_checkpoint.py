"""Where an iteration is, in a file, so that one that was ended goes on from there."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ntkrnn._files import write_npz
from ntkrnn.solvers._system import System

EVERY = 10
"""Iterations between two writes."""


class Checkpoint:
    """The state of an iteration for one system, in a ``.npz``.

    Args:
        path: the file; None to keep nothing.
        given: the system.
        ridge: of it.
    """

    def __init__(self, path: Any, given: System, ridge: float) -> None:
        self.path, self._of = None, ""
        if path is not None:
            self.path = Path(path)
            digest = hashlib.sha256(repr(ridge).encode())
            for array in (given.targets, given.kernel.diagonal()):
                digest.update(np.ascontiguousarray(array).tobytes())
            self._of = digest.hexdigest()[:16]

    def load(self) -> dict[str, np.ndarray] | None:
        """The arrays that were kept, or None.

        Raises:
            ValueError: if the file is of another system, or is none.
        """
        if self.path is None or not self.path.exists():
            return None
        try:
            with np.load(self.path) as file:
                kept = dict(file)
                of = str(kept.pop("of"))
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile):
            raise ValueError(f"checkpoint: {self.path} is no checkpoint; pass another file.") from None
        if of != self._of:
            raise ValueError(
                f"checkpoint: {self.path} is of a diagonal, targets and ridge with digest {of}, "
                f"and these have {self._of}; pass another file, or remove it."
            )
        return kept

    def keep(self, done: int, **state: np.ndarray) -> None:
        """Write the state, whole or not at all, after every tenth iteration."""
        if self.path is not None and done % EVERY == 0:
            write_npz(self.path, {"of": np.array(self._of), "done": np.array(done), **state})

    def remove(self) -> None:
        """The iteration has come to its end."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
