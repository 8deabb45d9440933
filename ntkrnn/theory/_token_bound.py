"""The bound of a single monomial, for every output token of AL19's class."""

from __future__ import annotations

from typing import Any

import numpy as np

from ntkrnn import _checks
from ntkrnn.theory._coefficients import monomial_coefficients
from ntkrnn.theory._token_target import TokenTarget


def token_schur_bounds(target: TokenTarget, eps_x: Any) -> np.ndarray:
    r"""A bound on ``sqrt(y^T H^{-1} y)`` for each output token and channel of a target of AL19.

    Output token j is read at step j + 1, behind the marker; the kernel there is that of a sequence that
    ends there, and the target an additive function of its tokens. With the coefficients a of
    :func:`monomial_coefficients` for norms ``1, eps_x, ..., eps_x``, the marker shared::

        sqrt(y^T H^{-1} y) <= sum over terms m to (j, o) of sum_i |c_{m,i}| eps_x^{-i}/sqrt(a_{l_m,i})

    for the reasons of :func:`additive_schur_bound`; a direction of the true tokens has unit norm.

    Args:
        target: of T tokens.
        eps_x: as in :func:`al19_tokens`, positive.

    Returns:
        ``[T, O]``, 0 where no term arrives; infinity where a coefficient is below its error.

    Raises:
        TypeError, ValueError: naming the argument, what came and what was expected.

    Cost: one :func:`monomial_coefficients` for each pair of an input and an output token.

    Source: WSHC21 (arXiv 2109.14142) for the argument, AL19 (arXiv 1902.01028) for the class; up to
    constants; see theory.

    Example:
        >>> from ntkrnn.theory import PowerSeries, TokenTarget, token_schur_bounds
        >>> target = TokenTarget.sample(0, 3, 2, series=PowerSeries.monomial(1), reach=1)
        >>> token_schur_bounds(target, 0.2).round(1).ravel().tolist()
        [0.0, 2.8, 2.6]
    """
    if not isinstance(target, TokenTarget):
        raise TypeError(
            f"target: got {target!r} of type {type(target).__name__}, expected a TokenTarget; other "
            "classes have schur_bound."
        )
    eps = _checks.positive_float("eps_x", eps_x)
    bounds = np.zeros((target.length, target.out_dim))
    pairs = np.stack([target.inputs, target.outputs], axis=1)
    for i, j in np.unique(pairs, axis=0).tolist():
        terms = np.flatnonzero((pairs == (i, j)).all(axis=1))
        degree = max(target.series[m].degree for m in terms)
        norms = np.r_[1.0, np.full(j + 1, eps)]
        found = monomial_coefficients(norms, degree, positions=(i + 1,), shared=(0,))
        least = np.maximum(found.coefficients - found.error, 0)
        with np.errstate(divide="ignore"):
            cost = eps ** -np.arange(degree + 1.0) / np.sqrt(least)
        for m in terms:
            c = np.abs(target.series[m].coefficients)
            used = np.flatnonzero(c)
            bounds[j, target.channels[m]] += float(c[used] @ cost[used])
    return bounds
