"""Descent of the linearised network, in function space, step by step."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn import _checks
from ntkrnn._compile import compiled
from ntkrnn._memory import require
from ntkrnn._types import Array
from ntkrnn.dynamics._batches import record_steps
from ntkrnn.dynamics._contract import (
    largest_eigenvalue,
    matrix,
    outputs_of,
    own_kernel,
    paired_size,
    square,
)
from ntkrnn.dynamics._losses import (
    Loss,
    check_loss,
    fitting_targets,
    mean_loss,
    residual,
    valid_steps,
)
from ntkrnn.dynamics._stability import check_momentum, check_step, stable_step

UNSTABLE = ("warn", "raise", "ignore")


class Linearized(NamedTuple):
    """A run of the linearised network; ``R`` records."""

    steps: np.ndarray
    """``[R]``: after how many steps each record was taken."""
    loss: Array
    """``[R]``: mean over all training sequences."""
    outputs: Array
    """``[R, N, O]``, or ``[R, N, T, O]`` for readout "sequence"."""
    test_outputs: Array | None
    """The same on the test sequences."""


class _Problem(NamedTuple):
    """Arrays of a run. The kernel has the rows of the test sequences below those of the others."""

    kernel: Array
    """``[rows, N A]``"""
    start: Array
    """``[rows, rest]``"""
    y: Array
    inside: Array | None
    rates: Array
    """``[steps]``"""
    momentum: Any
    decay: Any
    batches: Array | None
    at: Array


@compiled("shape", "paired", "loss", "nesterov")
def _run(problem: _Problem, shape: tuple[int, ...], paired: int, loss: Loss, nesterov: bool) -> Any:
    kernel, start, y, inside, rates, momentum, decay, batches, at = problem
    size = shape[0] * paired
    by_sequence = kernel.reshape(kernel.shape[0], shape[0], paired)

    def outputs(moved: Array) -> Array:
        return (start[:size] + moved[:size]).reshape(shape)

    def gradient(k: Array, moved: Array) -> Array:
        f = outputs(moved)
        if batches is None:
            rest = residual(loss, f, y, inside)
            part = kernel
        else:
            rows = batches[k]
            rest = residual(loss, f[rows], y[rows], None if inside is None else inside[rows])
            part = by_sequence[:, rows].reshape(kernel.shape[0], -1)
        rest = rest.reshape(-1, start.shape[1])
        return jnp.matmul(part, rest, precision=jax.lax.Precision.HIGHEST)

    def step(k: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        moved, velocity = state
        slope = gradient(k, moved) + decay * moved
        velocity = momentum * velocity + slope
        return moved - rates[k] * (slope + momentum * velocity if nesterov else velocity), velocity

    def segment(carry: Any, until: Array) -> Any:
        done, state = carry
        state = jax.lax.fori_loop(done, until, step, state)
        f = outputs(state[0])
        values = mean_loss(loss, f, y, inside), f, (start + state[0])[size:]
        return (until, state), values

    zero = jnp.zeros_like(start)
    return jax.lax.scan(segment, (jnp.zeros((), at.dtype), (zero, zero)), at)[1]


def linearized(
    ntk: Any,
    f0: Any,
    y: Any,
    *,
    learning_rate: Any,
    steps: int,
    batches: Any = None,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
    ntk_test: Any = None,
    f0_test: Any = None,
    lengths: Any = None,
    loss: Loss = "squared",
    at: Any = None,
    unstable: str = "warn",
) -> Linearized:
    r"""Follow the linearised network through descent, without its parameters.

    Exactly what descent does to ``f_lin(theta) = f_0 + J (theta - theta_0)``, on any outputs::

        g_k  = Theta(., B_k) dl/df(B_k)/|B_k| + decay (f_k - f_0)
        u_k  = g_k + mu u_{k-1}
        f_{k+1} = f_k - eta_k u_k          (Nesterov: f_k - eta_k (g_k + mu u_k))

    with the batches ``B_k`` of a run of :func:`train`, the convention of ``optax.sgd`` for momentum,
    and decay toward the start (:func:`decay_to_start`). For the squared loss ``dl/df = f - y``.

    Args:
        ntk: kernel of the training sequences, ``[N, N]``: the same for every output; or with pairs of
            further axes, ``[N, N, O, O]``, ``[N, N, T, T]``, ``[N, N, T, T, O, O]``. From
            ``kernel_fn`` or ``empirical_ntk_fn``; for exact predictions of a network with several
            outputs the latter with ``trace_axes=()``.
        f0: outputs at the start, ``[N]``, ``[N, O]`` or ``[N, T, O]``.
        y: targets, as for :func:`train`.
        learning_rate: eta, a number or a schedule ``step -> number``.
        steps: how many.
        batches: ``[steps, B]`` rows seen by each step, or None for all.
        momentum: mu.
        nesterov: Nesterov's momentum.
        weight_decay: toward the start.
        ntk_test: kernel of test with training sequences, ``[M, N, ...]``.
        f0_test: outputs of the test sequences at the start, ``[M, ...]``.
        lengths: ``[N]`` valid steps, for outputs at every step.
        loss: as for :func:`train`.
        at: when to record, as for :func:`train`.
        unstable: "warn", "raise" or "ignore" a learning rate above :func:`largest_stable_step`
            (squared loss only).

    Returns:
        A :class:`Linearized`.

    Raises:
        TypeError, ValueError: naming the argument, what came and what was expected.

    Warns:
        UnstableStepWarning: see ``unstable``.

    Cost: O((N + M) B A^2 O) a step, A the product of the paired axes.

    Source: docs/conventions.md, training; Lee et al. 2019 (arXiv 1902.06720) for linearised networks.

    Example:
        >>> import numpy as np
        >>> from ntkrnn.dynamics import linearized
        >>> run = linearized(np.diag([2.0, 1.0]), np.zeros(2), np.ones(2), learning_rate=1.0, steps=2)
        >>> run.outputs[:, :, 0].tolist()
        [[0.0, 0.0], [1.0, 0.5], [1.0, 0.75]]
    """
    steps = _checks.positive_integer("steps", steps)
    loss, unstable = check_loss(loss), _checks.choice("unstable", unstable, UNSTABLE)
    momentum, nesterov = check_momentum(momentum), _checks.boolean("nesterov", nesterov)
    decay = _checks.nonnegative_float("weight_decay", weight_decay)
    start = outputs_of("f0", f0)
    shape = start.shape
    concrete = _checks.concrete_values(ntk) is not None
    judged = own_kernel("ntk", ntk, shape) if concrete else None
    kernel = _floating("ntk", square("ntk", ntk, shape))
    paired = paired_size(ntk, shape)
    start, test_shape = (
        _checks.in_dtype("f0", start, _checks.float_dtype(start), squared=True).reshape(
            kernel.shape[0], -1
        ),
        None,
    )
    if (ntk_test is None) is not (f0_test is None):
        missing = "f0_test" if f0_test is None else "ntk_test"
        raise ValueError(f"{missing}: got None, expected it together with the other of the pair.")
    if ntk_test is not None:
        start_test = _floating("f0_test", outputs_of("f0_test", f0_test))
        test_shape = start_test.shape
        below = _floating("ntk_test", matrix("ntk_test", ntk_test, test_shape, shape))
        kernel = jnp.concatenate([kernel, below])
        start = jnp.concatenate([start, start_test.reshape(below.shape[0], -1)])
    dtype = _checks.float_dtype(kernel, start)
    if len(shape) == 2:
        lengths = None  # they count where every step is an output
    elif lengths is not None:
        lengths = _checks.lengths("lengths", lengths, jnp.zeros((*shape[:2], 1)), "f0")
    targets = fitting_targets(loss, y, shape, lengths, dtype)
    require("steps", 8 * steps, f"the learning rates of steps={steps}", "take fewer steps.")
    rates = _rates(learning_rate, steps, dtype)
    if loss == "squared" and unstable != "ignore" and judged is not None and _all_concrete(rates):
        top = max(largest_eigenvalue(judged), 0.0) / shape[0]
        check_step(rates, stable_step(top, momentum, nesterov, decay), unstable)
    chosen = record_steps(at, steps)
    size = jnp.dtype(dtype).itemsize
    require(
        "at",
        size * (len(chosen) * (math.prod(shape) + math.prod(test_shape or (0,))) + 2 * kernel.size),
        f"{len(chosen)} records of outputs of shape {shape}",
        "record at fewer steps, for example at=10 for every tenth.",
    )
    problem = _Problem(
        kernel.astype(dtype),
        start.astype(dtype),
        targets,
        valid_steps(shape, lengths),
        rates,
        jnp.asarray(momentum, dtype),
        jnp.asarray(decay, dtype),
        _rows(batches, steps, shape[0]),
        jnp.asarray(chosen, jnp.int32),
    )
    losses, outputs, tests = _run(problem, shape, paired, loss, nesterov)
    tests = None if test_shape is None else tests.reshape(-1, *test_shape)
    return Linearized(chosen, losses, outputs, tests)


def _floating(name: str, array: Any) -> Array:
    return _checks.in_dtype(name, array, _checks.float_dtype(array))


def _all_concrete(*values: Any) -> bool:
    return all(_checks.concrete_values(value) is not None for value in values)


def _rates(learning_rate: Any, steps: int, dtype: Any) -> Array:
    """``[steps]`` learning rates."""
    if callable(learning_rate):
        try:
            rates: Any = jax.vmap(learning_rate)(jnp.arange(steps))
            rates = jnp.broadcast_to(rates, (steps,))
        except (TypeError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            raise ValueError(
                f"learning_rate: got a schedule that cannot be evaluated at all steps at once "
                f"({reason}) Expected a function step -> number made of jax.numpy, such as those of "
                "optax."
            ) from error
        _checks.finite_array("learning_rate", rates)
        return rates.astype(dtype)
    rate = _checks.nonnegative_float("learning_rate", learning_rate)
    if rate > (largest := float(jnp.finfo(dtype).max)):
        raise ValueError(
            f"learning_rate: got {rate:g}, expected at most {largest:.2g}, the largest {dtype}."
        )
    return jnp.full(steps, rate, dtype)


def _rows(batches: Any, steps: int, n: int) -> Array | None:
    if batches is None:
        return None
    array = _checks.whole_array("batches", batches, f"whole numbers [steps, B] with steps={steps}")
    if array.ndim != 2 or array.shape[0] != steps:
        raise ValueError(
            f"batches: got {array.dtype}{list(array.shape)}, expected whole numbers [steps, B] with "
            f"steps={steps}, as `train(...).batches` holds them."
        )
    values = _checks.concrete_values(array)
    if values is not None and ((values < 0) | (values >= n)).any():
        raise ValueError(
            f"batches: got rows from {values.min()} to {values.max()}, expected rows between 0 and "
            f"{n - 1}."
        )
    return jnp.asarray(array, jnp.int32)
