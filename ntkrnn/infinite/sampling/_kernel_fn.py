"""The ``kernel_fn`` of cells without a closed form, from the features of random networks."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ntkrnn import _checks
from ntkrnn._memory import require
from ntkrnn._types import SampledKernels
from ntkrnn.architectures import Dense
from ntkrnn.infinite._get import canonical_get, result_type
from ntkrnn.infinite._overflow import check_kernels, check_scales
from ntkrnn.infinite.sampling._estimates import Estimate, Wanted, estimates, traced_estimates
from ntkrnn.infinite.sampling._network import outputs_of
from ntkrnn.infinite.sampling._sides import (
    FEWEST_REPLICATES,
    SAMPLES,
    Networks,
    Side,
    networks_of,
    side_of_traced,
    side_of_values,
    together_of,
    words_of,
)
from ntkrnn.quadrature._replicates import AccuracyWarning, check_tolerance, checked_replicates

GETS = SampledKernels._fields
MOST_REPLICATES = 512
"""At which a tolerance is given up."""
TOLERANCE = 0.02


def sampled_kernel_fn(arch: Dense) -> Callable[..., Any]:
    r"""Build the ``kernel_fn`` of a cell from random networks, whatever the cell.

    ``kernel_fn(x1, x2=None, get=None, lengths1=None, lengths2=None, *, lengths=None, samples=1024,
    replicates=None, tolerance=None, key=0, tile=None, diagonal=False)``. With z what the recurrent
    matrix of a gate multiplies and delta the derivative of an output by its pre-activation a::

        Cov(a_{t,i}, a_{s,j}) = w_std^2 E z_{t,i} z_{s,j} + u_std^2 <x_{t,i}, x_{s,j}>/d + b_std^2
        nngp_{ij} = v_std^2 E r_i r_j
        ntk_{ij}  = [v] nngp_{ij} + sum_{gates,t,s} E delta_{t,i} delta_{s,j} * Cov(a_{t,i}, a_{s,j})

    the last factor restricted to trainable blocks, r what the readout reads. Expectations are over
    the neurons of networks with random orthogonal weights, which are drawn anew on the way back; so
    every kernel is a product of features, see :func:`ntkrnn.infinite.features`.

    Args:
        arch: an architecture with matrices between its neurons, :class:`ntkrnn.LSTM` for example; for
            :class:`ntkrnn.Elman` and :class:`ntkrnn.Leaky` a second route to their kernels.

    Returns:
        ``kernel_fn``. ``x1``, ``x2``, the lengths and the shapes are those of :func:`ntkrnn.network`.
        ``get`` is a name out of "nngp", "ntk", "nngp_error", "ntk_error", a tuple of them, or None
        for a :class:`ntkrnn.SampledKernels` of all four; the errors are one standard error of every
        entry, from the spread of the networks. Further keywords:

        - ``tolerance``: networks are added until the errors of a wanted kernel have at most this part
          of its Frobenius norm, ``|error| <= tolerance |kernel|``; 2% if neither this nor
          ``replicates`` is said.
        - ``replicates``: the number of networks, at least 2; with a tolerance the least number, 8 if
          left out. Where JAX is tracing no error is known, and 8 are taken unless it is said.
        - ``samples``: neurons M of a network, rounded up to the square of a multiple of 8. Gaussian
          laws that are estimated from M neurons leave a bias of order 1/M, which the errors do not
          contain: up to 2% for 64, and not to be seen for 1024 (``docs/gated-kernels.md``).
        - ``key``: a JAX random key or a whole number. Networks are a function of it, of d, of the
          architecture and of the dtype, and with a number of them every entry is one of its two
          sequences alone, which ``jax.grad`` and ``jax.jit`` take, by the sequences and the scales.
        - ``tile``: sequences that pass a network at a time; chosen from their length by default. It
          changes nothing beyond rounding.
        - ``diagonal``: whether ``K(x1[i], x2[i])`` is wanted alone: ``[N]``, or ``[N, T1, T2]``.

    Raises:
        TypeError, ValueError: for arguments that do not fit, naming them; for a tolerance where JAX is
            tracing; for what memory does not hold.

    Warns:
        AccuracyWarning: if the tolerance is not met with 512 networks, or ``replicates`` if more.

    Cost: for every network ``N T M`` steps of neurons, each ``sqrt(M) (G + 1)`` multiply-adds forwards
    and as many backwards for G gates, and the product of the features, ``N1 N2 M`` times some 3 G;
    readout "sequence" goes back T times. Memory for the kernels and for the features of one network.

    Source: TP1 (arXiv 1910.12478) and TP2 (arXiv 2006.14548) for the limit; ``docs/gated-kernels.md``.

    Example:
        >>> import jax, ntkrnn
        >>> x = jax.random.normal(jax.random.key(0), (3, 4, 2))
        >>> kernels = sampled_kernel_fn(ntkrnn.GRU())(x)
        >>> kernels.ntk.shape, bool((kernels.ntk_error < 0.05 * kernels.ntk.max()).all())
        ((3, 3), True)
    """
    return functools.partial(_kernels, arch)


def _kernels(
    arch: Dense,
    x1: Any,
    x2: Any = None,
    get: Any = None,
    lengths1: Any = None,
    lengths2: Any = None,
    *,
    lengths: Any = None,
    samples: int = SAMPLES,
    replicates: int | None = None,
    tolerance: float | None = None,
    key: Any = 0,
    tile: int | None = None,
    diagonal: bool = False,
) -> Any:
    names = GETS if get is None else canonical_get(get, GETS)
    diagonal = _checks.boolean("diagonal", diagonal)
    x1, x2, lengths1, lengths2, symmetric = _checks.pair(x1, x2, lengths1, lengths2, lengths, diagonal)
    check_scales(arch, x1.dtype)
    samples = _checks.positive_integer("samples", samples)
    replicates = None if replicates is None else checked_replicates(replicates)
    tile = None if tile is None else _checks.positive_integer("tile", tile)
    networks = networks_of(arch, samples, words_of(key), x1.shape[2], x1.dtype)
    values = (x1, x2, lengths1, lengths2, *jax.tree.leaves(arch.scales))
    tracing = _checks.inside_a_trace() or any(
        a is not None and _checks.concrete_values(a) is None for a in values
    )
    if tolerance is not None:
        check_tolerance(tolerance, tracing)
    kinds = tuple(kind for kind in ("nngp", "ntk") if any(g.startswith(kind) for g in names))
    sequence = arch.readout == "sequence"
    back = networks.counts()[1] > 0
    wanted = Wanted(kinds, diagonal, "v" in arch.trainable, sequence, back)
    make = side_of_traced if tracing else side_of_values
    steps = max(x1.shape[1], x2.shape[1])
    together = together_of(networks, steps, tile, "ntk" in kinds)
    one = make(x1, lengths1, together)
    two = None if symmetric else make(x2, lengths2, together)
    check_memory(networks, [s for s in (one, two) if s is not None], wanted)
    if tracing:
        found = traced_estimates(networks, one, two, wanted, replicates or FEWEST_REPLICATES)
    else:
        if tolerance is None and replicates is None:
            tolerance = TOLERANCE
        found = _estimated(networks, one, two, wanted, tolerance, replicates or FEWEST_REPLICATES)
    kernels: dict[str, Any] = {kind: found[kind].kernel for kind in kinds}
    errors: dict[str, Any] = {f"{kind}_error": found[kind].error for kind in kinds}
    kernels |= errors
    if not tracing:
        check_kernels(arch, kernels, x1, x2)
    if sequence:
        kernels = {name: _in_time(a, x1.shape[1], x2.shape[1]) for name, a in kernels.items()}
    return kernels[get] if isinstance(get, str) else result_type(names)(*(kernels[g] for g in names))


def _in_time(kernel: Any, steps1: int, steps2: int) -> Any:
    """``[..., T1, T2]`` of as many steps as the sequences came with, 0 at padded ones."""
    kernel = kernel[..., :steps1, :steps2]
    more = [(0, 0)] * (kernel.ndim - 2)
    return jnp.pad(kernel, [*more, (0, steps1 - kernel.shape[-2]), (0, steps2 - kernel.shape[-1])])


def _estimated(
    networks: Networks,
    one: Side,
    two: Side | None,
    wanted: Wanted,
    tolerance: float | None,
    replicates: int,
) -> dict[str, Estimate]:
    """Until the tolerance is met, or of so many networks without one."""
    most = max(replicates, MOST_REPLICATES)
    for done, found in enumerate(estimates(networks, one, two, wanted, tolerance, replicates), 2):
        if done < replicates:
            continue
        if tolerance is None:
            return found
        error = max(found[kind].relative for kind in wanted.kinds)
        if error <= tolerance:
            return found
        if done >= most:
            warnings.warn(
                f"kernel_fn: the standard errors have {error:.1e} of the norm of a kernel with {most} "
                f"replicates, and tolerance={tolerance:g}; ask for less, or for more samples.",
                AccuracyWarning,
                stacklevel=3,
            )
            return found
    raise AssertionError("networks do not run out")


def check_memory(networks: Networks, sides: list[Side], wanted: Wanted) -> None:
    """The kernels with what their errors come from, features, and what one part keeps."""
    one, two = sides[0], sides[-1]
    form, tangent = networks.form, "ntk" in wanted.kinds
    sizes = [side.count * outputs_of(form, side.steps) for side in sides]
    entries = sizes[0] * (outputs_of(form, two.steps) if wanted.diagonal else sizes[-1])
    features = 0 if wanted.diagonal else 2 * sum(sizes) * sum(networks.counts()[: 1 + tangent])
    kept = max(s.x.shape[1] * networks.kept(s.steps, tangent) for s in sides)
    kept += 2 * networks.weight_bytes()
    itemsize = networks.dtype.itemsize
    kernels = 6 * (1 + tangent) * entries
    require(
        "samples" if networks.b**2 > SAMPLES and kernels < features else "x1",
        itemsize * (kernels + features) + kept,
        f"sampled kernels of N1={one.count}, N2={two.count}, T={max(one.steps, two.steps)} in "
        f"{networks.dtype}, readout {form.readout!r},",
        "pass fewer samples or a smaller tile, compute them in blocks of rows (x2 of some sequences at "
        "a time), or take fewer sequences.",
    )
