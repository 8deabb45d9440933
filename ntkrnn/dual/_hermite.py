r"""Hermite coefficients ``c_k(q) = E phi(sqrt q z) he_k(z)`` of any smooth function, by quadrature.

``he_k`` are the normalised probabilists' Hermite polynomials. The trapezoidal rule on [-13, 13] is
spectrally accurate for analytic functions; the number of nodes and of terms is found once for each
function and dtype, from the largest variance at which the expansion must hold.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn._types import Array
from ntkrnn.dual._tables import series_of
from ntkrnn.dual._value import Nonlinearity, Scalar, scalar_function

RANGE = 13.0
_FEWEST_NODES = 1025
_MOST_NODES = 4097
_MOST_TERMS = 2048
TOLERANCE = {"float32": 3e-8, "float64": 1e-13}
"""Largest relative tail of E phi^2 and of E phi'^2 left out at ``max_variance``, by dtype."""


class Expansion(NamedTuple):
    """A truncated expansion: which terms, and the quadrature that gives their coefficients."""

    orders: tuple[int, int, int]
    """``range(*orders)`` of k: every second one for an odd or even function."""
    nodes: int
    tail: float
    """Relative tail left out at the largest variance, the stated error of k."""

    @property
    def half(self) -> bool:
        """Whether the nodes on one side are enough, for an odd or even function."""
        return self.orders[2] == 2


@functools.lru_cache(maxsize=64)
def _quadrature(nodes: int, terms: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes ``z_j`` and the matrix ``he_k(z_j) w_j`` of shape [nodes, terms], in float64."""
    z = np.linspace(-RANGE, RANGE, nodes)
    weights = np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi) * (z[1] - z[0])
    columns = [weights, z * weights]
    for k in range(1, terms - 1):
        columns.append((z * columns[k] - math.sqrt(k) * columns[k - 1]) / math.sqrt(k + 1))
    return z, np.stack(columns[:terms], axis=1)


def derivative(spec: str | Nonlinearity, order: int) -> Scalar:
    """The elementwise ``order``-th derivative of a nonlinearity."""
    fn = scalar_function(spec)
    for _ in range(order):
        fn = _elementwise_grad(fn)
    return fn


def _elementwise_grad(fn: Scalar) -> Scalar:
    def grad(x: Any) -> Any:
        return jax.jvp(fn, (x,), (jnp.ones_like(x),))[1]

    return grad


def parity(spec: str | Nonlinearity, dtype: Any) -> int:
    """1 for an odd function, 0 for an even one, -1 for neither (found by evaluating it)."""
    with jax.ensure_compile_time_eval():
        z = jnp.linspace(0.01, RANGE, 101, dtype=dtype)
        fn = scalar_function(spec)
        right, left = np.asarray(fn(z)), np.asarray(fn(-z))
    noise = 4 * float(np.finfo(right.dtype).eps) * np.abs(right).max()
    if np.abs(right + left).max() <= noise:
        return 1
    return 0 if np.abs(right - left).max() <= noise else -1


class _Row(NamedTuple):
    """A function at one variance: its second moment and its first coefficients, in float64."""

    second_moment: float
    coefficients: np.ndarray
    finite: bool

    @classmethod
    def of(cls, fn: Scalar, variance: float, nodes: int, dtype: Any, terms: int = _MOST_TERMS) -> _Row:
        """By quadrature of the function as it is computed in ``dtype``."""
        z, matrix = _quadrature(nodes, terms)
        with jax.ensure_compile_time_eval():
            values = np.asarray(fn(jnp.asarray(math.sqrt(variance) * z, dtype)), np.float64)
        if not np.isfinite(values).all():
            return cls(math.nan, np.zeros(terms), False)
        return cls(float(values**2 @ matrix[:, 0]), values @ matrix, True)

    def tails(self) -> np.ndarray:
        """Relative part of the second moment at and above each order (Parseval)."""
        energy = np.cumsum(self.coefficients[::-1] ** 2)[::-1]
        rest = max(self.second_moment - energy[0], 0.0)
        return (energy + rest) / max(self.second_moment, np.finfo(np.float64).tiny)


@functools.lru_cache(maxsize=256)
def expansion(spec: str | Nonlinearity, dtype_name: str) -> Expansion:
    """The shortest expansion that is accurate at the largest variance wanted.

    Args:
        spec: name or :class:`~ntkrnn.dual._value.Nonlinearity`.
        dtype_name: "float32" or "float64".

    Returns:
        An :class:`Expansion`.

    Raises:
        ValueError: if the function is not smooth enough to be expanded.

    Cost: a second or two of search, nothing for what is in :data:`~ntkrnn.dual._tables.SERIES`.
    """
    known = series_of(spec, dtype_name)
    if known is not None:
        return Expansion(known.orders, known.nodes, known.tail)
    return searched_expansion(spec, dtype_name)


def searched_expansion(spec: str | Nonlinearity, dtype_name: str) -> Expansion:
    """The same by search."""
    limit = spec.max_variance if isinstance(spec, Nonlinearity) else Nonlinearity(spec).max_variance
    name = spec.name if isinstance(spec, Nonlinearity) else spec
    dtype = jnp.dtype(dtype_name)
    tolerance = TOLERANCE[dtype_name]
    functions = [derivative(spec, n) for n in (0, 1)]
    nodes = _FEWEST_NODES
    rows = [_Row.of(fn, limit, nodes, dtype) for fn in functions]
    if not all(row.finite for row in rows):
        raise ValueError(
            f"nonlinearity: {name} or its derivative is not finite on the whole line "
            f"(looked at |x| <= {RANGE * math.sqrt(limit):.3g}); its Gaussian expectation does "
            "not exist or overflows. Lower max_variance, or pass a function defined everywhere."
        )
    # Twice the nodes until the leading coefficients stop moving.
    while nodes < _MOST_NODES:
        nodes = 2 * nodes - 1
        again = [_Row.of(fn, limit, nodes, dtype) for fn in functions]
        moved = max(
            np.abs(a.coefficients - b.coefficients)[:256].max()
            for a, b in zip(rows, again, strict=True)
        )
        rows = again
        if moved <= 8 * float(np.finfo(dtype).eps) * max(abs(r.coefficients).max() for r in rows):
            break
    tail = np.maximum(*(row.tails() for row in rows))
    below = np.flatnonzero(tail <= tolerance)
    if not below.size:
        raise ValueError(
            f"max_variance: got {limit:g}, where the Hermite expansion of {name} leaves "
            f"{tail[-1]:.1e} of its second moment out after {_MOST_TERMS} terms, expected at most "
            f"{tolerance:.0e}: it is not smooth, or too steep for that variance. Functions with a "
            "kink or a jump have closed forms under their names ('relu', 'leaky_relu(slope)', "
            "'abs', 'step', 'sign'); for a steep one lower max_variance."
        )
    terms = max(int(below[0]), 2)
    kind = parity(spec, dtype)
    orders = (0, terms, 1) if kind < 0 else (kind, terms + 1, 2)
    enough = _enough_nodes(functions, limit, rows, nodes, terms + 1, dtype)
    return Expansion(orders, enough, float(tail[terms] if terms < len(tail) else 0.0))


def _enough_nodes(
    functions: list[Scalar], limit: float, rows: list[_Row], nodes: int, terms: int, dtype: Any
) -> int:
    """The coarsest rule that gives the terms that are kept; finding their number took a finer one."""
    coarse = 65
    while coarse < nodes:
        again = [_Row.of(fn, limit, coarse, dtype, terms).coefficients for fn in functions]
        exact = [row.coefficients[:terms] for row in rows]
        size = max(abs(c).max() for c in exact)
        moved = max(abs(a - c).max() for a, c in zip(again, exact, strict=True))
        if moved <= 4 * float(np.finfo(dtype).eps) * size:
            return coarse
        coarse = 2 * coarse - 1
    return nodes


def coefficients(spec: str | Nonlinearity, order: int, q: Array, plan: Expansion) -> Array:
    """``c_k`` of the ``order``-th derivative at variances ``q``: shape ``[terms, *q.shape]``.

    Derivatives alternate in parity, so that for an odd or even function the terms kept shift by
    one with each derivative; ``k`` runs over ``range(*shifted_orders(plan, order))``.
    """
    z, kept = _kept(plan, order, float(jnp.finfo(q.dtype).eps))
    root, z = jnp.sqrt(jnp.maximum(q, 0))[..., None], jnp.asarray(z, q.dtype)
    values = derivative(spec, order)(root * z.reshape((1,) * q.ndim + z.shape))
    weights = jnp.asarray(kept, q.dtype)
    return jnp.einsum("...j,jk->k...", values, weights, precision=jax.lax.Precision.HIGHEST)


def _kept(plan: Expansion, order: int, eps: float) -> tuple[np.ndarray, np.ndarray]:
    """The nodes that are needed and, for the terms that are kept, their weights ``[nodes, terms]``."""
    start, stop, step = shifted_orders(plan, order)
    z, matrix = _quadrature(plan.nodes, stop)
    kept = matrix[:, start:stop:step]
    if plan.half:  # the integrand is even
        z, kept = z[plan.nodes // 2 :], 2 * kept[plan.nodes // 2 :]
        kept[0] *= 0.5
    reach = abs(kept).max(axis=1)
    seen = reach > 1e-2 * eps * reach.max()  # the rest adds nothing
    return z[seen], kept[seen]


def coefficients_on_host(
    spec: str | Nonlinearity, variances: np.ndarray, plan: Expansion, dtype_name: str
) -> np.ndarray:
    """``c_k`` at some variances, ``[terms, variances]`` in float64, of the function in a dtype."""
    z, kept = _kept(plan, 0, float(np.finfo(dtype_name).eps))
    with jax.ensure_compile_time_eval():
        values = scalar_function(spec)(jnp.asarray(np.sqrt(variances)[:, None] * z, dtype_name))
    return (np.asarray(values, np.float64) @ kept).T


def shifted_orders(plan: Expansion, order: int) -> tuple[int, int, int]:
    """The ``k`` kept for the ``order``-th derivative, as arguments of ``range``."""
    start, stop, step = plan.orders
    return ((start + order) % step, stop, step) if step == 2 else plan.orders


def tail(spec: str | Nonlinearity, variance: float, dtype: Any) -> float:
    """Relative part of ``E phi(sqrt q z)^2`` that the truncated expansion leaves out."""
    plan = expansion(spec, jnp.dtype(dtype).name)
    row = _Row.of(scalar_function(spec), variance, _MOST_NODES, jnp.dtype(dtype))
    left = row.second_moment - float(np.sum(row.coefficients[slice(*plan.orders)] ** 2))
    return max(left, 0.0) / row.second_moment if row.second_moment > 0 else 0.0
