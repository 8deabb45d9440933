"""A store before its first tile: what its matrices depend on, how they are cut, and what is kept."""

from __future__ import annotations

import secrets
from typing import Any

import jax
import numpy as np

from ntkrnn.gram._errors import StoreError
from ntkrnn.gram._kernel import Kernel
from ntkrnn.gram._layout import Layout, chosen_tile
from ntkrnn.gram._sequences import Side
from ntkrnn.gram._tilestore import TileStore, create
from ntkrnn.infinite import KernelFn


def facts(
    kernel: Kernel, one: Side, two: Side | None, tile: int | None
) -> tuple[Layout, dict[str, str]]:
    """How the matrices are cut and what they depend on."""
    layout = layout_of(kernel, one, two, tile)
    marks = kernel.marks()
    for name, side in (("x1", one), ("x2", two)):
        if side is not None:
            marks[name] = f"{side.shape} {side.digest(layout.tile, kernel.dtype)}"
    marks["kernel of the first two sequences"] = kernel.probed(one.block(slice(0, 2)))
    return layout, marks


def layout_of(kernel: Kernel, one: Side, two: Side | None, tile: int | None) -> Layout:
    """How matrices of two sides are cut."""
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


def made(
    url: str,
    kernel: Kernel,
    one: Side,
    two: Side | None,
    tile: int | None,
    single: bool,
    user: dict[str, Any],
) -> TileStore:
    """A new store with its sequences and parameters."""
    layout, marks = facts(kernel, one, two, tile)
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
    told = {"lengths": lengths, "params": len(leaves), "single": single, "user": user}
    record = {**told, "token": secrets.token_hex(8)}
    return create(url, layout, marks, record, arrays)


def require_same(store: TileStore, layout: Layout, marks: dict[str, str]) -> None:
    """Raise unless a store is of this."""
    theirs = {**store.marks, "tile": str(store.layout.tile)}
    ours = {**marks, "tile": str(layout.tile)}
    for name in theirs | ours:
        if theirs.get(name) != ours.get(name):
            raise StoreError(
                f"store: {store.url} was made with {name} = {theirs.get(name)}, and this call has "
                f"{name} = {ours.get(name)}; pass what it was made with, or another folder."
            )


def url_of(store: Any) -> str:
    """What a store is called by: a path as text, or a URL."""
    text = str(store)
    if not text:
        raise ValueError("store: got an empty path, expected a folder or a URL of fsspec.")
    return text.removeprefix("file://")
