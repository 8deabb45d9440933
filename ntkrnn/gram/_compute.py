"""Gram matrices of any size: computed into a store, opened, checked."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from ntkrnn import _checks
from ntkrnn._progress import tell
from ntkrnn.gram._engine import engine_of, run
from ntkrnn.gram._errors import DamagedTileError, StoreError
from ntkrnn.gram._job import Job, forget
from ntkrnn.gram._kernel import Block, Kernel, kernel_of, real_type
from ntkrnn.gram._layout import Layout, chosen_tile
from ntkrnn.gram._matrix import LazyMatrix, StoredMatrix
from ntkrnn.gram._sequences import Side
from ntkrnn.gram._tilestore import Ledger, TileStore, alone, checksum, create, exists
from ntkrnn.infinite import KernelFn
from ntkrnn.infinite._request import result_type

Report = Callable[[int, int], None]


def compute(
    arch_or_kernel_fn: Any,
    x1: Any,
    x2: Any = None,
    *,
    store: Any,
    get: str | tuple[str, ...] = ("nngp", "ntk"),
    lengths1: Any = None,
    lengths2: Any = None,
    params: Any = None,
    tile: int | None = None,
    dtype: Any = None,
    client: Any = None,
    resume: bool = True,
    progress: bool | Report = True,
    record: dict[str, Any] | None = None,
) -> Any:
    r"""Compute kernel matrices into a store, a tile at a time; memory is that of a few tiles.

    Entry (n, m) is ``k(x1[n], x2[m])`` of the kernel that was given. Each tile is written as one chunk of
    a zarr array, of symmetric matrices those on and above the diagonal. A run that ends early, by
    whatever, is continued by the same call, and the result is the same to the last bit: what a tile holds
    depends on its sequences alone.

    Args:
        arch_or_kernel_fn: an architecture; a ``kernel_fn`` of :func:`ntkrnn.network`; with ``params`` a
            function of (x1, x2, params) such as :func:`ntkrnn.empirical_ntk_fn` returns; or any function
            of (x1, x2) that treats sequences independently of each other, and takes ``lengths1`` and
            ``lengths2`` if lengths are given. ``x2`` is None where a tile's sides are the same.
        x1: ``[N1, T1, d]``: an array of NumPy, JAX or zarr, a memory map, or the path of a .npy file or
            of a zarr array.
        x2: ``[N2, T2, d]``, or None for x1.
        store: a local folder, or a URL of fsspec such as ``s3://bucket/gram``. It holds a copy of the
            sequences, which is what workers read.
        get: kernels of infinite width, by name; sampled ones bring their standard errors,
            "nngp_error", "ntk_error". Of another function one name for its matrix, "ntk" by default.
        lengths1: ``[N1]`` valid leading steps.
        lengths2: ``[N2]``.
        params: of a finite network.
        tile: sequences per side of a tile; by default up to 2048, 16 MiB of float32.
        dtype: "float32" or "float64"; by default that of the sequences where JAX has 64-bit types
            enabled, otherwise float32.
        client: who computes: None for this process with all its devices; a whole number for as many
            worker processes on this machine; the address of a scheduler; or a ``distributed.Client``.
        resume: whether to continue what is in the store; with False it has to be empty.
        progress: True for a bar where stderr is a terminal, or a function of (done, total).
        record: JSON that is kept with the store.

    Returns:
        What :func:`ntkrnn.gram.open` returns.

    Raises:
        TypeError, ValueError: naming the argument.
        StoreError: if the store is of other data, another kernel, dtype, tile or version, naming both;
            if another process writes it.
        WorkersError: if the workers are gone, out of reach, or of another version.
        OSError: for a folder that cannot be written to, and a full disk; what is stored stays.
        ImportError: without zarr, or without dask.distributed for workers.

    Cost: that of the kernels; for a symmetric matrix N (N + tile)/2 entries. Memory: two tiles of every
    matrix in each worker, and 256 MiB of sequences. On disk the entries, and the sequences.

    Source: the kernels are those of :func:`ntkrnn.network`; zarr (format 3) and dask.distributed hold and
    spread them.

    Example:
        >>> import tempfile, numpy as np, ntkrnn
        >>> x = np.random.default_rng(0).normal(size=(300, 5, 2))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     kernels = ntkrnn.gram.compute(ntkrnn.Elman(), x, store=f"{folder}/gram", tile=128)
        ...     kernels.ntk.shape, kernels.ntk[3, 200] == kernels.ntk[200, 3]
        ((300, 300), np.True_)
    """
    url = _url(store)
    one, two = Side("x1", x1, lengths1), None
    if x2 is not None:
        two = Side("x2", x2, lengths2)
        _same_channels(one, two)
    elif lengths2 is not None:
        raise ValueError("lengths2: got lengths without x2; pass those of x1 as lengths1.")
    kernel = kernel_of(arch_or_kernel_fn, get, params, real_type(dtype, one))
    if tile is not None:
        tile = _checks.positive_integer("tile", tile)
    resume = _checks.boolean("resume", resume)
    with alone(url):
        forget(url)
        if exists(url):
            if not resume:
                raise StoreError(
                    f"store: {url} holds a kernel already; pass resume=True to continue it, or another folder."
                )
            kept = TileStore(url, "r+")
            _same(kept, *_facts(kernel, one, two, tile or kept.layout.tile))
        else:
            kept = _made(url, kernel, one, two, tile, isinstance(get, str), record or {})
        del one, two, x1, x2
        skeleton = None
        if params is not None:
            skeleton = jax.tree.unflatten(jax.tree.structure(params), range(kept.record["params"]))
        job = Job(url, Kernel(kernel.function, kernel.names, kernel.dtype, skeleton))
        _complete(kept, job, client, progress)
    return opened(kept)


def _complete(store: TileStore, job: Job, client: Any, progress: bool | Report) -> None:
    """Compute the tiles that are missing."""
    ledger = Ledger(store)
    if ledger.find_again():
        ledger.flush()
    layout = store.layout
    total, missing = len(layout.tiles), ledger.missing
    done = total - len(missing)
    # Whole tiles first, then those at the edges and on the diagonal, which take less.
    work = [
        -np.prod(layout.extent(i, j)) * (0.5 if layout.symmetric and i == j else 1.0)
        for i, j in missing.tolist()
    ]
    order = np.argsort(work, kind="stable")
    with _reporting(progress) as report:
        report(done, total)
        if len(missing):
            with engine_of(client) as engine:
                todo = [(int(i), int(j)) for i, j in missing[order]]
                run(engine, job, ledger, todo, lambda new: report(done + new, total))


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
        A :class:`ntkrnn.gram.TiledMatrix` with ``shape``, ``dtype``, ``[rows, columns]``, ``diagonal()``,
        ``columns(index)``, ``tiles()``, ``product(vectors)`` and ``as_linear_operator()``; or a named
        tuple of several, ``.nngp``, ``.ntk``.

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
    kept = TileStore(_url(store))
    missing = len(Ledger(kept).missing)
    if missing:
        raise StoreError(
            f"store: {kept.url} has {len(kept.layout.tiles) - missing} of {len(kept.layout.tiles)} tiles; "
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


def lazy(
    arch_or_kernel_fn: Any,
    x1: Any,
    x2: Any = None,
    *,
    get: str = "ntk",
    lengths1: Any = None,
    lengths2: Any = None,
    params: Any = None,
    tile: int | None = None,
    dtype: Any = None,
) -> LazyMatrix:
    """A kernel matrix that is nowhere: every tile is computed when it is asked for.

    For solves where neither memory nor disk holds the matrix: a product costs all its kernels.

    Args:
        arch_or_kernel_fn: as in :func:`ntkrnn.gram.compute`; functions need ``diagonal=True`` for
            ``diagonal()``.
        x1: ``[N1, T1, d]``, in memory or on disk.
        x2: ``[N2, T2, d]``, or None for x1.
        get: one kernel by name.
        lengths1: ``[N1]`` valid leading steps.
        lengths2: ``[N2]``.
        params: of a finite network.
        tile: sequences per side of a tile.
        dtype: "float32" or "float64".

    Returns:
        A :class:`ntkrnn.gram.TiledMatrix`, see :func:`ntkrnn.gram.open`.

    Raises:
        TypeError, ValueError: naming the argument.

    Cost: N1 N2 kernels (half of them for one side) for every product, in tiles; ``diagonal`` N of them,
    ``columns`` N1 for each.

    Source: see :func:`ntkrnn.gram.compute`.

    Example:
        >>> import numpy as np, ntkrnn
        >>> x = np.random.default_rng(0).normal(size=(50, 5, 2))
        >>> ntkrnn.gram.lazy(ntkrnn.Elman(), x).product(np.ones(50)).shape
        (50,)
    """
    one = Side("x1", x1, lengths1)
    two = None if x2 is None else Side("x2", x2, lengths2)
    if two is not None:
        _same_channels(one, two)
    if not isinstance(get, str):
        raise ValueError(f"get: got {get!r}, expected one name.")
    kernel = kernel_of(arch_or_kernel_fn, get, params, real_type(dtype, one))
    kernel = Kernel(kernel.function, kernel.names[:1], kernel.dtype, params)
    return LazyMatrix(kernel, (one, two), _layout(kernel, one, two, tile))


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
    url = _url(store)
    kept = TileStore(url, "r+")
    layout, damaged = kept.layout, []
    with alone(url), _reporting(progress) as report:
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
    kept = TileStore(_url(store))
    layout = kept.layout
    total = len(layout.tiles)
    done = total - len(Ledger(kept).missing)
    named = (layout.shape, layout.names, layout.tile)
    return Status(done, total, layout.bytes, *named, kept.marks, kept.record["user"])


def _facts(kernel: Kernel, one: Side, two: Side | None, tile: int) -> tuple[Layout, dict[str, str]]:
    """How the matrices are cut and what they depend on."""
    layout = _layout(kernel, one, two, tile)
    marks = kernel.marks(one.block(slice(0, 2)))
    for name, side in (("x1", one), ("x2", two)):
        if side is not None:
            marks[name] = f"{side.shape} {side.digest(layout.tile, kernel.dtype)}"
    if kernel.params is not None:
        digest = hashlib.sha256()
        for leaf in jax.tree.leaves(kernel.params):
            digest.update(np.ascontiguousarray(leaf))
        marks["params"] = digest.hexdigest()[:16]
    return layout, marks


def _layout(kernel: Kernel, one: Side, two: Side | None, tile: int | None) -> Layout:
    n1, n2 = one.shape[0], (two or one).shape[0]
    rest = _entry(kernel, one, two)
    size = chosen_tile(n1, n2, rest, tile)
    return Layout(kernel.names, (n1, n2, *rest), kernel.dtype, size, two is None)


def _entry(kernel: Kernel, one: Side, two: Side | None) -> tuple[int, ...]:
    """The shape of an entry: () for a number."""
    if isinstance(kernel.function, KernelFn):
        stepwise = kernel.function.arch.reading.stepwise
        return (one.shape[1], (two or one).shape[1]) if stepwise else ()
    few = [None if side is None else side.block(slice(0, 2)) for side in (one, two)]
    found = kernel(*few)[0]  # type: ignore[arg-type]
    expected = (min(2, one.shape[0]), min(2, (two or one).shape[0]))
    if found.shape[:2] != expected or found.ndim % 2:
        raise ValueError(
            f"arch_or_kernel_fn: got a function that returns {found.shape} for {expected[0]} and "
            f"{expected[1]} sequences, expected {expected} or pairs of axes behind it."
        )
    return found.shape[2:]


def _made(
    url: str,
    kernel: Kernel,
    one: Side,
    two: Side | None,
    tile: int | None,
    single: bool,
    user: dict[str, Any],
) -> TileStore:
    """A new store with its sequences and parameters."""
    layout, marks = _facts(kernel, one, two, tile)  # type: ignore[arg-type]
    arrays: dict[str, Any] = {}
    for name, side in (("1", one), ("2", two)):
        if side is None:
            continue
        chunks = (min(layout.tile, side.shape[0]), *side.shape[1:])
        arrays[f"x{name}"] = (side.shape, kernel.dtype, chunks, side.checked(layout.tile, kernel.dtype))
        if side.lengths is not None:
            whole = np.asarray(side.lengths, np.int64)
            arrays[f"lengths{name}"] = (whole.shape, "int64", whole.shape, [(slice(None), whole)])
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(kernel.params)]
    for k, leaf in enumerate(leaves):
        arrays[f"params{k}"] = (leaf.shape, str(leaf.dtype), leaf.shape or "auto", [(..., leaf)])
    lengths = [side is not None and side.lengths is not None for side in (one, two)]
    record = {"lengths": lengths, "params": len(leaves), "single": single, "user": user}
    return create(url, layout, marks, record, arrays)


def _same(store: TileStore, layout: Layout, marks: dict[str, str]) -> None:
    """Raise unless a store is of this."""
    theirs = {**store.marks, "tile": str(store.layout.tile)}
    ours = {**marks, "tile": str(layout.tile)}
    for name in theirs | ours:
        if theirs.get(name) != ours.get(name):
            raise StoreError(
                f"store: {store.url} was made with {name} = {theirs.get(name)}, and this call has "
                f"{name} = {ours.get(name)}; pass what it was made with, or another folder."
            )


def _same_channels(one: Side, two: Side) -> None:
    if one.shape[2] != two.shape[2]:
        raise ValueError(
            f"x2: got d={two.shape[2]} channels (shape {two.shape}), expected d={one.shape[2]} as in x1 "
            f"(shape {one.shape})."
        )


def _url(store: Any) -> str:
    text = str(store)
    if not text:
        raise ValueError("store: got an empty path, expected a folder or a URL of fsspec.")
    return text.removeprefix("file://")


@contextlib.contextmanager
def _reporting(progress: bool | Report) -> Iterator[Report]:
    """A function of (done, total) that shows a bar, or is the one that was given."""
    if callable(progress):
        yield progress
        return
    if not _checks.boolean("progress", progress):
        yield lambda done, total: tell(done, total, "tiles")
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("tiles"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("tiles")

        def report(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)
            tell(done, total, "tiles")

        yield report


__all__ = ["Block", "Report", "Status", "Verification", "compute", "lazy", "open", "status", "verify"]
