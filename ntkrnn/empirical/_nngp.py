"""The empirical NNGP kernel: covariance of the outputs over the readout weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax

from ntkrnn._compile import compiled
from ntkrnn._types import Array, Gram
from ntkrnn.architectures import AnyScales, Architecture
from ntkrnn.cells import run
from ntkrnn.empirical._axes import Roles, roles_of
from ntkrnn.empirical._features import (
    check_memory,
    checked_kernel,
    feature_gram,
    fitting_sides,
    one_by_one,
    symmetrised,
)
from ntkrnn.empirical._precision import precision_of


@compiled("form", "roles", "symmetric", "diagonal", "precision")
def _compiled(
    form: Architecture,
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
) -> Gram:
    arch = form.with_scales(scales)
    left = run(arch, params, x1, lengths1, precision=precision).features
    right = left if symmetric else run(arch, params, x2, lengths2, precision=precision).features

    def kernel_of(left: Array, right: Array) -> Gram:
        kernel = feature_gram(arch, roles, left, right, precision)
        return symmetrised(kernel, roles) if symmetric else kernel

    return one_by_one(kernel_of, left, right) if diagonal else kernel_of(left, right)


def empirical_nngp_fn(
    arch: Architecture,
    trace_axes: Sequence[int] = (-1,),
    diagonal_axes: Sequence[int] = (),
    *,
    precision: jax.lax.Precision | str = jax.lax.Precision.HIGHEST,
) -> Callable[..., Gram]:
    r"""Build ``nngp_fn(x1, x2, params, lengths1=None, lengths2=None)``.

    ``(v_std^2/m) <r(x), r(x')>``: the covariance of the outputs given the recurrent weights, the
    expectation over the readout V taken exactly. For a diagonal network it is ``(1/m) <r(x), r(x')>``,
    with the expectation over independent signs c, whether or not they come in pairs. It converges to
    the "nngp" of ``kernel_fn`` as the width grows, at the rate 1/sqrt m, and equals what
    ``neural_tangents.empirical_nngp_fn`` gives for the features r. (For the outputs themselves that
    function gives y y'^T, a matrix of rank ``out_dim`` that does not converge for a fixed number of
    outputs.)

    Args:
        arch: an architecture such as :class:`ntkrnn.Elman`.
        trace_axes: output axes to average the diagonal of, as in :func:`empirical_ntk_fn`.
        diagonal_axes: output axes of which only the diagonal is wanted.
        precision: of every matrix product, as in :func:`empirical_ntk_fn`.

    Returns:
        ``nngp_fn``; arguments and shapes as for :func:`empirical_ntk_fn`.

    Raises:
        TypeError, ValueError: for arguments that do not fit each other, naming them.

    Cost: one forward pass, O(N T m^2), and O(N1 N2 m) (times T1 T2 for "sequence"); O(N m) for a
    diagonal.

    Example:
        >>> import jax, ntkrnn
        >>> arch = ntkrnn.Elman(width=32)
        >>> x = jax.random.normal(jax.random.key(0), (4, 6, 3))
        >>> _, params = ntkrnn.network(arch).init_fn(jax.random.key(1), x.shape)
        >>> ntkrnn.empirical_nngp_fn(arch)(x, None, params).shape
        (4, 4)
    """
    roles = roles_of(arch, trace_axes, diagonal_axes)
    precision = precision_of(precision)

    def nngp_fn(
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
        check_memory(arch, roles, sides, tangent=False)
        kernel = _compiled(arch.form, arch.scales, roles, params, *sides, precision)
        return checked_kernel(kernel, sides)

    return nngp_fn
