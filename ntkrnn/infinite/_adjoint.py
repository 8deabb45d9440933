r"""The recursion along diagonals, differentiated in reverse mode by hand.

With a tilde for derivatives of the number that is differentiated, and the letters of
:mod:`ntkrnn.infinite._step`, a step is retraced as::

    Psi~ = kdot Theta~,   kdot~ = Psi Theta~
    D^h~ = dD/dD^h D~ + dkdot/dD^h kdot~ - [trained part] Psi~
    D_before~ = w_std^2 D^h~,   Theta_before~ = w_std^2 Psi~
    (w_std^2)~ += D^h~ D_before + Psi~ Theta_before,   a~ += Psi~,   q~ += dD/dq D~ + dkdot/dq kdot~

Nothing is kept of the way forward but the states at the start of every :data:`CHUNK` iterations; a
chunk is run once more before it is retraced, and leaves D, kdot and Theta of its steps in the cache,
so that no root and no quotient is taken a third time.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ntkrnn._types import Array
from ntkrnn.infinite._rows import Key, Rows, input_distance_cotangents
from ntkrnn.infinite._step import Below, Pair, advance, close, meet, open_
from ntkrnn.infinite._sweep import Block, Sweep

CHUNK = 10


def transposably(sweep: Sweep, value: Any) -> tuple[Array, Any]:
    """What :func:`ntkrnn.infinite._sweep.plainly` returns, with a derivative in reverse mode.

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
        return _forward(bound(data), data[-1])[0]

    def forward(data: Any) -> tuple[tuple[Array, Any], Any]:
        results, checkpoints = _forward(bound(data), data[-1])
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


def _masked(i: Array, stage: int, state: Array) -> Array:
    """A stage has nothing before the iteration of its number."""
    return state if stage == 0 else jnp.where(i >= stage, state, 0)


def _chunks(sweep: Sweep) -> tuple[Any, int]:
    """How many chunks there are, and how many there may be."""
    most = sweep.block.capacity + sweep.lag
    return -(-sweep.iterations // CHUNK), -(-most // CHUNK)


def _forward(sweep: Sweep, value: Any) -> tuple[tuple[Array, Any], Array]:
    """The results, and the states ``[chunks, stages, lanes, B1, B2]`` before every chunk."""
    lag, visit = sweep.lag, sweep.visit

    def body(i: Array, carry: Any) -> Any:
        states, read, value = carry
        opened = [open_(state) for state in states]
        new = []
        for stage in range(lag):
            low, (one, two) = sweep.low(stage, opened, read), sweep.views(stage, read)
            new.append(_masked(i, stage, advance(sweep.plan, low, opened[stage], one, two)))
        if visit is not None:
            there = sweep.position(jnp.maximum(i - lag, 0))
            value = visit.fold(value, states[-1], read[2], there, i >= lag)
        return tuple(new), sweep.fetch(i + 1), value

    def chunk(k: Array, carry: Any) -> Any:
        checkpoints, (states, read, value) = carry
        checkpoints = tuple(c.at[k].set(s) for c, s in zip(checkpoints, states, strict=True))
        stop = jnp.minimum((k + 1) * CHUNK, sweep.iterations)
        return checkpoints, jax.lax.fori_loop(k * CHUNK, stop, body, (states, read, value))

    count, most = _chunks(sweep)
    start = ((sweep.zero(),) * lag, sweep.fetch(jnp.asarray(0)), value)
    checkpoints = (sweep.zero(most),) * lag
    checkpoints, (states, _, value) = jax.lax.fori_loop(0, count, chunk, (checkpoints, start))
    return (states[-1], value), checkpoints


class _Tape(NamedTuple):
    """States before and after the iterations of a chunk, ``[CHUNK + 1, lanes, B1, B2]`` by stage."""

    distance_kdot: tuple[Array, ...]
    """D after an iteration and, as imaginary part, the kdot of that iteration."""
    ntk: tuple[Array, ...]

    def before(self, j: Array) -> list[Pair]:
        """The states before iteration j of the chunk."""
        take = jax.lax.dynamic_index_in_dim
        return [
            Pair(take(d, j, keepdims=False).real, take(n, j, keepdims=False))
            for d, n in zip(self.distance_kdot, self.ntk, strict=True)
        ]

    def kdot(self, j: Array, stage: int) -> Array:
        """The kdot of iteration j of the chunk."""
        return jax.lax.dynamic_index_in_dim(self.distance_kdot[stage], j + 1, keepdims=False).imag


def _recorded(sweep: Sweep, start: tuple[Array, ...], first: Array, stop: Array) -> _Tape:
    """Run a chunk once more and keep it."""
    lag, plan = sweep.lag, sweep.plan
    opened = [open_(state) for state in start]
    lead = (CHUNK + 1, *sweep.block.shape)
    dtype = sweep.block.dtype
    tape = _Tape(
        tuple(sweep.zero(CHUNK + 1).at[0].set(close(Pair(s.distance, 0 * s.ntk))) for s in opened),
        tuple(jnp.zeros(lead, dtype).at[0].set(s.ntk) for s in opened),
    )

    def body(i: Array, carry: Any) -> Any:
        (both, ntks), states, read = carry
        new, after = [], []
        for stage in range(lag):
            one, two = sweep.views(stage, read)
            met = meet(plan, sweep.low(stage, states, read), states[stage], one, two)
            step = _masked(
                i, stage, jax.lax.complex(*plan.stepper.advance(met.distance, one.features, two.features))
            )
            step = jax.lax.optimization_barrier(step)  # one loop for both
            new.append(step)
            after.append(Pair(step.real, step.imag * met.covariance))
        both = tuple(b.at[i - first + 1].set(s) for b, s in zip(both, new, strict=True))
        ntks = tuple(n.at[i - first + 1].set(s.ntk) for n, s in zip(ntks, after, strict=True))
        return _Tape(both, ntks), after, sweep.fetch(i + 1)

    return jax.lax.fori_loop(first, stop, body, (tape, opened, sweep.fetch(first)))[0]


class _Retraced(NamedTuple):
    """Cotangents that one step of one stage gives."""

    before: Array
    """Of the state before, D and Theta in one array."""
    fed: Array
    """Of what feeds the stage, alike, before it is scaled by u_std^2."""
    rows: tuple[tuple[Array, Array], ...]
    """For each pair, of the rows of both sides: trained, (previous,) q."""
    recurrent: Array
    """``(w_std^2)~`` of each pair."""


def _retrace(sweep: Sweep, low: Below, state: Pair, kdot: Array, sides: Any, cotangent: Array) -> _Retraced:
    """One step backwards."""
    plan, (one, two) = sweep.plan, sides
    w, trainable = plan.scale.w, plan.form.trainable
    met = meet(plan, low, state, one, two)
    slopes = plan.stepper.slopes(met.distance, kdot, one.features, two.features)
    out = open_(cotangent)
    of_kdot = met.covariance * out.ntk

    def along(k: int) -> Array:
        return slopes.distance[k] * out.distance + slopes.kdot[k] * of_kdot

    # One loop for both: D^h~, but for what the trained part takes away, and Psi~.
    apart, psi = open_(jax.lax.optimization_barrier(close(Pair(along(0), slopes.passed * out.ntk))))
    q1, q2 = open_(jax.lax.optimization_barrier(close(Pair(along(1), along(2)))))
    recurrent, fed = apart, apart
    if "w" in trainable:
        recurrent = recurrent - psi
    if "u" in trainable:
        fed = fed - psi
    before = Pair(w * recurrent, w * psi)
    rows = [(psi, psi)]
    if one.alive is not None:
        on = one.alive * two.alive
        start = (1 - on) * before.distance
        before = Pair(on * before.distance, on * before.ntk)
        rows.append((start, start))
    rows.append((q1, q2))
    of_w = recurrent * met.before.distance + psi * met.before.ntk
    return _Retraced(close(before), close(Pair(fed, psi)), tuple(rows), of_w)


def _sums(arrays: list[tuple[Array, Array]]) -> tuple[Array, Array]:
    """Each first array summed over the second side, each second over the first: ``[lanes, rows, B]``."""
    left = jnp.stack([jnp.sum(a, axis=-1) for a, _ in arrays], axis=1)
    right = jnp.stack([jnp.sum(b, axis=-2) for _, b in arrays], axis=1)
    return left, right


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
    """Cotangents of the scales, of the rows of both sides and of what was stored."""
    layout = sweep.plan.layout
    kinds = 3 if layout.restarts else 2

    def empty(rows: Rows) -> dict[Key, Array]:
        return {
            key: jnp.zeros_like(rows[key][..., : layout.first(key) + kinds, :]) for key in sweep.keys
        }

    nothing = jnp.zeros(sweep.block.shape, sweep.block.dtype)
    stored = None if sweep.stored is None else jnp.zeros_like(sweep.stored)
    totals = _Totals(nothing, nothing, empty(sweep.block.rows1), empty(sweep.block.rows2), stored)
    cotangents = (*(jnp.zeros_like(state),) * (sweep.lag - 1), state)
    count, _ = _chunks(sweep)

    def chunk(k: Array, carry: Any) -> Any:
        first = (count - 1 - k) * CHUNK
        stop = jnp.minimum(first + CHUNK, sweep.iterations)
        take = jax.lax.dynamic_index_in_dim
        start = tuple(take(c, count - 1 - k, keepdims=False) for c in checkpoints)
        tape = _recorded(sweep, start, first, stop)

        def back(j: Array, carry: Any) -> Any:
            i = stop - 1 - j
            *carry, read = carry
            return *_iteration(sweep, tape, i, i - first, read, value, *carry), sweep.fetch(i - 1)

        *carry, _ = jax.lax.fori_loop(0, stop - first, back, (*carry, sweep.fetch(stop - 1)))
        return tuple(carry)

    _, totals = jax.lax.fori_loop(0, count, chunk, (cotangents, totals))
    scale = jax.tree.map(jnp.zeros_like, sweep.plan.scale)
    scale = scale._replace(w=jnp.sum(totals.w), u=jnp.sum(totals.u))
    one = _spread(sweep, totals.one, sweep.block.rows1)
    two = _spread(sweep, totals.two, sweep.block.rows2)
    return scale, one, two, totals.stored


def _iteration(
    sweep: Sweep, tape: _Tape, i: Array, j: Array, read: Any, value: Any, cotangents: Any, totals: _Totals
) -> tuple[tuple[Array, ...], _Totals]:
    """One iteration of all stages backwards; j is its number in the chunk."""
    states = tape.before(j)
    before: list[Any] = [None] * (sweep.lag + 1)
    w, u, stored = totals.w, totals.u, totals.stored
    one, two = dict(totals.one), dict(totals.two)
    if sweep.visit is not None:
        there = sweep.position(jnp.maximum(i - sweep.lag, 0))
        before[-1] = sweep.visit.pull(value, read[2], there, i >= sweep.lag)
    for stage, key in enumerate(sweep.keys):
        low, sides = sweep.low(stage, states, read), sweep.views(stage, read)
        cotangent = _masked(i, stage, cotangents[stage])
        step = _retrace(sweep, low, states[stage], tape.kdot(j, stage), sides, cotangent)
        own = before[stage + 1]
        before[stage + 1] = step.before if own is None else own + step.before
        w = w + step.recurrent
        channels = None
        fed = open_(step.fed)
        if low.ntk is None:
            channels = input_distance_cotangents(sweep.plan.layout, *read[0][stage], fed.distance)
        else:
            source = states[stage - 1] if stage > 0 else read[1]
            u = u + (fed.distance * source.distance + fed.ntk * source.ntk)
            given = sweep.plan.scale.u * step.fed
            if stage > 0:
                before[stage] = before[stage] + given
            else:
                stored = stored.at[sweep.position(i)].add(given)
        at = sweep.position(jnp.maximum(i - stage, 0))
        one[key], two[key] = _added(sweep.block, one[key], two[key], at, _sums(list(step.rows)), channels)
    return tuple(before[1:]), _Totals(w, u, one, two, stored)


def _added(
    block: Block, one: Array, two: Array, t: Array, rows: tuple[Array, Array], channels: Any
) -> tuple[Array, Array]:
    """Totals of both sides with those of one position."""
    if channels is not None:
        rows = tuple(jnp.concatenate(both, axis=1) for both in zip(channels, rows, strict=True))
    left, right = rows
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
