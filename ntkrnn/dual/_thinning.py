r"""Fewer powers for the tail of Mehler's series.

At the end of the series ``sum_k t_k rho^k`` the coefficients fall slowly, and neighbouring powers are
nearly the same function of rho. There, the energy ``c_k^2`` of every order is shared between the two
neighbours of k in a sparse set of powers, linearly: this keeps ``sum t_k`` and ``sum k t_k``, so that
k and kdot stay exact at rho = 1, and the thinned series is again the kernel of a function, so that
Gram matrices stay positive semidefinite. Gaps are powers of two, which Horner's rule takes easily.

How much of the series is kept as it is follows from the errors of k and kdot, evaluated over rho and
pairs of variances up to the largest wanted, against the stated bounds.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from ntkrnn._nonlinearities import DEFAULT_MAX_VARIANCE, Nonlinearity
from ntkrnn.dual import _hermite
from ntkrnn.dual._tables import series_of

BOUNDS = (1e-7, 2e-6)
"""Largest errors that thinning may add in float32, of k and of kdot, relative to E phi^2 and E phi'^2.
In float64 nothing is thinned."""
_RATIOS = (1.08, 1.12, 1.17, 1.25, 1.35)
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


def _candidate(orders: np.ndarray, single: int, ratio: float) -> Thinned:
    """Keep ``single`` orders, and of the rest powers that grow by about ``ratio``."""
    step = int(orders[1] - orders[0])
    powers, gaps = list(orders[:single]), [1] * (single - 1)
    while powers[-1] < orders[-1]:
        wish = max(1.0, (ratio - 1) * powers[-1] / step)
        gap = 1 << int(np.log2(wish))
        powers.append(powers[-1] + gap * step)
        gaps.append(gap)
    rest, sparse = orders[single:], np.array(powers[single:])
    weights = np.zeros((len(rest), len(sparse)))
    for row, order in enumerate(rest):
        right = int(np.searchsorted(sparse, order))
        if right == 0 or sparse[right] == order:
            weights[row, right] = 1  # orders next to the single ones keep their own power
            continue
        share = (order - sparse[right - 1]) / (sparse[right] - sparse[right - 1])
        weights[row, right - 1], weights[row, right] = 1 - share, share
    return Thinned(tuple(int(p) for p in powers), step, tuple(gaps), single, weights)


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
    """The shortest thinned series within the bounds."""
    plan, known = _hermite.expansion(spec, dtype_name), series_of(spec, dtype_name)
    choice = searched_thinning(spec, dtype_name, plan) if known is None else known.thinning
    return _candidate(np.arange(*plan.orders), *choice)


def searched_thinning(
    spec: str | Nonlinearity, dtype_name: str, plan: _hermite.Expansion
) -> tuple[int, float]:
    """How many orders the shortest series keeps as they are, and the ratio of powers after them."""
    orders = np.arange(*plan.orders)
    if dtype_name != "float32":
        return len(orders), 1.0
    limit = spec.max_variance if isinstance(spec, Nonlinearity) else DEFAULT_MAX_VARIANCE
    variances = limit * np.ravel(_VARIANCES)
    rows = _hermite.coefficients_on_host(spec, variances, plan, dtype_name).T
    pairs = list(zip(rows[::2], rows[1::2], strict=True))
    best, fewest = (len(orders), 1.0), len(orders)
    for ratio in _RATIOS:
        for single in range(_FEWEST, len(orders), 2):
            thin = _candidate(orders, single, ratio)
            if len(thin.powers) >= fewest:
                continue
            if (_errors(thin, orders, pairs) <= BOUNDS).all():
                best, fewest = (single, ratio), len(thin.powers)
                break
    return best
