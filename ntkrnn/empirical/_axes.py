"""Which output axes of a kernel are kept, traced or restricted to their diagonal.

The convention is that of neural-tangents: axes count in the output ``[N, O]`` or ``[N, T, O]`` of the
network; a traced axis is averaged over its diagonal, a diagonal axis appears once, every other axis
appears twice, side by side: ``[N1, N2, T1, T2, O, O]``.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp

from ntkrnn._types import Array
from ntkrnn.architectures import Architecture, check_architecture

KEPT, DIAGONAL, TRACED = "kept", "diagonal", "traced"


class Roles(NamedTuple):
    """Role of the time axis of the output (None where there is none) and of its channel axis."""

    time: str | None
    channel: str


def roles_of(arch: Architecture, trace_axes: Sequence[int], diagonal_axes: Sequence[int]) -> Roles:
    """Canonical roles of the output axes.

    Raises:
        ValueError: if an axis is out of range, the batch axis, or named twice.
    """
    check_architecture(arch)
    ndim = 3 if arch.reading.stepwise else 2
    return roles_of_rank(ndim, f"readout {arch.readout!r}", trace_axes, diagonal_axes)


def roles_of_rank(
    ndim: int, whose: str, trace_axes: Sequence[int], diagonal_axes: Sequence[int]
) -> Roles:
    """Canonical roles of the axes of outputs ``[N, O]`` or ``[N, T, O]``.

    Args:
        ndim: rank of the outputs, 2 or 3.
        whose: what has them, for messages.
        trace_axes: axes to average the diagonal of.
        diagonal_axes: axes of which only the diagonal is wanted.

    Raises:
        TypeError: if the axes are not whole numbers.
        ValueError: if an axis is out of range, the batch axis, or named twice.
    """
    roles = [KEPT] * ndim
    named = {"trace_axes": _numbers("trace_axes", trace_axes)}
    named["diagonal_axes"] = _numbers("diagonal_axes", diagonal_axes)
    for name, role in (("trace_axes", TRACED), ("diagonal_axes", DIAGONAL)):
        for axis in named[name]:
            position = axis + ndim if axis < 0 else axis
            if not 0 < position < ndim:
                raise ValueError(
                    f"{name}: got axis {axis}, expected output axes other than the batch axis 0; "
                    f"{whose} has outputs of rank {ndim}."
                )
            if roles[position] != KEPT:
                raise ValueError(
                    f"{name}: axis {axis} is named twice in trace_axes={named['trace_axes']} and "
                    f"diagonal_axes={named['diagonal_axes']}; name every axis once."
                )
            roles[position] = role
    return Roles(roles[1] if ndim == 3 else None, roles[-1])


def _numbers(name: str, axes: Any) -> tuple[int, ...]:
    """Axes as a tuple of ints; a single axis stands for itself."""
    try:
        return (operator.index(axes),)
    except TypeError:
        pass
    try:
        if isinstance(axes, (str, bytes)):
            raise TypeError
        return tuple(operator.index(axis) for axis in axes)
    except TypeError:
        raise TypeError(
            f"{name}: got {axes!r}, expected output axes, a whole number or a sequence of them, such "
            "as (-1,) for the outputs or () for none."
        ) from None


def check_axes(trace_axes: Any, diagonal_axes: Any) -> None:
    """Raise unless both are axes, before it is known of how many."""
    _numbers("trace_axes", trace_axes)
    _numbers("diagonal_axes", diagonal_axes)


def turned(kernel: Array, roles: Roles) -> Array:
    """The two sides of a kernel exchanged: ``K(x', x)`` in the place of ``K(x, x')``."""
    order = [1, 0]
    for role in roles:
        if role == KEPT:
            order += [len(order) + 1, len(order)]
        elif role == DIAGONAL:
            order += [len(order)]
    return jnp.transpose(kernel, order)


def arrange(kernel: Array, roles: Roles, sizes: tuple[int, int, int, int]) -> Array:
    """Bring ``[N1, N2, K1, K2]`` with flattened kept outputs to the documented layout.

    Args:
        kernel: pairwise kernel; K runs over (time, channel), a traced axis having size 1.
        roles: roles of the output axes.
        sizes: ``(time1, time2, channel, channel)`` of the flattened outputs, 1 where traced.
    """
    time1, time2, channels, _ = sizes
    n1, n2 = kernel.shape[:2]
    kernel = kernel.reshape(n1, n2, time1, channels, time2, channels)
    kernel = jnp.transpose(kernel, (0, 1, 2, 4, 3, 5))
    kernel = _settle(kernel, roles.channel, 4)
    return _settle(kernel, roles.time or TRACED, 2)


def _settle(kernel: Array, role: str, axis: int) -> Array:
    """Reduce the pair of axes (axis, axis + 1) according to its role."""
    if role == KEPT:
        return kernel
    if role == TRACED:
        return jnp.squeeze(kernel, (axis, axis + 1))
    return jnp.moveaxis(jnp.diagonal(kernel, axis1=axis, axis2=axis + 1), -1, axis)
