"""The empirical tangent kernel, exact, without its Jacobian."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn._compile import compiled
from ntkrnn._types import Gram
from ntkrnn.architectures import AnyScales, Architecture, Dense
from ntkrnn.empirical._any_network import any_network_ntk_fn
from ntkrnn.empirical._axes import TRACED, Roles, arrange, roles_of
from ntkrnn.empirical._diagonal import diagonal_ntk
from ntkrnn.empirical._factors import Factors, GateFactors, factors
from ntkrnn.empirical._features import (
    Sides,
    check_memory,
    checked_kernel,
    feature_gram,
    fitting_sides,
    one_by_one,
    symmetrised,
)
from ntkrnn.empirical._precision import precision_of
from ntkrnn.empirical._row_chunked import operations as row_chunked_operations
from ntkrnn.empirical._row_chunked import row_chunked
from ntkrnn.empirical._time_structured import operations as time_structured_operations
from ntkrnn.empirical._time_structured import time_structured

ROUTES = {"time_structured": time_structured, "row_chunked": row_chunked}
ROW_CHUNKED_PENALTY = 1.75
"""Time of a multiply-add of route B in units of route A's, whose products are larger; on a CPU."""


def _cheaper(left: GateFactors, right: GateFactors, symmetric: bool) -> tuple[float, str]:
    """The route of one group of gates, by the count of operations."""
    a = time_structured_operations(left, right, symmetric)
    b = ROW_CHUNKED_PENALTY * row_chunked_operations(left, right, symmetric)
    return (a, "time_structured") if a <= b else (b, "row_chunked")


Groups = tuple[GateFactors, ...]


def _cheapest(
    left: tuple[Groups, ...], right: tuple[Groups, ...], symmetric: bool
) -> list[tuple[str, GateFactors, GateFactors]]:
    """Of the groupings the one of least operations, with the routes of its groups."""
    found = []
    for groups1, groups2 in zip(left, right, strict=True):
        routes = [_cheaper(a, b, symmetric) for a, b in zip(groups1, groups2, strict=True)]
        operations = sum(count for count, _ in routes)
        names = [name for _, name in routes]
        found.append((operations, list(zip(names, groups1, groups2, strict=True))))
    return min(found, key=lambda one: one[0])[1]


@compiled("form", "roles", "symmetric", "diagonal", "precision", "route")
def _compiled(
    form: Dense,
    scales: AnyScales,
    roles: Roles,
    params: Any,
    x1: Any,
    x2: Any,
    lengths1: Any,
    lengths2: Any,
    symmetric: bool,
    diagonal: bool,
    precision: jax.lax.Precision,
    route: str | None,
) -> Gram:
    arch = form.with_scales(scales)
    left = factors(arch, params, x1, lengths1, roles, precision)
    right = left if symmetric else factors(arch, params, x2, lengths2, roles, precision)
    channels = 1 if roles.channel == TRACED else arch.out_dim
    traced = 1.0 if roles.channel != TRACED else 1.0 / arch.out_dim
    time1, time2 = 1, 1
    if roles.time == TRACED:
        traced /= x1.shape[1]
    elif roles.time is not None:
        time1, time2 = x1.shape[1], x2.shape[1]

    def kernel_of(left: Factors, right: Factors) -> Gram:
        n1, n2 = len(left.features), len(right.features)
        kernel = jnp.zeros((n1, n2, time1 * channels, time2 * channels), x1.dtype)
        for groupings1, groupings2 in zip(left.layers, right.layers, strict=True):
            for cheapest, group1, group2 in _cheapest(groupings1, groupings2, symmetric):
                compute = ROUTES[route or cheapest]
                kernel = kernel + traced * compute(group1, group2, symmetric, precision)
        kernel = arrange(kernel, roles, (time1, time2, channels, channels))
        if "v" in arch.trainable:
            kernel = kernel + feature_gram(arch, roles, left.features, right.features, precision)
        return symmetrised(kernel, roles) if symmetric else kernel

    return one_by_one(kernel_of, left, right) if diagonal else kernel_of(left, right)


def _dense_ntk(
    arch: Dense,
    roles: Roles,
    params: Any,
    sides: Sides,
    precision: jax.lax.Precision,
    route: str | None = None,
) -> Gram:
    return _compiled(arch.form, arch.scales, roles, params, *sides, precision, route)


FAMILIES: dict[str, Callable[..., Gram]] = {"dense": _dense_ntk, "diagonal": diagonal_ntk}
"""By the ``family`` of an architecture."""


def empirical_ntk_fn(
    arch_or_apply_fn: Architecture | Callable[..., Any],
    trace_axes: Sequence[int] = (-1,),
    diagonal_axes: Sequence[int] = (),
    *,
    precision: jax.lax.Precision | str = jax.lax.Precision.HIGHEST,
    implementation: str | None = None,
    tile: int | None = None,
    _route: str | None = None,
) -> Callable[..., Gram]:
    r"""Build ``ntk_fn(x1, x2, params, lengths1=None, lengths2=None)``, the exact tangent kernel.

    ``Theta(x, x') = sum_blocks <dy/dtheta, dy'/dtheta>`` over the trainable blocks. Every block that
    enters a pre-activation as ``A z_t`` contributes
    ``sum_{t,t'} <delta_t, delta'_t'> <z_t, z'_t'>`` with ``delta_t = dy/d(pre-activation_t)``. That is
    evaluated either as it stands, over pairs of steps (route A), or as ``<J, J'>`` with
    ``J = sum_t delta_t z_t^T`` formed a few rows at a time (route B): both exact, and whichever takes
    fewer operations. :class:`ntkrnn.Diagonal` has no products between neurons: its kernel is
    ``(1/m) sum_i c_i c'_i [D_w h_t^i D_w h'^i_t' + <D_u h_t^i, D_u h'^i_t'>]``, from derivatives that
    run forwards with the states, a few neurons at a time.

    For any other network, a function ``apply_fn(params, x)`` or ``apply_fn(params, x, lengths=...)``,
    the sum is over all leaves of ``params``, and neural-tangents computes it in tiles of pairs. Such a
    function must treat the rows of ``x`` independently of each other: no statistics over a batch.

    Args:
        arch_or_apply_fn: an architecture such as :class:`ntkrnn.Elman`, or a function with outputs
            [N, O] or [N, T, O], for example of :func:`ntkrnn.flax.apply_fn_from_module`. Programs are
            compiled once for equal functions: build it once.
        trace_axes: output axes to average the diagonal of, as in neural-tangents: by default the
            channel axis, so that a network with several outputs has the kernel of one on average.
        diagonal_axes: output axes of which only the diagonal is wanted.
        precision: of every matrix product, those of the forward and backward pass included: a
            :class:`jax.lax.Precision` or its name. Anything below "highest" is faster on GPUs and
            TPUs, and costs three digits there. In a function, of those products that name none.
        implementation: for a function, how neural-tangents works: "jacobian_contraction" (the
            default), "ntk_vector_products" (many outputs, few uses of each weight), or
            "structured_derivatives" (writes loops over time out: minutes to compile for 20 steps).
        tile: for a function, sequences per side of a tile; by default as many, up to 128, as keep the
            Jacobians of a tile below 256 MB on a CPU and 2 GB elsewhere. It changes no number beyond
            rounding.

    Returns:
        ``ntk_fn(x1, x2, params, lengths1=None, lengths2=None, *, lengths=None, diagonal=False)`` with
        ``x1`` [N1, T1, d], ``x2`` [N2, T2, d] or None for x1, and ``params`` of ``init_fn``;
        ``lengths`` is another word for ``lengths1`` where there is one side. ``diagonal`` gives the
        kernel of x1[i] with x2[i] alone, one axis N in place of N1 and N2, which are equal then. By
        default [N1, N2], and [N1, N2, T1, T2] for readout "sequence" and outputs [N, T, O] (0 at
        padded steps); every untraced channel axis appends [O, O], a diagonal axis appears once.
        Exactly symmetric for x2=None.

    Raises:
        TypeError, ValueError: for arguments that do not fit each other, naming them.
        ImportError: for a function, if neural-tangents is missing, with the remedy.

    Cost: one forward and one backward pass, O(N T m^2), and for the pairs the smaller of
    O(N1 N2 T1 T2 m) and O((N1 + N2) T m^2 + N1 N2 m^2), the first halved for x2=None; memory
    O((N1 + N2) T m + N1 N2) and a tile of a few MB. ``out_dim`` untraced outputs take as many backward
    passes, readout "sequence" T of them, and O(N1 N2 T^3 m). A diagonal network: O((N1 + N2) T m d)
    and O(N1 N2 m d) for the pairs (times T1 T2 for "sequence"), half of that for x2=None and half again
    at the start of a symmetric one, and memory for the kernel and some 2^22 numbers. A
    diagonal takes N in place of N1 N2. For a function with P parameters by "jacobian_contraction": N1
    N2 O P multiply-adds and 2 O backward passes for every ``tile`` pairs, O counting steps too; half
    of it for x2=None; memory O(tile O P) beside the kernel.

    Source: the factorisation over time of ``docs/conventions.md``; FFW (arXiv 2206.08720) for
    structured derivatives in general.

    Example:
        >>> import jax, ntkrnn
        >>> arch = ntkrnn.Elman(width=32)
        >>> x = jax.random.normal(jax.random.key(0), (4, 6, 3))
        >>> _, params = ntkrnn.network(arch).init_fn(jax.random.key(1), x.shape)
        >>> ntkrnn.empirical_ntk_fn(arch)(x, None, params).shape
        (4, 4)
        >>> def apply_fn(params, x):  # any function of parameters and sequences
        ...     return jax.numpy.tanh(x @ params).mean(1)
        >>> ntkrnn.empirical_ntk_fn(apply_fn)(x, None, jax.numpy.ones((3, 2))).shape
        (4, 4)
    """
    if callable(arch_or_apply_fn) and not isinstance(arch_or_apply_fn, (type, np.ufunc)):
        options = (trace_axes, diagonal_axes, precision, implementation, tile)
        return any_network_ntk_fn(arch_or_apply_fn, *options)
    arch: Any = arch_or_apply_fn
    roles = roles_of(arch, trace_axes, diagonal_axes)
    for name, value in (("implementation", implementation), ("tile", tile)):
        if value is not None:
            raise ValueError(
                f"{name}: got {value!r} with an architecture, expected None; it is for functions "
                "apply_fn(params, x), an architecture has one exact method that needs no setting."
            )
    precision = precision_of(precision)
    options = {} if _route is None else {"route": _route}

    def ntk_fn(
        x1: Any,
        x2: Any,
        params: Any,
        lengths1: Any = None,
        lengths2: Any = None,
        *,
        lengths: Any = None,
        diagonal: bool = False,
    ) -> Gram:
        given = (x1, x2, lengths1, lengths2, lengths, diagonal)
        params, sides = fitting_sides(arch, roles, params, *given)
        check_memory(arch, roles, sides, tangent=True)
        kernel = FAMILIES[arch.family](arch, roles, params, sides, precision, **options)
        return checked_kernel(kernel, sides)

    return ntk_fn
