"""Inner products of readout features, and what both empirical kernels check."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ntkrnn import _checks
from ntkrnn._memory import require
from ntkrnn._types import Array, Gram, Params
from ntkrnn.architectures import Architecture, Dense
from ntkrnn.cells import checked_params, fitting_input
from ntkrnn.empirical._axes import DIAGONAL, KEPT, TRACED, Roles, turned


class Sides(NamedTuple):
    """Both sides of an empirical kernel, checked, in the dtype to compute in."""

    x1: Array
    x2: Array
    lengths1: Array | None
    lengths2: Array | None
    symmetric: bool
    diagonal: bool
    """Whether sequence i of one side is wanted with sequence i of the other alone."""


def fitting_sides(
    arch: Architecture,
    roles: Roles,
    params: Params,
    x1: Any,
    x2: Any,
    lengths1: Any,
    lengths2: Any,
    lengths: Any = None,
    diagonal: bool = False,
) -> tuple[Params, Sides]:
    """Parameters and both sides; raise unless they fit each other and the axes."""
    diagonal = _checks.boolean("diagonal", diagonal)
    pair = _checks.pair(x1, x2, lengths1, lengths2, lengths, diagonal)
    x1, x2, lengths1, lengths2, symmetric = pair
    params, channels = checked_params(arch, params)
    x1 = fitting_input(arch, params, channels, "x1", x1)
    x2 = x1 if symmetric else fitting_input(arch, params, channels, "x2", x2)
    if roles.time in (TRACED, DIAGONAL) and x1.shape[1] != x2.shape[1]:
        raise ValueError(
            f"x2: got T={x2.shape[1]} steps against T={x1.shape[1]} of x1; a {roles.time} time axis "
            "needs equally many. Pad the shorter one and pass lengths."
        )
    return params, Sides(x1, x2, lengths1, lengths2, symmetric, diagonal)


def check_memory(arch: Architecture, roles: Roles, sides: Sides, tangent: bool) -> None:
    """Raise before work is begun that memory does not hold: the kernel, the states, the derivatives.

    Raises:
        ValueError: naming N, T and the bytes, and what to do instead.
    """
    (n1, t1, _), (n2, t2, _) = sides.x1.shape, sides.x2.shape
    outputs = 1 if roles.channel == TRACED else arch.out_dim
    each = (t1 * outputs, t2 * outputs) if roles.time == KEPT else (outputs, outputs)
    states = 2 * (n1 * t1 + n2 * t2) * arch.state_size * arch.depth
    if tangent and isinstance(arch, Dense):  # one backward pass for every output
        passes = max(each) if roles.time in (None, KEPT) else t1 * outputs
        states *= 1 + passes * len(arch.cell.gates)
    entries = n1 if sides.diagonal else n1 * n2
    needed = sides.x1.dtype.itemsize * (2 * entries * each[0] * each[1] + states)
    require(
        "x1",
        needed,
        f"the kernel and the states of N1={n1}, N2={n2}, T1={t1}, T2={t2} in {sides.x1.dtype}, readout "
        f"{arch.readout!r},",
        "compute it in blocks of rows (x2 of some sequences at a time), or multiply by it without "
        "forming it: ntkrnn.empirical_ntk_matvec.",
        sides.x1,
    )


def checked_kernel(kernel: Gram, sides: Sides) -> Gram:
    """The kernel; raise if finite parameters and sequences gave one that is not."""
    _checks.finite_outputs(kernel, sides.x1.shape[1])
    return kernel


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


def one_by_one(kernel_of: Callable[[Any, Any], Gram], left: Any, right: Any) -> Gram:
    """The diagonal of a kernel, a sequence at a time.

    Args:
        kernel_of: the kernel of two sides, whose leaves have the sequences first.
        left: the first side.
        right: the second side.
    """

    def one(pair: tuple[Any, Any]) -> Array:
        return kernel_of(*jax.tree.map(lambda a: a[None], pair))[0, 0]

    return jax.lax.map(one, (left, right))


def symmetrised(kernel: Gram, roles: Roles) -> Gram:
    """Average with the transpose over both sides: symmetric to the last bit."""
    return 0.5 * (kernel + turned(kernel, roles))
