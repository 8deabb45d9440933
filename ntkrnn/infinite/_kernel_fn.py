"""The public ``kernel_fn``: checks, compilation, and what to return."""

from __future__ import annotations

import collections
import dataclasses
import functools
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ntkrnn import _checks
from ntkrnn._nonlinearities import DEFAULT_MAX_VARIANCE, Nonlinearity
from ntkrnn._types import Kernels
from ntkrnn.architectures import Elman, Scales
from ntkrnn.dual import has_closed_form, truncation_error
from ntkrnn.infinite._readouts import readout_kernels, side
from ntkrnn.infinite._variances import squared_scales, track

GETS = ("nngp", "ntk")
TOLERATED_ERROR = 1e-6
"""Largest relative error of an expanded nonlinearity that passes without a warning."""


@functools.partial(jax.jit, static_argnames=("form", "symmetric"))
def _compiled(
    form: Elman, scale: Scales, x1: Any, x2: Any, lengths1: Any, lengths2: Any, symmetric: bool
) -> Kernels:
    kernels = readout_kernels(form, scale, x1, x2, lengths1, lengths2)
    if not symmetric:
        return kernels
    # Both halves are computed by the same formulas in another order; the average of the two
    # roundings is symmetric to the last bit.
    swap = (lambda k: k.T) if form.readout != "sequence" else (lambda k: k.transpose(1, 0, 3, 2))
    return Kernels(*(0.5 * (k + swap(k)) for k in kernels))


@functools.partial(jax.jit, static_argnames="form")
def _largest_variance(form: Elman, scale: Scales, x: Any, lengths: Any) -> Any:
    """Largest pre-activation variance anywhere in the network."""
    time_major, valid = side(x, lengths)
    tracks = track(form, scale, jnp.mean(jnp.square(time_major), axis=-1), valid)
    variances = [t.variance for layer in tracks.layers for t in layer.values()]
    return jnp.max(jnp.where(valid, jnp.stack(variances), 0))


def _canonical_get(get: Any) -> tuple[str, ...]:
    listed = isinstance(get, (tuple, list))
    wanted = tuple(get) if listed else (get,)
    if (
        not wanted
        or any(not isinstance(g, str) or g not in GETS for g in wanted)
        or len(set(wanted)) < len(wanted)
    ):
        raise ValueError(
            f"get: got {get!r}, expected 'nngp', 'ntk', a tuple of them, or None for both."
        )
    return wanted


def _warn_if_inaccurate(form: Elman, scale: Scales, *sides: tuple[Any, Any]) -> None:
    """Say so when an expanded nonlinearity is used beyond the variance that it was expanded for."""
    spec = form.nonlinearity
    limit = spec.max_variance if isinstance(spec, Nonlinearity) else DEFAULT_MAX_VARIANCE
    if has_closed_form(spec):
        return
    looked_at = [array for side in sides for array in side if array is not None]
    if any(_checks.concrete_values(a) is None for a in (*looked_at, *scale)):
        return  # traced: there are no numbers to warn about yet
    largest = max(float(_largest_variance(form, scale, x, lengths)) for x, lengths in sides)
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


@functools.lru_cache(maxsize=64)
def _result_type(fields: tuple[str, ...]) -> type:
    return Kernels if fields == GETS else collections.namedtuple("Kernels", fields)  # type: ignore[misc]


def kernel_fn_of(arch: Elman) -> Callable[..., Any]:
    """Build ``kernel_fn(x1, x2=None, get=None, lengths1=None, lengths2=None)``.

    Its documentation is that of :func:`ntkrnn.network`.
    """
    # The limit does not depend on the width, and the scales are arguments of the compiled function:
    # one compilation serves every width and every scale.
    form = dataclasses.replace(arch.form, width=1, out_dim=1)
    scale = squared_scales(arch)

    def kernel_fn(
        x1: Any, x2: Any = None, get: Any = None, lengths1: Any = None, lengths2: Any = None
    ) -> Any:
        wanted = GETS if get is None else _canonical_get(get)
        x1, x2, lengths1, lengths2, symmetric = _checks.pair(x1, x2, lengths1, lengths2)
        _warn_if_inaccurate(form, scale, (x1, lengths1), *(() if symmetric else ((x2, lengths2),)))
        kernels = _compiled(form, scale, x1, x2, lengths1, lengths2, symmetric)
        values = [getattr(kernels, g) for g in wanted]
        return values[0] if isinstance(get, str) else _result_type(wanted)(*values)

    return kernel_fn
