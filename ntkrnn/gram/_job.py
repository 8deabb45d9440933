"""The work on one tile, the same wherever it is done: read two blocks of sequences, compute, write."""

from __future__ import annotations

import dataclasses
import functools
import threading
from collections import OrderedDict
from typing import Any

import jax
import numpy as np

from ntkrnn._version import __version__
from ntkrnn.gram._errors import WorkersError
from ntkrnn.gram._kernel import Block, Kernel
from ntkrnn.gram._tilestore import TileStore

_KEPT_BYTES = 1 << 28
"""Sequences that a worker keeps: each block is read once, unless all are more than this."""


@dataclasses.dataclass(frozen=True)
class Job:
    """What a worker has to know. It is small: sequences and parameters are read from the store."""

    url: str
    token: str
    """Of the store: a worker that lives on may have known another one at the same place."""
    kernel: Kernel
    cache: str | None = None
    """Where compiled programs are kept, if they are."""
    version: str = __version__

    def __call__(self, i: int, j: int) -> list[int]:
        """Compute tile (i, j) and write it; the checksums of its matrices.

        Raises:
            WorkersError: if this worker is of another version.
        """
        if self.version != __version__:
            raise WorkersError(
                f"client: a worker has ntkrnn {__version__}, the store is being written with "
                f"{self.version}; install the same version on all workers."
            )
        if self.cache and not cache_folder():
            jax.config.update("jax_compilation_cache_dir", self.cache)
        store = _store(self.url, self.token)
        layout = store.layout
        one = _blocks(self.token, store, "1", i)
        two = None
        if not layout.symmetric:
            two = _blocks(self.token, store, "2", j)
        elif i != j:
            two = _blocks(self.token, store, "1", j)
        kernel = dataclasses.replace(
            self.kernel, params=_params(self.url, self.token, self.kernel.params)
        )
        return [
            store.write(name, i, j, matrix)
            for name, matrix in zip(layout.names, kernel(one, two), strict=True)
        ]


def cache_folder() -> str | None:
    """Where JAX keeps compiled programs."""
    config: Any = jax.config
    return config.jax_compilation_cache_dir


@functools.lru_cache(maxsize=8)
def _store(url: str, token: str) -> TileStore:
    del token  # it is here to be part of the key
    return TileStore(url, "r+")


_kept: OrderedDict[tuple[str, str, int], Block] = OrderedDict()
_lock = threading.Lock()


def _blocks(token: str, store: TileStore, side: str, index: int) -> Block:
    """A block of sequences of a store, from memory if it was read before."""
    key = (token, side, index)
    with _lock:
        if key in _kept:
            _kept.move_to_end(key)
            return _kept[key]
    block = _stored(store, side, store.layout.span(index, 0 if side == "1" else 1))
    with _lock:
        _kept[key] = block
        while len(_kept) > 2 and sum(kept.x.nbytes for kept in _kept.values()) > _KEPT_BYTES:
            _kept.popitem(last=False)
    return block


def _stored(store: TileStore, side: str, rows: slice) -> Block:
    """Sequences that a store was made of."""
    lengths = None
    if store.record["lengths"][int(side) - 1]:
        lengths = np.asarray(store.array(f"lengths{side}")[rows])
    return Block(np.asarray(store.array(f"x{side}")[rows]), lengths)


def _params(url: str, token: str, skeleton: Any) -> Any:
    """Parameters, whose leaves stand in the store under the numbers of the skeleton."""
    if skeleton is None:
        return None
    leaves = _stored_params(url, token)
    return jax.tree.map(lambda number: leaves[number], skeleton)


@functools.lru_cache(maxsize=2)
def _stored_params(url: str, token: str) -> tuple[np.ndarray, ...]:
    store = _store(url, token)
    return tuple(np.asarray(store.array(f"params{k}")[...]) for k in range(store.record["params"]))
