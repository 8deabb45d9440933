"""What a run leaves behind: distances from the start, changed signs."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ntkrnn._types import Array, Params
from ntkrnn.architectures import Architecture
from ntkrnn.cells import run


class Movement(NamedTuple):
    """How far the trained parameters are from where they began.

    Each is a pytree in the structure of the parameters, None for blocks that are not trained.
    """

    frobenius: Params
    """``||theta_k - theta_0||_F`` of each block."""
    neuron: Params | None
    """``max_i`` of the norm of what belongs to neuron i: rows of w and u, entries of b, of all gates
    together, and columns of v. None for a function."""
    spectral: Params | None
    """``||W_k - W_0||_2`` of each recurrent matrix, if it was asked for; one for each gate, ``[G]``,
    where a block has several."""


# LAPACK's calls for a batch wait for the threads of XLA's pool, which on a CPU hangs for ever where two
# programs do so at once: one matrix at a time.
@jax.custom_batching.sequential_vmap
def _spectral_norm(matrix: Array) -> Array:
    return jnp.linalg.norm(matrix, ord=2)


def movement(arch: Architecture | None, start: Params, now: Params, spectral: bool) -> Movement:
    """Measure it.

    Cost: O(parameters), and O(m^3) for the spectral norms.
    """
    shift = jax.tree.map(lambda a, b: a - b, now, start)
    frobenius = jax.tree.map(lambda a: jnp.sqrt(jnp.sum(jnp.square(a))), shift)
    if arch is None:
        return Movement(frobenius, None, None)

    def largest(path: Any, a: Array) -> Array:
        # Neurons run along the rows of matrices, but along the columns of v and in vectors.
        own = a.ndim - 1 if a.ndim == 1 or path[-1].key in ("v", "b") else a.ndim - 2
        others = tuple(axis for axis in range(a.ndim) if axis != own)
        return jnp.sqrt(jnp.max(jnp.sum(jnp.square(a), axis=others)))

    def norm(path: Any, a: Array) -> Array | None:
        if path[-1].key != "w":
            return None
        if a.ndim == 3:  # one for each gate
            return jax.vmap(_spectral_norm)(a)
        # A vector is the diagonal of a matrix.
        return jnp.max(jnp.abs(a)) if a.ndim == 1 else _spectral_norm(a)

    neuron = jax.tree_util.tree_map_with_path(largest, shift)
    found = jax.tree_util.tree_map_with_path(norm, shift) if spectral else None
    return Movement(frobenius, neuron, found)


def signs(arch: Architecture, params: Params, x: Array, lengths: Any) -> list[Array]:
    """``[T, N, m]`` booleans for each layer, direction and gate: which pre-activations are positive."""
    trace = run(arch, params, x, lengths)
    return [h > 0 for layer in trace.layers for steps in layer.values() for h in steps.pre_activations]


def changed(before: list[Array], now: list[Array], lengths: Any, dtype: Any) -> Array:
    """The fraction of signs that differ, over valid steps, sequences, neurons and layers."""
    differ = [jnp.mean(a != b, axis=-1, dtype=dtype) for a, b in zip(before, now, strict=True)]
    share = jnp.mean(jnp.stack(differ), axis=0)  # [T, N]
    if lengths is None:
        return jnp.mean(share)
    inside = jnp.arange(share.shape[0], dtype=jnp.int32)[:, None] < lengths[None, :]
    return jnp.sum(jnp.where(inside, share, 0)) / jnp.sum(inside)
