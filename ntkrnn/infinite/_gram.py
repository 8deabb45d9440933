"""The Gram matrix of two sets of sequences: both sides prepared, every tile filled in."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax.numpy as jnp

from ntkrnn._types import Array
from ntkrnn.architectures import Elman, Leaky, Scales
from ntkrnn.dual import stepper
from ntkrnn.gram import Compute, Tiling, blocks, fill, fill_diagonal, side_by_side
from ntkrnn.infinite import _readouts
from ntkrnn.infinite._diagonal import Plan
from ntkrnn.infinite._readouts import Side
from ntkrnn.infinite._rows import Layout, Rows, pack
from ntkrnn.infinite._variances import Track, largest_variance, track


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

    form: Elman | Leaky
    tiling: Tiling
    triangle: bool
    """Whether both sides are the same."""
    channels: int
    ragged: bool
    """Whether sequences differ in length."""
    diagonal: bool
    """Whether sequence i of one side is wanted with sequence i of the other alone."""


def time_major(data: Data) -> tuple[Array, Array]:
    """``[T, N, d]`` with the padding set to 0, and the valid steps ``[T, N]``."""
    valid = jnp.arange(data.x.shape[1], dtype=jnp.int32)[:, None] < data.lengths[None, :]
    return jnp.where(valid[:, :, None], jnp.swapaxes(data.x, 0, 1), 0), valid


def _aligned(x: Array, valid: Array, steps: Any) -> tuple[Array, Array]:
    """Shift every sequence so that its last valid step is the last of ``steps``."""
    time = jnp.arange(x.shape[0], dtype=jnp.int32)[:, None]
    source = time - (steps - jnp.sum(valid, axis=0, dtype=jnp.int32)[None, :])
    inside = (source >= 0) & (time < steps)
    moved = jnp.take_along_axis(x, jnp.maximum(source, 0)[:, :, None], axis=0)
    return jnp.where(inside[:, :, None], moved, 0), inside


def root(square: Any) -> Any:
    """Square root of a scale, with derivative 0 at 0."""
    positive = square > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, square, 1)), 0)


def _side(plan: Plan, data: Data, steps: Any, size: int, ragged: bool) -> tuple[Side, Array]:
    """Rows and variances of one side, and its largest pre-activation variance.

    Args:
        plan: what to compute.
        data: the sequences.
        steps: the common number of steps that "last" aligns ends to.
        size: sequences of a tile.
        ragged: whether sequences differ in length.
    """
    form, scale, layout = plan.form, plan.scale, plan.layout
    assert isinstance(form, Elman) and isinstance(scale, Scales)  # the filter has a side of its own
    width = root(scale.u / (2 * data.x.shape[2]))

    def rows(x: Array, valid: Array) -> tuple[Rows, Track]:
        tracks = track(form, scale, jnp.mean(jnp.square(x), axis=-1), valid)
        return pack(layout, width.astype(x.dtype) * x, tracks), tracks

    def states(tracks: Track) -> dict[str, Array]:
        return {d: 0.5 * entry.state for d, entry in tracks.layers[-1].items()}

    def cut(a: Array) -> Array:
        return a.reshape(*a.shape[:-1], -1, size)

    x, valid = time_major(data)
    aligned = form.readout == "last" and ragged
    packed, tracks = rows(*(_aligned(x, valid, steps) if aligned else (x, valid)))
    largest, halves, starts = largest_variance(tracks), states(tracks), None
    if form.readout == "last":
        halves = {d: h[0] if d == "backward" else h[steps - 1] for d, h in halves.items()}
        if aligned and form.bidirectional:
            unaligned, tracks = rows(x, valid)
            halves["backward"] = states(tracks)["backward"][0]
            starts = blocks(unaligned, size)
    elif form.readout == "mean":
        halves = {d: jnp.sum(h, axis=0) for d, h in halves.items()}
    counts = cut(jnp.sum(valid, axis=0).astype(x.dtype))
    halves = {d: cut(h) for d, h in halves.items()}
    return Side(blocks(packed, size), starts, halves, counts), largest


class Sides(NamedTuple):
    """Everything that the tiles are computed from."""

    one: Side
    two: Side
    steps: Any
    """Positions on a diagonal."""
    period: Any
    """Number of cyclic diagonals."""
    largest: Array
    """Largest pre-activation variance of any valid step."""


def _plan(settings: Settings, scale: Scales, dtype: Any) -> Plan:
    passed = stepper(settings.form.nonlinearity)
    everything = settings.form.readout != "last"
    restarts = everything or settings.ragged
    ragged = everything and settings.ragged
    layout = Layout.of(passed, dtype, settings.channels, restarts, ragged)
    return Plan(settings.form, scale, passed, layout)


def sides(settings: Settings, scale: Scales, one: Data, two: Data) -> Sides:
    """What depends on one sequence alone, for both sides.

    Cost: O((N1 + N2) T L) evaluations of the features of the nonlinearity.
    """
    plan, tiling = _plan(settings, scale, one.x.dtype), settings.tiling
    last = settings.form.readout == "last"
    steps = _larger(one.steps, two.steps) if last else one.steps
    left, largest = _side(plan, one, steps, tiling.rows, settings.ragged)
    right = left
    if not settings.triangle:
        right, largest2 = _side(plan, two, steps, tiling.columns, settings.ragged)
        largest = jnp.maximum(largest, largest2)
    if not last:
        ends = _readouts.cyclic(right.ends, two.steps, tiling.lanes, one.x.shape[1])
        right = right._replace(ends=ends)
    return Sides(left, right, steps, two.steps, largest)


def tiles(
    settings: Settings, scale: Scales, both: Sides, pairs: Array, span: tuple[Any, Any]
) -> tuple[Array, Array]:
    """NNGP and NTK in the tiles of some groups, 0 in the others.

    Args:
        settings: the architecture and what the program is made for.
        scale: squares of the scales.
        both: what :func:`sides` returns.
        pairs: ``[groups, lanes, 2]``, see :func:`ntkrnn.gram.schedule`.
        span: first group and one past the last.

    Returns:
        Two matrices of the padded sizes, or their diagonals.

    Cost: O(N1 N2 L T) for "last", O(N1 N2 L T1 T2) otherwise, with N in place of N1 N2 for a diagonal;
    beside the result, memory for one
    block of pairs and for both sides, O((N1 + N2) T (d + L)).
    """
    dtype, readout = both.one.counts.dtype, settings.form.readout
    plan = _plan(settings, scale, dtype)
    shape = tuple(math.prod(side.counts.shape) for side in both[:2])
    if readout == "last":
        compute = _readouts.last(plan, both.one, both.two, both.steps)
    else:
        whole = _readouts.mean if readout == "mean" else _readouts.sequence
        compute = whole(plan, *both[:4], settings.tiling.lanes)
        compute = side_by_side(compute) if settings.diagonal else compute
    if readout == "sequence":
        shape = (*shape, *(next(iter(s.variances.values())).shape[0] for s in both[:2]))
    return filled(settings, compute, pairs, span, shape, dtype)


def filled(
    settings: Settings,
    compute: Compute,
    pairs: Array,
    span: tuple[Any, Any],
    shape: tuple[int, ...],
    dtype: Any,
) -> tuple[Array, Array]:
    """Both kernels of the shape ``(N1, N2, ...)``, or their diagonals ``(N, ...)``."""
    if settings.diagonal:
        out = (jnp.zeros(shape[1:], dtype),) * 2
        nngp, ntk = fill_diagonal(compute, pairs, span, out, settings.triangle)
    else:
        nngp, ntk = fill(compute, pairs, span, (jnp.zeros(shape, dtype),) * 2, settings.triangle)
    return nngp, ntk


def _larger(a: Any, b: Any) -> Any:
    """Maximum that stays a plain int where both are."""
    return max(a, b) if isinstance(a, int) and isinstance(b, int) else jnp.maximum(a, b)
