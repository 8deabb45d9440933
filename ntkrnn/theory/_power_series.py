"""Smooth functions of one variable, and what they cost to learn."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ntkrnn import _checks
from ntkrnn.theory import _series_complexity
from ntkrnn.theory._series_fit import chebyshev_coefficients, taylor_coefficients, values_of

METHODS = ("chebyshev", "taylor")
GRID = 2001
"""Points on which the error of a fit is measured."""


@dataclasses.dataclass(frozen=True)
class PowerSeries:
    r"""``phi(z) = sum_i c_i z^i``, the smooth functions that the concept classes are made of.

    Two series are equal if their coefficients are. Call it on a number, a NumPy array or a JAX array;
    it also runs under jit, grad and vmap.

    Args:
        coefficients: ``c_0, ..., c_q``, at least one, finite.
        name: what it is called in tables.
        fit_error: for a fitted series, the largest error on the interval it was fitted on.

    Raises:
        TypeError, ValueError: if the coefficients are not finite numbers.

    Cost: a value is q multiply-adds.

    Source: AL19 (arXiv 1902.01028), concept class and complexity; theory.

    Example:
        >>> phi = PowerSeries((1.0, 0.0, 2.0))
        >>> phi(3.0), phi.degree, phi.derivative().coefficients
        (19.0, 2, (0.0, 4.0))
    """

    coefficients: tuple[float, ...]
    name: str = dataclasses.field(default="", compare=False)
    fit_error: float = dataclasses.field(default=0.0, compare=False)

    def __post_init__(self) -> None:
        """Normalise to a tuple of floats."""
        try:
            values = tuple(float(c) for c in self.coefficients)
        except (TypeError, ValueError):
            raise TypeError(
                f"coefficients: got {self.coefficients!r}, expected numbers c_0, ..., c_q, for example "
                "(0.0, 1.0) for phi(z) = z."
            ) from None
        if not values or not all(math.isfinite(c) for c in values):
            raise ValueError(
                f"coefficients: got {values}, expected at least one number, all of them finite."
            )
        object.__setattr__(self, "coefficients", values)

    def __call__(self, z: Any) -> Any:
        """The value at z, in the shape of z, by Horner's rule."""
        if not hasattr(z, "dtype"):
            z = np.asarray(z, float)
        value = 0.0 * z
        for c in reversed(self.coefficients):
            value = value * z + c
        return float(value) if isinstance(value, np.ndarray | np.floating) and not value.ndim else value

    @property
    def degree(self) -> int:
        """The highest power with a coefficient other than 0; 0 for the zero series."""
        return max((i for i, c in enumerate(self.coefficients) if c), default=0)

    def derivative(self) -> PowerSeries:
        """The series of ``phi'``."""
        terms = tuple(i * c for i, c in enumerate(self.coefficients))[1:]
        return PowerSeries(terms or (0.0,), f"{self.name}'" if self.name else "")

    def without_constant(self) -> PowerSeries:
        """``phi - phi(0)``: AL19 asks for ``phi(0) = 0``."""
        name = f"{self.name} - {self.coefficients[0]:g}" if self.coefficients[0] else self.name
        return PowerSeries((0.0, *self.coefficients[1:]), name, self.fit_error)

    @classmethod
    def monomial(cls, q: int) -> PowerSeries:
        """``z^q``, q at least 1."""
        q = _checks.positive_integer("q", q)
        return cls((0.0,) * q + (1.0,), "z" if q == 1 else f"z^{q}")

    @classmethod
    def sin(cls, terms: int = 10) -> PowerSeries:
        """The first ``terms`` odd powers of sin; 10 of them are exact to rounding for ``|z| <= 1``."""
        return cls(_circular(1, _checks.positive_integer("terms", terms)), "sin")

    @classmethod
    def cos(cls, terms: int = 10) -> PowerSeries:
        """The first ``terms`` even powers of cos; 10 of them are exact to rounding for ``|z| <= 1``."""
        return cls(_circular(0, _checks.positive_integer("terms", terms)), "cos")

    @classmethod
    def exp(cls, terms: int = 20) -> PowerSeries:
        """The first ``terms`` powers of exp; 20 of them are exact to rounding for ``|z| <= 1``."""
        terms = _checks.positive_integer("terms", terms)
        return cls(tuple(1 / math.factorial(i) for i in range(terms)), "exp")

    @classmethod
    def fit(
        cls,
        function: Callable[[Any], Any],
        degree: int,
        radius: float = 1.0,
        method: str = "chebyshev",
    ) -> PowerSeries:
        r"""The series of a function, with its largest error on ``[-radius, radius]`` as ``fit_error``.

        "chebyshev" interpolates at the Chebyshev points of the interval: nearly the best polynomial of
        its degree, but its coefficients are not those of the Taylor series, and lose about 0.38
        ``degree`` digits to the change of basis. "taylor" takes the derivatives at 0, by an FFT of the
        function on the circle ``|z| = radius``, and so wants a function of complex numbers that is
        analytic in that disc.

        Args:
            function: elementwise on NumPy arrays.
            degree: of the series, at least 1.
            radius: half the interval, above 0.
            method: "chebyshev" or "taylor".

        Returns:
            A series of ``degree + 1`` coefficients; those that are rounding are 0.

        Raises:
            TypeError, ValueError: for values that are not finite or of another shape, or, with
                "taylor", a function that is not analytic in the disc.

        Cost: O(degree^2) and O(degree) values, and 2001 more for the error.

        Source: theory.

        Example:
            >>> tanh = PowerSeries.fit(np.tanh, 15)
            >>> tanh.fit_error < 1e-5, [round(c, 2) for c in tanh.coefficients[:4]]
            (True, [0.0, 1.0, 0.0, -0.33])
        """
        if not callable(function):
            raise TypeError(f"function: got {function!r}, expected a function such as numpy.tanh.")
        degree = _checks.positive_integer("degree", degree)
        radius = _checks.positive_float("radius", radius)
        _checks.choice("method", method, METHODS)
        find = chebyshev_coefficients if method == "chebyshev" else taylor_coefficients
        name = getattr(function, "__name__", "")
        series = cls(tuple(find(function, degree, radius)), name.replace("<lambda>", ""))
        grid = np.linspace(-radius, radius, GRID)
        error = float(np.abs(series(grid) - values_of(function, grid)).max())
        return dataclasses.replace(series, fit_error=error)

    def log_complexity(self, radius: Any, eps: Any, c_star: float = 1.0) -> Any:
        """Natural logarithm of :meth:`complexity`, which does not overflow."""
        return _series_complexity.log_complexity(self.coefficients, radius, eps, c_star)

    def complexity(self, radius: Any, eps: Any, c_star: float = 1.0) -> Any:
        r"""AL19's complexity at accuracy eps, which the width and the number of steps depend on.

        ``C_eps(phi, R) = sum_i [(C* R)^i + (C* R sqrt(log(1/eps)/i))^i] |c_i|``, where at i = 0 both
        terms are 1, the second as a limit. It is that of the polynomial: for the complexity of sin, cos
        or exp themselves take some ``e C* R sqrt(log(1/eps))`` terms or more.

        Args:
            radius: R, at least 0; ``sqrt T`` for sequences of T unit tokens. An array is fine.
            eps: above 0 and at most 1. An array is fine.
            c_star: the constant C*, 10^4 in the paper.

        Returns:
            A float, or an array of the common shape of radius and eps; infinity beyond 1e308, see
            :meth:`log_complexity`. Summed in logarithms: a relative error of some 1e-13 at most.

        Raises:
            TypeError, ValueError: for arguments out of range.

        Cost: O(degree) for each entry.

        Source: AL19 (arXiv 1902.01028), complexity of the concept class; theory.

        Example:
            >>> round(PowerSeries.monomial(2).complexity(3.0, eps=np.exp(-2)), 9)  # 9 + 9
            18.0
        """
        return _series_complexity.exponential(self.log_complexity(radius, eps, c_star))

    def log_sample_complexity(self, radius: Any, c_star: float = 1.0) -> Any:
        """Natural logarithm of :meth:`sample_complexity`, which does not overflow."""
        return _series_complexity.log_sample_complexity(self.coefficients, radius, c_star)

    def sample_complexity(self, radius: Any, c_star: float = 1.0) -> Any:
        r"""AL19's sample complexity measure ``C_s(phi, R) = C* sum_i (i+1)^{1.75} R^i |c_i|``.

        Args:
            radius: R, at least 0; ``sqrt T`` for sequences of T unit tokens. An array is fine.
            c_star: the constant C*, 10^4 in the paper.

        Returns:
            A float, or an array of the shape of radius; infinity beyond 1e308, see
            :meth:`log_sample_complexity`.

        Raises:
            TypeError, ValueError: for arguments out of range.

        Cost: O(degree) for each entry.

        Source: AL19 (arXiv 1902.01028), complexity of the concept class; theory.

        Example:
            >>> round(PowerSeries.monomial(3).sample_complexity(2.0), 4)  # 4^1.75 2^3
            90.5097
        """
        return _series_complexity.exponential(self.log_sample_complexity(radius, c_star))


def _circular(first: int, terms: int) -> tuple[float, ...]:
    """Coefficients of sin (first = 1) or cos (first = 0)."""
    degrees = range(2 * terms - 1 + first)
    return tuple((-1.0) ** (i // 2) / math.factorial(i) if i % 2 == first else 0.0 for i in degrees)
