"""Bounds on the complexity of targets from single monomials of the kernel's power series."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ntkrnn.theory._coefficients import (
    MonomialCoefficients,
    check_positions,
    check_tokens,
    monomial_coefficients,
)
from ntkrnn.theory._kernel_matrices import real_array


class Series(Protocol):
    """A power series: ``coefficients`` are c_0, c_1, ..., c_q."""

    @property
    def coefficients(self) -> Sequence[float]:
        """c_0, c_1, ..., c_q."""
        ...


class Additive(Protocol):
    """A target ``sum_l f_l(<beta_l, x_l>)``: a series or None, and a direction, for each token."""

    @property
    def series(self) -> Sequence[Series | None]:
        """f_l, or None where it is 0."""
        ...

    @property
    def directions(self) -> Any:
        """``[L, d]``: beta_l."""
        ...


@runtime_checkable
class NVariable(Protocol):
    """A target ``f(sum_k <beta_k, x_{l_k}>)``."""

    @property
    def series(self) -> Series:
        """The series of f."""
        ...

    @property
    def positions(self) -> Sequence[int]:
        """l_1, ..., l_N, counted from 0."""
        ...

    @property
    def directions(self) -> Any:
        """``[N, d]``: beta_k."""
        ...


def schur_bound(target: Additive | NVariable, norms: Any, *, shared: Sequence[int] = ()) -> float:
    r"""A bound on ``sqrt(y^T H^{-1} y)`` for labels of a target, whatever the number of samples.

    :func:`n_variable_schur_bound` for a target with ``positions``, :func:`additive_schur_bound` for one
    without.

    Args:
        target: with ``series`` and ``directions``, and ``positions`` if it is of N variables.
        norms: ``[L]``, the norms of the tokens, the same in all sequences.
        shared: positions with the same token in all sequences.

    Returns:
        The bound; infinity where a coefficient that it needs is below the rounding of the transform.

    Raises:
        TypeError, ValueError: naming the argument, what came and what was expected.

    Cost: that of the bound.

    Source: WSHC21 (arXiv 2109.14142), up to constants; see theory.

    Example:
        >>> import types
        >>> import numpy as np
        >>> from ntkrnn.theory import schur_bound
        >>> square = types.SimpleNamespace(coefficients=(0.0, 0.0, 1.0))
        >>> target = types.SimpleNamespace(series=(None, square), directions=np.eye(2))
        >>> round(schur_bound(target, np.ones(2)), 3)
        21.849
    """
    missing = [name for name in ("series", "directions") if not hasattr(target, name)]
    if missing:
        raise TypeError(
            f"target: got {target!r} of type {type(target).__name__}, expected a target with "
            f"{' and '.join(missing)}; for bare series use additive_schur_bound."
        )
    if isinstance(target, NVariable):
        return n_variable_schur_bound(
            target.series, target.positions, target.directions, norms, shared=shared
        )
    return additive_schur_bound(target.series, target.directions, norms, shared=shared)


def additive_schur_bound(
    series: Sequence[Series | None], directions: Any, norms: Any, *, shared: Sequence[int] = ()
) -> float:
    r"""A bound on ``sqrt(y^T H^{-1} y)`` for ``y = sum_l sum_i c_{l,i} <beta_l, x_l>^i``.

    With H the tangent kernel of :func:`monomial_coefficients`, for tokens of these norms::

        sqrt(y^T H^{-1} y) <= |sum_l c_{l,0}|/sqrt(a_0)
                              + sum_l sum_{i>=1} |c_{l,i}| ||beta_l||^i/sqrt(a_{l,i})

    Each ``a_{l,i} <x_l, x'_l>^i`` is a kernel, and H minus it is one too (Schur): the norm that belongs
    to H is at most the one that belongs to it, ``||beta||^i/sqrt(a)`` for ``<beta, x>^i``. It is exact
    whatever the directions, also where tokens at different positions are correlated: at equal lengths
    the kernel of the last step has no products of tokens at different positions. A shared token is a
    constant: its terms i >= 1 count as constants of size ``|c_i| (||beta|| norms[l])^i``.

    Args:
        series: L of them, or None for 0: each with ``coefficients`` c_0..c_q.
        directions: ``[L, d]``, beta_l; rows of positions without a series are not used.
        norms: ``[L]``, the norms of the tokens, the same in all sequences.
        shared: positions with the same token in all sequences.

    Returns:
        The bound. Coefficients count less their estimated error, so that it stays a bound; infinity
        where nothing is left of one.

    Raises:
        TypeError, ValueError: naming the argument, what came and what was expected.

    Cost: one :func:`monomial_coefficients` for each position in use, O(L) each.

    Source: WSHC21 (arXiv 2109.14142), up to constants; see theory.

    Example:
        >>> import types
        >>> import numpy as np
        >>> from ntkrnn.theory import additive_schur_bound
        >>> line = types.SimpleNamespace(coefficients=(0.0, 1.0))
        >>> early, late = (line,) + 15 * (None,), 15 * (None,) + (line,)
        >>> [round(additive_schur_bound(s, np.ones((16, 1)), np.ones(16)), 2) for s in (early, late)]
        [5.59, 1.08]
    """
    tokens = check_tokens(norms, shared, 0.0)
    length = len(tokens.squares)
    beta = _directions(directions, length, "a direction for each token")
    if not hasattr(series, "__len__") or len(series) != length:
        got = f"{len(series)} of them" if hasattr(series, "__len__") else repr(series)
        raise ValueError(f"series: got {got}, expected {length} series or None, one for each token.")
    constant, rest, bound = 0.0, 0.0, 0.0
    for at, one in enumerate(series):
        if one is None:
            continue
        c = _coefficients(f"series[{at}]", one)
        constant += c[0]
        if not c[1:].any() or not beta[at] or not tokens.squares[at]:
            continue
        if at in tokens.shared:
            reach = beta[at] * math.sqrt(tokens.squares[at])
            rest += float(np.sum(np.abs(c[1:]) * reach ** np.arange(1, len(c))))
            continue
        found = monomial_coefficients(norms, len(c) - 1, positions=[at], shared=shared)
        norm = np.abs(c) * beta[at] ** np.arange(len(c))
        bound += float(np.sum(_over_root(norm, found)[1:]))
    constant = abs(constant) + rest
    if constant:
        free = next((k for k in range(length) if k not in tokens.shared and tokens.squares[k]), None)
        if free is None:
            raise ValueError("shared: got every position, expected tokens that differ.")
        found = monomial_coefficients(norms, 0, positions=[free], shared=shared)
        bound += float(_over_root(np.array([constant]), found)[0])
    return bound


def n_variable_schur_bound(
    series: Series,
    positions: Sequence[int],
    directions: Any,
    norms: Any,
    *,
    shared: Sequence[int] = (),
) -> float:
    r"""A bound on ``sqrt(y^T H^{-1} y)`` for ``y = f(z)``, ``z = sum_k <beta_k, x_{l_k}>``.

    With ``f(z) = sum_n c_n z^n``, ``||beta||^2 = sum_k ||beta_k||^2`` and the coefficients a_i of
    :func:`monomial_coefficients` at the multi-indices i of the N positions::

        sqrt(y^T H^{-1} y) <= sum_n |c_n| ||beta||^n max_{|i| = n} sqrt(multinomial(n; i)/a_i)

    for the reasons of :func:`additive_schur_bound`, term by term of the expanded power.

    Args:
        series: of f, with ``coefficients`` c_0..c_q.
        positions: l_1, ..., l_N, counted from 0, none of them shared.
        directions: ``[N, d]``, beta_k.
        norms: ``[L]``, the norms of the tokens, the same in all sequences.
        shared: positions with the same token in all sequences.

    Returns:
        The bound. Coefficients count less their estimated error, so that it stays a bound; infinity
        where nothing is left of one.

    Raises:
        TypeError, ValueError: naming the argument, what came and what was expected.

    Cost: one :func:`monomial_coefficients` of N positions and degree q in each.

    Source: WSHC21 (arXiv 2109.14142), up to constants; see theory.

    Example:
        >>> import types
        >>> import numpy as np
        >>> from ntkrnn.theory import n_variable_schur_bound
        >>> square, beta = types.SimpleNamespace(coefficients=(0.0, 0.0, 1.0)), np.full((2, 1), 0.7)
        >>> pairs = [14, 15], [0, 15]
        >>> near, far = (n_variable_schur_bound(square, p, beta, np.ones(16)) for p in pairs)
        >>> round(near, 1), round(far, 1)
        (5.3, 39.3)
    """
    tokens = check_tokens(norms, shared, 0.0)
    where = check_positions("positions", positions, len(tokens.squares))
    beta = _directions(directions, len(where), "a direction for each position")
    c = _coefficients("series", series)
    found = monomial_coefficients(norms, len(c) - 1, positions=where, shared=shared)
    index = np.indices(found.coefficients.shape).reshape(len(where), -1)
    bound = 0.0
    for n in np.flatnonzero(c):
        at = index[:, index.sum(axis=0) == n]
        ways = [math.factorial(n) / math.prod(math.factorial(k) for k in i) for i in at.T.tolist()]
        part = MonomialCoefficients(found.coefficients[tuple(at)], found.error[tuple(at)], *found[2:])
        norm = abs(c[n]) * np.linalg.norm(beta) ** n
        bound += float(np.max(_over_root(norm * np.sqrt(ways), part)))
    return bound


def _over_root(norm: np.ndarray, found: MonomialCoefficients) -> np.ndarray:
    """``norm/sqrt(a)`` with the least a that the error leaves; 0 where norm is."""
    least = np.maximum(found.coefficients - found.error, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(norm > 0, norm / np.sqrt(least), 0.0)


def _directions(value: Any, count: int, what: str) -> np.ndarray:
    """Norms ``[count]`` of the directions."""
    beta = real_array("directions", value, (2,), f"[{count}, d], {what}")
    if len(beta) != count:
        raise ValueError(f"directions: got shape {beta.shape}, expected [{count}, d], {what}.")
    return np.linalg.norm(beta, axis=1)


def _coefficients(name: str, series: Any) -> np.ndarray:
    """c_0..c_q without trailing zeros."""
    if not hasattr(series, "coefficients"):
        raise TypeError(
            f"{name}: got {series!r} of type {type(series).__name__}, expected a power series, an "
            "object with coefficients c_0..c_q."
        )
    c = real_array(f"{name}.coefficients", series.coefficients, (1,), "numbers c_0..c_q")
    used = np.flatnonzero(c)
    return c[: used[-1] + 1] if used.size else c[:1]
