"""The ``kernel_fn`` of exact limits: checks, compilation, and what to return."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from ntkrnn import _checks
from ntkrnn._nonlinearities import DEFAULT_MAX_VARIANCE, Nonlinearity
from ntkrnn._types import Array, Kernels
from ntkrnn.architectures import Elman, Leaky
from ntkrnn.dual import has_closed_form, truncation_error
from ntkrnn.infinite._get import canonical_get, result_type
from ntkrnn.infinite._overflow import check_kernels, check_scales
from ntkrnn.infinite.recursion._variances import squared_scales
from ntkrnn.infinite.tiles._problem import Problem, Sizes, check_memory, prepare
from ntkrnn.infinite.tiles._programs import AnyScale, chosen_devices, compiled, traced

GETS = Kernels._fields
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
                stacklevel=3,
            )


def dense_kernel_fn(arch: Elman) -> Callable[..., Any]:
    """Build ``kernel_fn(x1, x2=None, get=None, lengths1=None, lengths2=None, *, tile, ..)``.

    Its documentation is that of :func:`ntkrnn.network`.
    """
    return exact_kernel_fn(arch, squared_scales(arch))


def exact_kernel_fn(arch: Elman | Leaky, scale: AnyScale) -> Callable[..., Any]:
    """Build the ``kernel_fn`` of an architecture whose limit is computed in tiles, exactly.

    Args:
        arch: the architecture.
        scale: its scales, squared where their squares are used.
    """
    # The limit does not depend on the width, and the scales are arguments of the compiled function:
    # one compilation serves every width and every scale.
    form = dataclasses.replace(arch.form, width=1, out_dim=1)

    def kernel_fn(
        x1: Any,
        x2: Any = None,
        get: Any = None,
        lengths1: Any = None,
        lengths2: Any = None,
        *,
        lengths: Any = None,
        tile: int | None = None,
        devices: Sequence[Any] | None = None,
        diagonal: bool = False,
    ) -> Any:
        wanted = GETS if get is None else canonical_get(get, GETS)
        tile = None if tile is None else _checks.positive_integer("tile", tile)
        diagonal = _checks.boolean("diagonal", diagonal)
        x1, x2, lengths1, lengths2, symmetric = _checks.pair(
            x1, x2, lengths1, lengths2, lengths, diagonal
        )
        check_scales(arch, x1.dtype)
        given = [a for a in (x1, x2, lengths1, lengths2, *scale) if a is not None]
        problem = Problem(form, symmetric, tile, diagonal)
        if any(_checks.concrete_values(a) is None for a in given):
            values = traced(problem, scale, x1, x2, lengths1, lengths2)
            chosen = {g: values[GETS.index(g)] for g in wanted}
        else:
            places = chosen_devices(devices, x1)
            sizes = Sizes.of(problem, x1, x2, places[0].platform)
            check_memory(problem, sizes, x1, x2, places[0])
            with contextlib.ExitStack() as context:
                if _checks.inside_a_trace():  # a constant of that program: computed now, on one device
                    context.enter_context(jax.ensure_compile_time_eval())
                    places = places[:1]
                host = [None if a is None else np.asarray(a) for a in (x1, x2, lengths1, lengths2)]
                work = prepare(problem, sizes, *host, exact=False)
                values, variance = compiled(scale, work, x1, x2, places)
                chosen = {g: values[GETS.index(g)] for g in wanted}
                check_kernels(arch, chosen, x1, x2, variance)
                _warn_if_inaccurate(form, variance)
        return chosen[get] if isinstance(get, str) else result_type(wanted)(**chosen)

    return kernel_fn
