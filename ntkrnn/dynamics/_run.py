"""One training run as one scan: steps between records, then a record."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from ntkrnn._types import Array, Params
from ntkrnn.architectures import AnyScales
from ntkrnn.dynamics._losses import Loss, mean_loss, residual
from ntkrnn.dynamics._measures import Movement, changed, movement, signs
from ntkrnn.dynamics._model import Data, Model, joined
from ntkrnn.empirical import empirical_ntk_fn

RECORDS = (
    "loss",
    "outputs",
    "test_outputs",
    "movement",
    "spectral",
    "signs",
    "ntk",
    "drift",
    "average",
    "best",
)


class Plan(NamedTuple):
    """What a program is compiled for."""

    model: Model
    optimizer: Any
    loss: Loss
    record: frozenset[str]


class Seed(NamedTuple):
    """What differs from seed to seed."""

    params: Params
    batches: Array | None
    """``[steps, B]``, or None for all sequences at every step."""


class Records(NamedTuple):
    """What is recorded at one step; None where it was not asked for."""

    loss: Array | None
    outputs: Array | None
    test_outputs: Array | None
    movement: Movement | None
    signs: Array | None
    ntk: Array | None
    drift: Array | None


class State(NamedTuple):
    """What a step changes."""

    params: Params
    optimizer: Any
    average: Params | None
    best: Params | None
    best_loss: Array


class Final(NamedTuple):
    """What is left at the end."""

    params: Params
    average: Params | None
    best: Params | None


def run_one(
    plan: Plan,
    scales: AnyScales | None,
    data: Data,
    test: Data | None,
    at: Array,
    steps: Array,
    seed: Seed,
) -> tuple[Final, Records]:
    """Train from one start.

    Args:
        plan: what is compiled.
        scales: of the architecture.
        data: the training sequences.
        test: further sequences, or None.
        at: ``[R]`` increasing steps to record at.
        steps: how many there are.
        seed: the start and the batches.

    Returns:
        Parameters at the end, and records with a leading axis R.
    """
    model, optimizer, loss, record = plan
    start, frozen = model.split(seed.params)
    form = model.form
    arch = None if form is None or scales is None else form.with_scales(scales)

    def whole(trained: Params) -> Params:
        return joined(trained, frozen)

    def kernel(params: Params) -> Array:
        ntk_fn = empirical_ntk_fn(arch or model.fn)  # pyright: ignore[reportArgumentType]
        return ntk_fn(data.x, None, params, lengths1=data.lengths)

    def step(k: Array, state: State) -> State:
        batch = data if seed.batches is None else data.rows(seed.batches[k])

        def by_outputs(outputs: Array) -> Array:
            return residual(loss, outputs, batch.y, batch.inside)

        gradient = model.gradient(scales, whole(state.params), batch.x, batch.lengths, by_outputs)
        updates, optimizer_state = optimizer.update(gradient, state.optimizer, state.params)
        average = state.average
        if average is not None:  # theta_0 to theta_k
            share = 1 / (k + 1).astype(data.x.dtype)
            average = jax.tree.map(lambda a, b: a + share * (b - a), average, state.params)
        params = optax.apply_updates(state.params, updates)
        return state._replace(params=params, optimizer=optimizer_state, average=average)

    first_signs = first_kernel = None
    if "signs" in record and arch is not None:
        first_signs = signs(arch, seed.params, data.x, data.lengths)
    if "drift" in record:
        first_kernel = kernel(seed.params)

    def look(state: State) -> tuple[State, Records]:
        params, found = whole(state.params), dict.fromkeys(Records._fields)
        if record & {"loss", "outputs", "best"}:
            outputs = model.outputs(scales, params, data.x, data.lengths)
            value = mean_loss(loss, outputs, data.y, data.inside)
            found["loss"] = value if "loss" in record else None
            found["outputs"] = outputs if "outputs" in record else None
            if state.best is not None:
                better = value < state.best_loss
                best = jax.tree.map(lambda a, b: jnp.where(better, a, b), state.params, state.best)
                state = state._replace(best=best, best_loss=jnp.where(better, value, state.best_loss))
        if "test_outputs" in record and test is not None:
            found["test_outputs"] = model.outputs(scales, params, test.x, test.lengths)
        if record & {"movement", "spectral"}:
            found["movement"] = movement(form, start, state.params, "spectral" in record)
        if first_signs is not None and arch is not None:
            now = signs(arch, params, data.x, data.lengths)
            found["signs"] = changed(first_signs, now, data.lengths, data.x.dtype)
        if record & {"ntk", "drift"}:
            ntk = kernel(params)
            found["ntk"] = ntk if "ntk" in record else None
            if first_kernel is not None:
                norms = [jnp.sqrt(jnp.sum(jnp.square(k))) for k in (ntk - first_kernel, first_kernel)]
                found["drift"] = norms[0] / norms[1]
        return state, Records(**found)

    def segment(carry: tuple[Array, State], until: Array) -> tuple[tuple[Array, State], Records]:
        done, state = carry
        state, records = look(jax.lax.fori_loop(done, until, step, state))
        return (until, state), records

    state = State(
        start,
        optimizer.init(start),
        start if "average" in record else None,
        start if "best" in record else None,
        jnp.asarray(jnp.inf, data.x.dtype),
    )
    (done, state), records = jax.lax.scan(segment, (jnp.zeros((), at.dtype), state), at)
    state = jax.lax.fori_loop(done, steps, step, state)
    kept = [None if part is None else whole(part) for part in (state.params, state.average, state.best)]
    return Final(*kept), records
