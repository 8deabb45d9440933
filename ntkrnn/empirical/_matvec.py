"""Products of the empirical tangent kernel with vectors, without the kernel."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn import _checks
from ntkrnn._compile import compiled
from ntkrnn._types import Array, Params
from ntkrnn.architectures import AnyScales, Architecture
from ntkrnn.cells import run
from ntkrnn.empirical._axes import TRACED, Roles, roles_of
from ntkrnn.empirical._features import fitting_sides
from ntkrnn.empirical._precision import precision_of

BLOCK_ENTRIES = 2**24
"""States of the sequences of one block."""


def _split(params: Params, trainable: tuple[str, ...]) -> tuple[list[Array], Callable[..., Params]]:
    """The trainable blocks, and a function that puts others in their place."""
    paths, structure = jax.tree_util.tree_flatten_with_path(params)
    chosen = [i for i, (path, _) in enumerate(paths) if path[-1].key in trainable]

    def merge(part: list[Array]) -> Params:
        leaves = [leaf for _, leaf in paths]
        for i, leaf in zip(chosen, part, strict=True):
            leaves[i] = leaf
        return jax.tree.unflatten(structure, leaves)

    return [paths[i][1] for i in chosen], merge


def _in_blocks(size: int, x: Array, lengths: Any) -> tuple[Array, Array]:
    """``[blocks, size, ...]``; the last block is filled up with zeros of length 1."""
    n, steps = x.shape[:2]
    lengths = jnp.full(n, steps, jnp.int32) if lengths is None else lengths
    short = -n % size
    x = jnp.pad(x, ((0, short), (0, 0), (0, 0)))
    lengths = jnp.pad(lengths, (0, short), constant_values=1)
    return x.reshape(-1, size, *x.shape[1:]), lengths.reshape(-1, size)


@compiled("form", "roles", "sizes", "precision")
def _compiled(
    form: Architecture,
    scales: AnyScales,
    roles: Roles,
    params: Params,
    x1: Array,
    x2: Array,
    lengths1: Any,
    lengths2: Any,
    v: Array,
    sizes: tuple[int, int],
    precision: jax.lax.Precision,
) -> Array:
    """``v``: ``[N2, (T2,) O or 1, k]``; the result: ``[N1, (T1,) O or 1, k]``."""
    arch = form.with_scales(scales)
    part, merge = _split(params, arch.trainable)
    (n1, t1), (n2, t2) = x1.shape[:2], x2.shape[:2]
    blocks1 = _in_blocks(sizes[0], x1, lengths1)
    blocks2 = _in_blocks(sizes[1], x2, lengths2)
    time1, time2 = ((t1,), (t2,)) if arch.readout == "sequence" else ((), ())

    def outputs(x: Array, lengths: Array) -> Callable[[list[Array]], Array]:
        return lambda part: run(arch, merge(part), x, lengths, precision=precision).output

    def product(u: Array) -> Array:
        """``Theta u`` on the whole output space: ``[N2, (T2,) O]`` to ``[N1, (T1,) O]``."""
        u = jnp.pad(u, [(0, -n2 % sizes[1])] + [(0, 0)] * (u.ndim - 1))

        def add(total: list[Array], block: tuple[Array, ...]) -> tuple[list[Array], None]:
            x, lengths, cotangent = block
            (gradient,) = jax.vjp(outputs(x, lengths), part)[1](cotangent)
            return jax.tree.map(jnp.add, total, gradient), None

        zero = jax.tree.map(jnp.zeros_like, part)
        cotangents = u.reshape(-1, sizes[1], *time2, arch.out_dim)
        direction, _ = jax.lax.scan(add, zero, (*blocks2, cotangents))

        def along(block: tuple[Array, Array]) -> Array:
            return jax.jvp(outputs(*block), (part,), (direction,))[1]

        return jax.lax.map(along, blocks1).reshape(-1, *time1, arch.out_dim)[:n1]

    def one(column: Array) -> Array:
        if roles.channel != TRACED or arch.out_dim == 1:
            return product(column)
        unit = jnp.eye(arch.out_dim, dtype=column.dtype)
        each = jax.lax.map(lambda e: jnp.sum(product(column * e) * e, -1, keepdims=True), unit)
        return jnp.sum(each, axis=0) / arch.out_dim

    # One after the other: only one set of parameters and states is held at a time.
    return jnp.moveaxis(jax.lax.map(one, jnp.moveaxis(v, -1, 0)), 0, -1)


def _roles(arch: Architecture, trace_axes: Sequence[int]) -> Roles:
    """Roles of the output axes; the time axis is always kept."""
    roles = roles_of(arch, trace_axes, ())
    if roles.time == TRACED:
        raise ValueError(
            f"trace_axes: got {tuple(trace_axes)!r}, which holds the time axis; products with vectors "
            "keep it. Expected (-1,) or ()."
        )
    return roles


def space_of(arch: Architecture, roles: Roles, x: Array) -> tuple[int, ...]:
    """Shape of a vector: ``(N,)``, with T for "sequence", with O where channels are kept."""
    time = (x.shape[1],) if arch.readout == "sequence" else ()
    channels = () if roles.channel == TRACED else (arch.out_dim,)
    return (x.shape[0], *time, *channels)


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
    arch: Architecture,
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
        arch: an architecture such as :class:`ntkrnn.Elman`.
        trace_axes: ``(-1,)`` to average over channels, or ``()``.
        batch_size: sequences in flight; None for as many as make some 2^24 states.
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
    roles = _roles(arch, trace_axes)
    precision = precision_of(precision)
    if batch_size is not None:
        batch_size = _checks.positive_integer("batch_size", batch_size)

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
        space = space_of(arch, roles, x2)
        sizes = (_block_of(arch, x1, batch_size), _block_of(arch, x2, batch_size))

        def matvec(v: Any) -> Array:
            """Theta v."""
            columns = _vector(v, space, x1.dtype)
            if roles.channel == TRACED:
                columns = columns[..., None, :]
            got = _compiled(
                arch.form, arch.scales, roles, params, *sides[:4], columns, sizes, precision
            )
            _checks.finite_outputs(got, x1.shape[1])
            if roles.channel == TRACED:
                got = got[..., 0, :]
            return got[..., 0] if np.shape(v) == space else got

        return matvec

    return operator_fn


def _block_of(arch: Architecture, x: Array, batch_size: int | None) -> int:
    """Sequences to a block, as equally many in each as can be."""
    n, steps = x.shape[:2]
    most = batch_size or max(1, BLOCK_ENTRIES // (steps * arch.state_size * arch.depth))
    return math.ceil(n / math.ceil(n / most))
