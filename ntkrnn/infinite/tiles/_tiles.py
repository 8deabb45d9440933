"""The Gram matrix of either engine tile by tile: filled in, and differentiated in reverse mode.

Both directions hold one group of tiles at a time: a derivative retraces the recursion on the tiles of a
group and adds what comes out to the cotangents of their blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ntkrnn._derivatives import transposable
from ntkrnn._tiling import drain, drain_diagonal, fill, fill_diagonal
from ntkrnn._types import Array
from ntkrnn.dual import stepper
from ntkrnn.infinite.leaky import _engine as leaky
from ntkrnn.infinite.pairs._data import Data, Settings
from ntkrnn.infinite.recursion import _engine as recursion


def _engine(settings: Settings) -> Any:
    return leaky if settings.form.limit == "filter" else recursion


def sides(settings: Settings, scale: Any, one: Data, two: Data) -> Any:
    """What depends on one sequence alone, by the engine of the architecture."""
    return _engine(settings).sides(settings, scale, one, two)


def _axis(leaf: Array) -> int:
    """Of the blocks: ``[blocks, B]``, ``[T, blocks, B]`` or ``[T, blocks, R, B]``."""
    return 0 if leaf.ndim == 2 else 1


def _some(side: Any, index: Array) -> Any:
    """Some blocks of a side."""

    def take(a: Array) -> Array:
        if index.shape[0] > 16:
            return jnp.take(a, index, axis=_axis(a))
        # A few slices are copied faster than a gather finds its way.
        parts = [jax.lax.dynamic_slice_in_dim(a, i, 1, axis=_axis(a)) for i in index]
        return jnp.concatenate(parts, axis=_axis(a))

    return jax.tree.map(take, side)


def _added(total: Any, index: Array, part: Any) -> Any:
    """Cotangents of a side with those of some blocks."""

    def add(whole: Array, some: Array) -> Array:
        return whole.at[index].add(some) if _axis(whole) == 0 else whole.at[:, index].add(some)

    return jax.tree.map(add, total, part)


def _compute(settings: Settings, steps: tuple[Any, Any], pulled: bool) -> Callable[..., Any]:
    """``(scale, blocks of one side, the blocks that they face)`` to tiles ``[blocks, B1, B2, ...]``."""
    engine = _engine(settings)

    def together(scale: Any, one: Any, two: Any) -> tuple[Array, ...]:
        return engine.tile(settings, steps, scale, one, two, pulled=pulled)

    if not settings.diagonal or engine.together(settings):
        return together

    def apart(scale: Any, one: Any, two: Any) -> tuple[Array, ...]:
        axes = jax.tree.map(_axis, (one, two))

        def single(one: Any, two: Any) -> tuple[Array, ...]:
            blocks = jax.tree.map(jnp.expand_dims, (one, two), axes)
            return tuple(tile[0] for tile in together(scale, *blocks))

        return jax.vmap(single, in_axes=axes)(one, two)

    return apart


def tiles(
    settings: Settings,
    steps: tuple[Any, Any],
    scale: Any,
    both: Any,
    pairs: Array,
    span: tuple[Any, Any],
) -> tuple[Array, ...]:
    """NNGP and NTK in the tiles of some groups, 0 in the others.

    Args:
        settings: the architecture and what the program is made for.
        steps: T1 and T2.
        scale: squares of the scales.
        both: what :func:`sides` returns.
        pairs: ``[groups, lanes, 2]``, see :func:`ntkrnn._tiling.schedule`.
        span: first group and one past the last.

    Returns:
        Two matrices of the padded sizes, or their diagonals.

    Cost: O(N1 N2 L T) for "last", O(N1 N2 L T1 T2) otherwise, with N in place of N1 N2 for a diagonal;
    beside the result, memory for one block of pairs and for both sides, O((N1 + N2) T (d + L)).
    """
    run = _compute(settings, steps, pulled=False)

    def compute(i: Array, j: Array) -> tuple[Array, ...]:
        return run(scale, _some(both.one, i), _some(both.two, j))

    shape, dtype = _engine(settings).extent(settings, both), both.largest.dtype
    if settings.diagonal:
        out = (jnp.zeros(shape[1:], dtype),) * 2
        return fill_diagonal(compute, pairs, span, out, settings.triangle)
    return fill(compute, pairs, span, (jnp.zeros(shape, dtype),) * 2, settings.triangle)


def _value(static: Any, scale: Any, both: Any, pairs: Array) -> tuple[Array, ...]:
    settings, steps, groups = static
    return tiles(settings, steps, scale, both, pairs, (0, groups))


def _ahead(static: Any, scale: Any, both: Any, pairs: Array) -> tuple[Array, ...]:
    """The same, from sides whose slope features are computed before the tiles."""
    settings, steps, groups = static
    engine = _engine(settings)
    if stepper(settings.form.nonlinearity).hoisted is None or engine is leaky:
        return _value(static, scale, both, pairs)
    both = engine.with_slope_features(settings, both)
    return _value((settings._replace(ahead=True), steps, groups), scale, both, pairs)


def _pullback(static: Any, args: Any, cotangents: tuple[Array, ...]) -> Any:
    """Cotangents of scales and sides, from those of both kernels."""
    settings, steps, groups = static
    scale, both, pairs = args
    compute = _compute(settings, steps, pulled=True)

    def visit(state: Any, i: Array, j: Array, given: tuple[Array, ...]) -> Any:
        _, back = jax.vjp(compute, scale, _some(both.one, i), _some(both.two, j))
        of_scale, of_one, of_two = back(given)
        total, one, two = state
        total = jax.tree.map(jnp.add, total, of_scale)
        return total, _added(one, i, of_one), _added(two, j, of_two)

    start = jax.tree.map(jnp.zeros_like, (scale, both.one, both.two))
    rest = (pairs, (0, groups), cotangents)
    if settings.diagonal:
        of_scale, one, two = drain_diagonal(visit, *rest, settings.triangle, start)
    else:
        of_scale, one, two = drain(visit, *rest, settings.tiling[:2], settings.triangle, start)
    return of_scale, both._replace(one=one, two=two, largest=jnp.zeros_like(both.largest)), pairs


differentiable_tiles = transposable(_value, _pullback, _ahead)
"""``((settings, steps, groups), scale, both, pairs)``: all tiles, in somebody's program."""
