"""Gram matrices of any size, computed into a store and continued wherever a run was ended."""

from __future__ import annotations

import sys
from typing import Any

import jax
import numpy as np

from ntkrnn import _checks
from ntkrnn.gram._engine import engine_of, run
from ntkrnn.gram._errors import StoreError
from ntkrnn.gram._job import Job, cache_folder
from ntkrnn.gram._kernel import Kernel, kernel_of, real_type
from ntkrnn.gram._open import opened
from ntkrnn.gram._reporting import Report, reporting
from ntkrnn.gram._sequences import Side
from ntkrnn.gram._setup import facts, made, require_same, url_of
from ntkrnn.gram._tilestore import Ledger, TileStore, alone, exists


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

    Entry (n, m) is ``k(x1[n], x2[m])`` of the kernel that was given. Each tile is one chunk of
    a zarr array, of symmetric matrices those on and above the diagonal. A run that ends early, by
    whatever, is continued by the same call, and the result is the same to the last bit: what a tile
    holds depends on its sequences alone.

    Args:
        arch_or_kernel_fn: an architecture; a ``kernel_fn`` of :func:`ntkrnn.network`; with ``params`` a
            function of (x1, x2, params) such as :func:`ntkrnn.empirical_ntk_fn` returns; or any
            function of (x1, x2) that treats sequences independently of each other, and takes
            ``lengths1`` and ``lengths2`` if lengths are given. ``x2`` is None for x1.
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
    matrix in each worker, and 256 MiB of sequences. On disk the entries, and the sequences, which are
    read twice.

    Source: the kernels are those of :func:`ntkrnn.network`; zarr (format 3) and dask.distributed hold
    and spread them.

    Example:
        >>> import tempfile, numpy as np, ntkrnn
        >>> x = np.random.default_rng(0).normal(size=(300, 5, 2))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     kernels = ntkrnn.gram.compute(ntkrnn.Elman(), x, store=f"{folder}/gram", tile=128)
        ...     kernels.ntk.shape, kernels.ntk[3, 200] == kernels.ntk[200, 3]
        ((300, 300), np.True_)
    """
    url = url_of(store)
    one, two = Side("x1", x1, lengths1), None
    if x2 is not None:
        two = Side("x2", x2, lengths2)
        _checks.same_channels(one.x, two.x)
    elif lengths2 is not None:
        raise ValueError("lengths2: got lengths without x2; pass those of x1 as lengths1.")
    kernel = kernel_of(arch_or_kernel_fn, get, params, real_type(dtype, one))
    if tile is not None:
        tile = _checks.positive_integer("tile", tile)
    resume = _checks.boolean("resume", resume)
    with alone(url):
        if exists(url):
            if not resume:
                raise StoreError(
                    f"store: {url} holds a kernel already; pass resume=True, or another folder."
                )
            kept = TileStore(url, "r+")
            require_same(kept, *facts(kernel, one, two, tile or kept.layout.tile))
        else:
            kept = made(
                url,
                kernel,
                one,
                two,
                tile,
                isinstance(get, str) or len(kernel.names) == 1,
                record or {},
            )
        del one, two, x1, x2
        skeleton = None
        if params is not None:
            skeleton = jax.tree.unflatten(jax.tree.structure(params), range(kept.record["params"]))
        job = Job(
            url,
            kept.record["token"],
            Kernel(kernel.function, kernel.names, kernel.dtype, skeleton),
            cache_folder(),
        )
        _complete(kept, job, client, progress)
    return opened(kept)


def _complete(store: TileStore, job: Job, client: Any, progress: bool | Report) -> None:
    """Compute the tiles that are missing."""
    ledger = Ledger(store)
    store.remove_parts()
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
    with reporting(progress) as report:
        report(done, total)
        if len(missing):
            with engine_of(client) as engine:
                if progress is True and engine.dashboard:
                    print(f"dashboard: {engine.dashboard}", file=sys.stderr)
                todo = [(int(i), int(j)) for i, j in missing[order]]
                run(engine, job, ledger, todo, lambda new: report(done + new, total))
