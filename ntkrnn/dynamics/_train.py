"""Training runs of finite networks."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn import _checks
from ntkrnn._memory import require
from ntkrnn._types import Array, Params
from ntkrnn.cells import checked_params, fitting_input, floating_params
from ntkrnn.dynamics._batches import batches, record_steps
from ntkrnn.dynamics._ensemble import keys_of, single, together
from ntkrnn.dynamics._losses import Loss, check_loss, fitting_targets, valid_steps
from ntkrnn.dynamics._measures import Movement
from ntkrnn.dynamics._model import Data, model_of
from ntkrnn.dynamics._run import RECORDS, Plan, Seed

DEFAULT_RECORD = ("loss", "outputs", "test_outputs", "movement")
_NEED_ARCHITECTURE = ("spectral", "signs")


class DivergedWarning(UserWarning):
    """A run left the range of the floating numbers."""


class Trained(NamedTuple):
    """A run; ``R`` records. With ``ensemble=True`` every array but ``steps`` has a leading axis S."""

    params: Params
    """At the end."""
    steps: np.ndarray
    """``[R]``: after how many steps each record was taken."""
    batches: Array | None
    """``[steps, B]``: the rows that each step saw; None if it saw them all."""
    loss: Array | None
    """``[R]``: mean over all training sequences."""
    outputs: Array | None
    """``[R, N, O]``, or ``[R, N, T, O]`` for readout "sequence"."""
    test_outputs: Array | None
    """The same on ``x_test``."""
    movement: Movement | None
    """How far every trained block is from its start, ``[R]`` each."""
    signs: Array | None
    """``[R]``: fraction of pre-activations whose sign has changed since the start."""
    ntk: Array | None
    """``[R, N, N]``, or ``[R, N, N, T, T]`` for "sequence": the empirical NTK of the training
    sequences."""
    drift: Array | None
    """``[R]``: ``||Theta_k - Theta_0||_F/||Theta_0||_F``."""
    average: Params | None
    """Mean of ``theta_0 ... theta_{steps-1}``."""
    best: Params | None
    """Parameters of the record with the smallest loss."""


def train(
    arch: Any,
    params: Params,
    x: Any,
    y: Any,
    *,
    optimizer: Any,
    steps: int,
    batch_size: int | None = None,
    key: Any = None,
    lengths: Any = None,
    x_test: Any = None,
    lengths_test: Any = None,
    loss: Loss = "squared",
    record: Sequence[str] = DEFAULT_RECORD,
    at: Any = None,
    ensemble: bool = False,
) -> Trained:
    r"""Train a network, one compiled loop from the first step to the last.

    Each step is ``theta <- theta + update(gradient of the mean loss over the batch)`` with any optax
    optimiser, on the trainable blocks. The loss of a sequence is ``||f - y||^2/2``, summed over outputs
    and, for readout "sequence", over valid steps; or the cross-entropy of ``y``; or a function.

    Args:
        arch: an architecture such as :class:`ntkrnn.Elman`, or a function
            ``apply_fn(params, x, lengths=None)``, whose parameters are all trained.
        params: where to start, as ``init_fn`` draws them.
        x: ``[N, T, d]``.
        y: ``[N, O]`` (``[N]`` if O is 1), ``[N, T, O]`` for readout "sequence"; for "cross-entropy"
            classes ``[N]`` or ``[N, T]``, of 0 and 1 if O is 1.
        optimizer: an optax transformation. Programs are compiled for the object: reuse it.
        steps: how many.
        batch_size: sequences of a step, drawn by :func:`batches`; None for all of them.
        key: for the batches; in an ensemble split for its runs, or ``[S]`` of them.
        lengths: ``[N]`` valid steps of each sequence, or None for all.
        x_test: ``[M, T', d]``, further sequences to record the outputs of.
        lengths_test: ``[M]``.
        loss: "squared", "cross-entropy", or ``(outputs, y) -> [N]``.
        record: what to keep of "loss", "outputs", "test_outputs", "movement", "spectral" (norm of
            ``W_k - W_0``, O(m^3) each), "signs", "ntk", "drift", "average", "best". Memory is that of
            what is named; "average" and "best" are one set of parameters each.
        at: when: None for about 100 times, a whole number for every so many steps, or a sequence of
            numbers of finished steps, 0 for the start.
        ensemble: whether every array of ``params`` has a leading axis of S runs.

    Returns:
        A :class:`Trained`.

    Raises:
        TypeError, ValueError: naming the argument, what came and what was expected.

    Warns:
        DivergedWarning: if a recorded loss is not finite, or the parameters at the end are not.

    Cost: O(steps B T L m^2) for each run, and one pass over all sequences for each record. The runs of
    an ensemble advance together, in as many parts as a CPU has cores.

    Source: docs/conventions.md, training; AL19 (arXiv 1902.01028) for the averaged iterate.

    Example:
        >>> import jax, optax, ntkrnn
        >>> from ntkrnn.dynamics import train
        >>> arch = ntkrnn.Elman(width=64)
        >>> x = jax.random.normal(jax.random.key(0), (8, 5, 2))
        >>> _, params = ntkrnn.network(arch).init_fn(jax.random.key(1), x.shape)
        >>> run = train(arch, params, x, x[:, -1, 0], optimizer=optax.sgd(0.1), steps=100)
        >>> run.outputs.shape, bool(run.loss[-1] < run.loss[0])
        ((101, 8, 1), True)
    """
    model, scales = model_of(arch)
    steps = _checks.positive_integer("steps", steps)
    loss, ensemble = check_loss(loss), _checks.boolean("ensemble", ensemble)
    wanted = _records(record, model.form is not None, x_test is not None)
    _check_optimizer(optimizer)
    x, lengths = _checks.side("x", x, lengths)
    test = None
    if x_test is not None:
        test = Data(*_checks.side("x_test", x_test, lengths_test), None, None)
        _checks.same_channels(x, test.x)
    params = floating_params(params)
    count = _runs(params) if ensemble else None
    one = jax.tree.map(lambda a: a[0], params) if ensemble else params
    if model.form is not None:
        _, channels = checked_params(arch, one)
        x = fitting_input(arch, one, channels, "x", x)
        if test is not None:
            test = test._replace(x=fitting_input(arch, one, channels, "x_test", test.x))
    shape = jax.eval_shape(model.outputs, scales, one, x, lengths).shape
    inside = valid_steps(shape, lengths)
    data = Data(x, lengths, fitting_targets(loss, y, shape, lengths, x.dtype), inside)
    chosen = record_steps(at, steps)
    drawn = _batches(key, x.shape[0], batch_size, steps, count)

    shapes = {"outputs": shape}
    if test is not None:
        shapes["test_outputs"] = (test.x.shape[0], *shape[1:])
    time = (shape[1], shape[1]) if len(shape) == 3 else ()
    shapes["ntk"] = (shape[0], shape[0], *time)
    kept = {name: size for name, size in shapes.items() if name in wanted}
    _check_memory(kept, x.dtype.itemsize, len(chosen), count or 1)

    plan = Plan(model, optimizer, loss, wanted)
    program = together if ensemble else single
    clock = (jnp.asarray(chosen, jnp.int32), jnp.asarray(steps, jnp.int32))
    final, records = program(plan, scales, data, test, *clock, Seed(params, drawn))
    _warn_if_diverged(records.loss, chosen, final.params, steps)
    return Trained(
        steps=chosen,
        batches=drawn,
        **final._asdict(),
        **records._asdict(),
    )


def _records(record: Any, has_form: bool, has_test: bool) -> frozenset[str]:
    if not isinstance(record, (str, tuple, list, set, frozenset)):
        raise TypeError(f"record: got {record!r}, expected a tuple of names out of {RECORDS}.")
    names = (record,) if isinstance(record, str) else tuple(record)
    for name in names:
        if name not in RECORDS:
            raise ValueError(f"record: got {name!r}, expected names out of {RECORDS}.")
        if name in _NEED_ARCHITECTURE and not has_form:
            raise ValueError(
                f"record: got {name!r} for a function, expected it with an architecture only; "
                "what a neuron is cannot be seen in a function."
            )
    if not has_test:
        names = tuple(name for name in names if name != "test_outputs")
    return frozenset(names)


def _check_optimizer(optimizer: Any) -> None:
    if not (
        callable(getattr(optimizer, "init", None)) and callable(getattr(optimizer, "update", None))
    ):
        raise TypeError(
            f"optimizer: got {optimizer!r}, expected an optax transformation such as optax.sgd(0.1)."
        )


def _runs(params: Params) -> int:
    sizes = {leaf.shape[:1] for leaf in jax.tree.leaves(params)}
    if len(sizes) != 1 or () in sizes:
        raise ValueError(
            f"params: got arrays with leading axes {sorted(sizes)}, expected one leading axis of runs "
            "in all of them; draw them with jax.vmap over init_fn, or pass ensemble=False."
        )
    return sizes.pop()[0]


def _batches(key: Any, n: int, size: int | None, steps: int, count: int | None) -> Array | None:
    if size is None:
        return None
    if key is None:
        raise ValueError(
            "key: got None, expected a random key for the batches; pass key=jax.random.key(0), or "
            "batch_size=None to train on all sequences at every step."
        )
    if count is None:
        return batches(key, n, size, steps)
    return jnp.stack([batches(one, n, size, steps) for one in keys_of(key, count)])


def _warn_if_diverged(loss: Any, recorded: np.ndarray, params: Params, steps: int) -> None:
    """By the losses that were recorded, or by the parameters at the end if none was."""
    values = None if loss is None else _checks.concrete_values(loss)
    what = None
    if values is not None:
        bad = ~np.isfinite(values.reshape(-1, values.shape[-1])).all(axis=0)
        what = f"the loss is not finite from step {recorded[np.argmax(bad)]} on" if bad.any() else None
    if what is None and not all(_checks.all_finite(leaf) for leaf in jax.tree.leaves(params)):
        what = f"the parameters are not finite after {steps} steps"
    if what is not None:
        warnings.warn(
            f"{what}; lower the learning rate, see ntkrnn.dynamics.largest_stable_step.",
            DivergedWarning,
            stacklevel=3,
        )


def _check_memory(shapes: dict[str, tuple[int, ...]], itemsize: int, records: int, runs: int) -> None:
    """Raise if the records, of shapes by name, would not fit."""
    each = sum(math.prod(shape) for shape in shapes.values())
    require(
        "record",
        records * runs * each * itemsize,
        f"{records} records of {', '.join(f'{k} {list(v)}' for k, v in shapes.items())} in {runs} runs",
        "record less (record=), or at fewer steps (at=).",
    )
