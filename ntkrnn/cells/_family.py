"""What the finite networks of every family of architectures offer, in one table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn import _checks
from ntkrnn._compile import compiled
from ntkrnn._types import Array, Lengths, Outputs, Params, Sequences
from ntkrnn.architectures import AnyScales, Architecture
from ntkrnn.cells import _diagonal, _gradient, _parameters, _stack
from ntkrnn.cells._stack import UNROLL, Trace


class Family(NamedTuple):
    """The functions of one family; see those of the same name below."""

    parameter_shapes: Callable[..., Params]
    init_params: Callable[..., Params]
    channels: Callable[[Params], int]
    run: Callable[..., Trace]
    gradient: Callable[..., Params]


FAMILIES = {
    "dense": Family(
        _parameters.parameter_shapes,
        _parameters.init_params,
        _parameters.channels,
        _stack.run,
        _gradient.gradient,
    ),
    "diagonal": Family(
        _diagonal.parameter_shapes,
        _diagonal.init_params,
        _diagonal.channels,
        _diagonal.run,
        _diagonal.gradient,
    ),
}
"""By the ``family`` of an architecture. Those with dense matrices all say what their ``cell`` is."""


def parameter_shapes(arch: Architecture, channels: int) -> Params:
    """Shape of every block, in the structure of the parameters, for ``channels`` input channels d."""
    return FAMILIES[arch.family].parameter_shapes(arch, channels)


def init_params(arch: Architecture, key: Array, channels: int, dtype: Any = None) -> Params:
    """Parameters as they are at the start, of JAX's default floating dtype if it is None."""
    return FAMILIES[arch.family].init_params(arch, key, channels, dtype)


def run(
    arch: Architecture,
    params: Params,
    x: Sequences,
    lengths: Lengths | None,
    columns: bool = False,
    precision: Any = None,
    unroll: int = UNROLL,
) -> Trace:
    """A batch of sequences through the network.

    Args:
        arch: the architecture.
        params: parameters as drawn by :func:`init_params`.
        x: ``[N, T, d]``.
        lengths: ``[N]`` valid steps, or None for all.
        columns: keep the states of a step as columns, where matrices multiply them; for what is not
            differentiated afterwards.
        precision: of the matrix products; JAX's default if None.
        unroll: steps to a turn of the loop.
    """
    return FAMILIES[arch.family].run(arch, params, x, lengths, columns, precision, unroll)


def gradient(
    arch: Architecture,
    params: Params,
    x: Sequences,
    lengths: Lengths | None,
    cotangent_of: Callable[[Outputs], Array],
    unroll: int = UNROLL,
) -> Params:
    """Derivatives of a loss by the trainable blocks, None for the others.

    Args:
        arch: the architecture.
        params: where.
        x: ``[N, T, d]``.
        lengths: ``[N]`` valid steps, or None for all.
        cotangent_of: the derivative of the loss by the outputs, as a function of them; 0 at padded
            steps.
        unroll: steps to a turn of the loop.

    Cost: about three times that of the forward pass.
    """
    return FAMILIES[arch.family].gradient(arch, params, x, lengths, cotangent_of, unroll)


def split_trainable(arch: Architecture, params: Params) -> tuple[Params, Params]:
    """The trainable blocks and the others, each with None in the place of the rest."""

    def part(wanted: bool) -> Params:
        def keep(path: Any, a: Array) -> Array | None:
            return a if (path[-1].key in arch.trainable) is wanted else None

        return jax.tree_util.tree_map_with_path(keep, params)

    return part(True), part(False)


def checked_params(arch: Architecture, params: Params) -> tuple[Params, int]:
    """Parameters that fit the architecture and are finite, and their input channels d.

    Raises:
        TypeError, ValueError: saying what came and what was expected.
    """
    try:
        channels = FAMILIES[arch.family].channels(params)
        expected = parameter_shapes(arch, channels)
        got = jax.tree.map(lambda a: tuple(a.shape), params)
    except (TypeError, KeyError, IndexError, AttributeError):
        raise ValueError(
            f"params: got {jax.tree.map(_describe, params)}, expected the pytree of arrays that "
            f"init_fn of {arch} returns; initialise with init_fn(key, (-1, T, d))."
        ) from None
    if got != expected:
        raise ValueError(
            f"params: got blocks of shapes {got}, expected {expected} for {arch}; initialise with "
            "init_fn of the same architecture."
        )
    return floating_params(params), channels


def floating_params(params: Params) -> Params:
    """Every leaf as a finite floating array of NumPy or JAX.

    Raises:
        TypeError: if a leaf is something else, or masked.
        ValueError: if an entry is not finite.

    Cost: one pass over the parameters.
    """

    def checked(path: Any, leaf: Any) -> Any:
        where = jax.tree_util.keystr(path)
        expected = f"real floating arrays, as init_fn returns them{where and f', at {where}'}"
        if not isinstance(leaf, (jax.Array, np.ndarray)):
            raise TypeError(f"params: got a leaf of type {type(leaf).__name__}, expected {expected}.")
        array = _checks.real_array("params", leaf, expected)
        if not jnp.issubdtype(array.dtype, jnp.floating):
            raise TypeError(f"params: got dtype {array.dtype}, expected {expected}.")
        if not _checks.all_finite(array):
            raise ValueError(
                f"params: got NaN or infinite entries{where and f' at {where}'}, expected finite ones; "
                "a training run that diverged leaves such parameters: lower its learning rate."
            )
        if jax.dtypes.canonicalize_dtype(array.dtype) != array.dtype:
            return _checks.in_dtype("params", array, jax.dtypes.canonicalize_dtype(array.dtype))
        return array

    return jax.tree_util.tree_map_with_path(checked, params)


def _describe(leaf: Any) -> str:
    if hasattr(leaf, "dtype") and hasattr(leaf, "shape"):
        return f"{leaf.dtype}{list(leaf.shape)}"
    return type(leaf).__name__


def fitting_input(arch: Architecture, params: Params, channels: int, name: str, x: Array) -> Array:
    """``x`` [N, T, d] in the common dtype of inputs and parameters, if their channels agree.

    Args:
        arch: the architecture.
        params: what :func:`checked_params` returned.
        channels: the number of channels that they were made for.
        name: of the sequences.
        x: checked sequences.

    Raises:
        ValueError: if the parameters were made for another d, or the readout for fewer steps.
    """
    if x.shape[2] != channels:
        raise ValueError(
            f"{name}: got d={x.shape[2]} channels (shape {tuple(x.shape)}), expected d={channels}, "
            "with which the parameters were initialised."
        )
    arch.reading.check_steps(name, x.shape[1])
    with jax.numpy_dtype_promotion("standard"):
        return x.astype(jnp.result_type(x, *jax.tree.leaves(params)))


@compiled("form")
def _compiled(form: Architecture, scales: AnyScales, params: Params, x: Array, lengths: Any) -> Any:
    trace = run(form.with_scales(scales), params, x, lengths)
    return trace.output, trace.features


def apply(arch: Architecture, params: Params, x: Sequences, lengths: Lengths | None = None) -> Outputs:
    """Outputs ``[N, O]``, or ``[N, T, O]`` for readout "sequence" (0 at padded steps)."""
    return _compiled(arch.form, arch.scales, params, x, lengths)[0]


def features(
    arch: Architecture, params: Params, x: Sequences, lengths: Lengths | None = None
) -> Outputs:
    """What the readout multiplies: ``[N, m]``, or ``[N, T, m]`` for "sequence".

    With ``bidirectional`` the last axis is ``2 m``. ``readout_variance`` of the architecture times
    their inner products is the empirical NNGP kernel.
    """
    return _compiled(arch.form, arch.scales, params, x, lengths)[1]
