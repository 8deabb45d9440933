"""A network that is a function ``apply_fn(params, x)``: what it takes, and what it gives."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ntkrnn._types import Array, Params
from ntkrnn.cells import floating_params


class FunctionSides(NamedTuple):
    """Both sides of a kernel of a function; lengths of both or of neither."""

    x1: Array
    x2: Array
    lengths1: Array | None
    lengths2: Array | None
    symmetric: bool


def fitting_function(
    apply_fn: Any, takes_lengths: bool, params: Params, sides: FunctionSides
) -> tuple[Params, FunctionSides, Any, Any]:
    """Parameters and sides that fit the function, and shapes and dtypes of its outputs for either.

    Raises:
        TypeError, ValueError: naming the argument.
    """
    x1, x2, lengths1, lengths2, symmetric = sides
    params = _checked_params(params)
    for argument, given in (("lengths1", lengths1), ("lengths2", lengths2)):
        if given is not None and not takes_lengths:
            raise ValueError(
                f"{argument}: got lengths, but apply_fn takes none; give it an argument "
                "`lengths`, the [N] valid leading steps of its x."
            )
    if lengths1 is not None or lengths2 is not None:
        lengths1, lengths2 = _all_lengths(x1, lengths1), _all_lengths(x2, lengths2)
    y1 = _output(apply_fn, params, x1, lengths1)
    y2 = y1 if symmetric else _output(apply_fn, params, x2, lengths2)
    return params, FunctionSides(x1, x2, lengths1, lengths2, symmetric), y1, y2


def masked(apply_fn: Any) -> Callable[..., Array]:
    """``(params, x, lengths=None)`` to the outputs, which the padding does not reach, 0 there."""

    def outputs(params: Params, x: Array, lengths: Array | None = None) -> Array:
        if lengths is None:
            return apply_fn(params, x)
        inside = (jnp.arange(x.shape[1]) < lengths[:, None])[:, :, None]
        y = apply_fn(params, jnp.where(inside, x, 0), lengths=lengths)
        return jnp.where(inside, y, 0) if y.ndim == 3 else y

    return outputs


def check_function(apply_fn: Any) -> bool:
    """Whether the function takes lengths; raise unless it is one that programs can be kept for."""
    if any(cls.__module__.partition(".")[0] == "flax" for cls in type(apply_fn).__mro__):
        raise TypeError(
            f"arch_or_apply_fn: got a module of flax of type {type(apply_fn).__name__}, expected an "
            "architecture or a function; pass ntkrnn.flax.apply_fn_from_module(module)."
        )
    try:
        hash(apply_fn)
    except TypeError:
        raise TypeError(
            f"arch_or_apply_fn: got a callable of type {type(apply_fn).__name__} that cannot be "
            "hashed, and compiled programs are kept by it; wrap it in a function."
        ) from None
    try:
        parameters = inspect.signature(apply_fn).parameters.values()
    except (TypeError, ValueError):  # some built-in callables do not tell
        return True
    return any(
        p.kind is p.VAR_KEYWORD or (p.name == "lengths" and p.kind is not p.POSITIONAL_ONLY)
        for p in parameters
    )


def _checked_params(params: Params) -> Params:
    """Finite floating arrays: the kernel differentiates with respect to all of them."""
    if not jax.tree.leaves(params):
        raise ValueError(
            f"params: got {params!r} without any array, expected the parameters of apply_fn."
        )
    return floating_params(params)


def _all_lengths(x: Array, lengths: Array | None) -> Array:
    return jnp.full(x.shape[0], x.shape[1], jnp.int32) if lengths is None else lengths


@functools.partial(jax.jit, static_argnums=0)
def _applied(apply_fn: Any, params: Params, x: Array, options: dict[str, Array]) -> Any:
    """Only for the shape; compiled, or rather traced, so that it is looked at once."""
    return apply_fn(params, x, **options)


def _output(apply_fn: Any, params: Params, x: Array, lengths: Array | None) -> Any:
    """Shape and dtype of the outputs; raise unless they are ``[N, O]`` or ``[N, T, O]``."""
    options = {} if lengths is None else {"lengths": lengths}
    try:
        y = jax.eval_shape(functools.partial(_applied, apply_fn), params, x, options)
    except (TypeError, ValueError) as error:
        if re.match(r"\w+: got ", str(error)):  # of a function of this library, which says it all
            raise
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"apply_fn: got {type(error).__name__} from it for x of shape {x.shape}: {reason} Expected "
            "a function of the parameters and of sequences [N, T, d]; do these fit each other?"
        ) from error
    n, steps = x.shape[:2]
    shape = getattr(y, "shape", None)
    if shape is None or len(shape) not in (2, 3) or shape[0] != n:
        found = (
            f"{type(y).__name__} {jax.tree.map(jnp.shape, y)}" if shape is None else f"shape {shape}"
        )
        raise ValueError(
            f"apply_fn: got an output of {found} for x of shape {x.shape}, expected one array [N, O] "
            f"or [N, T, O] with N={n}; add an axis of outputs, or flatten the others into it."
        )
    if len(shape) == 3 and lengths is not None and shape[1] != steps:
        raise ValueError(
            f"apply_fn: got an output of shape {shape} for x of shape {x.shape} and lengths, expected "
            f"[N, T, O] with T={steps}, where outputs at padded steps are taken as 0."
        )
    return y
