"""Infinite-width kernels of diagonal networks: expectations over one neuron, with standard errors.

A neuron keeps its recurrent weight w through time, so that there is no recursion for the kernel alone
as there is where matrices mix the neurons. What there is is an expectation over w and u: two values,
summed, and a Gaussian vector, integrated numerically in replicates, whose spread is the error.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn import _checks
from ntkrnn._compile import compiled
from ntkrnn._memory import require
from ntkrnn._types import Array
from ntkrnn.architectures import Diagonal
from ntkrnn.cells import Batch, Neurons, Reading, neuron_gram
from ntkrnn.infinite._overflow import check_kernels
from ntkrnn.infinite._request import Request
from ntkrnn.quadrature import (
    MOST_SAMPLES,
    QUADRATURE_CHANNELS,
    AccuracyWarning,
    Rule,
    Running,
    check_traced_tolerance,
    nothing,
    relative_error,
    replicates_of,
    rule_of,
    spread,
    with_another,
)


@compiled("form", "groups", "symmetric", "diagonal")
def _expectations(
    form: Diagonal,
    groups: tuple[tuple[str, ...], ...],
    symmetric: bool,
    diagonal: bool,
    alpha: Any,
    points: Array,
    weights: Array,
    x1: Array,
    x2: Array,
    lengths1: Any,
    lengths2: Any,
) -> tuple[Array, ...]:
    """``sum_s weight_s/2 sum_{w = +-alpha} <features, features'>``: ``[N1, N2]`` (, T1, T2), or its
    diagonal."""
    w = jnp.full(points.shape[0], alpha, points.dtype)
    half = jnp.sqrt(0.5 * weights)
    neurons = Neurons(
        jnp.concatenate([w, -w]),
        jnp.concatenate([points, points]),
        jnp.concatenate([half, half])[None],
    )
    time = "kept" if form.reading.stepwise else None
    reading = Reading(form.nonlinearity, form.reading, groups, time)
    one, two = Batch(x1, lengths1), None if symmetric else Batch(x2, lengths2)
    found = neuron_gram(reading, neurons, one, two, jax.lax.Precision.HIGHEST, diagonal)
    return tuple(kernel[..., 0, 0] for kernel in found)


Compute = Callable[[Array, Array], tuple[Array, ...]]
"""``(points [S, d], weights [S])`` to their share of the kernels."""


def _streamed(rule: Rule, compute: Compute, dtype: Any) -> Running:
    """Replicates and blocks of points one after the other, by one program for any number of them."""
    running: Any = None
    for blocks in replicates_of(rule, dtype == jnp.float64):
        replicate: Any = None
        for points, weights in blocks():
            some = compute(jnp.asarray(points, dtype), jnp.asarray(weights, dtype))
            replicate = some if replicate is None else jax.tree.map(jnp.add, replicate, some)
        running = with_another(nothing(replicate) if running is None else running, replicate)
    return running


def _scanned(rule: Rule, compute: Compute, dtype: Any) -> Running:
    """All in somebody's program, as a loop over replicates."""
    drawn = [list(blocks()) for blocks in replicates_of(rule, dtype == jnp.float64)]
    points, weights = (
        jnp.asarray(np.stack([np.concatenate([block[k] for block in one]) for one in drawn]), dtype)
        for k in (0, 1)
    )

    def add(running: Running, replicate: tuple[Array, Array]) -> tuple[Running, None]:
        return with_another(running, compute(*replicate)), None

    shapes = jax.eval_shape(compute, points[0], weights[0])
    return jax.lax.scan(add, nothing(shapes), (points, weights))[0]


def _estimate(rule: Rule, compute: Compute, dtype: Any, tracing: bool) -> Any:
    """``(kernels, standard errors)``."""
    running = (_scanned if tracing else _streamed)(rule, compute, dtype)
    return running.mean, tuple(rule.error_factor * s for s in spread(running))


def neuron_kernels(arch: Diagonal) -> Callable[[Request, Any], dict[str, Any]]:
    """The kernels of a diagonal network, see :class:`ntkrnn.Quadrature`.

    Args:
        arch: the architecture.

    Returns:
        ``(request, limit)`` to the kernels that are wanted, and their errors, by name.
    """
    # The limit depends neither on the width nor on how neurons are paired.
    form = Diagonal(2, arch.nonlinearity, 1.0, arch.readout, True, arch.trainable)

    def kernels(request: Request, limit: Any) -> dict[str, Any]:
        x1, x2, lengths1, lengths2, symmetric, diagonal, names, unknown = request
        _check_memory(arch, x1, x2, len(names), diagonal)
        rule = _rule(limit, x1.shape[2])
        groups = tuple(("h",) if kind == "nngp" else arch.trainable for kind in request.kinds)
        sides = (x1, x2, lengths1, lengths2)

        def compute(points: Array, weights: Array) -> tuple[Array, ...]:
            kind = (form, groups, symmetric, diagonal)
            return _expectations(*kind, arch.alpha, points, weights, *sides)

        tracing = _checks.inside_a_trace() or unknown
        check_traced_tolerance(limit.tolerance, tracing)
        means, errors = _accurate(limit, rule, compute, x1.dtype, tracing)
        values = dict(zip(request.kinds, means, strict=True))
        values |= {f"{kind}_error": e for kind, e in zip(request.kinds, errors, strict=True)}
        if not tracing:
            check_kernels(arch, values, x1, x2)
        return values

    return kernels


def _accurate(limit: Any, rule: Rule, compute: Compute, dtype: Any, tracing: bool) -> Any:
    """``(kernels, standard errors)``, of points doubled until the tolerance is met if there is one."""
    samples = limit.samples
    while True:
        kernels, errors = _estimate(rule, compute, dtype, tracing)
        if limit.tolerance is None:
            return kernels, errors
        error = relative_error(kernels, errors)
        if error <= limit.tolerance:
            return kernels, errors
        finer = rule_of(rule.method, rule.d, 2 * samples, limit.replicates, rule.words)
        if 2 * samples > MOST_SAMPLES or finer == rule:
            warnings.warn(
                f"kernel_fn: a standard error is {error:.1e} of the largest entry with "
                f"{rule.samples} points in each of {rule.replicates} replicates, and tolerance="
                f"{limit.tolerance:g}; ask for less, or for more replicates with method='qmc'.",
                AccuracyWarning,
                stacklevel=4,
            )
            return kernels, errors
        rule, samples = finer, 2 * samples


def _check_memory(arch: Diagonal, x1: Array, x2: Array, kernels: int, diagonal: bool) -> None:
    """The kernels, the sums that their errors come from, and those of one replicate."""
    (n1, t1, _), (n2, t2, _) = x1.shape, x2.shape
    entries = n1 * (1 if diagonal else n2) * (t1 * t2 if arch.reading.stepwise else 1)
    require(
        "x1",
        3 * kernels * entries * x1.dtype.itemsize,
        f"kernels of N1={n1}, N2={n2}, T1={t1}, T2={t2} in {x1.dtype}, readout {arch.readout!r},",
        "compute them in blocks of rows (x2 of some sequences at a time), or take fewer of them.",
        x1,
    )


def _rule(limit: Any, d: int) -> Rule:
    """The nodes of a limit in d dimensions."""
    if limit.method == "quadrature" and d > QUADRATURE_CHANNELS:
        raise ValueError(
            f"method: got 'quadrature' for sequences of d={d} channels, expected d of at most "
            f"{QUADRATURE_CHANNELS}; pass method='qmc' or leave it out."
        )
    words = limit.key if isinstance(limit.key, tuple) else (limit.key,)
    return rule_of(limit.method, d, limit.samples, limit.replicates, words)
