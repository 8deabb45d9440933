"""Parts of a study kept on disk: each in a file of its own, whole or absent, checked when read."""

from __future__ import annotations

import hashlib
import json
import secrets
import warnings
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Protocol

from ntkrnn._files import make_folder, remove_parts, write_bytes, write_json
from ntkrnn.studies.engines import StudyError
from ntkrnn.studies.lock import FolderLock
from ntkrnn.studies.piece_form import KIND, Piece, UnusableError, decode, encode


class Store(Protocol):
    """Where finished runs are kept."""

    def load(self, name: str, needs: Collection[str] = ()) -> Piece | None:
        """A run that was kept and has the arrays that are needed, or None."""
        ...

    def save(self, name: str, piece: Piece) -> None:
        """Keep a run."""
        ...


class DamagedPieceWarning(UserWarning):
    """A kept run could not be used, and is done again."""


def kept(store: Store | None, name: str, needs: Collection[str], measure: Callable[[], Piece]) -> Piece:
    """A run from the store, or one that is done now and kept.

    Example:
        >>> kept(None, "run", ("loss",), lambda: {"loss": 1.0})
        {'loss': 1.0}
    """
    piece = None if store is None else store.load(name, needs)
    if piece is None:
        piece = measure()
        if store is not None:
            store.save(name, piece)
    return piece


class Pieces:
    """A folder of finished runs, which one study at a time writes to.

    Every file says by itself which run it holds and, by a digest, of which settings; the folder's
    ``settings.json`` says the settings in words. A file that is cut, of another version, of other
    settings or without an array that the study needs is told by a :class:`DamagedPieceWarning`, and its
    run is done again; a folder in the place of a file is set aside. The folder is locked until
    :meth:`close`, the end of a ``with``, or that of the process.

    Args:
        folder: made if it is not there.
        marks: of :func:`ntkrnn.studies.fingerprint`.
        resume: continue with what is there, and remove nothing; otherwise finished runs of an earlier
            study are removed, and ``removed`` is their number.

    Raises:
        StudyError: if another process writes to the folder, or ``settings.json`` is that of other
            settings, naming the first that differs.
        OSError: if the folder cannot be read or written; names the path.

    Example:
        >>> import numpy as np, pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with Pieces(pathlib.Path(folder), {"steps": "3"}, resume=True) as pieces:
        ...         pieces.save("run", {"loss": np.arange(3.0)})
        ...         print(pieces.load("run", needs=("loss",)), pieces.load("other"))
        {'loss': array([0., 1., 2.])} None
    """

    def __init__(self, folder: Path, marks: Mapping[str, str], resume: bool) -> None:
        self.folder = make_folder(folder)
        self._settings = hashlib.sha256(json.dumps(dict(marks), sort_keys=True).encode()).hexdigest()
        self._lock = FolderLock(folder)
        try:
            remove_parts(folder)
            header = folder / "settings.json"
            if header.is_dir():
                _set_aside(header)
            if resume:
                _compare(header, marks)
            self.removed = 0 if resume else self._clear()
            write_json(header, marks)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let others write to the folder."""
        self._lock.release()

    def __enter__(self) -> Pieces:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _clear(self) -> int:
        """Remove the runs of an earlier study, and nothing that another program wrote."""
        old = [path for path in self.folder.glob("*.msgpack") if path.is_file() and _is_piece(path)]
        for path in old:
            path.unlink()
        return len(old)

    def count(self, pattern: str = "*") -> int:
        """How many runs are kept under names of this pattern."""
        return len(list(self.folder.glob(f"{pattern}.msgpack")))

    def path(self, name: str) -> Path:
        """The file of a run."""
        return self.folder / f"{name}.msgpack"

    def save(self, name: str, piece: Piece) -> None:
        """Write a run in one step."""
        write_bytes(self.path(name), encode(name, self._settings, piece))

    def load(self, name: str, needs: Collection[str] = ()) -> Piece | None:
        """A run that was kept; None if there is none, or if it cannot be used, which is told."""
        path = self.path(name)
        if path.is_dir():
            _set_aside(path)
            return None
        try:
            return decode(path.read_bytes(), name, self._settings, needs)
        except FileNotFoundError:
            return None
        except UnusableError as error:
            _tell(f"{path} {error}; the run is done again.")
            return None


def _compare(header: Path, marks: Mapping[str, str]) -> None:
    """Raise if the runs of the folder are said to be of other settings."""
    try:
        before = json.loads(header.read_bytes())
    except FileNotFoundError:
        return
    except ValueError:
        before = None
    if not isinstance(before, dict):
        _tell(f"{header} is damaged and is written anew; every run says its settings by itself.")
        return
    for name in marks:
        if before.get(name) != marks[name]:
            raise StudyError(
                f"{header.parent} holds runs with {name} = {before.get(name, 'unknown')}, and now it "
                f"is {marks[name]}; continue with the same settings, take another folder, or start "
                "anew without --resume."
            )


def _is_piece(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(KIND)) == KIND


def _set_aside(path: Path) -> None:
    aside = path.rename(path.with_name(f"{path.name}.{secrets.token_hex(4)}.aside"))
    _tell(f"{path} is damaged: it was a folder, which is now {aside.name}; the file is made anew.")


def _tell(message: str) -> None:
    warnings.warn(message, DamagedPieceWarning, stacklevel=3)
