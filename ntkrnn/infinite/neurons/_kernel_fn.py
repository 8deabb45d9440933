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
from ntkrnn._types import Array, SampledKernels
from ntkrnn.architectures import Diagonal
from ntkrnn.cells import Neurons, Reading, Side, neuron_gram
from ntkrnn.infinite._get import canonical_get, result_type
from ntkrnn.infinite._overflow import check_kernels, check_scales
from ntkrnn.quadrature import (
    METHODS,
    MOST_SAMPLES,
    QUADRATURE_CHANNELS,
    REPLICATES,
    SAMPLES,
    AccuracyWarning,
    Rule,
    Running,
    check_tolerance,
    checked_replicates,
    nothing,
    relative_error,
    replicates_of,
    rule_of,
    spread,
    with_another,
)

GETS = SampledKernels._fields
LARGEST_NET = 2**30


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
    time = "kept" if form.readout == "sequence" else None
    reading = Reading(form.nonlinearity, form.readout, groups, time)
    one, two = Side(x1, lengths1), None if symmetric else Side(x2, lengths2)
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


def diagonal_kernel_fn(arch: Diagonal) -> Callable[..., Any]:
    r"""Build the ``kernel_fn`` of a diagonal network.

    ``kernel_fn(x1, x2=None, get=None, lengths1=None, lengths2=None, *, lengths=None, samples=2048,
    replicates=8, tolerance=None, seed=0, method=None, diagonal=False)``::

        nngp_{t,t'} = E h_t h'_t'
        ntk_{t,t'}  = E [w] D_w h_t D_w h'_t' + [u] <D_u h_t, D_u h'_t'>

    over one neuron, w = +-alpha and u ~ N(0, I), [.] being 1 for a trainable block. "nngp" is the
    covariance of the outputs with independent signs c; a symmetric network starts at 0, and that
    covariance is that of its features.

    Args:
        arch: the architecture.

    Returns:
        ``kernel_fn``. ``x1``, ``x2`` and the lengths are those of :func:`ntkrnn.network`, and so are
        the shapes. ``get`` is a name out of "nngp", "ntk", "nngp_error", "ntk_error", a tuple of
        them, or None for a :class:`ntkrnn.SampledKernels` of all four; the errors are one standard
        error of every entry, without rounding. Further keywords:

        - ``method``: "qmc", Sobol points in as many independent scrambles as ``replicates``, or
          "quadrature", a trapezoidal rule in d <= 2 dimensions with about ``samples * replicates``
          nodes, whose error is the spread of the rules of every other node; None takes quadrature
          where it can be had.
        - ``samples``: points of a replicate, rounded up to a power of 2.
        - ``replicates``: at least 2.
        - ``tolerance``: double the points until no standard error of a wanted kernel exceeds this
          times the largest entry of the kernel. How many points there are then depends on all
          sequences, and so the last digits.
        - ``diagonal``: whether ``K(x1[i], x2[i])`` is wanted alone, as for :func:`ntkrnn.network`.
        - ``seed``: a whole number of at least 0. The points depend on it, on d and on their number
          alone: every entry of the kernel depends on its own two sequences, and is a smooth function
          of them and of alpha, which JAX can differentiate.

    Raises:
        TypeError, ValueError: for arguments that do not fit, naming them; for a tolerance under
            ``jax.jit``, where no value is known.

    Warns:
        AccuracyWarning: if the tolerance is not met with 2^18 points in a replicate.

    Cost: with S = 2 samples replicates neurons that of :func:`ntkrnn.empirical_ntk_fn` at width S;
    memory for a few kernels, or for a few diagonals.

    Source: CE24 (arXiv 2402.12241); ``docs/conventions.md``, diagonal networks.

    Example:
        >>> import jax, ntkrnn
        >>> x = jax.random.normal(jax.random.key(0), (3, 4, 2))
        >>> kernel_fn = diagonal_kernel_fn(ntkrnn.Diagonal(readout="last"))
        >>> kernels = kernel_fn(x)
        >>> kernels.ntk.shape, bool((kernels.ntk_error < 1e-4).all())
        ((3, 3), True)
    """
    # The limit depends neither on the width nor on how neurons are paired.
    one_form = Diagonal(2, arch.nonlinearity, 1.0, arch.readout, True, arch.trainable)

    def kernel_fn(
        x1: Any,
        x2: Any = None,
        get: Any = None,
        lengths1: Any = None,
        lengths2: Any = None,
        *,
        lengths: Any = None,
        samples: int = SAMPLES,
        replicates: int = REPLICATES,
        tolerance: float | None = None,
        seed: int = 0,
        method: str | None = None,
        diagonal: bool = False,
    ) -> Any:
        wanted = GETS if get is None else canonical_get(get, GETS)
        diagonal = _checks.boolean("diagonal", diagonal)
        x1, x2, lengths1, lengths2, symmetric = _checks.pair(
            x1, x2, lengths1, lengths2, lengths, diagonal
        )
        check_scales(arch, x1.dtype)
        _check_memory(arch, x1, x2, len(wanted), diagonal)
        rule = _rule(method, x1.shape[2], samples, replicates, seed)
        kinds = [kind for kind in ("nngp", "ntk") if any(g.startswith(kind) for g in wanted)]
        groups = tuple(("h",) if kind == "nngp" else arch.trainable for kind in kinds)
        sides = (x1, x2, lengths1, lengths2)

        def compute(points: Array, weights: Array) -> tuple[Array, ...]:
            kind = (one_form, groups, symmetric, diagonal)
            return _expectations(*kind, arch.alpha, points, weights, *sides)

        given = [a for a in (*sides, arch.alpha) if a is not None]
        tracing = _checks.inside_a_trace() or any(_checks.concrete_values(a) is None for a in given)
        if tolerance is not None:
            check_tolerance(tolerance, tracing)
        while True:
            kernels, errors = _estimate(rule, compute, x1.dtype, tracing)
            if tolerance is None:
                break
            error = relative_error(kernels, errors)
            if error <= tolerance:
                break
            finer = rule_of(rule.method, rule.d, 2 * samples, replicates, seed)
            if 2 * samples > MOST_SAMPLES or finer == rule:
                warnings.warn(
                    f"kernel_fn: a standard error is {error:.1e} of the largest entry with "
                    f"{rule.samples} points in each of {rule.replicates} replicates, and tolerance="
                    f"{tolerance:g}; ask for less, or for more replicates with method='qmc'.",
                    AccuracyWarning,
                    stacklevel=2,
                )
                break
            rule, samples = finer, 2 * samples
        found = dict(zip(kinds, kernels, strict=True))
        found |= {f"{kind}_error": e for kind, e in zip(kinds, errors, strict=True)}
        if not tracing:
            check_kernels(arch, found, x1, x2)
        if isinstance(get, str):
            return found[get]
        return result_type(wanted)(*(found[g] for g in wanted))

    return kernel_fn


def _check_memory(arch: Diagonal, x1: Array, x2: Array, kernels: int, diagonal: bool) -> None:
    """The kernels, the sums that their errors come from, and those of one replicate."""
    (n1, t1, _), (n2, t2, _) = x1.shape, x2.shape
    entries = n1 * (1 if diagonal else n2) * (t1 * t2 if arch.readout == "sequence" else 1)
    require(
        "x1",
        3 * kernels * entries * x1.dtype.itemsize,
        f"kernels of N1={n1}, N2={n2}, T1={t1}, T2={t2} in {x1.dtype}, readout {arch.readout!r},",
        "compute them in blocks of rows (x2 of some sequences at a time), or take fewer of them.",
        x1,
    )


def _rule(method: Any, d: int, samples: Any, replicates: Any, seed: Any) -> Rule:
    samples = _checks.positive_integer("samples", samples)
    if samples > LARGEST_NET:
        raise ValueError(
            f"samples: got {samples}, expected at most 2^30, beyond which a Sobol sequence has no "
            "points; pass more replicates."
        )
    replicates = checked_replicates(replicates)
    seed = _checks.whole_number("seed", seed)
    if method is not None:
        method = _checks.choice("method", method, METHODS)
    if method == "quadrature" and d > QUADRATURE_CHANNELS:
        raise ValueError(
            f"method: got 'quadrature' for sequences of d={d} channels, expected d of at most "
            f"{QUADRATURE_CHANNELS}; pass method='qmc' or leave it out."
        )
    return rule_of(method, d, samples, replicates, seed)
