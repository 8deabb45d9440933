"""A closed form of one's own, compared with a quadrature before anything is built on it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn.dual._result import PairExpectation
from ntkrnn.dual._value import Nonlinearity

POINTS = ((0.0, 1.0, 1.0), (0.6, 1.0, 0.5), (-0.4, 0.7, 2.0), (0.3, 0.3, 0.3))
"""``(c, q1, q2)``: none, some, negative and full correlation."""
_HALF_WIDTH, _NODES = 8.0, 2000
TOLERANCE = 5e-3
"""Relative to second moments. The rule below has rounding errors alone for smooth functions; where a
derivative jumps it misses at most half a step, 0.004, times the density 0.4, of a moment that is half
of the square of the jump: 0.32%. A wrong formula is off by more."""


def expectations(phi: Nonlinearity, c: float, q1: float, q2: float) -> np.ndarray:
    """``(k, distance, kdot, (V1 + V2)/2, (S1 + S2)/2)``, V and S second moments of phi and phi'.

    A midpoint rule in two dimensions, which, other than Gauss's, also serves functions with kinks; in
    float64.

    Cost: 4 10^6 evaluations of the function and of its derivative, half a second.
    """
    fn = phi.fn
    assert fn is not None
    z = _HALF_WIDTH * ((2 * np.arange(_NODES) + 1) / _NODES - 1)
    w = np.exp(-0.5 * z**2)
    w = np.outer(w, w) / w.sum() ** 2
    a = np.broadcast_to(np.sqrt(q1) * z[:, None], w.shape)
    b = c / np.sqrt(q1) * z[:, None] + np.sqrt(max(q2 - c**2 / q1, 0.0)) * z[None, :]
    with jax.enable_x64(True):
        (f, df), (g, dg) = (
            jax.jvp(fn, (jnp.asarray(point),), (jnp.ones(point.shape),)) for point in (a, b)
        )
        f, df, g, dg = (np.asarray(values) for values in (f, df, g, dg))
    moments = [f * g, 0.5 * (f - g) ** 2, df * dg, 0.5 * (f**2 + g**2), 0.5 * (df**2 + dg**2)]
    return np.array([np.sum(w * values) for values in moments])


def check_dual(phi: Nonlinearity) -> None:
    """Raise unless the closed form of a nonlinearity is that of its function.

    Raises:
        TypeError: if it does not return a :class:`PairExpectation`.
        ValueError: for an expectation that a quadrature does not give, naming both numbers.
    """
    assert phi.dual is not None
    for c, q1, q2 in POINTS:
        *want, moment, slope = expectations(phi, c, q1, q2)
        arrays = [jnp.asarray(value) for value in (c, 0.5 * (q1 + q2) - c, q1, q2)]
        got = phi.dual(*arrays)
        if not isinstance(got, tuple) or len(got) != 3:
            raise TypeError(
                f"dual: got {type(got).__name__} from it, expected a "
                "ntkrnn.dual.PairExpectation(k, distance, kdot)."
            )
        if any(jnp.shape(value) != () for value in got):
            raise ValueError(
                f"dual: got shapes {[jnp.shape(value) for value in got]} from it for numbers, expected "
                "a function that works elementwise."
            )
        scales = (moment, moment, slope)
        for field, value, wanted, scale in zip(PairExpectation._fields, got, want, scales, strict=True):
            if not abs(float(value) - wanted) <= TOLERANCE * scale:
                raise ValueError(
                    f"dual: got {field} = {float(value):.6g} at c = {c}, q1 = {q1}, q2 = {q2}, where a "
                    f"quadrature of {phi.name} gives {wanted:.6g}; correct the closed form, or leave "
                    "it out."
                )
