"""Inner products of readout features, and what both empirical kernels check."""

from __future__ import annotations

import functools
from typing import Any

import jax.numpy as jnp

from ntkrnn._types import Array, Gram, Params
from ntkrnn.architectures import Architecture
from ntkrnn.cells import fitting_input
from ntkrnn.empirical._axes import DIAGONAL, KEPT, TRACED, Roles, turned


def fitting_pair(
    arch: Architecture, roles: Roles, params: Params, x1: Array, x2: Array
) -> tuple[Array, Array]:
    """Both sides in the dtype to compute in; raise unless they fit the parameters and the axes."""
    same = x2 is x1
    x1 = fitting_input(arch, params, "x1", x1)
    x2 = x1 if same else fitting_input(arch, params, "x2", x2)
    if roles.time in (TRACED, DIAGONAL) and x1.shape[1] != x2.shape[1]:
        raise ValueError(
            f"x2: got T={x2.shape[1]} steps against T={x1.shape[1]} of x1; a {roles.time} time axis "
            "needs equally many. Pad the shorter one and pass lengths."
        )
    return x1, x2


def feature_gram(arch: Architecture, roles: Roles, r1: Array, r2: Array, precision: Any) -> Gram:
    """``readout_variance <r, r'>``, in the layout of the kernel; different outputs are uncorrelated."""
    scale = arch.readout_variance
    einsum = functools.partial(jnp.einsum, precision=precision)
    if roles.time is None:
        gram = einsum("im,jm->ij", r1, r2)
    elif roles.time == KEPT:
        gram = einsum("itm,jsm->ijts", r1, r2)
    elif roles.time == DIAGONAL:
        gram = einsum("itm,jtm->ijt", r1, r2)
    else:
        gram = einsum("itm,jtm->ij", r1, r2) / r1.shape[1]
    gram = scale * gram
    if roles.channel == TRACED:
        return gram
    outputs = jnp.eye(arch.out_dim, dtype=gram.dtype)
    return (
        gram[..., None, None] * outputs
        if roles.channel == KEPT
        else (gram[..., None] * jnp.ones(arch.out_dim, gram.dtype))
    )


def symmetrised(kernel: Gram, roles: Roles) -> Gram:
    """Average with the transpose over both sides: symmetric to the last bit."""
    return 0.5 * (kernel + turned(kernel, roles))
