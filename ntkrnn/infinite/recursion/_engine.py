"""The Gram matrix of two sets of sequences: both sides prepared, every tile filled in."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import jax.numpy as jnp

from ntkrnn._tiling import blocks
from ntkrnn._types import Array
from ntkrnn.architectures import Elman, Scales
from ntkrnn.dual import Stepper, stepper
from ntkrnn.infinite.pairs._data import Data, Settings, read_steps, root, time_major
from ntkrnn.infinite.pairs._rows import READ, Layout, Rows, slope_rows
from ntkrnn.infinite.pairs._step import Plan
from ntkrnn.infinite.recursion import _readouts
from ntkrnn.infinite.recursion._adjoint import transposably
from ntkrnn.infinite.recursion._readouts import RecursionSide
from ntkrnn.infinite.recursion._sweep import plainly
from ntkrnn.infinite.recursion._variances import Track, largest_variance, packed_rows, track


def _aligned(x: Array, valid: Array, steps: Any) -> tuple[Array, Array]:
    """Shift every sequence so that its last valid step is the last of ``steps``."""
    time = jnp.arange(x.shape[0], dtype=jnp.int32)[:, None]
    source = time - (steps - jnp.sum(valid, axis=0, dtype=jnp.int32)[None, :])
    inside = (source >= 0) & (time < steps)
    moved = jnp.take_along_axis(x, jnp.maximum(source, 0)[:, :, None], axis=0)
    return jnp.where(inside[:, :, None], moved, 0), inside


def _side(plan: Plan, data: Data, steps: Any, size: int, ragged: bool) -> tuple[RecursionSide, Array]:
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
        return packed_rows(layout, width.astype(x.dtype) * x, tracks), tracks

    def states(tracks: Track) -> dict[str, Array]:
        return {d: 0.5 * entry.state for d, entry in tracks.layers[-1].items()}

    def cut(a: Array) -> Array:
        return a.reshape(*a.shape[:-1], -1, size)

    x, valid = time_major(data)
    aligned = form.reading.final and ragged
    packed, tracks = rows(*(_aligned(x, valid, steps) if aligned else (x, valid)))
    largest, halves, starts, read = largest_variance(tracks), states(tracks), None, {}
    if form.reading.final:
        halves = {d: h[0] if d == "backward" else h[steps - 1] for d, h in halves.items()}
        if aligned and form.bidirectional:
            unaligned, tracks = rows(x, valid)
            halves["backward"] = states(tracks)["backward"][0]
            starts = blocks(unaligned, size)
    elif not form.reading.stepwise:
        read = read_steps(form, data.lengths, valid, x.dtype)
        halves = {d: jnp.sum(read[d] * h, axis=0) for d, h in halves.items()}
        if ragged or not form.reading.uniform:
            packed |= {(READ, d): weights[:, None] for d, weights in read.items()}
    counts = cut(jnp.sum(valid, axis=0).astype(x.dtype))
    halves = {d: cut(h) for d, h in halves.items()}
    masses = {d: cut(jnp.sum(weights, axis=0)) for d, weights in read.items()}
    return RecursionSide(blocks(packed, size), starts, halves, counts, masses), largest


class RecursionSides(NamedTuple):
    """Everything that the tiles are computed from."""

    one: RecursionSide
    two: RecursionSide
    largest: Array
    """Largest pre-activation variance of any valid step."""


def _plan(settings: Settings, scale: Scales, dtype: Any, sweep: Any = plainly) -> Plan:
    phi = stepper(settings.form.nonlinearity)
    if settings.ahead and phi.hoisted is not None:
        phi = phi.hoisted
    return Plan(settings.form, scale, phi, _layout(settings, phi, dtype), sweep)


def _layout(settings: Settings, phi: Stepper, dtype: Any) -> Layout:
    restarts = settings.ragged or not settings.form.reading.final
    return Layout.of(phi, dtype, settings.channels, restarts)


def sides(settings: Settings, scale: Scales, one: Data, two: Data) -> RecursionSides:
    """What depends on one sequence alone, for both sides.

    Cost: O((N1 + N2) T L) evaluations of the features of the nonlinearity.
    """
    plan, tiling = _plan(settings, scale, one.x.dtype), settings.tiling
    last = settings.form.reading.final
    steps = larger(one.steps, two.steps) if last else one.steps
    left, largest = _side(plan, one, steps, tiling.rows, settings.ragged)
    right = left
    if not settings.triangle:
        right, largest2 = _side(plan, two, steps, tiling.columns, settings.ragged)
        largest = jnp.maximum(largest, largest2)
    if not last:
        ends = _readouts.cyclic(right.ends, two.steps, tiling.lanes, one.x.shape[1])
        right = right._replace(ends=ends)
    return RecursionSides(left, right, largest)


def with_slope_features(settings: Settings, both: RecursionSides) -> RecursionSides:
    """The same sides with slope features behind the features, computed once for each sequence."""
    phi = stepper(settings.form.nonlinearity)
    layout = _layout(settings, phi, both.largest.dtype)
    of_rows = functools.partial(slope_rows, layout, phi.slope_features, behind_features=True)

    def extended(side: RecursionSide) -> RecursionSide:
        starts = None if side.starts is None else of_rows(side.starts)
        return side._replace(ends=of_rows(side.ends), starts=starts)

    return both._replace(one=extended(both.one), two=extended(both.two))


def extent(settings: Settings, both: RecursionSides) -> tuple[int, ...]:
    """Shape of the kernels, padded."""
    shape = tuple(math.prod(side.counts.shape) for side in both[:2])
    if settings.form.reading.stepwise:
        shape = (*shape, *(next(iter(s.variances.values())).shape[0] for s in both[:2]))
    return shape


def together(settings: Settings) -> bool:
    """Whether :func:`tile` takes several blocks at a time."""
    return settings.form.reading.final


def tile(
    settings: Settings,
    steps: tuple[Any, Any],
    scale: Scales,
    one: RecursionSide,
    two: RecursionSide,
    *,
    pulled: bool,
) -> tuple[Array, ...]:
    """NNGP and NTK of some blocks, ``[blocks, B1, B2, ...]`` each.

    Args:
        settings: the architecture and what the program is made for.
        steps: T1 and T2.
        scale: squares of the scales.
        one: blocks of the first side.
        two: the blocks that they face.
        pulled: whether this is differentiated in reverse mode.

    Cost: O(B1 B2 L T) for "last", O(B1 B2 L T1 T2) otherwise.
    """
    plan = _plan(settings, scale, one.counts.dtype, transposably if pulled else plainly)
    if settings.form.reading.final:
        return _readouts.last(plan, one, two, larger(*steps))
    whole = _readouts.sequence if settings.form.reading.stepwise else _readouts.summed
    return whole(plan, one, two, *steps, settings.tiling.lanes)


def larger(a: Any, b: Any) -> Any:
    """Maximum that stays a plain int where both are."""
    return max(a, b) if isinstance(a, int) and isinstance(b, int) else jnp.maximum(a, b)
