"""The tangent kernel of the ReLU network as a power series in the inner products of tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ntkrnn import _checks
from ntkrnn.theory._kernel_matrices import FLOAT64, real_array
from ntkrnn.theory._series_kernel import Kernel, Tokens, largest_radius

_MOST_POINTS = 2**24


class MonomialCoefficients(NamedTuple):
    """What :func:`monomial_coefficients` returns."""

    coefficients: np.ndarray
    """``[q_1 + 1, ..., q_N + 1]``: a_i at the multi-index i."""
    error: np.ndarray
    """Estimated absolute error of each, the same shape: aliasing, which is bounded, and rounding, as
    two radii differ."""
    radius: np.ndarray
    """``[N]``: radius of the circle of each s_l."""
    points: int
    """M, the number of points on each circle."""


def monomial_coefficients(
    norms: Any,
    degrees: Any,
    *,
    positions: Sequence[int],
    shared: Sequence[int] = (),
    products: Any = 0.0,
    points: int | None = None,
) -> MonomialCoefficients:
    r"""Coefficients a_i of the infinite-width tangent kernel as a power series in token products.

    For two sequences of tokens with norms ``||x_l|| = ||x'_l|| = norms[l]`` the tangent kernel of the
    ReLU Elman network with W trained, read at the last step, depends on ``s_l = <x_l, x'_l>`` alone,
    ``l = 0..L-1``, and is a power series with nonnegative coefficients. In the expanded positions::

        Theta = sum_i a_i prod_k s_{positions[k]}^{i_k},   all other s_l fixed

    with ``Theta_L = kappa0(rho_L) (K_{L-1} + Theta_{L-1})``, ``K_l = Q_l kappa1(rho_l)``,
    ``rho_l = (K_{l-1} + s_l)/Q_l``, ``Q_l = sum_{j<=l} ||x_j||^2``, which is ``kernel_fn`` of
    ``Elman(nonlinearity="relu", w_std=2**0.5, u_std=(2*d)**0.5, trainable=("w",))``.

    **How.** Theta at M points on a circle for each expanded s_l, and a Fourier transform. Where the
    series converges is known: as no coefficient is negative, its first singularity on the ray through
    ``s_l = R norms[l]^2`` is at the real R > 0 where some correlation rho_l reaches 1 (Pringsheim), and
    R >= 1. The radii are ``q R norms[l]^2`` with ``q = eps^{1/(M + degree)}``, degree the total one: in
    units of the ``norms[l]^2`` aliasing adds at most ``q^M Theta(R)/R^|i|`` to a_i, rounding some
    ``eps Theta(R)/(q R)^|i|``, and this q makes the two of one size. A second transform at 0.8 of the
    radii shows what rounding is. The error is absolute, some 1e-15 of Theta: coefficients of early
    tokens in long sequences of unit tokens fall as ``exp(-L^{2/3})`` and are lost beyond L = 150.

    **Regimes.** Coefficients belong to the raw products. For unit vectors ``z_l = x_l/norms[l]``, the
    monomial in ``<z_l, z'_l>`` has ``a_i prod_k norms[positions[k]]^{2 i_k}``.

    - Unit tokens, ``norms = ones(L)``, nothing shared, other products 0: a_1 of the *first* token is
      1.3e-3, 5.6e-6, 6.1e-10 at L = 32, 64, 128, while that of the last is 1.6, 2.9, 5.0. The monomial
      in the *last* N tokens has 0.021 to 0.026 for N = 3, 0.0051 to 0.0044 for N = 4, whatever L, and
      0.13, 0.17, 0.23 for N = 2, which grows slowly. The first token with the last but one: 1.3e-7 at
      L = 64.
    - Rescaled tokens, ``norms = [1, L^{-3/2}, ...]``, with the first token *shared* by all sequences:
      in unit vectors, a_1 of the middle token is 0.075 at any L, a_i falls as ``L^{-(i-1)}``. If the
      first token is not shared but orthogonal, all fall faster.

    Args:
        norms: ``[L]``, the norms of the tokens, the same in all sequences.
        degrees: the largest power of each expanded product: one number, or one for each position.
        positions: N positions l to expand in, counted from 0.
        shared: positions with the same token in all sequences, ``s_l = norms[l]^2`` exactly.
        products: the s_l of all other positions, between 0 and ``norms[l]^2``: a number, or ``[L]``.
        points: M, a number above the degrees; None for 64 or, for many positions, a power of 2 that
            keeps M^N in the hundred thousands.

    Returns:
        A :class:`MonomialCoefficients`, in float64.

    Raises:
        TypeError, ValueError: naming the argument, what came and what was expected.

    Cost: L M^N evaluations of arcsin and square roots; memory O(M^N).

    Source: WSHC21 (arXiv 2109.14142) for the series and what it is for; the evaluation is derived from
    the kernel, see theory.

    Example:
        >>> import numpy as np
        >>> from ntkrnn.theory import monomial_coefficients
        >>> found = monomial_coefficients(np.ones(32), 1, positions=[0])
        >>> float(found.coefficients[1].round(6)), bool(found.error[1] < 1e-12)
        (0.001333, True)
        >>> rescaled = np.r_[1, np.full(63, 64**-1.5)]
        >>> found = monomial_coefficients(rescaled, 2, positions=[32], shared=[0])
        >>> (found.coefficients * rescaled[32] ** np.array([0, 2, 4])).round(4).tolist()
        [53.1525, 0.0749, 0.0005]
    """
    tokens = check_tokens(norms, shared, products)
    length = len(tokens.squares)
    where = check_positions("positions", positions, length)
    if set(where) & set(tokens.shared) or not all(tokens.squares[p] for p in where):
        bad = next(p for p in where if p in tokens.shared or not tokens.squares[p])
        what = "is shared" if bad in tokens.shared else "has norm 0"
        raise ValueError(
            f"positions: got {bad}, which {what}, expected positions of tokens that differ between "
            "sequences; a function of that token is a constant."
        )
    powers = _degrees(degrees, len(where))
    count = _points(points, powers)
    kernel = Kernel(tokens, where)
    edge, top = largest_radius(kernel)
    ratio = FLOAT64 ** (1 / (count + sum(powers)))
    fine, coarse = (_transform(kernel, count, q * edge) for q in (ratio, 0.8 * ratio))

    total = np.sum(np.indices((count,) * len(where)), axis=0)  # |i|
    # One noise for all coefficients in units of r^-|i|: where the smaller radius shows it best.
    noise = np.max(np.abs(fine - coarse) * (0.8 * ratio * edge) ** total)
    noise = max(noise, FLOAT64 * top)
    keep = tuple(slice(power + 1) for power in powers)
    total = total[keep]
    error = noise / (ratio * edge) ** total + 2 * ratio**count * top / edge**total
    # What both radii have in common: the rounding of a sum over L steps.
    error += len(tokens.squares) * FLOAT64 * np.abs(fine[keep])
    scale = np.ones(())
    for p, power in zip(where, powers, strict=True):
        scale = np.multiply.outer(scale, tokens.squares[p] ** -np.arange(power + 1.0))
    radius = ratio * edge * tokens.squares[list(where)]
    return MonomialCoefficients(fine[keep] * scale, error * scale, radius, count)


def _transform(kernel: Kernel, count: int, radius: float) -> np.ndarray:
    """Coefficients ``[M, ..., M]`` in units of the tokens' squared norms, from one circle."""
    n = len(kernel.positions)
    circle = radius * np.exp(2j * np.pi * np.arange(count) / count)
    axes = [circle.reshape([count if j == k else 1 for j in range(n)]) for k in range(n)]
    axes[-1] = axes[-1][..., : count // 2 + 1]  # Theta of the conjugates is the conjugate
    values = np.broadcast_to(kernel(axes), (count,) * (n - 1) + (count // 2 + 1,))
    scaled = np.fft.irfftn(values.conj(), s=(count,) * n, axes=range(n))
    return scaled / radius ** np.sum(np.indices(scaled.shape), axis=0)


def check_tokens(norms: Any, shared: Any, products: Any) -> Tokens:
    """What is fixed: squared norms, half squared distances of the positions not expanded.

    Raises:
        TypeError, ValueError: naming the argument, what came and what was expected.
    """
    size = real_array("norms", norms, (1,), "[L], the norms of the tokens")
    if size.min() < 0 or not size.any():
        raise ValueError(
            f"norms: got {'zeros only' if not size.any() else f'{size.min():g}'}, expected norms of at "
            "least 0, some above."
        )
    given = real_array("products", products, (0, 1), f"a number or [{len(size)}]")
    if given.ndim and given.shape != size.shape:
        raise ValueError(f"products: got shape {given.shape}, expected a number or [{len(size)}].")
    same = check_positions("shared", shared, len(size)) if np.size(shared) else ()
    squares = size**2
    given = np.broadcast_to(given, size.shape).copy()
    given[list(same)] = squares[list(same)]
    if given.min() < 0 or not (given <= squares * (1 + 4 * FLOAT64)).all():
        at = int(np.flatnonzero((given < 0) | (given > squares * (1 + 4 * FLOAT64)))[0])
        raise ValueError(
            f"products: got {given[at]:g} at position {at}, expected between 0 and the squared norm "
            f"{squares[at]:g}: below 0 coefficients may be negative, above it no two tokens are."
        )
    return Tokens(squares, np.maximum(squares - given, 0), same)


def check_positions(name: str, value: Any, length: int) -> tuple[int, ...]:
    """Different positions between 0 and L - 1.

    Raises:
        TypeError, ValueError: naming the argument, what came and what was expected.
    """
    expected = f"different whole numbers between 0 and {length - 1}, positions of tokens"
    array = np.asarray(_checks.whole_array(name, value, expected))
    places = array.ravel().tolist()
    if array.ndim != 1 or not places or len(set(places)) < len(places):
        raise ValueError(f"{name}: got {value!r}, expected a list of {expected}.")
    if min(places) < 0 or max(places) >= length:
        bad = next(p for p in places if not 0 <= p < length)
        raise ValueError(f"{name}: got {bad} for L={length} tokens, expected {expected}.")
    return tuple(places)


def _degrees(value: Any, n: int) -> tuple[int, ...]:
    array = np.asarray(_checks.whole_array("degrees", value, "whole numbers of at least 0"))
    if array.shape not in ((), (n,)) or array.min() < 0:
        raise ValueError(
            f"degrees: got {value!r}, expected a whole number of at least 0, or {n} of them, one for "
            "each position."
        )
    return tuple(np.broadcast_to(array, (n,)).tolist())


def _points(value: Any, powers: tuple[int, ...]) -> int:
    n, least = len(powers), max(powers) + 1
    if value is None:
        most = 2 ** max(int(18 / n), 1)
        value = max(min(64, most), 2 ** math.ceil(math.log2(2 * least)))
    count = _checks.positive_integer("points", value)
    if count < max(least, 2):
        raise ValueError(f"points: got {count}, expected above the largest degree, {least - 1}.")
    if count**n > _MOST_POINTS:
        raise ValueError(
            f"points: {count} points for each of {n} positions are {count**n:.1e} evaluations of the "
            f"kernel, expected at most {_MOST_POINTS:.1e}; pass fewer points or lower degrees."
        )
    return count
