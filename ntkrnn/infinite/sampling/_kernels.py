"""The kernels of cells without a closed form, from the features of random networks."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from ntkrnn import _checks
from ntkrnn._memory import require
from ntkrnn._progress import tell
from ntkrnn._random import key_words
from ntkrnn.architectures import Dense
from ntkrnn.infinite._overflow import check_kernels
from ntkrnn.infinite._request import Request
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
)
from ntkrnn.quadrature import AccuracyWarning, check_traced_tolerance

MOST_REPLICATES = 512
"""At which a tolerance is given up."""
TOLERANCE = 0.02


def sampled_kernels(arch: Dense) -> Callable[[Request, Any], dict[str, Any]]:
    """The kernels of a cell from random networks, see :class:`ntkrnn.Sampling`.

    Args:
        arch: the architecture.

    Returns:
        ``(request, limit)`` to the kernels that are wanted, and their errors, by name.
    """
    return functools.partial(_kernels, arch)


def _kernels(arch: Dense, request: Request, limit: Any) -> dict[str, Any]:
    x1, x2, lengths1, lengths2, symmetric, diagonal, *_ = request
    replicates, tolerance, kinds = limit.replicates, limit.tolerance, request.kinds
    networks = networks_of(arch, limit.samples, key_words(limit.key), x1.shape[2], x1.dtype)
    tracing = _checks.inside_a_trace() or request.unknown
    check_traced_tolerance(tolerance, tracing)
    sequence = arch.reading.stepwise
    back = networks.counts()[1] > 0
    wanted = Wanted(kinds, diagonal, "v" in arch.trainable, sequence, back)
    make = side_of_traced if tracing else side_of_values
    steps = max(x1.shape[1], x2.shape[1])
    together = together_of(networks, steps, limit.tile, "ntk" in kinds)
    one = make(x1, lengths1, together)
    two = None if symmetric else make(x2, lengths2, together)
    check_memory(networks, [s for s in (one, two) if s is not None], wanted)
    fewest = replicates or FEWEST_REPLICATES
    if tracing:
        estimated = traced_estimates(networks, one, two, wanted, fewest)
    else:
        if tolerance is None and replicates is None:
            tolerance = TOLERANCE
        estimated = _estimated(networks, one, two, wanted, tolerance, fewest)
    kernels: dict[str, Any] = {kind: estimated[kind].kernel for kind in kinds}
    errors: dict[str, Any] = {f"{kind}_error": estimated[kind].error for kind in kinds}
    kernels |= errors
    if not tracing:
        check_kernels(arch, kernels, x1, x2)
    if sequence:
        kernels = {name: _in_time(a, x1.shape[1], x2.shape[1]) for name, a in kernels.items()}
    return kernels


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
            tell(done, replicates if tolerance is None else 0, "networks of the limit")
            continue
        if tolerance is None:
            return found
        error = max(found[kind].relative for kind in wanted.kinds)
        tell(done, _expected(done, error, tolerance, most), "networks of the limit")
        if error <= tolerance:
            return found
        if done >= most:
            warnings.warn(
                f"kernel_fn: the standard errors have {error:.1e} of the norm of a kernel with {most} "
                f"replicates, and tolerance={tolerance:g}; ask for less, or for more samples.",
                AccuracyWarning,
                stacklevel=4,
            )
            return found
    raise AssertionError("networks do not run out")


def _expected(done: int, error: float, tolerance: float, most: int) -> int:
    """How many networks it will be: the error falls as the root of their number; 0 if not known.

    Example:
        >>> _expected(10, 0.04, 0.02, 1000), _expected(10, 1.0, 0.001, 1000)
        (40, 1000)
    """
    ratio = error / tolerance
    return max(done, min(most, math.ceil(done * min(ratio**2, most)))) if math.isfinite(ratio) else 0


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
