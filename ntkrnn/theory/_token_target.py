"""AL19's concept class: every output token from all earlier input tokens."""

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
    check_series,
    product,
    tokens_for,
    values_of_series,
    vector_table,
)

UNIT = 1e-6
"""How far from 1 the norm of a direction may be."""


@dataclasses.dataclass(frozen=True, eq=False)
class TokenTarget(Target):
    r"""``F_{j,o}(x) = sum_{i<j} sum_{r<=p} phi_{i->j,r,o}(<w_{i->j,r,o}, x_i>)``.

    Different input tokens act on different output tokens by different functions. Term m is one smooth
    neuron from input token i to channel o of output token j; every series has ``phi(0) = 0``, every
    direction unit norm. The tokens are AL19's true ones, see :func:`~ntkrnn.theory.true_tokens`.

    Args:
        series: the M functions.
        directions: ``[M, d]``, unit vectors.
        inputs: ``[M]``, the input token i of each term, from 0.
        outputs: ``[M]``, its output token j > i.
        length: tokens T of a sequence.
        channels: ``[M]``, its output channel o; None for 0 throughout.
        out_dim: channels O of an output token.

    Its complexities are sums over the terms, at radius ``sqrt(T)``: up to constants; see the paper.

    Raises:
        TypeError, ValueError: naming the argument.

    Cost: a value is O(N M (d + degree + T O)); memory O(N M/T + N T O).

    Source: AL19 (arXiv 1902.01028), concept class; theory.

    Example:
        >>> target = TokenTarget((PowerSeries.monomial(2),), [[1.0]], inputs=[0], outputs=[2], length=3)
        >>> target([[[3.0], [5.0], [7.0]]])[0, :, 0].tolist()
        [0.0, 0.0, 9.0]
    """

    series: tuple[PowerSeries, ...]
    directions: np.ndarray
    inputs: np.ndarray
    outputs: np.ndarray
    length: int
    channels: np.ndarray = None  # type: ignore[assignment]
    out_dim: int = 1

    def __post_init__(self) -> None:
        """Normalise and validate."""
        put = lambda name, value: object.__setattr__(self, name, value)  # noqa: E731
        put("length", _checks.positive_integer("length", self.length))
        put("out_dim", _checks.positive_integer("out_dim", self.out_dim))
        put("directions", vector_table("directions", self.directions, "[M, d]"))
        norms = np.linalg.norm(self.directions, axis=1)
        if (abs(norms - 1) > UNIT).any():
            raise ValueError(
                f"directions: got norm {norms[abs(norms - 1) > UNIT][0]:.6g}, expected unit vectors; "
                "put the scale into the coefficients of the series."
            )
        if isinstance(self.series, PowerSeries) or not isinstance(self.series, tuple | list):
            raise TypeError(f"series: got {self.series!r}, expected a tuple of PowerSeries.")
        put("series", tuple(check_series("series", s) for s in self.series))
        count = len(self.directions)
        if len(self.series) != count:
            raise ValueError(
                f"series: got {len(self.series)} of them, expected {count}, one for each direction."
            )
        for s in self.series:
            if s.coefficients[0]:
                raise ValueError(
                    f"series: got phi(0) = {s.coefficients[0]:g}, expected phi(0) = 0; use "
                    "series.without_constant()."
                )
        put("inputs", _indices("inputs", self.inputs, count, self.length))
        put("outputs", _indices("outputs", self.outputs, count, self.length))
        given = np.zeros(count, int) if self.channels is None else self.channels
        put("channels", _indices("channels", given, count, self.out_dim))
        if (self.inputs >= self.outputs).any():
            m = int(np.argmax(self.inputs >= self.outputs))
            raise ValueError(
                f"outputs: got output token {self.outputs[m]} from input token {self.inputs[m]}, "
                "expected outputs after their inputs."
            )

    @property
    def dim(self) -> int:
        """Channels d of a token."""
        return self.directions.shape[1]

    def __call__(self, x: Any) -> Any:
        """``[N, T, d] -> [N, T, O]``, 0 at the first token."""
        x = tokens_for(self, x)
        flat = self.outputs * self.out_dim + self.channels
        values = []
        for i in np.unique(self.inputs):
            terms = np.flatnonzero(self.inputs == i)
            z = product(x[:, i], self.directions[terms].T)
            place = np.zeros((len(terms), self.length * self.out_dim))
            place[np.arange(len(terms)), flat[terms]] = 1
            values.append(product(values_of_series([self.series[m] for m in terms], z), place))
        return sum(values[1:], values[0]).reshape(len(x), self.length, self.out_dim)

    def complexity(self, eps: Any, c_star: float = 1.0) -> Any:
        """The sum over terms of ``C_eps(phi, sqrt T)``, see :meth:`PowerSeries.complexity`."""
        radius = math.sqrt(self.length)
        return add_measures([k * s.complexity(radius, eps, c_star) for s, k in self._counted()])

    def sample_complexity(self, c_star: float = 1.0) -> Any:
        """The sum over terms of ``C_s(phi, sqrt T)``, see :meth:`PowerSeries.sample_complexity`."""
        radius = math.sqrt(self.length)
        return add_measures([k * s.sample_complexity(radius, c_star) for s, k in self._counted()])

    def _counted(self) -> list[tuple[PowerSeries, int]]:
        return [(s, self.series.count(s)) for s in set(self.series) if any(s.coefficients)]

    def additive_error(
        self,
        key: Any = None,
        n: int = 20_000,
        draw: Callable[[Any, int], Any] | None = None,
    ) -> Estimate:
        """``(0, 0)``: every output is additive."""
        del key, n, draw
        return Estimate(0.0, 0.0)

    @classmethod
    def sample(
        cls,
        key: Any,
        length: int,
        dim: int,
        out_dim: int = 1,
        terms: int = 1,
        series: PowerSeries | Sequence[PowerSeries] = PowerSeries.monomial(2),  # noqa: B008
        reach: int | None = None,
    ) -> TokenTarget:
        """One with directions uniform on the unit sphere and series drawn from the choices.

        Args:
            key: a random key of JAX, or a whole number as a seed.
            length: tokens T of a sequence, at least 2.
            dim: channels d of a token.
            out_dim: channels O of an output token.
            terms: neurons p for every input token, output token and channel.
            series: the choices, each as likely as the others; one for one.
            reach: how many earlier tokens count for an output token; None for all of them.

        Raises:
            TypeError, ValueError: naming the argument.

        Example:
            >>> target = TokenTarget.sample(0, 4, 3, out_dim=2, reach=1)
            >>> (target.outputs - target.inputs).tolist(), target(np.ones((5, 4, 3))).shape
            ([1, 1, 1, 1, 1, 1], (5, 4, 2))
        """
        length = _checks.positive_integer("length", length)
        dim = _checks.positive_integer("dim", dim)
        out_dim = _checks.positive_integer("out_dim", out_dim)
        terms = _checks.positive_integer("terms", terms)
        reach = length if reach is None else _checks.positive_integer("reach", reach)
        if length < 2:
            raise ValueError("length: got 1, expected at least 2; outputs come from earlier tokens.")
        choices = (series,) if isinstance(series, PowerSeries) else tuple(series)
        if not choices:
            raise ValueError("series: got none, expected at least one PowerSeries.")
        rng = generator(key)
        pairs = [(i, j) for j in range(length) for i in range(max(0, j - reach), j)]
        table = np.array([(i, j, o) for i, j in pairs for o in range(out_dim) for _ in range(terms)])
        drawn = rng.integers(len(choices), size=len(table))
        return cls(
            series=tuple(choices[k] for k in drawn),
            directions=unit_vectors(rng, len(table), dim),
            inputs=table[:, 0],
            outputs=table[:, 1],
            length=length,
            channels=table[:, 2],
            out_dim=out_dim,
        )


def _indices(name: str, value: Any, count: int, below: int) -> np.ndarray:
    array = np.array(_checks.whole_array(name, value, f"{count} whole numbers, one for each direction"))
    if array.shape != (count,):
        raise ValueError(
            f"{name}: got {array.dtype} of shape {array.shape}, expected {count} whole numbers, one "
            "for each direction."
        )
    if (array < 0).any() or (array >= below).any():
        bad = array[(array < 0) | (array >= below)][0]
        raise ValueError(f"{name}: got {bad}, expected whole numbers between 0 and {below - 1}.")
    array.setflags(write=False)
    return array
