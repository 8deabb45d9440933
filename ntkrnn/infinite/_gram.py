"""The Gram matrix of two sets of sequences: both sides prepared, every tile filled in."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ntkrnn._types import Array
from ntkrnn.architectures import Elman, Scales
from ntkrnn.dual import stepper
from ntkrnn.infinite import _readouts
from ntkrnn.infinite._diagonal import Plan
from ntkrnn.infinite._readouts import Side
from ntkrnn.infinite._rows import Layout, pack
from ntkrnn.infinite._tiles import Tiling, blocks, fill
from ntkrnn.infinite._variances import Track, track


class Data(NamedTuple):
    """One side as it comes: padded, with its true sizes."""

    x: Array
    """``[N, T, d]``, N a multiple of the tile."""
    lengths: Array
    """``[N]`` int32."""
    steps: Any
    """The number of time steps before padding, an int or a traced integer."""


class Settings(NamedTuple):
    """What a compiled program is made for."""

    form: Elman
    ntk: bool
    tiling: Tiling
    triangle: bool
    """Whether both sides are the same."""
    ragged: bool
    """Whether sequences differ in length."""


def time_major(data: Data) -> tuple[Array, Array]:
    """``[T, N, d]`` with the padding set to 0, and the valid steps ``[T, N]``."""
    valid = jnp.arange(data.x.shape[1], dtype=jnp.int32)[:, None] < data.lengths[None, :]
    return jnp.where(valid[:, :, None], jnp.swapaxes(data.x, 0, 1), 0), valid


def _aligned(x: Array, valid: Array, steps: Any) -> tuple[Array, Array]:
    """Shift every sequence so that its last valid step is the last of ``steps``."""
    source = jnp.arange(x.shape[0])[:, None] - (steps - jnp.sum(valid, axis=0)[None, :])
    inside = (source >= 0) & (jnp.arange(x.shape[0])[:, None] < steps)
    moved = jnp.take_along_axis(x, jnp.maximum(source, 0)[:, :, None], axis=0)
    return jnp.where(inside[:, :, None], moved, 0), inside


def _root(square: Any) -> Any:
    """Square root of a scale, with derivative 0 at 0."""
    positive = square > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, square, 1)), 0)


def _side(plan: Plan, data: Data, steps: Any, size: int, cyclic: tuple[int, int] | None) -> Side:
    """Rows and variances of one side.

    Args:
        plan: what to compute.
        data: the sequences.
        steps: the common number of steps that "last" aligns ends to.
        size: sequences of a tile.
        cyclic: (lanes, capacity) for the second side of "mean" and "sequence".
    """
    form, scale, layout = plan.form, plan.scale, plan.layout
    width = _root(scale.u / (2 * data.x.shape[2]))

    def rows(x: Array, valid: Array) -> tuple[Array, Track]:
        tracks = track(form, scale, jnp.mean(jnp.square(x), axis=-1), valid)
        return pack(layout, plan.stepper, width.astype(x.dtype) * x, tracks), tracks

    def states(tracks: Track) -> dict[str, Array]:
        return {d: 0.5 * entry.state for d, entry in tracks.layers[-1].items()}

    def cut(a: Array) -> Array:
        return a.reshape(*a.shape[:-1], -1, size)

    x, valid = time_major(data)
    counts = cut(jnp.sum(valid, axis=0).astype(x.dtype))
    if form.readout != "last":
        packed, tracks = rows(x, valid)
        halves = states(tracks)
        if form.readout == "mean":
            halves = {d: jnp.sum(h, axis=0) for d, h in halves.items()}
        if cyclic is not None:
            packed = _readouts.cyclic(packed, data.steps, *cyclic)
        return Side(blocks(packed, size), None, {d: cut(h) for d, h in halves.items()}, counts)

    starts = None
    packed, tracks = rows(*(_aligned(x, valid, steps) if layout.restarts else (x, valid)))
    halves = {d: h[0] if d == "backward" else h[steps - 1] for d, h in states(tracks).items()}
    if layout.restarts and form.bidirectional:
        unaligned, tracks = rows(x, valid)
        halves["backward"] = states(tracks)["backward"][0]
        starts = blocks(unaligned, size)
    return Side(blocks(packed, size), starts, {d: cut(h) for d, h in halves.items()}, counts)


def gram(
    settings: Settings, scale: Scales, one: Data, two: Data, pairs: Array, span: tuple[Any, Any]
) -> tuple[Array, ...]:
    """NNGP, and NTK if wanted, in the tiles of some groups, 0 in the others.

    Args:
        settings: the architecture and what the program is made for.
        scale: squares of the scales.
        one: the first side.
        two: the second side.
        pairs: ``[groups, lanes, 2]``, see :func:`ntkrnn.infinite._tiles.schedule`.
        span: first group and one past the last.

    Returns:
        One matrix for each kernel, of the padded sizes.

    Cost: O(N1 N2 L T) for "last", O(N1 N2 L T1 T2) otherwise; beside the matrices, memory for one
    block of pairs and for both sides, O((N1 + N2) T (d + L)).
    """
    form, tiling = settings.form, settings.tiling
    everything = form.readout != "last"
    step = stepper(form.nonlinearity)
    restarts, padding = everything or settings.ragged, everything and settings.ragged
    layout = Layout.of(form, step, one.x.dtype, one.x.shape[2], restarts, padding)
    plan = Plan(form, scale, step, layout, settings.ntk)
    capacity = one.x.shape[1]
    turning = (tiling.lanes, capacity) if everything else None
    steps = one.steps if everything else _larger(one.steps, two.steps)
    left = _side(plan, one, steps, tiling.rows, None)
    right = _side(plan, two, steps, tiling.columns, turning)
    if form.readout == "last":
        compute = _readouts.last(plan, left, right, steps)
    else:
        readout = _readouts.mean if form.readout == "mean" else _readouts.sequence
        compute = readout(plan, left, right, steps, two.steps, tiling.lanes)
    shape = (one.x.shape[0], two.x.shape[0])
    if form.readout == "sequence":
        shape = (*shape, one.x.shape[1], two.x.shape[1])
    empty = tuple(jnp.zeros(shape, one.x.dtype) for _ in range(1 + settings.ntk))
    return fill(compute, pairs, span, empty, settings.triangle)


def _larger(a: Any, b: Any) -> Any:
    """Maximum that stays a plain int where both are."""
    return max(a, b) if isinstance(a, int) and isinstance(b, int) else jnp.maximum(a, b)
