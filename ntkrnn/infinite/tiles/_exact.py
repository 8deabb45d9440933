"""Exact kernels of one call: in a program of our own, or in the one that is being traced."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from ntkrnn import _checks
from ntkrnn._types import Array, Kernels
from ntkrnn.architectures import Elman, Leaky
from ntkrnn.dual import has_closed_form, truncation_error
from ntkrnn.dual._value import DEFAULT_MAX_VARIANCE, Nonlinearity
from ntkrnn.infinite._overflow import check_kernels
from ntkrnn.infinite._request import Request
from ntkrnn.infinite.recursion._variances import squared_scales
from ntkrnn.infinite.tiles._problem import Problem, Sizes, check_memory, prepare
from ntkrnn.infinite.tiles._programs import chosen_devices, compiled, traced

TOLERATED_ERROR = 1e-6
"""Largest relative error of an expanded nonlinearity that passes without a warning."""


def _warn_if_inaccurate(form: Elman | Leaky, variance: Array) -> None:
    """Say so when an expanded nonlinearity is used beyond the variance that it was expanded for."""
    spec = form.nonlinearity
    limit = spec.max_variance if isinstance(spec, Nonlinearity) else DEFAULT_MAX_VARIANCE
    if has_closed_form(spec):
        return
    largest = float(variance)
    if largest > limit:
        error = truncation_error(spec, largest)
        if error > TOLERATED_ERROR:
            name = spec.name if isinstance(spec, Nonlinearity) else spec
            warnings.warn(
                f"kernel_fn: a pre-activation variance reaches {largest:.3g}, where the expansion "
                f"of {name!r} (accurate up to {limit:g}) is off by {error:.1e}. Standardise the "
                "inputs, lower the scales, or ask for more terms with nonlinearity="
                f"ntkrnn.dual.nonlinearity({name!r}, max_variance={largest:.3g}), which says if "
                "it cannot be had.",
                stacklevel=4,
            )


def exact_kernels(arch: Elman | Leaky) -> Callable[[Request, Any], dict[str, Array]]:
    """The kernels of an architecture whose limit is computed in tiles, exactly.

    Args:
        arch: the architecture.

    Returns:
        ``(request, limit)`` to the kernels that are wanted, by name.
    """
    # The limit does not depend on the width, and the scales are arguments of the compiled function:
    # one compilation serves every width and every scale.
    form, scale = dataclasses.replace(arch.form, width=1, out_dim=1), squared_scales(arch)

    def kernels(request: Request, limit: Any) -> dict[str, Array]:
        x1, x2, lengths1, lengths2, symmetric, diagonal, names, unknown = request
        problem = Problem(form, symmetric, limit.tile, diagonal)
        if unknown:
            return _named(traced(problem, scale, x1, x2, lengths1, lengths2), names)
        places = chosen_devices(limit.devices, x1)
        sizes = Sizes.of(problem, x1, x2, places[0].platform)
        check_memory(problem, sizes, x1, x2, places[0])
        with contextlib.ExitStack() as context:
            if _checks.inside_a_trace():  # a constant of that program: computed now, on one device
                context.enter_context(jax.ensure_compile_time_eval())
                places = places[:1]
            given = (x1, x2, lengths1, lengths2)
            if not (_checks.on_accelerator(x1) and places[0] in x1.devices()):
                # NumPy pads without a program for every size; what is on an accelerator stays there.
                given = [None if a is None else np.asarray(a) for a in given]
            work = prepare(problem, sizes, *given, exact=False)
            values, variance = compiled(scale, work, x1, x2, places)
            chosen = _named(values, names)
            check_kernels(arch, chosen, x1, x2, variance)
            _warn_if_inaccurate(form, variance)
        return chosen

    return kernels


def _named(values: tuple[Array, ...], names: tuple[str, ...]) -> dict[str, Array]:
    return {name: values[Kernels._fields.index(name)] for name in names}
