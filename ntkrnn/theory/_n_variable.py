"""The N-variable class: one function of several tokens together."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ntkrnn import _checks
from ntkrnn._random import generator, unit_vectors
from ntkrnn.theory._power_series import PowerSeries
from ntkrnn.theory._target import (
    Target,
    check_positions,
    check_series,
    like,
    tokens_for,
    values_of_series,
    vector_table,
)


@dataclasses.dataclass(frozen=True, eq=False)
class NVariableTarget(Target):
    r"""``F(x) = f(sum_k <beta_k, x_{l_k}>)``, a smooth function of N tokens together.

    Args:
        series: f.
        positions: ``(l_1 < ... < l_N)``, counted from 0.
        directions: ``[N, d]``, the beta_k.
        length: tokens L of a sequence; None for the least that has the positions.

    Its complexities are those of f at radius ``sqrt(L) ||beta||`` with the norm of all beta_k together.

    Raises:
        TypeError, ValueError: naming the argument.

    Cost: a value is O(N d + degree) for each sequence.

    Source: WSHC21 (arXiv 2109.14142), the N-variable class, up to constants; see the paper. theory.

    Example:
        >>> target = NVariableTarget(PowerSeries.monomial(2), (0, 2), [[1.0], [1.0]])
        >>> target([[[1.0], [9.0], [2.0]]]).tolist(), target.n_variables, target.span
        ([9.0], 2, 2)
    """

    series: PowerSeries
    positions: tuple[int, ...]
    directions: np.ndarray
    length: int = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        """Normalise and validate."""
        check_series("series", self.series)
        directions = vector_table("directions", self.directions, "[N, d]")
        unlimited = 1 << 62
        given = self.length is not None
        length = _checks.positive_integer("length", self.length) if given else unlimited
        positions = check_positions(self.positions, length)
        if len(positions) != len(directions):
            raise ValueError(
                f"directions: got shape {directions.shape}, expected ({len(positions)}, d), one row "
                f"for each of the positions {positions}."
            )
        object.__setattr__(self, "positions", positions)
        object.__setattr__(self, "directions", directions)
        object.__setattr__(self, "length", length if given else positions[-1] + 1)

    @property
    def dim(self) -> int:
        """Channels d of a token."""
        return self.directions.shape[1]

    @property
    def n_variables(self) -> int:
        """The number N of tokens that count."""
        return len(self.positions)

    @property
    def span(self) -> int:
        """``l_0 = max l_k - min l_k``."""
        return self.positions[-1] - self.positions[0]

    @property
    def norm(self) -> float:
        """``||beta||`` of all directions together."""
        return float(np.linalg.norm(self.directions))

    def __call__(self, x: Any) -> Any:
        """One value for each of the sequences ``[., L, d]``."""
        x = tokens_for(self, x)[:, np.asarray(self.positions)]
        z = (x * like(x, self.directions)[None]).sum(axis=(1, 2))
        return values_of_series((self.series,), z[:, None])[:, 0]

    def complexity(self, eps: Any, c_star: float = 1.0) -> Any:
        """``C_eps(f, sqrt(L) ||beta||)``, see :meth:`PowerSeries.complexity`."""
        return self.series.complexity(math.sqrt(self.length) * self.norm, eps, c_star)

    def sample_complexity(self, c_star: float = 1.0) -> Any:
        """``C_s(f, sqrt(L) ||beta||)``, see :meth:`PowerSeries.sample_complexity`."""
        return self.series.sample_complexity(math.sqrt(self.length) * self.norm, c_star)

    @classmethod
    def sample(
        cls,
        key: Any,
        length: int,
        dim: int,
        series: PowerSeries = PowerSeries.monomial(2),  # noqa: B008
        positions: Sequence[int] | None = None,
        norm: float = 1.0,
    ) -> NVariableTarget:
        """One whose directions together are uniform on the sphere of radius ``norm``.

        Args:
            key: a random key of JAX, or a whole number as a seed.
            length: tokens L of a sequence.
            dim: channels d of a token.
            series: f.
            positions: those that count, increasing, from 0; None for the last two (or the only one).
            norm: of all directions together, above 0.

        Raises:
            TypeError, ValueError: naming the argument.

        Example:
            >>> target = NVariableTarget.sample(0, 8, 3, positions=(1, 4), norm=2.0)
            >>> target.span, round(target.norm, 9)
            (3, 2.0)
        """
        length = _checks.positive_integer("length", length)
        dim = _checks.positive_integer("dim", dim)
        norm = _checks.positive_float("norm", norm)
        chosen = range(max(length - 2, 0), length) if positions is None else positions
        chosen = check_positions(chosen, length)
        together = unit_vectors(generator(key), len(chosen) * dim)
        return cls(series, chosen, norm * together.reshape(len(chosen), dim), length)
