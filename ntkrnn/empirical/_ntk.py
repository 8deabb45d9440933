"""The empirical tangent kernel, exact, without its Jacobian."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ntkrnn import _checks
from ntkrnn._types import Array, Gram, add_up
from ntkrnn.architectures import Elman, Scales
from ntkrnn.empirical._axes import TRACED, Roles, arrange, roles_of
from ntkrnn.empirical._factors import Factors, GateFactors, factors
from ntkrnn.empirical._features import feature_gram, fitting_pair, symmetrised

_EXACT = jax.lax.Precision.HIGHEST  # TF32 or bfloat16 products would cost three digits


def _gate_row(left: GateFactors, right: GateFactors) -> Array:
    """One sequence of the left side against all of the right: ``[N2, K1, K2]``.

    ``sum_{t,t'} <delta_t, delta'_t'> <z_t, z'_t'>``, the two Gram matrices multiplied entry by entry
    when there is one output, and else contracted one after the other, so that no array has four
    time axes.
    """
    z_gram = add_up(
        [
            jnp.einsum("tc,nsc->nts", a, b, precision=_EXACT)
            for a, b in zip(left.sources, right.sources, strict=True)
        ]
    )
    delta1, delta2 = left.deltas, right.deltas
    if delta1.shape[0] == 1 and delta2.shape[1] == 1:
        delta_gram = jnp.einsum("tf,nsf->nts", delta1[0], delta2[:, 0], precision=_EXACT)
        return jnp.sum(delta_gram * z_gram, axis=(1, 2))[:, None, None]

    def one(pair: tuple[Array, Array]) -> Array:
        gram, delta = pair
        mixed = jnp.einsum("ts,bsf->btf", gram, delta, precision=_EXACT)
        return jnp.einsum("atf,btf->ab", delta1, mixed, precision=_EXACT)

    return jax.lax.map(one, (z_gram, delta2))


def _hidden_part(left: Factors, right: Factors) -> Array:
    """Sum over all recurrent blocks: ``[N1, N2, K1, K2]``, one row of sequences at a time."""

    def row(gates: tuple[GateFactors, ...]) -> Array:
        return add_up([_gate_row(a, b) for a, b in zip(gates, right.gates, strict=True)])

    return jax.lax.map(row, left.gates)


@functools.partial(jax.jit, static_argnames=("form", "roles", "symmetric"))
def _compiled(
    form: Elman,
    scales: Scales,
    roles: Roles,
    params: Any,
    x1: Any,
    x2: Any,
    lengths1: Any,
    lengths2: Any,
    symmetric: bool,
) -> Gram:
    arch = form.with_scales(scales)
    left = factors(arch, params, x1, lengths1, roles)
    right = left if symmetric else factors(arch, params, x2, lengths2, roles)
    channels = 1 if roles.channel == TRACED else arch.out_dim
    traced = 1.0 if roles.channel != TRACED else 1.0 / arch.out_dim
    time1, time2 = 1, 1
    if roles.time == TRACED:
        traced /= x1.shape[1]
    elif roles.time is not None:
        time1, time2 = x1.shape[1], x2.shape[1]

    n1, n2 = x1.shape[0], x2.shape[0]
    kernel = jnp.zeros((n1, n2, time1 * channels, time2 * channels), x1.dtype)
    if any(gate.sources for gate in left.gates):
        kernel = kernel + traced * _hidden_part(left, right)
    kernel = arrange(kernel, roles, (time1, time2, channels, channels))
    if "v" in arch.trainable:
        kernel = kernel + feature_gram(arch, roles, left.features, right.features)
    return symmetrised(kernel, roles) if symmetric else kernel


def empirical_ntk_fn(
    arch: Elman, trace_axes: Sequence[int] = (-1,), diagonal_axes: Sequence[int] = ()
) -> Callable[..., Gram]:
    r"""Build ``ntk_fn(x1, x2, params, lengths1=None, lengths2=None)``, the exact tangent kernel.

    ``Theta(x, x') = sum_blocks <dy/dtheta, dy'/dtheta>`` over the trainable blocks. Every block that
    enters a pre-activation as ``A z_t`` contributes
    ``sum_{t,t'} <delta_t, delta'_t'> <z_t, z'_t'>`` with ``delta_t = dy/d(pre-activation_t)``.

    Args:
        arch: an architecture such as :class:`ntkrnn.Elman`.
        trace_axes: output axes to average the diagonal of, as in neural-tangents: by default the
            channel axis, so that a network with several outputs has the kernel of one on average.
        diagonal_axes: output axes of which only the diagonal is wanted.

    Returns:
        ``ntk_fn(x1, x2, params, lengths1=None, lengths2=None)`` with ``x1`` [N1, T1, d], ``x2``
        [N2, T2, d] or None for x1, and ``params`` of ``init_fn``. By default [N1, N2], and
        [N1, N2, T1, T2] for readout "sequence" (0 at padded steps); every untraced channel axis
        appends [O, O], a diagonal axis appears once.

    Raises:
        TypeError, ValueError: for arguments that do not fit each other, naming them.

    Cost: one forward and one backward pass, O(N T m^2), and O(N1 N2 T1 T2 m) for the pairs; memory
    O((N1 + N2) T m + N2 T1 T2). Readout "sequence" takes T backward passes and O(N1 N2 T^3 m).

    Source: the factorisation over time of ``docs/conventions.md``; FFW (arXiv 2206.08720) for
    structured derivatives in general.

    Example:
        >>> import jax, ntkrnn
        >>> arch = ntkrnn.Elman(width=32)
        >>> x = jax.random.normal(jax.random.key(0), (4, 6, 3))
        >>> _, params = ntkrnn.network(arch).init_fn(jax.random.key(1), x.shape)
        >>> ntkrnn.empirical_ntk_fn(arch)(x, None, params).shape
        (4, 4)
    """
    roles = roles_of(arch, trace_axes, diagonal_axes)

    def ntk_fn(x1: Any, x2: Any, params: Any, lengths1: Any = None, lengths2: Any = None) -> Gram:
        x1, x2, lengths1, lengths2, symmetric = _checks.pair(x1, x2, lengths1, lengths2)
        x1, x2 = fitting_pair(arch, roles, params, x1, x2)
        return _compiled(arch.form, arch.scales, roles, params, x1, x2, lengths1, lengths2, symmetric)

    return ntk_fn
