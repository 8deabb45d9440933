"""The empirical tangent kernel of any function of parameters and sequences, tile by tile.

Inside a tile neural-tangents does the work; outside there is the schedule of all other Gram matrices,
which bounds memory by the tile and computes one triangle where both sides are the same.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ntkrnn import _checks
from ntkrnn._compat import neural_tangents
from ntkrnn._compile import compiled
from ntkrnn._memory import require
from ntkrnn._tiling import Tiling, bucket, fill, schedule
from ntkrnn._types import Array, Gram, Outputs, Params
from ntkrnn.empirical._axes import DIAGONAL, TRACED, Roles, check_axes, roles_of_rank, turned
from ntkrnn.empirical._function import FunctionSides, check_function, fitting_function, masked
from ntkrnn.empirical._precision import precision_of

IMPLEMENTATIONS = ("jacobian_contraction", "ntk_vector_products", "structured_derivatives")
JACOBIAN_BYTES = {"cpu": 1 << 28, "gpu": 1 << 31, "tpu": 1 << 31}
"""What the Jacobians of both sides of a tile may take together."""
LARGEST_TILE = 128


class _Plan(NamedTuple):
    """What a program is compiled for, beside shapes."""

    roles: Roles
    implementation: str
    precision: str
    tiling: Tiling
    symmetric: bool
    diagonal: bool


def any_network_ntk_fn(
    apply_fn: Callable[..., Outputs],
    trace_axes: Sequence[int],
    diagonal_axes: Sequence[int],
    precision: Any,
    implementation: str | None,
    tile: int | None,
) -> Callable[..., Gram]:
    """The second half of :func:`ntkrnn.empirical_ntk_fn`, which documents it.

    Args:
        apply_fn: ``apply_fn(params, x)`` or ``apply_fn(params, x, lengths=...)``.
        trace_axes: output axes to average the diagonal of.
        diagonal_axes: output axes of which only the diagonal is wanted.
        precision: of the matrix products that do not name their own.
        implementation: one of :data:`IMPLEMENTATIONS`, None for the first.
        tile: sequences per side of a tile, None to choose.
    """
    takes_lengths = check_function(apply_fn)
    check_axes(trace_axes, diagonal_axes)
    name = precision_of(precision).name.lower()
    implementation = _checks.choice(
        "implementation", implementation or IMPLEMENTATIONS[0], IMPLEMENTATIONS
    )
    tile = None if tile is None else _checks.positive_integer("tile", tile)

    def ntk_fn(
        x1: Any,
        x2: Any,
        params: Params,
        lengths1: Any = None,
        lengths2: Any = None,
        *,
        lengths: Any = None,
        diagonal: bool = False,
    ) -> Gram:
        diagonal = _checks.boolean("diagonal", diagonal)
        pair = _checks.pair(x1, x2, lengths1, lengths2, lengths, diagonal)
        x1, x2, lengths1, lengths2, symmetric = pair
        given = FunctionSides(x1, x2, lengths1, lengths2, symmetric)
        params, (x1, x2, lengths1, lengths2, symmetric), y1, y2 = fitting_function(
            apply_fn, takes_lengths, params, given
        )
        roles = roles_of_rank(y1.ndim, "apply_fn", trace_axes, diagonal_axes)
        if roles.time in (TRACED, DIAGONAL) and y1.shape[1] != y2.shape[1]:
            raise ValueError(
                f"x2: got outputs of {y2.shape[1]} steps against {y1.shape[1]} for x1; a "
                f"{roles.time} time axis needs equally many. Pad the shorter one and pass lengths."
            )
        tiling = _tiling(x1.shape[0], x2.shape[0], tile, params, y1)
        plan = _Plan(roles, implementation, name, tiling, symmetric, diagonal)
        one = _padded(x1, lengths1, tiling.rows)
        two = one if symmetric else _padded(x2, lengths2, tiling.columns)
        entries = len(one[0]) * (1 if diagonal else len(two[0]))
        require(
            "x1",
            2 * x1.dtype.itemsize * entries * math.prod(y1.shape[1:]) ** 2,
            f"the kernel of N1={x1.shape[0]}, N2={x2.shape[0]} and outputs of shape {y1.shape}",
            "compute it in blocks of rows (x2 of some sequences at a time), or take fewer sequences.",
            x1,
        )
        kernel = _compiled(apply_fn, plan, params, *one, *two)
        _checks.finite_outputs(kernel, x1.shape[1])
        if diagonal:
            return kernel[: x1.shape[0]]
        size = (x1.shape[0], x2.shape[0])
        return kernel if kernel.shape[:2] == size else kernel[: size[0], : size[1]]

    return ntk_fn


def _tiling(n1: int, n2: int, tile: int | None, params: Params, y: Any) -> Tiling:
    """As large tiles as memory is meant for, as equal as they can be."""
    if tile is None:
        weights = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(params))
        budget = JACOBIAN_BYTES.get(jax.default_backend(), JACOBIAN_BYTES["gpu"])
        limit = max(1, min(LARGEST_TILE, budget // (2 * weights * math.prod(y.shape[1:]))))
    else:
        limit = tile

    def side(n: int) -> int:
        if tile is not None and tile < n:
            return tile
        size = -(-n // -(-n // limit))
        return min(bucket(size), limit)

    return Tiling(side(n1), side(n2), 1)


def _padded(x: Array, lengths: Array | None, tile: int) -> tuple[Array, Array | None]:
    """Whole tiles; the last sequence is repeated, so that nothing is computed of what none sent."""
    short = -x.shape[0] % tile
    if short == 0:
        return x, lengths
    x = jnp.pad(x, ((0, short), (0, 0), (0, 0)), mode="edge")
    return x, None if lengths is None else jnp.pad(lengths, (0, short), mode="edge")


@compiled("apply_fn", "plan")
def _compiled(
    apply_fn: Any,
    plan: _Plan,
    params: Params,
    x1: Array,
    lengths1: Array | None,
    x2: Array,
    lengths2: Array | None,
) -> Gram:
    with jax.default_matmul_precision(plan.precision):
        kernel_of_tile = _tile_kernel(apply_fn, plan, params, lengths1 is not None)
        rows, columns, _ = plan.tiling
        if plan.diagonal:
            return _diagonal(kernel_of_tile, plan, (x1, lengths1), (x2, lengths2))
        if plan.symmetric and x1.shape[0] == rows:  # one Jacobian does for both sides
            kernel = kernel_of_tile(x1, None, lengths1, None)
            return 0.5 * (kernel + turned(kernel, plan.roles))
        one, two = (
            (_cut(x1, rows), _cut(lengths1, rows)),
            (_cut(x2, columns), _cut(lengths2, columns)),
        )

        def compute(i: Array, j: Array) -> tuple[Array, ...]:
            (a, length_a), (b, length_b) = (
                jax.tree.map(lambda blocks, at=at: blocks[at[0]], side)
                for side, at in ((one, i), (two, j))
            )
            return (kernel_of_tile(a, b, length_a, length_b)[None],)

        first = jnp.zeros(1, jnp.int32)
        (tile,) = jax.eval_shape(compute, first, first)
        out = jnp.zeros((x1.shape[0], x2.shape[0], *tile.shape[3:]), tile.dtype)
        pairs, groups = schedule(x1.shape[0], x2.shape[0], plan.tiling, 1, plan.symmetric)
        turn = functools.partial(turned, roles=plan.roles)
        span = (0, groups)
        return fill(compute, jnp.asarray(pairs), span, (out,), plan.symmetric, turn)[0]


def _diagonal(kernel_of_tile: Callable[..., Array], plan: _Plan, one: Any, two: Any) -> Gram:
    """Sequence i of one side with sequence i of the other, as many at a time as a tile has rows."""

    def of_a_pair(pair: Any) -> Array:
        (x1, length1), (x2, length2) = jax.tree.map(lambda a: a[None], pair)
        if plan.symmetric:
            kernel = kernel_of_tile(x1, None, length1, None)
            return (0.5 * (kernel + turned(kernel, plan.roles)))[0, 0]
        return kernel_of_tile(x1, x2, length1, length2)[0, 0]

    groups = jax.tree.map(lambda a: _cut(a, plan.tiling.rows), (one, two))
    kernel = jax.lax.map(jax.vmap(of_a_pair), groups)
    return kernel.reshape(-1, *kernel.shape[2:])


def _cut(a: Array | None, size: int) -> Array | None:
    return None if a is None else a.reshape(-1, size, *a.shape[1:])


def _tile_kernel(apply_fn: Any, plan: _Plan, params: Params, ragged: bool) -> Callable[..., Array]:
    """``kernel(x1, x2 or None, lengths1, lengths2)`` of one tile, by neural-tangents."""
    nt = neural_tangents()
    roles = [role for role in plan.roles if role is not None]

    ntk_fn = nt.empirical_ntk_fn(
        masked(apply_fn),
        trace_axes=tuple(i for i, role in enumerate(roles, 1) if role == TRACED),
        diagonal_axes=tuple(i for i, role in enumerate(roles, 1) if role == DIAGONAL),
        # One Jacobian a sequence: without this, each output is differentiated through every row.
        vmap_axes=(0, 0, {"lengths": 0}) if ragged else 0,
        implementation=getattr(nt.NtkImplementation, plan.implementation.upper()),
    )

    def kernel(x1: Array, x2: Array | None, lengths1: Array | None, lengths2: Array | None) -> Array:
        if lengths1 is None:
            return ntk_fn(x1, x2, params)
        # neural-tangents takes a pair for the arguments of both sides.
        return ntk_fn(x1, x2, params, lengths=lengths1 if x2 is None else (lengths1, lengths2))

    return kernel
