"""Stores that are there: their matrices as operators, how far they are, whether they are whole."""

from __future__ import annotations

from typing import Any, NamedTuple

from ntkrnn.gram._errors import DamagedTileError, StoreError
from ntkrnn.gram._matrix import StoredMatrix
from ntkrnn.gram._reporting import Report, reporting
from ntkrnn.gram._setup import url_of
from ntkrnn.gram._tilestore import Ledger, TileStore, alone, checksum
from ntkrnn.infinite._request import result_type


def opened(store: TileStore) -> Any:
    """The matrices of a store."""
    names = store.layout.names
    matrices = [StoredMatrix(store, name) for name in names]
    if store.record["single"] and len(matrices) == 1:
        return matrices[0]
    return result_type(names)(*matrices)


def open(store: Any, get: str | tuple[str, ...] | None = None) -> Any:
    """The kernel matrices in a store, of which nothing is read yet.

    Args:
        store: what was given to :func:`ntkrnn.gram.compute`.
        get: a name for one matrix, a tuple of names, or None for what was asked of ``compute``.

    Returns:
        A :class:`ntkrnn.gram.TiledMatrix` with ``shape``, ``dtype``, ``[rows, columns]``,
        ``diagonal()``, ``columns(index)``, ``tiles()``, ``product(vectors)`` and
        ``as_linear_operator()``; or a named tuple of several, ``.nngp``, ``.ntk``.

    Raises:
        StoreError: if there is no store, or tiles are missing: says how many.
        ValueError: for a name that it does not hold.

    Cost: the ledger is read, 8 bytes a tile.

    Source: the layout is that of :func:`ntkrnn.gram.compute`; other programs read the arrays as zarr,
    where tiles below the diagonal are absent.

    Example:
        >>> import tempfile, numpy as np, ntkrnn
        >>> x = np.random.default_rng(0).normal(size=(50, 5, 2))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = ntkrnn.gram.compute(ntkrnn.Elman(), x, store=f"{folder}/gram")
        ...     ntkrnn.gram.open(f"{folder}/gram", "ntk").as_linear_operator().matvec(np.ones(50)).shape
        (50,)
    """
    kept = TileStore(url_of(store))
    missing, total = len(Ledger(kept).missing), len(kept.layout.tiles)
    if missing:
        raise StoreError(
            f"store: {kept.url} has {total - missing} of {total} tiles; "
            "compute again with the same store to have the rest."
        )
    if get is None:
        return opened(kept)
    wanted = (get,) if isinstance(get, str) else tuple(get)
    for name in wanted:
        if name not in kept.layout.names:
            raise ValueError(f"get: got {name!r}, expected one of {', '.join(kept.layout.names)}.")
    matrices = [StoredMatrix(kept, name) for name in wanted]
    return matrices[0] if isinstance(get, str) else result_type(wanted)(*matrices)


class Verification(NamedTuple):
    """What :func:`ntkrnn.gram.verify` read."""

    tiles: int
    """Of the whole matrix."""
    missing: int
    """That were never computed."""
    damaged: tuple[tuple[int, int], ...]
    """(i, j) of those that are not what was written; they are missing now."""


def verify(store: Any, progress: bool | Report = True) -> Verification:
    """Read every tile of a store and compare it with what was written; drop the damaged ones.

    Args:
        store: what was given to :func:`ntkrnn.gram.compute`, which computes the missing ones again.
        progress: True for a bar where stderr is a terminal, or a function of (done, total).

    Raises:
        StoreError: if there is no store, or it is being written.

    Cost: a pass over the store, at the speed of the disk.

    Source: CRC-32C of every chunk (zarr), CRC-32 of its numbers in the ledger.

    Example:
        >>> import tempfile, numpy as np, ntkrnn
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = ntkrnn.gram.compute(ntkrnn.Elman(), np.ones((9, 5, 2)), store=f"{folder}/gram")
        ...     ntkrnn.gram.verify(f"{folder}/gram")
        Verification(tiles=1, missing=0, damaged=())
    """
    url = url_of(store)
    kept = TileStore(url, "r+")
    layout, damaged = kept.layout, []
    with alone(url), reporting(progress) as report:
        ledger = Ledger(kept)
        ledger.find_again()
        tiles = layout.tiles.tolist()
        missing = len(ledger.missing)
        for k, (i, j) in enumerate(tiles):
            report(k, len(tiles))
            if not ledger.done(i, j):
                continue
            try:
                sums = [checksum(kept.read(name, i, j)) for name in layout.names]
            except DamagedTileError:
                sums = []
            if sums != ledger.sums[:, i, j].tolist():
                kept.drop(i, j)
                ledger.mark(i, j, 0)
                damaged.append((i, j))
        ledger.flush()
    return Verification(len(tiles), missing, tuple(damaged))


class Status(NamedTuple):
    """How far a store is."""

    done: int
    tiles: int
    bytes: int
    """Of all tiles."""
    shape: tuple[int, ...]
    names: tuple[str, ...]
    tile: int
    marks: dict[str, str]
    """What the matrices are of."""
    record: dict[str, Any]


def status(store: Any) -> Status:
    """How many tiles of a store are done, and what it is of; also while it is being written.

    Args:
        store: what was given to :func:`ntkrnn.gram.compute`.

    Raises:
        StoreError: if there is no store.

    Cost: the ledger is read. Of a run that was killed, the tiles of its last second may not be in it.

    Source: the ledger of the store.

    Example:
        >>> import tempfile, numpy as np, ntkrnn
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = ntkrnn.gram.compute(ntkrnn.Elman(), np.ones((9, 5, 2)), store=f"{folder}/gram")
        ...     ntkrnn.gram.status(f"{folder}/gram")[:3]
        (1, 1, 648)
    """
    kept = TileStore(url_of(store))
    layout = kept.layout
    total = len(layout.tiles)
    done = total - len(Ledger(kept).missing)
    named = (layout.shape, layout.names, layout.tile)
    return Status(done, total, layout.bytes, *named, kept.marks, kept.record["user"])
