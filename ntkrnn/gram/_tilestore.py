"""Matrices on disk, or wherever fsspec reaches: each tile whole or absent, with a checksum.

A store is a zarr group. Each matrix is an array with one chunk per tile, and each chunk ends in its own
CRC-32C, so that no damaged tile is ever read as numbers. A ledger, an array of a number per tile, says
which tiles are done and what their contents sum to; it is written by one process alone, and what it has
lost is found again in the tiles. What the matrices are of stands in the attributes of the group, which
are written last: a store that was killed while it was made is none.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ntkrnn._files import make_folder
from ntkrnn.gram._errors import DamagedTileError, StoreError, zarr
from ntkrnn.gram._layout import Layout

FORMAT = 1
KEY = "ntkrnn"
"""The attribute that makes a zarr group a store."""
LEDGER = "ledger"


class TileStore:
    """Some matrices of one layout, and the arrays that they were made of.

    Attributes:
        url: a local folder, or a URL of fsspec.
        layout: how the matrices are cut.
        marks: what they depend on, in words.
        record: whatever else was kept, JSON.
    """

    def __init__(self, url: str, mode: str = "r") -> None:
        self.url = url
        self.group = _group(url, mode)
        try:
            said = self.group.attrs[KEY]
            self.layout = Layout(**said["layout"])
        except (KeyError, TypeError):
            raise StoreError(
                f"store: {url} holds no kernel that ntkrnn has finished to set up."
            ) from None
        if said["format"] != FORMAT:
            raise StoreError(
                f"store: {url} is of format {said['format']}, expected {FORMAT}; read it with the "
                f"version of ntkrnn that wrote it, {said['marks'].get('ntkrnn')}."
            )
        self.marks: dict[str, str] = said["marks"]
        self.record: dict[str, Any] = said["record"]
        self._matrices = {name: self.group[name] for name in self.layout.names}

    def array(self, name: str) -> Any:
        """A zarr array beside the matrices."""
        return self.group[name]

    def read(self, name: str, i: int, j: int) -> np.ndarray:
        """A tile of a matrix.

        Raises:
            DamagedTileError: if it is not what was written, or is not there.
        """
        array = self._matrices[name]
        try:
            tile = np.asarray(array.get_block_selection((i, j) + (0,) * (array.ndim - 2)))
        except (ValueError, OSError) as error:
            raise self._damaged(name, i, j, str(error)) from None
        if tile.size and np.isnan(tile.flat[0]):  # what zarr reads where there is no chunk
            raise self._damaged(name, i, j, "it is absent")
        return tile

    def write(self, name: str, i: int, j: int, tile: np.ndarray) -> int:
        """Write a tile, to the disk itself, and return its checksum."""
        array = self._matrices[name]
        tile = np.ascontiguousarray(tile)
        array.set_block_selection((i, j) + (0,) * (array.ndim - 2), tile)
        if "://" not in self.url:
            _to_disk(self._chunk(name, i, j))
        return checksum(tile)

    def drop(self, i: int, j: int) -> None:
        """Remove a tile of every matrix."""
        files, root = _filesystem(self.url)
        for name in self.layout.names:
            with contextlib.suppress(FileNotFoundError):
                files.rm(f"{root}/{self._key(name, i, j)}")

    def remove_parts(self) -> None:
        """Remove what zarr was writing when its process was killed."""
        if "://" not in self.url:
            for path in Path(self.url).rglob("*.partial"):
                path.unlink(missing_ok=True)

    def present(self, name: str) -> set[tuple[int, int]]:
        """The tiles of a matrix that have a chunk, whole or not."""
        files, root = _filesystem(self.url)
        base = f"{root}/{name}/c/"
        keys = [path.split(base, 1)[-1].split("/") for path in files.find(base)]
        return {
            (int(k[0]), int(k[1])) for k in keys if len(k) >= 2 and k[0].isdigit() and k[1].isdigit()
        }

    def _damaged(self, name: str, i: int, j: int, why: str) -> DamagedTileError:
        return DamagedTileError(
            f"store: tile ({i}, {j}) of {name!r} in {self.url} cannot be read ({why}); "
            "ntkrnn.gram.verify finds all such tiles, and computing again redoes them."
        )

    def _key(self, name: str, i: int, j: int) -> str:
        rest = "/0" * (self._matrices[name].ndim - 2)
        return f"{name}/c/{i}/{j}{rest}"

    def _chunk(self, name: str, i: int, j: int) -> Path:
        return Path(self.url) / self._key(name, i, j)


def checksum(tile: np.ndarray) -> int:
    """CRC-32 of the bytes of a tile, plus 1: a ledger says 0 for what is not there."""
    return zlib.crc32(np.ascontiguousarray(tile).data) + 1


class Ledger:
    """Which tiles of a store are done: a checksum for every matrix, ``[matrices, down, across]``."""

    def __init__(self, store: TileStore) -> None:
        self._store = store
        shape = (len(store.layout.names), *store.layout.grid)
        try:
            self._array = store.array(LEDGER)
            self.sums = np.asarray(self._array[:])
        except (KeyError, ValueError, OSError):  # lost or damaged: the tiles say it all
            self._array = None
        if self._array is None or self.sums.shape != shape:
            self._array, self.sums = None, np.zeros(shape, np.uint64)
        self._new: set[int] = set()

    def done(self, i: int, j: int) -> bool:
        """Whether the tile is there, of every matrix."""
        return bool(self.sums[:, i, j].all())

    @property
    def missing(self) -> np.ndarray:
        """``[tiles, 2]`` that are not done, row after row."""
        tiles = self._store.layout.tiles
        return tiles[~self.sums[:, tiles[:, 0], tiles[:, 1]].all(axis=0)]

    def mark(self, i: int, j: int, sums: Any) -> None:
        """A tile is done (checksums), or is not (0). Written by :meth:`flush`."""
        self.sums[:, i, j] = sums
        self._new.add(i)

    def flush(self) -> None:
        """Write the rows that have changed."""
        if self._array is None:
            self._array = _ledger_array(self._store.group, self.sums.shape)
            self._new = set(range(self.sums.shape[1]))
        for i in sorted(self._new):
            self._array[:, i, :] = self.sums[:, i, :]
        self._new.clear()

    def find_again(self) -> int:
        """Mark the tiles that are whole and that the ledger does not know; how many there were.

        Cost: a listing, and reading those tiles: as many as were written since the last flush.
        """
        names = self._store.layout.names
        there = set.intersection(*(self._store.present(name) for name in names))
        unknown = there & {(i, j) for i, j in self.missing.tolist()}
        for i, j in sorted(unknown):
            with contextlib.suppress(DamagedTileError):
                self.mark(i, j, [checksum(self._store.read(name, i, j)) for name in names])
        return len(unknown)


def create(
    url: str, layout: Layout, marks: dict[str, str], record: dict[str, Any], arrays: Mapping[str, Any]
) -> TileStore:
    """Make a store without tiles.

    Args:
        url: a local folder that is empty or not there, or a URL of fsspec.
        layout: of the matrices.
        marks: what they depend on, in words.
        record: JSON that is kept.
        arrays: kept beside the matrices, each a shape, dtype, chunks, and its blocks with their rows.

    Raises:
        StoreError: if there is something else.
        OSError: if it cannot be written to.
    """
    if "://" not in url:
        _clear_unfinished(make_folder(url))
    group = zarr().create_group(url, overwrite="://" in url, attributes={KEY: {"unfinished": True}})
    codecs: dict[str, Any] = {"compressors": [zarr().codecs.Crc32cCodec()]}
    for name in layout.names:
        chunks = (layout.tile, layout.tile, *layout.shape[2:])
        group.create_array(
            name, shape=layout.shape, dtype=layout.dtype, chunks=chunks, fill_value=np.nan, **codecs
        )
    _ledger_array(group, (len(layout.names), *layout.grid))
    for name, (shape, dtype, chunks, blocks) in arrays.items():
        made = group.create_array(name, shape=shape, dtype=dtype, chunks=chunks, **codecs)
        for rows, block in blocks:
            made[rows] = block
    said = {"format": FORMAT, "layout": dataclasses.asdict(layout), "marks": marks, "record": record}
    group.attrs[KEY] = said
    return TileStore(url, "r+")


def _ledger_array(group: Any, shape: tuple[int, ...]) -> Any:
    codecs = [zarr().codecs.Crc32cCodec()]
    chunks = (shape[0], 1, shape[2])
    return group.create_array(
        LEDGER,
        shape=shape,
        dtype="uint64",
        chunks=chunks,
        fill_value=0,
        compressors=codecs,
        overwrite=True,
    )


def exists(url: str) -> bool:
    """Whether there is a finished store.

    Raises:
        StoreError: if a zarr group of somebody else's is there.
    """
    try:
        attributes = dict(_group(url, "r").attrs)
    except StoreError:
        return False
    if KEY not in attributes:
        raise StoreError(
            f"store: {url} is a zarr group of something else; expected a folder of its own."
        )
    return "unfinished" not in attributes[KEY]


def _group(url: str, mode: str) -> Any:
    if "://" not in url and not Path(url).is_dir():
        raise StoreError(f"store: there is no folder {url}; ntkrnn.gram.compute makes one.")
    try:
        return zarr().open_group(url, mode=mode)
    except FileNotFoundError:
        raise StoreError(
            f"store: {url} holds no zarr group, expected one of ntkrnn.gram.compute."
        ) from None


def _clear_unfinished(folder: Path) -> None:
    """Empty a folder of a store whose making was cut off; refuse one of something else."""
    others = [path for path in folder.iterdir() if path.name != ".lock"]
    if not others:
        return
    try:
        unfinished = "unfinished" in zarr().open_group(str(folder), mode="r").attrs.get(KEY, {})
    except (FileNotFoundError, ValueError, KeyError):
        unfinished = False
    if not unfinished and not all(path.name.endswith(".partial") for path in others):
        raise StoreError(
            f"store: {folder} holds other files, such as {others[0].name}; expected an empty folder, "
            "or one that is not there."
        )
    for path in others:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _filesystem(url: str) -> tuple[Any, str]:
    import fsspec

    files, root = fsspec.core.url_to_fs(url)
    return files, root.rstrip("/")


def _to_disk(path: Path) -> None:
    """Wait until a file, and its name in the folder, would survive a power cut."""
    for target in (path, path.parent):
        descriptor = os.open(target, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def alone(url: str) -> Iterator[None]:
    """The right to write a store; the system ends it with the process.

    Raises:
        StoreError: if another process has it.
    """
    if "://" in url:  # object stores have no locks
        yield
        return
    import filelock

    lock = filelock.FileLock(make_folder(url) / ".lock", timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise StoreError(
            f"store: {url} is being written by another process; wait until it has ended, or stop it."
        ) from None
    try:
        yield
    finally:
        lock.release()
