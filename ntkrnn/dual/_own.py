"""A closed form of one's own, compared with a quadrature before anything is built on it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn._nonlinearities import Nonlinearity
from ntkrnn.dual._result import PairExpectation

POINTS = ((0.0, 1.0, 1.0), (0.6, 1.0, 0.5), (-0.4, 0.7, 2.0), (0.3, 0.3, 0.3))
"""``(c, q1, q2)``: none, some, negative and full correlation."""
TOLERANCE = 1e-4
"""Of what is compared, relative to the root of second moments: far above the error of a quadrature of a
smooth function, and far below what a wrong formula is off by."""
_NODES = 100


def expectations(phi: Nonlinearity, c: float, q1: float, q2: float) -> np.ndarray:
    """``(k, distance, kdot)`` by a product of two Gauss-Hermite rules, in float64.

    Cost: 10^4 evaluations of the function and of its derivative.
    """
    fn = phi.fn
    assert fn is not None
    z, w = np.polynomial.hermite_e.hermegauss(_NODES)
    w = np.outer(w, w) / w.sum() ** 2
    a = np.sqrt(q1) * z[:, None] + 0 * z[None, :]
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
        scales = (moment, moment, slope)
        for field, value, wanted, scale in zip(PairExpectation._fields, got, want, scales, strict=True):
            if not abs(float(value) - wanted) <= TOLERANCE * scale:
                raise ValueError(
                    f"dual: got {field} = {float(value):.6g} at c = {c}, q1 = {q1}, q2 = {q2}, where a "
                    f"quadrature of {phi.name} gives {wanted:.6g}; correct the closed form, or leave "
                    "it out."
                )
