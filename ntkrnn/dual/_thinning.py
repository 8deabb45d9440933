r"""Fewer powers for the tail of Mehler's series.

At the end of the series ``sum_k t_k rho^k`` the coefficients fall slowly, and neighbouring powers are
nearly the same function of rho. There, the energy ``c_k^2`` of every order is shared between the two
neighbours of k in a sparse set of powers, linearly: this keeps ``sum t_k`` and ``sum k t_k``, so that
k and kdot stay exact at rho = 1, and the thinned series is again the kernel of a function, so that
Gram matrices stay positive semidefinite. Gaps are powers of two, which Horner's rule takes easily.

Which powers are left follows from the errors of k and kdot, evaluated over rho and pairs of variances
up to the largest wanted, against the stated bounds.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from ntkrnn.dual import _hermite
from ntkrnn.dual._tables import series_of
from ntkrnn.dual._value import DEFAULT_MAX_VARIANCE, Nonlinearity

BOUNDS = (1e-7, 2e-6)
"""Largest errors that thinning may add in float32, of k and of kdot, relative to E phi^2 and E phi'^2.
In float64 nothing is thinned."""
_SEARCHED = 0.8
"""Share of the bounds that the search keeps to; the rest is for variances that it does not look at."""
_VARIANCES = ((1.0, 1.0), (1.0, 0.5), (1.0, 0.2), (0.5, 0.5), (0.3, 0.1))
_FEWEST = 8


class Thinned(NamedTuple):
    """Which powers of rho are kept."""

    powers: tuple[int, ...]
    step: int
    """2 for an odd or even function, whose polynomial is one in rho^2."""
    gaps: tuple[int, ...]
    """Differences of neighbouring powers, in steps."""
    single: int
    """How many of the lowest powers stand for themselves."""
    weights: np.ndarray
    """``[orders - single, powers - single]``: how the energies of the others are shared."""


def _shared(orders: np.ndarray, powers: np.ndarray) -> Thinned:
    """The series with these powers alone: the lowest orders without a gap stand for themselves."""
    step = int(orders[1] - orders[0])
    gaps = np.diff(powers) // step
    single = int(np.argmax(gaps > 1)) if (gaps > 1).any() else len(powers)
    rest, sparse = orders[single:], powers[single:]
    weights = np.zeros((len(rest), len(sparse)))
    for row, order in enumerate(rest):
        right = int(np.searchsorted(sparse, order))
        if sparse[right] == order:
            weights[row, right] = 1
            continue
        share = (order - sparse[right - 1]) / (sparse[right] - sparse[right - 1])
        weights[row, right - 1], weights[row, right] = 1 - share, share
    return Thinned(tuple(map(int, powers)), step, tuple(map(int, gaps)), single, weights)


def _errors(
    thin: Thinned, orders: np.ndarray, pairs: list[tuple[np.ndarray, np.ndarray]]
) -> np.ndarray:
    """Largest errors of k and kdot over rho and pairs of variances."""
    rho = np.cos(np.concatenate([[0], np.geomspace(1e-4, np.pi / 2, 48)]))[:, None]
    powers, worst = np.array(thin.powers), np.zeros(2)

    def both(own: np.ndarray, exponents: np.ndarray) -> np.ndarray:
        slopes = np.where(exponents > 0, rho ** np.maximum(exponents - 1, 0) * exponents, 0)
        return np.stack([rho**exponents @ own, slopes @ own])

    for one, two in pairs:
        short = [
            np.concatenate([c[: thin.single], np.sqrt(c[thin.single :] ** 2 @ thin.weights)])
            for c in (one, two)
        ]
        moved = abs(both(short[0] * short[1], powers) - both(one * two, orders)).max(axis=1)
        size = [
            np.sqrt((w * one**2).sum() * (w * two**2).sum()) for w in (np.ones(len(orders)), orders)
        ]
        worst = np.maximum(worst, moved / np.maximum(size, np.finfo(np.float64).tiny))
    return worst


@functools.lru_cache(maxsize=256)
def thinned(spec: str | Nonlinearity, dtype_name: str) -> Thinned:
    """A series of few powers within the bounds; in float64 the whole series."""
    plan, known = _hermite.expansion(spec, dtype_name), series_of(spec, dtype_name)
    orders = np.arange(*plan.orders)
    if dtype_name != "float32":
        return _shared(orders, orders)
    powers = searched_powers(spec, dtype_name, plan) if known is None else known.powers
    return _shared(orders, np.array(powers))


def searched_powers(
    spec: str | Nonlinearity, dtype_name: str, plan: _hermite.Expansion
) -> tuple[int, ...]:
    """Powers taken out one by one, those first whose neighbours make the best of their energy.

    Only between two equal gaps, which join to the next power of two; the lowest stay.
    """
    orders = np.arange(*plan.orders)
    limit = spec.max_variance if isinstance(spec, Nonlinearity) else DEFAULT_MAX_VARIANCE
    variances = limit * np.ravel(_VARIANCES)
    rows = _hermite.coefficients_on_host(spec, variances, plan, dtype_name).T
    pairs = list(zip(rows[::2], rows[1::2], strict=True))
    largest = rows[int(np.argmax(variances))] ** 2
    powers, needed = orders, set()
    while True:
        thin, gaps = _shared(orders, powers), np.diff(powers)
        energy = np.concatenate([largest[: thin.single], largest[thin.single :] @ thin.weights])
        inner = np.arange(1, len(powers) - 1)
        free = (gaps[:-1] == gaps[1:]) & (inner > _FEWEST) & ~np.isin(powers[1:-1], list(needed))
        if not free.any():
            return tuple(map(int, powers))
        # Between neighbours a power of rho is off by about the square of the relative gap.
        cost = energy[1:-1] * gaps[1:] ** 2 / np.maximum(powers[1:-1], 1)
        least = 1 + int(np.argmin(np.where(free, cost, np.inf)))
        fewer = np.delete(powers, least)
        if (_errors(_shared(orders, fewer), orders, pairs) <= _SEARCHED * np.array(BOUNDS)).all():
            powers = fewer
        else:
            needed.add(int(powers[least]))
