"""Parameters: a plain pytree of raw weights, i.i.d. N(0, 1)."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from ntkrnn import _checks
from ntkrnn._types import Array, Params
from ntkrnn.architectures import Elman


def parameter_shapes(arch: Elman, channels: int) -> Params:
    """Shape of every block, in the structure of the parameters.

    Args:
        arch: the architecture.
        channels: input channels d.

    Returns:
        ``{"cells": [{"forward": {"w": (m, m), "u": (m, d), "b": (m,)}, ...}, ...], "v": (O, m)}``;
        above the first layer d is the state size of the layer below, and with ``bidirectional`` each
        layer also has ``"backward"`` and v has ``2 m`` columns.

    Example:
        >>> parameter_shapes(Elman(width=4), 3)["cells"][0]["forward"]["u"]
        (4, 3)
    """
    m = arch.width
    layers = []
    for layer in range(arch.depth):
        columns = channels if layer == 0 else arch.state_size
        blocks = {"w": (m, m), "u": (m, columns), "b": (m,)}
        layers.append({direction: dict(blocks) for direction in arch.directions})
    return {"cells": layers, "v": (arch.out_dim, arch.state_size)}


def init_params(arch: Elman, key: Array, channels: int, dtype: Any = None) -> Params:
    """Draw every raw weight from N(0, 1), each block with its own key.

    Args:
        arch: the architecture.
        key: a JAX random key.
        channels: input channels d.
        dtype: floating dtype; JAX's default if None.

    Returns:
        The parameters, a plain pytree of arrays, see :func:`parameter_shapes`.
    """
    shapes = parameter_shapes(arch, channels)
    leaves, structure = jax.tree.flatten(shapes, is_leaf=lambda s: isinstance(s, tuple))
    keys = jax.random.split(key, len(leaves))
    dtype = jnp.asarray(0.0).dtype if dtype is None else dtype
    drawn = [jax.random.normal(k, shape, dtype) for k, shape in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(structure, drawn)


def check_params(arch: Elman, params: Params) -> int:
    """Raise unless ``params`` are those of the architecture; return their input channels d.

    Raises:
        ValueError: saying what came and what was expected.
    """
    try:
        first = params["cells"][0]["forward"]["u"]
        expected = parameter_shapes(arch, first.shape[1])
        got = jax.tree.map(lambda a: tuple(a.shape), params)
        real = all(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in jax.tree.leaves(params))
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
    if not real:
        raise ValueError(
            f"params: got {jax.tree.map(_describe, params)}, expected real floating arrays, as init_fn "
            "returns them."
        )
    return first.shape[1]


def _describe(leaf: Any) -> str:
    if hasattr(leaf, "dtype") and hasattr(leaf, "shape"):
        return f"{leaf.dtype}{list(leaf.shape)}"
    return type(leaf).__name__


def fitting_input(arch: Elman, params: Params, name: str, x: Any) -> Array:
    """``x`` [N, T, d] in the common dtype of inputs and parameters, if their channels agree.

    Raises:
        ValueError: if ``params`` are not those of the architecture, or made for another d.
    """
    channels = check_params(arch, params)
    x = _checks.sequences(name, x)
    if x.shape[2] != channels:
        raise ValueError(
            f"{name}: got d={x.shape[2]} channels (shape {tuple(x.shape)}), expected d={channels}, "
            "with which the parameters were initialised."
        )
    with jax.numpy_dtype_promotion("standard"):
        return x.astype(jnp.result_type(x, *jax.tree.leaves(params)))
