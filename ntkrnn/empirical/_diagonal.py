"""The tangent kernel of a diagonal network, from forward sensitivities alone."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn import _checks
from ntkrnn._compile import compiled
from ntkrnn._types import Array, Gram, Params
from ntkrnn.architectures import Diagonal
from ntkrnn.cells import Batch, Neurons, Reading, neuron_gram
from ntkrnn.empirical._axes import KEPT, TRACED, Roles
from ntkrnn.empirical._features import Sides


@compiled("form", "roles", "symmetric", "diagonal", "precision", "mirrored")
def _compiled(
    form: Diagonal,
    roles: Roles,
    params: Params,
    x1: Array,
    x2: Array,
    lengths1: Any,
    lengths2: Any,
    symmetric: bool,
    diagonal: bool,
    precision: jax.lax.Precision,
    mirrored: bool,
) -> Gram:
    w, u, c = params["w"], params["u"], params["c"]
    scale = 1 / form.width
    if mirrored:  # either half has half of the kernel
        half = form.width // 2
        w, u, c, scale = w[:half], u[:half], c[:, :half], 2 * scale
    if roles.time == TRACED:
        scale /= x1.shape[1]
    reading = Reading(form.nonlinearity, form.reading, (form.trainable,), roles.time)
    one, two = Batch(x1, lengths1), None if symmetric else Batch(x2, lengths2)

    def gram(c: Array) -> Array:
        """``[N1, N2, ..., K, K]``, or ``[N, ..., K, K]``, for the outputs with signs c ``[K, m]``."""
        return scale * neuron_gram(reading, Neurons(w, u, c), one, two, precision, diagonal)[0]

    if roles.channel == KEPT:
        return gram(c)
    if roles.channel == TRACED:
        mean = jnp.abs(c) if len(c) == 1 else jnp.sqrt(jnp.mean(jnp.square(c), axis=0, keepdims=True))
        return gram(mean)[..., 0, 0]
    return jnp.moveaxis(jax.lax.map(lambda row: gram(row[None])[..., 0, 0], c), 0, -1)


def _is_mirrored(arch: Diagonal, params: Params) -> bool:
    """Whether the second half of the neurons repeats the first with opposite signs, for all to see."""
    if not arch.symmetric:
        return False
    half = arch.width // 2
    w, u, c = (_checks.concrete_values(params[block]) for block in ("w", "u", "c"))
    if w is None or u is None or c is None:
        return False
    return (
        np.array_equal(w[:half], w[half:])
        and np.array_equal(u[:half], u[half:])
        and np.array_equal(c[:, :half], -c[:, half:])
    )


def diagonal_ntk(
    arch: Diagonal, roles: Roles, params: Params, sides: Sides, precision: jax.lax.Precision
) -> Gram:
    r"""The kernel in the layout of :func:`ntkrnn.empirical_ntk_fn`, which documents it.

    ``(1/m) sum_i c_i c'_i [D_w h_t^i D_w h'^i_t' + <D_u h_t^i, D_u h'^i_t'>]`` over trainable blocks,
    c and c' the signs of two outputs. At the start of a symmetric network one half of the neurons
    says it all, and concrete parameters show whether they are there.

    Args:
        arch: the architecture.
        roles: of the output axes.
        params: of the network.
        sides: ``(x1, x2, lengths1, lengths2, symmetric, diagonal)``.
        precision: of the matrix products.
    """
    return _compiled(arch.form, roles, params, *sides, precision, _is_mirrored(arch, params))
