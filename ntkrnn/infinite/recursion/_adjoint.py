r"""The recursion along diagonals, differentiated in reverse mode by hand.

With a tilde for derivatives of the number that is differentiated, and the letters of
:mod:`ntkrnn.infinite.pairs._step`, a step is retraced as::

    Psi~ = kdot Theta~,   kdot~ = Psi Theta~
    D^h~ = dD/dD^h D~ + dkdot/dD^h kdot~ - [trained part] Psi~
    D_before~ = w_std^2 D^h~,   Theta_before~ = w_std^2 Psi~
    (w_std^2)~ += D^h~ D_before + Psi~ Theta_before,   a~ += Psi~,   q~ += dD/dq D~ + dkdot/dq kdot~

Nothing is kept of the way forward but the states at the start of every :data:`CHUNK` iterations; a
chunk is run once more before it is retraced, and leaves D, kdot and Psi of its steps in the cache, so
that no root and no quotient is taken a third time.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ntkrnn._types import Array
from ntkrnn.infinite.pairs._rows import Key, LayerRows, Rows, input_distance_cotangents, slope_rows
from ntkrnn.infinite.pairs._step import Pair, close, meet, open_
from ntkrnn.infinite.recursion._sweep import Block, Sweep
from ntkrnn.infinite.recursion._tape import (
    CHUNK,
    Tape,
    blank,
    checkpointed,
    chunk_count,
    entry,
    feed,
    fetched,
    iterations,
    masked,
    parts,
    recorded,
    stage_count,
)


def transposably(sweep: Sweep, value: Any) -> tuple[Array, Any]:
    """What :func:`ntkrnn.infinite.recursion._sweep.plainly` returns, with a derivative in reverse mode.

    Cost: as much; retraced, two to three times as much, and memory for the states of every
    :data:`CHUNK` steps of the block and all states of a chunk.
    """
    keys = [*sweep.keys, *(key for key in sweep.block.rows1 if key[0] < 0)]
    block = sweep.block
    rows1, rows2 = ({key: rows[key] for key in keys} for rows in (block.rows1, block.rows2))

    def bound(data: Any) -> Sweep:
        scale, rows1, rows2, first, steps, stored, _ = data
        plan = sweep.plan._replace(scale=scale)
        moved = Block(rows1, rows2, first, block.lanes, steps)
        return sweep._replace(plan=plan, block=moved, stored=stored)

    @jax.custom_vjp
    def run(data: Any) -> tuple[Array, Any]:
        return checkpointed(bound(data), data[-1])[0]

    def forward(data: Any) -> tuple[tuple[Array, Any], Any]:
        results, checkpoints = checkpointed(bound(data), data[-1])
        return results, (data, checkpoints)

    def backward(kept: Any, cotangents: tuple[Array, Any]) -> tuple[Any]:
        data, checkpoints = kept
        # JAX's cotangent of a complex number is the conjugate of the derivatives by both parts.
        state, value = jax.tree.map(jnp.conj, cotangents)
        scale, rows1, rows2, stored = _backward(bound(data), checkpoints, state, value)
        stored = None if stored is None else jnp.conj(stored)
        return ((scale, rows1, rows2, None, None, stored, cotangents[1]),)

    run.defvjp(forward, backward)
    return run((sweep.plan.scale, rows1, rows2, block.first, block.steps, sweep.stored, value))


class _Pending(NamedTuple):
    """What the iteration retraced last has left, by stage ``[lanes, B1, B2]``."""

    pre_activation: tuple[Array, ...]
    """``D^h~``, but for what the trained part takes away, and, as imaginary part, ``Psi~``."""
    variances: tuple[Array, ...]
    """``q~`` of the first side and, as imaginary part, of the second."""


class _Totals(NamedTuple):
    """Cotangents that add up on the way back."""

    w: Array
    u: Array
    """``[lanes, B1, B2]``"""
    one: dict[Key, Array]
    """``[T1, (lanes,) rows, B1]``: channels of the inputs, trained, (previous,) q."""
    two: dict[Key, Array]
    stored: Array | None


def _backward(
    sweep: Sweep, checkpoints: tuple[Array, ...], state: Array, value: Any
) -> tuple[Any, Rows, Rows, Array | None]:
    """Cotangents of the scales, of the rows of both sides and of what was stored.

    An iteration leaves its cotangents as they are, and the next one sums them over the sides: an array
    that is carried from one iteration to the next is in memory, while all that is derived from a number
    within one iteration would have it computed again.
    """
    layout, lag = sweep.plan.layout, stage_count(sweep)
    kinds = 3 if layout.restarts else 2
    steeper = _with_slope_features(sweep)

    def empty(rows: Rows) -> dict[Key, Array]:
        return {
            key: jnp.zeros_like(rows[key][..., : layout.first(key) + kinds, :]) for key in sweep.keys
        }

    nothing = jnp.zeros(sweep.block.shape, sweep.block.dtype)
    stored = None if sweep.stored is None else jnp.zeros_like(sweep.stored)
    totals = _Totals(nothing, nothing, empty(sweep.block.rows1), empty(sweep.block.rows2), stored)
    pending = _Pending((sweep.block.zero(),) * lag, (sweep.block.zero(),) * lag)
    count, _ = chunk_count(sweep)
    end = iterations(sweep)

    def chunk(k: Array, carry: Any) -> Any:
        first = (count - 1 - k) * CHUNK
        stop = jnp.minimum(first + CHUNK, end)
        start = tuple(
            jax.lax.dynamic_index_in_dim(c, count - 1 - k, keepdims=False) for c in checkpoints
        )
        *carry, tape = carry
        tape = recorded(sweep, tape, start, first, stop)

        def back(k: Array, carry: Any) -> Any:
            i = stop - 1 - k
            pending, totals, later, read = carry
            steps = entry(tape, i - first + 1)
            after = [step.state for step in steps]
            before = [step.state for step in entry(tape, i - first)]
            cotangents, totals = _settled(steeper, i + 1, after, later, pending, value, totals)
            cotangents = (*cotangents[:-1], cotangents[-1] + jnp.where(i == end - 1, state, 0))
            pending = _retraced(steeper, i, before, steps, read, cotangents)
            return pending, totals, read, fetched(steeper, i - 1)

        return *jax.lax.fori_loop(0, stop - first, back, tuple(carry)), tape

    carry = (pending, totals, fetched(steeper, end), fetched(steeper, end - 1), blank(sweep))
    pending, totals, read, *_ = jax.lax.fori_loop(0, count, chunk, carry)
    start = [open_(sweep.block.zero())] * lag
    _, totals = _settled(steeper, jnp.asarray(0), start, read, pending, value, totals)
    scale = jax.tree.map(jnp.zeros_like, sweep.plan.scale)
    scale = scale._replace(w=jnp.sum(totals.w), u=jnp.sum(totals.u))
    one = _spread(sweep, totals.one, sweep.block.rows1)
    two = _spread(sweep, totals.two, sweep.block.rows2)
    return scale, one, two, totals.stored


def _with_slope_features(sweep: Sweep) -> Sweep:
    """The same with rows of what slopes read in the place of features."""
    changed = functools.partial(slope_rows, sweep.plan.layout, sweep.plan.stepper.slope_features)
    block = sweep.block
    return sweep._replace(block=block._replace(rows1=changed(block.rows1), rows2=changed(block.rows2)))


def _retraced(
    sweep: Sweep, i: Array, states: list[Pair], steps: Tape, read: Any, cotangents: Any
) -> _Pending:
    """Iteration i backwards, from the states before it and the cotangents of those after it."""
    apart, variances = [], []
    for stage, (state, step) in enumerate(zip(states, steps, strict=True)):
        one, two = sweep.views(stage, read)
        met = meet(sweep.plan, feed(sweep, stage, states, read), state, one, two)
        _, kdot = parts(step.distance_kdot)
        slopes = sweep.plan.stepper.slopes(met.distance, kdot, one.features, two.features)
        of_distance, of_ntk = parts(masked(i, stage, cotangents[stage]))
        of_kdot = step.covariance * of_ntk
        along = [
            a * of_distance + b * of_kdot for a, b in zip(slopes.distance, slopes.kdot, strict=True)
        ]
        # One loop for both, and one for the variances.
        apart.append(jax.lax.complex(along[0], slopes.ntk * of_ntk))
        variances.append(jax.lax.complex(*along[1:]))
    return _Pending(tuple(apart), tuple(variances))


def _settled(
    sweep: Sweep,
    i: Array,
    states: list[Pair],
    read: Any,
    pending: _Pending,
    value: Any,
    totals: _Totals,
) -> tuple[tuple[Array, ...], _Totals]:
    """From what iteration i left to the cotangents of the states before it, and to the totals."""
    plan, visit, lag = sweep.plan, sweep.visit, stage_count(sweep)
    w, u = totals.w, totals.u
    stored: Any = totals.stored
    sums1, sums2 = dict(totals.one), dict(totals.two)
    cotangents: list[Any] = [0] * lag
    if visit is not None:
        there = sweep.position(jnp.maximum(i - lag, 0))
        inside = (i >= lag) & (i < iterations(sweep))
        cotangents[-1] = jnp.where(inside, visit.pull(value, read[2], there), 0)
    for stage, key in enumerate(sweep.keys):
        low, (one, two) = feed(sweep, stage, states, read), sweep.views(stage, read)
        met = meet(plan, low, states[stage], one, two)
        apart, psi = parts(pending.pre_activation[stage])
        recurrent = apart - psi if "w" in plan.form.trainable else apart
        fed = apart - psi if "u" in plan.form.trainable else apart
        w = w + (recurrent * met.before.distance + psi * met.before.ntk)
        before, start = _restarted(plan.scale.w * recurrent, plan.scale.w * psi, one, two)
        cotangents[stage] = cotangents[stage] + close(before)
        channels = None
        if low.ntk is None:
            left, right = read[0][stage]
            channels = input_distance_cotangents(plan.layout, left, right, fed)
        else:
            source = states[stage - 1] if stage > 0 else read[1]
            u = u + (fed * source.distance + psi * source.ntk)
            given = plan.scale.u * close(Pair(fed, psi))
            if stage > 0:
                cotangents[stage - 1] = cotangents[stage - 1] + given
            else:
                stored = stored.at[sweep.position(jnp.minimum(i, iterations(sweep) - 1))].add(given)
        at = sweep.position(jnp.maximum(i - stage, 0))
        rows = _sums([(psi, psi), *start, parts(pending.variances[stage])])
        sums1[key], sums2[key] = _added(sweep.block, sums1[key], sums2[key], at, rows, channels)
    return tuple(cotangents), _Totals(w, u, sums1, sums2, stored)


def _restarted(
    distance: Array, ntk: Array, one: LayerRows, two: LayerRows
) -> tuple[Pair, list[tuple[Array, Array]]]:
    """Cotangents of the state before a step, and of the start of sequences that start with it."""
    if one.alive is None or two.alive is None:
        return Pair(distance, ntk), []
    on = one.alive * two.alive
    start = (1 - on) * distance
    return Pair(on * distance, on * ntk), [(start, start)]


def _sums(arrays: list[tuple[Array, Array]]) -> tuple[Array, Array]:
    """Each first array summed over the second side, each second over the first."""
    left = jnp.stack([jnp.sum(a, axis=-1) for a, _ in arrays], axis=1)
    right = jnp.stack([jnp.sum(b, axis=-2) for _, b in arrays], axis=1)
    return left, right


def _added(
    block: Block, one: Array, two: Array, t: Array, rows: tuple[Array, Array], channels: Any
) -> tuple[Array, Array]:
    """Totals of both sides with those of one position."""
    left, right = rows
    if channels is not None:
        left, right = (jnp.concatenate(both, axis=1) for both in zip(channels, rows, strict=True))
    if block.first is None:
        return one.at[t].add(left), two.at[t].add(right)
    start = (t + block.first, *(jnp.zeros((), t.dtype),) * (two.ndim - 1))
    old = jax.lax.dynamic_slice(two, start, right.shape)
    return one.at[t].add(jnp.sum(left, axis=0)), jax.lax.dynamic_update_slice(two, old + right, start)


def _spread(sweep: Sweep, totals: dict[Key, Array], rows: Rows) -> Rows:
    """From the rows that have cotangents to all rows."""
    layout, spread = sweep.plan.layout, {}
    for key, whole in rows.items():
        if key not in totals:
            spread[key] = jnp.zeros_like(whole)
            continue
        first, part = layout.first(key), totals[key]
        target = jnp.zeros_like(whole)
        # trained; alive has none; previous; q, the first of the features.
        kinds = [first, first + 2, first + 3] if layout.restarts else [first, first + 1]
        target = target.at[..., :first, :].set(part[..., :first, :])
        for k, row in enumerate(kinds):
            target = target.at[..., row, :].set(part[..., first + k, :])
        spread[key] = target
    return spread
