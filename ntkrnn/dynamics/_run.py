"""One training run as one scan: steps between records, then a record."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from ntkrnn._types import Array, Params
from ntkrnn.architectures import AnyScales, Architecture
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


class Run(NamedTuple):
    """What stays the same in one run."""

    plan: Plan
    scales: AnyScales | None
    arch: Architecture | None
    """With its scales; None for a function."""
    data: Data
    test: Data | None
    seed: Seed
    start: Params
    """The trainable part of the parameters of the seed."""
    frozen: Params
    """The other part."""

    def whole(self, trained: Params) -> Params:
        """All parameters."""
        return joined(trained, self.frozen)

    def outputs(self, params: Params, data: Data) -> Array:
        """Of the network."""
        return self.plan.model.outputs(self.scales, params, data.x, data.lengths)

    def kernel(self, params: Params) -> Array:
        """The empirical tangent kernel of the training sequences."""
        network = self.arch or self.plan.model.fn
        ntk_fn = empirical_ntk_fn(network)  # pyright: ignore[reportArgumentType]
        return ntk_fn(self.data.x, None, params, lengths1=self.data.lengths)

    def signs(self, params: Params) -> list[Array] | None:
        """Of the pre-activations; None for a function, whose pre-activations nobody knows."""
        if self.arch is None:
            return None
        return signs(self.arch, params, self.data.x, self.data.lengths)


class Now(NamedTuple):
    """A step that is recorded, with what several records are made of; None where none asks for it."""

    trained: Params
    params: Params
    outputs: Array | None
    loss: Array | None
    kernel: Array | None
    first_kernel: Array | None
    first_signs: list[Array] | None


def _test_outputs(run: Run, now: Now) -> Array | None:
    return None if run.test is None else run.outputs(now.params, run.test)


def _movement(run: Run, now: Now) -> Movement:
    return movement(run.plan.model.form, run.start, now.trained, "spectral" in run.plan.record)


def _signs(run: Run, now: Now) -> Array | None:
    later = run.signs(now.params)
    if now.first_signs is None or later is None:
        return None
    return changed(now.first_signs, later, run.data.lengths, run.data.x.dtype)


def _drift(run: Run, now: Now) -> Array:
    assert now.kernel is not None and now.first_kernel is not None
    change = now.kernel - now.first_kernel
    norms = [jnp.sqrt(jnp.sum(jnp.square(k))) for k in (change, now.first_kernel)]
    return norms[0] / norms[1]


RECORDERS: dict[str, tuple[frozenset[str], Callable[[Run, Now], Any]]] = {
    "loss": (frozenset({"loss"}), lambda run, now: now.loss),
    "outputs": (frozenset({"outputs"}), lambda run, now: now.outputs),
    "test_outputs": (frozenset({"test_outputs"}), _test_outputs),
    "movement": (frozenset({"movement", "spectral"}), _movement),
    "signs": (frozenset({"signs"}), _signs),
    "ntk": (frozenset({"ntk"}), lambda run, now: now.kernel),
    "drift": (frozenset({"drift"}), _drift),
}
"""For every field of :class:`Records` the names that ask for it, and what it is."""


def _observed(run: Run, state: State, first_kernel: Any, first_signs: Any) -> tuple[State, Records]:
    """What is recorded of a state, and the state, which remembers the best one so far."""
    record, data, params = run.plan.record, run.data, run.whole(state.params)
    outputs = loss = kernel = None
    if record & {"loss", "outputs", "best"}:
        outputs = run.outputs(params, data)
        loss = mean_loss(run.plan.loss, outputs, data.y, data.inside)
        if state.best is not None:
            better = loss < state.best_loss
            best = jax.tree.map(lambda a, b: jnp.where(better, a, b), state.params, state.best)
            state = state._replace(best=best, best_loss=jnp.where(better, loss, state.best_loss))
    if record & {"ntk", "drift"}:
        kernel = run.kernel(params)
    now = Now(state.params, params, outputs, loss, kernel, first_kernel, first_signs)
    values = {
        field: recorder(run, now) if record & names else None
        for field, (names, recorder) in RECORDERS.items()
    }
    return state, Records(**values)


def _stepped(run: Run, k: Array, state: State) -> State:
    """One step of the optimiser."""
    model, optimizer, loss, _ = run.plan
    batch = run.data if run.seed.batches is None else run.data.rows(run.seed.batches[k])

    def by_outputs(outputs: Array) -> Array:
        return residual(loss, outputs, batch.y, batch.inside)

    params = run.whole(state.params)
    gradient = model.gradient(run.scales, params, batch.x, batch.lengths, by_outputs)
    updates, optimizer_state = optimizer.update(gradient, state.optimizer, state.params)
    average = state.average
    if average is not None:  # theta_0 to theta_k
        share = 1 / (k + 1).astype(run.data.x.dtype)
        average = jax.tree.map(lambda a, b: a + share * (b - a), average, state.params)
    new = optax.apply_updates(state.params, updates)
    return state._replace(params=new, optimizer=optimizer_state, average=average)


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
    start, frozen = plan.model.split(seed.params)
    form, record = plan.model.form, plan.record
    arch = None if form is None or scales is None else form.with_scales(scales)
    run = Run(plan, scales, arch, data, test, seed, start, frozen)
    first_signs = run.signs(seed.params) if "signs" in record else None
    first_kernel = run.kernel(seed.params) if "drift" in record else None
    step = functools.partial(_stepped, run)

    def segment(carry: tuple[Array, State], until: Array) -> tuple[tuple[Array, State], Records]:
        done, state = carry
        state = jax.lax.fori_loop(done, until, step, state)
        state, records = _observed(run, state, first_kernel, first_signs)
        return (until, state), records

    state = State(
        start,
        plan.optimizer.init(start),
        start if "average" in record else None,
        start if "best" in record else None,
        jnp.asarray(jnp.inf, data.x.dtype),
    )
    (done, state), records = jax.lax.scan(segment, (jnp.zeros((), at.dtype), state), at)
    state = jax.lax.fori_loop(done, steps, step, state)
    parts = (state.params, state.average, state.best)
    return Final(*(None if part is None else run.whole(part) for part in parts)), records
