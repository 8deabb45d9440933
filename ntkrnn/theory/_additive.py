"""The additive class: a sum of functions of one token each."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ntkrnn import _checks
from ntkrnn._random import generator, unit_vectors
from ntkrnn.theory._power_series import PowerSeries
from ntkrnn.theory._target import (
    Estimate,
    Target,
    add_measures,
    check_positions,
    check_series,
    like,
    tokens_for,
    values_of_series,
    vector_table,
)

ZERO = PowerSeries((0.0,), "0")


@dataclasses.dataclass(frozen=True, eq=False)
class AdditiveTarget(Target):
    r"""``F(x) = sum_l f_l(<beta_l, x_l>)``, smooth functions of the tokens one by one.

    Args:
        series: ``(f_0, ..., f_{L-1})``, a :class:`PowerSeries` for each position; None (or the zero
            series) where a token does not count. Kept with the zero series in place of None.
        directions: ``[L, d]``, the beta_l, of any norm; that of a position that does not count is
            not used.

    Its complexities are sums over l of those of f_l at radius ``sqrt(L) ||beta_l||``: with the unit
    vector ``w = beta/||beta||``, f(<beta, x>) has the coefficients ``c_i ||beta||^i`` in <w, x>.

    Raises:
        TypeError, ValueError: naming the argument.

    Cost: a value is O(N L (d + degree)).

    Source: WSHC21 (arXiv 2109.14142), the additive class, up to constants; see the paper. theory.

    Example:
        >>> target = AdditiveTarget((PowerSeries.monomial(2), None), [[1.0, 0.0], [0.0, 1.0]])
        >>> target([[[3.0, 5.0], [7.0, 7.0]]]).tolist()
        [9.0]
    """

    series: tuple[PowerSeries, ...]
    directions: np.ndarray

    def __post_init__(self) -> None:
        """Normalise and validate."""
        directions = vector_table("directions", self.directions, "[L, d]")
        if isinstance(self.series, PowerSeries) or not isinstance(self.series, tuple | list):
            raise TypeError(
                f"series: got {self.series!r}, expected a tuple of one PowerSeries, or None, for each "
                "position."
            )
        series = tuple(ZERO if s is None else check_series("series", s) for s in self.series)
        if len(series) != len(directions):
            raise ValueError(
                f"series: got {len(series)} of them, expected {len(directions)}, one for each row of "
                f"directions with shape {directions.shape}; None where a token does not count."
            )
        object.__setattr__(self, "series", series)
        object.__setattr__(self, "directions", directions)

    @property
    def length(self) -> int:
        """Tokens L of a sequence."""
        return len(self.directions)

    @property
    def dim(self) -> int:
        """Channels d of a token."""
        return self.directions.shape[1]

    def __call__(self, x: Any) -> Any:
        """``[N, L, d] -> [N]``."""
        x = tokens_for(self, x)
        z = (x * like(x, self.directions)[None]).sum(axis=2)  # [N, L]
        return values_of_series(self.series, z).sum(axis=1)

    def complexity(self, eps: Any, c_star: float = 1.0) -> Any:
        """``sum_l C_eps(f_l, sqrt(L) ||beta_l||)``, see :meth:`PowerSeries.complexity`."""
        return add_measures([s.complexity(r, eps, c_star) for s, r in self._counting()])

    def sample_complexity(self, c_star: float = 1.0) -> Any:
        """``sum_l C_s(f_l, sqrt(L) ||beta_l||)``, see :meth:`PowerSeries.sample_complexity`."""
        return add_measures([s.sample_complexity(r, c_star) for s, r in self._counting()])

    def _counting(self) -> list[tuple[PowerSeries, float]]:
        radii = math.sqrt(self.length) * np.linalg.norm(self.directions, axis=1)
        return [(s, float(r)) for s, r in zip(self.series, radii, strict=True) if any(s.coefficients)]

    def additive_error(
        self,
        key: Any = None,
        n: int = 20_000,
        draw: Callable[[Any, int], Any] | None = None,
    ) -> Estimate:
        """``(0, 0)``: it is additive."""
        del key, n, draw
        return Estimate(0.0, 0.0)

    @classmethod
    def sample(
        cls,
        key: Any,
        length: int,
        dim: int,
        series: PowerSeries | Sequence[PowerSeries] = PowerSeries.monomial(1),  # noqa: B008
        positions: Sequence[int] | None = None,
        norm: float = 1.0,
    ) -> AdditiveTarget:
        """One with directions uniform on the sphere of radius ``norm``.

        Args:
            key: a random key of JAX, or a whole number as a seed.
            length: tokens L of a sequence.
            dim: channels d of a token.
            series: one for all positions that count, or a sequence of one for each of them.
            positions: those that count, increasing, from 0; None for all.
            norm: of every direction, above 0.

        Raises:
            TypeError, ValueError: naming the argument.

        Example:
            >>> AdditiveTarget.sample(0, 4, 3, positions=(2,)).directions.any(axis=1).tolist()
            [False, False, True, False]
        """
        length = _checks.positive_integer("length", length)
        dim = _checks.positive_integer("dim", dim)
        norm = _checks.positive_float("norm", norm)
        positions = check_positions(range(length) if positions is None else positions, length)
        chosen = [series] * len(positions) if isinstance(series, PowerSeries) else list(series)
        if len(chosen) != len(positions):
            raise ValueError(
                f"series: got {len(chosen)} of them, expected one, or one for each of the "
                f"{len(positions)} positions {positions}."
            )
        everywhere: list[PowerSeries] = [ZERO] * length
        directions = np.zeros((length, dim))
        directions[list(positions)] = norm * unit_vectors(generator(key), len(positions), dim)
        for position, one in zip(positions, chosen, strict=True):
            everywhere[position] = one
        return cls(tuple(everywhere), directions)
