"""The ``kernel_fn`` of cells without a closed form: checks, replicates, tolerance."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn import _checks
from ntkrnn._memory import require
from ntkrnn._types import SampledKernels
from ntkrnn.architectures import Dense
from ntkrnn.infinite._blocks import Block, blocks_of, size_of
from ntkrnn.infinite._get import canonical_get, result_type
from ntkrnn.infinite._overflow import check_kernels, check_scales
from ntkrnn.infinite._paths_replicate import SampleOptions, Sides, estimates, sides_of
from ntkrnn.infinite._replicates import (
    AccuracyWarning,
    check_tolerance,
    checked_replicates,
    relative_error,
    spread,
)

GETS = SampledKernels._fields
REPLICATES = 8
MOST_REPLICATES = 512
"""At which a tolerance is given up."""
DEFAULT = SampleOptions()


def sampled_kernel_fn(arch: Dense, options: SampleOptions = DEFAULT) -> Callable[..., Any]:
    r"""Build the ``kernel_fn`` of a cell by sampling the law of one neuron, whatever the cell.

    ``kernel_fn(x1, x2=None, get=None, lengths1=None, lengths2=None, *, lengths=None, samples=None,
    replicates=8, tolerance=None, key=0, tile=None)``. With z what the recurrent matrix of a gate
    multiplies and delta the derivative of an output by its pre-activation a::

        Cov(a_{t,i}, a_{s,j}) = w_std^2 E z_{t,i} z_{s,j} + u_std^2 <x_{t,i}, x_{s,j}>/d + b_std^2
        nngp_{ij} = v_std^2 E r_i r_j
        ntk_{ij}  = [v] nngp_{ij} + sum_{gates,t,s} E delta_{t,i} delta_{s,j} * Cov(a_{t,i}, a_{s,j})

    the last factor restricted to trainable blocks, r what the readout reads. Pre-activations are
    Gaussian processes, drawn step by step as their covariances become known, moved through the cell,
    and averaged; so are, in reversed time, the derivatives that the matrices send back.

    Args:
        arch: an architecture with matrices between its neurons, :class:`ntkrnn.LSTM` for example; for
            :class:`ntkrnn.Elman` and :class:`ntkrnn.Leaky` a second route to their kernels.
        options: how samples are drawn, for measurements; leave it out.

    Returns:
        ``kernel_fn``. ``x1``, ``x2``, the lengths and the shapes are those of :func:`ntkrnn.network`.
        ``get`` is a name out of "nngp", "ntk", "nngp_error", "ntk_error", a tuple of them, or None
        for a :class:`ntkrnn.SampledKernels` of all four; the errors are one standard error of every
        entry, from the spread of the replicates. Further keywords:

        - ``samples``: neurons of a replicate S, rounded up to a power of 2; None for four times the
          steps of all sequences that are sampled together, at least 2048. Covariances that are
          estimated from S samples leave a bias of order 1/S, which the errors do not contain.
        - ``replicates``: independent repetitions, at least 2.
        - ``tolerance``: go on with replicates until no standard error of a wanted kernel exceeds this
          times the largest entry of the kernel.
        - ``key``: a JAX random key or a whole number. The result is a function of the inputs and it.
        - ``tile``: sequences of one side that are sampled together with as many of the other; by
          default all of them if they have up to 1024 steps in all, else as many as have.

    Raises:
        TypeError, ValueError: for arguments that do not fit, naming them; under ``jax.jit`` or
            ``jax.grad``, where the values of x1 are not known.

    Warns:
        AccuracyWarning: if the tolerance is not met with 512 replicates, or ``replicates`` if more.

    Cost: for each replicate and pair of tiles with n steps in all, ``S n^2 (3 G/4 + 1)`` multiply-adds
    for G gates, ``S n^2`` more for an LSTM, and O(n^3); memory ``S n (2 G + 5)`` numbers. For readout
    "sequence" n is that of all outputs, T times as many.

    Source: TP1 (arXiv 1910.12478) and TP2 (arXiv 2006.14548) for the limit; ``docs/gated-kernels.md``.

    Example:
        >>> import jax, ntkrnn
        >>> x = jax.random.normal(jax.random.key(0), (3, 4, 2))
        >>> kernels = sampled_kernel_fn(ntkrnn.GRU())(x, samples=512)
        >>> kernels.ntk.shape, bool((kernels.ntk_error < 0.05 * kernels.ntk.max()).all())
        ((3, 3), True)
    """
    return functools.partial(_kernels, arch, options)


def _kernels(
    arch: Dense,
    options: SampleOptions,
    x1: Any,
    x2: Any = None,
    get: Any = None,
    lengths1: Any = None,
    lengths2: Any = None,
    *,
    lengths: Any = None,
    samples: int | None = None,
    replicates: int = REPLICATES,
    tolerance: float | None = None,
    key: Any = 0,
    tile: int | None = None,
) -> Any:
    wanted = GETS if get is None else canonical_get(get, GETS)
    x1, x2, lengths1, lengths2, symmetric = _checks.pair(x1, x2, lengths1, lengths2, lengths)
    check_scales(arch, x1.dtype)
    if samples is not None:
        options = options._replace(samples=max(2, _checks.positive_integer("samples", samples)))
    replicates = checked_replicates(replicates)
    tile = None if tile is None else _checks.positive_integer("tile", tile)
    whole = isinstance(key, (int, np.integer))
    key = jax.random.key(_checks.whole_number("key", key)) if whole else _checks.random_key(key)
    values = (x1, x2, lengths1, lengths2, *jax.tree.leaves(arch.scales))
    given = [a for a in values if a is not None]
    if _checks.inside_a_trace() or any(_checks.concrete_values(a) is None for a in given):
        raise TypeError(
            f"x1: kernel_fn of {type(arch).__name__} was called while JAX is tracing; it draws samples "
            "until it is done, and expects values. Call it outside of jax.jit, jax.vmap and jax.grad."
        )
    if tolerance is not None:
        check_tolerance(tolerance, False)
    steps1, steps2 = x1.shape[1], x2.shape[1]
    sides = sides_of(x1, x2, lengths1, lengths2, symmetric)
    longest = sides.x1.shape[1]
    outputs = longest if arch.readout == "sequence" else 1
    larger = max(len(sides.x1), len(sides.x2))
    blocks = blocks_of(len(sides.x1), len(sides.x2), symmetric, size_of(longest, outputs, tile, larger))
    tangent = any(name.startswith("ntk") for name in wanted)
    _check_memory(arch, sides, blocks, options.samples or 0, outputs, 2 * (1 + tangent))
    kernels, errors, most = (), (), max(replicates, MOST_REPLICATES)
    for running in estimates(arch, sides, blocks, options, tangent, key, most):
        done = int(running.count)
        if done < replicates:
            continue
        kernels = running.mean
        errors = tuple(s / done**0.5 for s in spread(running))
        if tolerance is None or relative_error(kernels, errors) <= tolerance:
            break
    else:
        error = relative_error(kernels, errors)
        warnings.warn(
            f"kernel_fn: a standard error is {error:.1e} of the largest entry with {most} "
            f"replicates, and tolerance={tolerance:g}; ask for less, or for more samples.",
            AccuracyWarning,
            stacklevel=2,
        )
    if arch.readout == "sequence":
        pad = ((0, 0), (0, 0), (0, steps1 - longest), (0, steps2 - longest))
        kernels, errors = (tuple(jnp.pad(a, pad) for a in part) for part in (kernels, errors))
    found: dict[str, Any] = dict(zip(("nngp", "ntk"), kernels, strict=False))
    check_kernels(arch, found, x1, x2)
    found |= dict(zip(("nngp_error", "ntk_error"), errors, strict=False))
    if isinstance(get, str):
        return found[get]
    return result_type(wanted)(*(found[name] for name in wanted))


def _check_memory(
    arch: Dense,
    sides: Sides,
    blocks: list[Block],
    samples: int,
    outputs: int,
    kernels: int,
) -> None:
    """The kernels, the sums behind their errors, covariances and samples of the largest block."""
    steps = sides.x1.shape[1]
    n1, n2, itemsize = len(sides.x1), len(sides.x2), sides.x1.dtype.itemsize
    together = max(len(block.one) + len(block.two) for block in blocks) * steps
    covariances = 4 * len(arch.cell.gates) * together**2 + 4 * (together * outputs) ** 2
    drawn = samples * together * (2 * len(arch.cell.gates) + 5)
    require(
        "samples" if drawn > covariances else "x1",
        itemsize * (2 * kernels * n1 * n2 * outputs**2 + covariances + drawn),
        f"sampled kernels of N1={n1}, N2={n2}, T={steps} in {sides.x1.dtype}, readout "
        f"{arch.readout!r},",
        "pass fewer samples or a smaller tile, compute them in blocks of rows (x2 of some sequences at "
        "a time), or take fewer sequences.",
    )
