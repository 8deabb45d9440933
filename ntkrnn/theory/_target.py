"""What all targets have in common."""

from __future__ import annotations

import abc
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn import _checks
from ntkrnn.theory._power_series import PowerSeries
from ntkrnn.theory._tokens import sample_tokens


class Estimate(NamedTuple):
    """A number from sampling."""

    value: float
    standard_error: float
    """Its standard deviation over repetitions, estimated from the one sample."""


class Target(abc.ABC):
    """A function of sequences of tokens that a network may be asked to learn.

    Every target is a frozen dataclass, has a ``length`` (tokens of a sequence) and a ``dim`` (channels
    of a token), and is called on ``x [N, length, dim]``: NumPy in, NumPy float64 out; a JAX array in, a
    JAX array of its dtype out, under jit, grad and vmap too. Values are ``[N]``, those of
    :class:`TokenTarget` ``[N, length, out_dim]``. A classmethod ``sample(key, length, dim, ...)`` draws
    one at random.
    """

    length: Any
    dim: Any

    @abc.abstractmethod
    def __call__(self, x: Any) -> Any:
        """The values at sequences ``[N, length, dim]``."""

    @abc.abstractmethod
    def complexity(self, eps: Any, c_star: float = 1.0) -> Any:
        """``C_eps`` of :class:`PowerSeries` at ``R = sqrt(length)``, summed over the series."""

    @abc.abstractmethod
    def sample_complexity(self, c_star: float = 1.0) -> Any:
        """``C_s`` of :class:`PowerSeries` at ``R = sqrt(length)``, summed over the series."""

    def additive_error(
        self,
        key: Any,
        n: int = 20_000,
        draw: Callable[[Any, int], Any] | None = None,
    ) -> Estimate:
        r"""The L2 distance to the nearest additive function ``sum_l g_l(x_l)``, for independent tokens.

        It is ``sqrt(Var F - sum_l Var E[F | x_l])``. Let x and x' be independent sequences, and
        ``x^{(l)}`` be x' with token l taken from x. Then
        ``U = F(x) - F(x') - sum_l [F(x^{(l)}) - F(x')]`` vanishes identically if F is additive, and
        ``E U F(x)`` is the squared distance: of each part of F that depends on two tokens or more, the
        terms of U with a token of x' have mean 0 given x.
        It is estimated by the mean of ``U (F(x) - mean F)`` over n pairs, each used both ways round.

        Args:
            key: a random key of JAX, or a whole number as a seed.
            n: number of pairs of sequences, at least 2.
            draw: ``draw(key, count) -> [count, length, dim]``, rows independent and tokens within a row
                independent; by default tokens uniform on the unit sphere.

        Returns:
            :class:`Estimate`: exactly (0, 0) for an additive target; the value is 0 where the estimate
            of its square is negative, and its error then is the root of that of the square.

        Raises:
            TypeError, ValueError: for a bad key or n, or sequences that do not fit.

        Cost: ``2 (length + 1) n`` evaluations.

        Source: theory; the pick-freeze scheme for Sobol indices.

        Example:
            >>> from ntkrnn.theory import ExactlyOneTarget
            >>> target = ExactlyOneTarget.sample(0, length=4, dim=2)
            >>> estimate = target.additive_error(1, n=2000)
            >>> off = estimate.value - target.exact_additive_error()
            >>> abs(off) < 4 * estimate.standard_error < 0.3
            True
        """
        n = _checks.positive_integer("n", n)
        if n < 2:
            raise ValueError(f"n: got {n}, expected at least 2; a standard error needs two pairs.")
        if draw is None:
            x = sample_tokens(key, 2 * n, self.length, self.dim)
        else:
            x = _checks.host_sequences("draw(key, n)", draw(key, 2 * n))
            if x.shape != (2 * n, self.length, self.dim):
                raise ValueError(
                    f"draw: got sequences of shape {x.shape}, expected "
                    f"{(2 * n, self.length, self.dim)} for {2 * n} of them."
                )
        one, two = x[:n], x[n:]
        at_one, at_two = np.asarray(self(one)), np.asarray(self(two))
        mean = 0.5 * (at_one.mean() + at_two.mean())
        square = 0.5 * (at_one - mean) * self._beyond_additive(one, two, at_one, at_two)
        square += 0.5 * (at_two - mean) * self._beyond_additive(two, one, at_two, at_one)
        return _root(float(square.mean()), float(square.std(ddof=1) / math.sqrt(n)))

    def _beyond_additive(
        self, x: np.ndarray, other: np.ndarray, at_x: np.ndarray, at_other: np.ndarray
    ) -> np.ndarray:
        """``U = F(x) - F(x') - sum_l [F(x^{(l)}) - F(x')]`` of each pair, where x' is ``other``."""
        rest, size = at_x - at_other, np.abs(at_x) + np.abs(at_other)
        for step in range(self.length):
            mixed = other.copy()
            mixed[:, step] = x[:, step]
            at_mixed = np.asarray(self(mixed))
            rest -= at_mixed - at_other
            size += np.abs(at_mixed) + np.abs(at_other)
        # What the roundings of an additive function leave is none of its distance.
        return np.where(np.abs(rest) <= 8 * self.length * np.finfo(float).eps * size, 0.0, rest)


def _root(square: float, error: float) -> Estimate:
    """The root of an estimated square, its error to first order."""
    if square <= 0:
        return Estimate(0.0, math.sqrt(error))
    return Estimate(math.sqrt(square), error / (2 * math.sqrt(square)))


def product(x: Any, matrix: np.ndarray) -> Any:
    """``x @ matrix`` at full precision on every device."""
    if isinstance(x, jax.Array):
        return jnp.matmul(x, like(x, matrix), precision="highest")
    return x @ matrix


def tokens_for(target: Target, x: Any) -> Any:
    """``x`` checked: NumPy float64, or a JAX array if that came.

    Raises:
        TypeError, ValueError: for the wrong rank, dtype or size, or NaN.
    """
    if isinstance(x, jax.Array):
        x, _ = _checks.side("x", x, None)
    else:
        x = _checks.host_sequences("x", x)
    if x.shape[1:] != (target.length, target.dim):
        raise ValueError(
            f"x: got {x.shape[1]} tokens of {x.shape[2]} channels (shape {tuple(x.shape)}), expected "
            f"[N, {target.length}, {target.dim}]: length={target.length} and dim={target.dim} of the "
            "target."
        )
    return x


def like(x: Any, constant: np.ndarray) -> Any:
    """A constant of a target in the kind and dtype of the tokens."""
    return jnp.asarray(constant, x.dtype) if isinstance(x, jax.Array) else constant


def vector_table(name: str, value: Any, axes: str) -> np.ndarray:
    """Directions, one a row, as a finite float64 array that nobody can write to.

    Raises:
        TypeError, ValueError: naming the argument.
    """
    array = np.array(_checks.real_array(name, value, f"an array {axes} of numbers"), np.float64)
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"{name}: got shape {array.shape}, expected {axes}, no axis of it empty.")
    _checks.finite_array(name, array)
    array.setflags(write=False)
    return array


def check_series(name: str, value: Any) -> PowerSeries:
    """``value`` if it is a :class:`PowerSeries`.

    Raises:
        TypeError: saying what came.
    """
    if not isinstance(value, PowerSeries):
        raise TypeError(
            f"{name}: got {value!r} of type {type(value).__name__}, expected a PowerSeries such as "
            "PowerSeries.monomial(2)."
        )
    return value


def check_positions(value: Any, length: int) -> tuple[int, ...]:
    """Increasing positions between 0 and length - 1, at least one.

    Raises:
        TypeError, ValueError: naming the first offender.
    """
    try:
        positions = tuple(int(p) for p in value if p == int(p))
        whole = len(positions) == len(value)
    except (TypeError, ValueError):
        positions, whole = (), False
    if not whole:
        raise TypeError(f"positions: got {value!r}, expected whole numbers such as (0, 3).")
    increasing = all(a < b for a, b in itertools.pairwise(positions))
    if not positions or not increasing or positions[0] < 0 or positions[-1] >= length:
        raise ValueError(
            f"positions: got {positions}, expected increasing whole numbers between 0 and "
            f"{length - 1}, the positions of length={length} counted from 0."
        )
    return positions


def coefficient_table(series: Sequence[PowerSeries]) -> np.ndarray:
    """``[M, q + 1]``: the coefficients of M series, 0 beyond the degree of each."""
    table = np.zeros((len(series), 1 + max(s.degree for s in series)))
    for row, s in zip(table, series, strict=True):
        row[: s.degree + 1] = s.coefficients[: s.degree + 1]
    return table


def values_of_series(series: Sequence[PowerSeries], z: Any) -> Any:
    """``[N, M]``: the m-th series at the m-th column of ``z [N, M]``, by Horner's rule."""
    table = like(z, coefficient_table(series))
    value = 0.0 * z
    with np.errstate(over="ignore", invalid="ignore"):
        for i in reversed(range(table.shape[1])):
            value = value * z + table[None, :, i]
    if _checks.concrete_values(value) is not None and not _checks.all_finite(value):
        largest = float(np.abs(np.asarray(z)).max())
        raise ValueError(
            f"x: got tokens with projections up to {largest:.2g}, at which a series of degree "
            f"{table.shape[1] - 1} leaves the range of {value.dtype}; divide the tokens by a number."
        )
    return value


def add_measures(values: list[Any]) -> Any:
    """The sum of complexities; 0 of none."""
    return sum(values) if values else 0.0
