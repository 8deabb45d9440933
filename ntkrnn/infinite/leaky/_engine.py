"""The Gram matrix of leaky networks: both sides prepared, every tile filled in."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ntkrnn._tiling import blocks
from ntkrnn._types import Array, add_up
from ntkrnn.architectures import Leaky, LeakyScales
from ntkrnn.dual import stepper
from ntkrnn.infinite.leaky._moments import Moments, covariance, turned
from ntkrnn.infinite.leaky._plane import Line, states, sweep
from ntkrnn.infinite.leaky._rows import Member, leaky_rows
from ntkrnn.infinite.pairs._data import Data, Settings, read_steps, root, time_major
from ntkrnn.infinite.pairs._rows import Layout, Rows, across
from ntkrnn.infinite.pairs._step import Pair, Plan, close, open_


class FilterSide(NamedTuple):
    """One side of a Gram matrix, in blocks of sequences."""

    rows: Rows
    """``[T, blocks, R, B]`` for each layer and direction."""
    moments: dict[str, Moments]
    """Of the top layer by direction: ``[blocks, B]`` at the end of the run ("last") or summed over
    steps with their weights, ``[T, blocks, B]`` after every step ("sequence")."""
    read: dict[str, Array]
    """``[T, blocks, B]``: the weights of the steps in a sum over them, else 1 at valid steps; in the
    order of the direction."""
    counts: Array
    """``[blocks, B]``, numbers of valid steps; 0 for the sequences that fill up a tile."""
    steps: Any = None
    """The number of time steps before padding; None but in a tile."""


class FilterSides(NamedTuple):
    """Everything that the tiles are computed from."""

    one: FilterSide
    two: FilterSide
    largest: Array
    """Largest pre-activation variance of any valid step."""


def _plan(settings: Settings, scale: LeakyScales, dtype: Any) -> Plan:
    phi = stepper(settings.form.nonlinearity)
    layout = Layout.of(phi, dtype, settings.channels, restarts=False)
    return Plan(settings.form, scale, phi, layout)


def _side(plan: Plan, data: Data, size: int) -> tuple[FilterSide, Array]:
    """Rows and moments of one side, and its largest pre-activation variance."""
    form, scale, reading = plan.form, plan.scale, plan.form.reading
    assert isinstance(form, Leaky) and isinstance(scale, LeakyScales)
    x, valid = time_major(data)
    width = root(scale.u / (2 * x.shape[2])).astype(x.dtype)
    packed = leaky_rows(form, scale, plan.stepper, plan.layout, width * x, valid, data.steps)

    def cut(a: Array) -> Array:
        return a.reshape(*a.shape[:-1], -1, size)

    steps = dict.fromkeys(form.directions, valid.astype(x.dtype))
    if not (reading.final or reading.stepwise):
        steps = read_steps(form, data.lengths, valid, x.dtype)
    weights = {d: turned(a, data.steps) if d == "backward" else a for d, a in steps.items()}

    def read(direction: str) -> Moments:
        # The gain is 0 in the padding: the last state is held to the end of the array.
        moments = [a[1:] for a in packed.top[direction].moments]
        if reading.final:
            moments = [a[-1] for a in moments]
        elif not reading.stepwise:
            moments = [jnp.sum(weights[direction] * a, axis=0) for a in moments]
        return Moments(*(cut(a) for a in moments))

    moments = {d: read(d) for d in form.directions}
    weights = {d: cut(a) for d, a in weights.items()}
    counts = cut(jnp.sum(valid, axis=0).astype(x.dtype))
    return FilterSide(blocks(packed.rows, size), moments, weights, counts), jnp.max(packed.largest)


def sides(settings: Settings, scale: LeakyScales, one: Data, two: Data) -> FilterSides:
    """What depends on one sequence alone, for both sides.

    Cost: O((N1 T1^2 + N2 T2^2) L) evaluations of the nonlinearity.
    """
    plan, tiling = _plan(settings, scale, one.x.dtype), settings.tiling
    left, largest = _side(plan, one, tiling.rows)
    right = left
    if not settings.triangle:
        right, largest2 = _side(plan, two, tiling.columns)
        largest = jnp.maximum(largest, largest2)
    return FilterSides(left, right, largest)


def extent(settings: Settings, both: FilterSides) -> tuple[int, ...]:
    """Shape of the kernels, padded."""
    shapes = [next(iter(side.read.values())).shape for side in both[:2]]
    shape = tuple(math.prod(s[1:]) for s in shapes)
    return (*shape, *(s[0] for s in shapes)) if settings.form.reading.stepwise else shape


def together(settings: Settings) -> bool:
    """Whether :func:`tile` takes several blocks at a time."""
    del settings
    return False


def tile(
    settings: Settings,
    steps: tuple[Any, Any],
    scale: LeakyScales,
    one: FilterSide,
    two: FilterSide,
    *,
    pulled: bool,
) -> tuple[Array, ...]:
    """NNGP and NTK of a block of either side, ``[1, B1, B2, ...]`` each.

    Args:
        settings: the architecture and what the program is made for.
        steps: T1 and T2.
        scale: squares of the scales, and the rate.
        one: a block of the first side.
        two: the block that it faces.
        pulled: whether this is differentiated in reverse mode: JAX does that, and keeps two rows of
            every step.

    Cost: O(B1 B2 L T1 T2); memory for a few rows, or for the plane if it is read out or feeds two
    directions.
    """
    del pulled
    plan = _plan(settings, scale, one.counts.dtype)
    one, two = (
        jax.tree.map(lambda a: a[0] if a.ndim == 2 else a[:, 0], side)._replace(steps=count)
        for side, count in zip((one, two), steps, strict=True)
    )
    return tuple(a[None] for a in _tile(plan, one, two))


def _tile(plan: Plan, one: FilterSide, two: FilterSide) -> tuple[Array, Array]:
    """NNGP and NTK of the outputs for one block of pairs."""
    form, stored = plan.form, None
    layers = range(form.depth)
    if form.bidirectional:
        for layer in layers[:-1]:
            stored = _average_of_states(plan, layer, one, two, stored)
        layers = layers[-1:]
    kernels = []
    for direction in form.directions:
        fed = _ordered(stored, one, two, direction)
        found = _read(plan, layers, direction, one, two, fed)
        v = plan.scale.v
        ntk = found.ntk + found.distance if "v" in form.trainable else found.ntk
        kernels.append((v * found.distance, v * ntk))
    nngp, ntk = (add_up(parts) / len(parts) for parts in zip(*kernels, strict=True))
    return nngp, ntk


def _ordered(plane: Array | None, one: FilterSide, two: FilterSide, direction: str) -> Array | None:
    """A plane ``[T1, T2, ...]`` from the order of time to that of a direction, or back."""
    if plane is None or direction == "forward":
        return plane
    return turned(turned(plane, one.steps), two.steps, axis=1)


def _empty(one: FilterSide, two: FilterSide, direction: str) -> Array:
    """``[T1, T2, B1, B2]``"""
    (t1, b1), (t2, b2) = one.read[direction].shape, two.read[direction].shape
    zero = jnp.zeros((t1, t2, b1, b2), one.counts.dtype)
    return close(Pair(zero, zero))


def _average_of_states(
    plan: Plan, layer: int, one: FilterSide, two: FilterSide, stored: Array | None
) -> Array:
    """What a layer of two directions hands on, in the order of time."""

    def keep(plane: Array, t: Array, line: Line, left: Member, right: Member) -> Array:
        return plane.at[t].set(close(states(line, left, right)))

    planes = []
    for direction in plan.form.directions:
        fed, empty = _ordered(stored, one, two, direction), _empty(one, two, direction)
        plane = sweep(
            plan, range(layer, layer + 1), direction, one.rows, two.rows, one.steps, fed, keep, empty
        )
        planes.append(_ordered(plane, one, two, direction))
    return add_up(planes) / len(planes)


def _read(
    plan: Plan, layers: range, direction: str, one: FilterSide, two: FilterSide, stored: Array | None
) -> Pair:
    """Covariance and tangent kernel of what the readout sees in one direction."""
    reading = plan.form.reading
    read1, read2 = one.read[direction], two.read[direction]
    moments1 = Moments(*(across(a, 1) for a in one.moments[direction]))
    moments2 = Moments(*(across(a, 2) for a in two.moments[direction]))

    def end(value: Array, t: Array, line: Line, left: Member, right: Member) -> Array:
        del value, t, left, right
        return line.end

    def total(value: Array, t: Array, line: Line, left: Member, right: Member) -> Array:
        del left, right
        here, row = across(read1[t], 1), line.after
        there = across(read2, 2)
        real, imag = (jnp.sum(there * part, axis=0) for part in (row.real, row.imag))
        return value + jax.lax.complex(here * real, here * imag)

    def keep(value: Array, t: Array, line: Line, left: Member, right: Member) -> Array:
        del left, right
        return value.at[t].set(line.after)

    empty = _empty(one, two, direction)
    if reading.stepwise:
        visit, start = keep, empty
    else:
        visit, start = end if reading.final else total, empty[0, 0]
    found = open_(sweep(plan, layers, direction, one.rows, two.rows, one.steps, stored, visit, start))
    if reading.stepwise:
        moments1, moments2 = (
            Moments(*(a[:, None] for a in moments1)),
            Moments(*(a[None] for a in moments2)),
        )
        inside = (across(read1, 1)[:, None] > 0.5) & (across(read2, 2)[None] > 0.5)
        pair = Pair(covariance(found.distance, moments1, moments2), found.ntk)
        pair = Pair(*(jnp.where(inside, a, 0) for a in pair))
        if direction == "backward":
            pair = Pair(*(turned(turned(a, one.steps), two.steps, axis=1) for a in pair))
        return Pair(*(jnp.transpose(a, (2, 3, 0, 1)) for a in pair))
    pair = Pair(covariance(found.distance, moments1, moments2), found.ntk)
    if not reading.uniform:
        return pair
    # Nothing is divided by the count 0 of a sequence that fills up a tile: its derivative is NaN.
    count1, count2 = (jnp.maximum(side.counts, 1) for side in (one, two))
    return Pair(*(a / (across(count1, 1) * across(count2, 2)) for a in pair))
