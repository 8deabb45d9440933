"""Parameters of dense cells: a plain pytree of raw weights, i.i.d. N(0, 1)."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from ntkrnn._types import Array, Params
from ntkrnn.architectures import Dense


def parameter_shapes(arch: Dense, channels: int) -> Params:
    """Shape of every block, in the structure of the parameters.

    Args:
        arch: the architecture.
        channels: input channels d.

    Returns:
        ``{"cells": [{"forward": {"w": (m, m), "u": (m, d), "b": (m,)}, ...}, ...], "v": (O, m)}``;
        above the first layer d is the state size of the layer below, and with ``bidirectional`` each
        layer also has ``"backward"`` and v has ``2 m`` columns. A block that several gates have is
        stacked, w (G, m, m), u (G, m, d), b (G, m), in the order of ``arch.part_names``.

    Example:
        >>> from ntkrnn.architectures import GRU, Elman
        >>> parameter_shapes(Elman(width=4), 3)["cells"][0]["forward"]["u"]
        (4, 3)
        >>> parameter_shapes(GRU(width=4), 3)["cells"][0]["forward"]["b"]
        (4, 4)
    """
    m = arch.width
    layers = []
    # One gate has no axis of gates.
    gates = {block: (len(named),) if len(named) > 1 else () for block, named in arch.part_names.items()}
    for layer in range(arch.depth):
        columns = channels if layer == 0 else arch.state_size
        one = {"w": (m, m), "u": (m, columns), "b": (m,)}
        blocks = {block: (*gates[block], *shape) for block, shape in one.items()}
        layers.append({direction: dict(blocks) for direction in arch.directions})
    return {"cells": layers, "v": (arch.out_dim, arch.state_size)}


def init_params(arch: Dense, key: Array, channels: int, dtype: Any = None) -> Params:
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


def channels(params: Params) -> int:
    """The input channels d that parameters were drawn for."""
    return params["cells"][0]["forward"]["u"].shape[-1]
