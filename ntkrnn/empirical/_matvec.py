"""Products of the empirical tangent kernel with vectors, without the kernel."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from ntkrnn import _checks
from ntkrnn._types import Array
from ntkrnn.architectures import Architecture
from ntkrnn.empirical._axes import TRACED, Roles, check_axes, roles_of, roles_of_rank
from ntkrnn.empirical._features import fitting_sides
from ntkrnn.empirical._function import FunctionSides, check_function, fitting_function
from ntkrnn.empirical._precision import precision_of
from ntkrnn.empirical._products import products_of_architecture, products_of_function

BLOCK_ENTRIES = 2**24
"""States of the sequences of one block."""
TOGETHER = 64
"""Sequences of a block of a function, of which nobody knows what it keeps."""


def _with_time(roles: Roles, trace_axes: Sequence[int]) -> Roles:
    """Roles of the output axes; the time axis is always kept."""
    if roles.time == TRACED:
        raise ValueError(
            f"trace_axes: got {tuple(trace_axes)!r}, which holds the time axis; products with vectors "
            "keep it. Expected (-1,) or ()."
        )
    return roles


def space_of(arch: Architecture, roles: Roles, x: Array) -> tuple[int, ...]:
    """Shape of a vector: ``(N,)``, with T for "sequence", with O where channels are kept."""
    time = (x.shape[1],) if arch.reading.stepwise else ()
    return _space(roles, (x.shape[0], *time, arch.out_dim))


def _space(roles: Roles, outputs: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of a vector over outputs ``[N, O]`` or ``[N, T, O]``."""
    return outputs[:-1] if roles.channel == TRACED else outputs


def _vector(v: Any, space: tuple[int, ...], dtype: Any) -> Array:
    """``v`` with a trailing axis of vectors, in the dtype of the computation."""
    given = _checks.real_array("v", v)
    shape = tuple(given.shape)
    if shape != space and shape[:-1] != space:
        raise ValueError(
            f"v: got shape {shape}, expected {space}, one entry for each output of the second side, or "
            f"{(*space, 'k')} for k vectors."
        )
    _checks.finite_array("v", given)
    columns = _checks.in_dtype("v", given, dtype)
    return columns[..., None] if shape == space else columns


def empirical_ntk_matvec(
    arch_or_apply_fn: Architecture | Callable[..., Any],
    trace_axes: Sequence[int] = (-1,),
    *,
    batch_size: int | None = None,
    precision: jax.lax.Precision | str = jax.lax.Precision.HIGHEST,
) -> Callable[..., Callable[[Any], Array]]:
    r"""Build ``operator_fn(x1, x2, params, lengths1=None, lengths2=None)``, Theta as a function.

    ``Theta v = J_1 (J_2^T v)``, with J_i the Jacobian of the outputs of side i by the trainable
    blocks: one backward pass over the second side and one forward-mode pass over the first. Neither
    Theta nor a Jacobian is formed. With Theta that of :func:`empirical_ntk_fn`, channels traced by
    default: with O outputs ``Theta = (1/O) sum_o J_o J_o'^T`` on vectors ``[N]``; ``trace_axes=()``
    gives the operator on the whole output space, vectors ``[N, O]``.

    Args:
        arch_or_apply_fn: an architecture such as :class:`ntkrnn.Elman`, or a function as for
            :func:`empirical_ntk_fn`, whose kernel is over all leaves of its parameters.
        trace_axes: ``(-1,)`` to average over channels, or ``()``.
        batch_size: sequences in flight; None for as many as make some 2^24 states, or, of a
            function, 64.
        precision: of every matrix product, as in :func:`empirical_ntk_fn`.

    Returns:
        ``operator_fn``, whose arguments are those of ``ntk_fn`` and which returns ``matvec(v)``:
        [N2] to [N1], or [N2, T2] to [N1, T1] for readout "sequence", with a channel axis [.., O] if
        it is not traced, and any number k of vectors at once in a trailing axis [.., k]. ``matvec``
        is pure and linear, takes part in jit, vmap and grad, and is what
        ``jax.experimental.sparse.linalg.lobpcg_standard`` or SciPy's ``LinearOperator`` want.

    Raises:
        TypeError, ValueError: for arguments that do not fit each other, naming them.

    Cost: for each vector (and each channel, if several are traced) a constant number of forward
    passes, O((N1 + N2) T m^2); memory O(batch_size T m) and three times the parameters.

    Source: products by forward and reverse mode as in FFW (arXiv 2206.08720), section "NTK-vector
    products".

    Example:
        >>> import jax, jax.numpy as jnp, ntkrnn
        >>> arch = ntkrnn.Elman(width=32)
        >>> x = jax.random.normal(jax.random.key(0), (4, 6, 3))
        >>> _, params = ntkrnn.network(arch).init_fn(jax.random.key(1), x.shape)
        >>> matvec = ntkrnn.empirical_ntk_matvec(arch)(x, None, params)
        >>> theta = ntkrnn.empirical_ntk_fn(arch)(x, None, params)
        >>> bool(jnp.allclose(matvec(jnp.ones(4)), theta @ jnp.ones(4), rtol=1e-4))
        True
    """
    precision = precision_of(precision)
    if batch_size is not None:
        batch_size = _checks.positive_integer("batch_size", batch_size)
    if callable(arch_or_apply_fn) and not isinstance(arch_or_apply_fn, (type, np.ufunc)):
        return _of_function(arch_or_apply_fn, trace_axes, batch_size, precision.name.lower())
    arch: Any = arch_or_apply_fn
    roles = _with_time(roles_of(arch, trace_axes, ()), trace_axes)

    def operator_fn(
        x1: Any,
        x2: Any,
        params: Any,
        lengths1: Any = None,
        lengths2: Any = None,
        *,
        lengths: Any = None,
    ) -> Callable[[Any], Array]:
        params, sides = fitting_sides(arch, roles, params, x1, x2, lengths1, lengths2, lengths)
        x1, x2 = sides.x1, sides.x2
        sizes = (_block_of(arch, x1, batch_size), _block_of(arch, x2, batch_size))

        def multiplied(columns: Array) -> Array:
            given = (params, *sides[:4], columns, sizes, precision)
            return products_of_architecture(arch.form, arch.scales, roles, *given)

        return _matvec(multiplied, roles, space_of(arch, roles, x2), x1)

    return operator_fn


def _of_function(
    apply_fn: Callable[..., Any], trace_axes: Sequence[int], batch_size: int | None, precision: str
) -> Callable[..., Callable[[Any], Array]]:
    """The same for a function ``apply_fn(params, x)``."""
    takes_lengths = check_function(apply_fn)
    check_axes(trace_axes, ())

    def operator_fn(
        x1: Any,
        x2: Any,
        params: Any,
        lengths1: Any = None,
        lengths2: Any = None,
        *,
        lengths: Any = None,
    ) -> Callable[[Any], Array]:
        pair = FunctionSides(*_checks.pair(x1, x2, lengths1, lengths2, lengths))
        params, sides, y1, y2 = fitting_function(apply_fn, takes_lengths, params, pair)
        roles = _with_time(roles_of_rank(y1.ndim, "apply_fn", trace_axes, ()), trace_axes)
        sizes = (_equal_parts(len(sides.x1), batch_size or TOGETHER),)
        sizes += (_equal_parts(len(sides.x2), batch_size or TOGETHER),)

        def multiplied(columns: Array) -> Array:
            given = (params, *sides[:4], columns, sizes, precision)
            return products_of_function(apply_fn, roles, *given)

        return _matvec(multiplied, roles, _space(roles, y2.shape), sides.x1)

    return operator_fn


def _matvec(
    multiplied: Callable[[Array], Array], roles: Roles, space: tuple[int, ...], x1: Array
) -> Callable[[Any], Array]:
    """Products with one vector or with several, checked."""

    def matvec(v: Any) -> Array:
        """Theta v."""
        columns = _vector(v, space, x1.dtype)
        if roles.channel == TRACED:
            columns = columns[..., None, :]
        got = multiplied(columns)
        _checks.finite_outputs(got, x1.shape[1])
        if roles.channel == TRACED:
            got = got[..., 0, :]
        return got[..., 0] if np.shape(v) == space else got

    return matvec


def _block_of(arch: Architecture, x: Array, batch_size: int | None) -> int:
    """Sequences to a block, as equally many in each as can be."""
    n, steps = x.shape[:2]
    most = batch_size or max(1, BLOCK_ENTRIES // (steps * arch.state_size * arch.depth))
    return _equal_parts(n, most)


def _equal_parts(n: int, most: int) -> int:
    """The size of as few parts as that allows."""
    return math.ceil(n / math.ceil(n / most))
