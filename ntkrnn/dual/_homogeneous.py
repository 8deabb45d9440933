r"""Piecewise linear functions ``phi(x) = a x + b |x|``: identity, relu, leaky relu, abs.

With ``s = sqrt(q1 q2)``, ``rho = c/s = cos theta`` and ``F = sin theta - theta cos theta``::

    E phi phi  = s [ (a^2 + b^2) cos theta + (2 b^2/pi) F ]
    E phi'phi' = a^2 + b^2 (1 - 2 theta/pi)

The cross terms a b E x|y| vanish by symmetry. For relu, a = b = 1/2, this is the arc-cosine kernel
of Cho & Saul (2009). In distances, with ``v = sin^2(theta/2)``::

    E (phi(a) - phi(b))^2/2 = (a^2 + b^2)/2 (sqrt q1 - sqrt q2)^2 + s [ 2 (a^2 + b^2) v - (2 b^2/pi) F ]

which keeps full relative accuracy where arccos would have lost half of the digits.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from ntkrnn._types import Array
from ntkrnn.dual import _polynomials, _safe
from ntkrnn.dual._result import PairExpectation, PairFunction
from ntkrnn.dual._stepper import Features, Slopes, Stepper, fast


def piecewise_linear(left: float, right: float) -> PairFunction:
    """Dual of ``phi(x) = right * max(x, 0) + left * min(x, 0)``.

    At zero variance (an all-zero input) the correlation is taken as 0: the values k and distance do
    not depend on it, kdot is its mean over a direction and its opposite, and so are derivatives.
    """
    linear, kink = (right + left) / 2, (right - left) / 2
    even, odd = kink**2, linear**2

    def pair(c: Array, distance: Array, q1: Array, q2: Array) -> PairExpectation:
        if not even:
            return PairExpectation(odd * c, odd * distance, jnp.full_like(c, odd))
        scale, gap, spread = _safe.geometry(c, distance, q1, q2)
        v = _safe.ratio(gap, 2 * scale, default=0.5)
        theta, bend = _safe.angle(v), 2 * even / math.pi * _safe.cap(v)
        # Past the right angle, cos(theta) and F nearly cancel for relu: the reflected form is a sum
        # of small terms (F(pi - delta) = F(delta) + pi cos(delta)).
        reflected = (odd - even) * (1 - 2 * v) + 2 * even / math.pi * _safe.cap(1 - v)
        direct = (odd + even) * (1 - 2 * v) + bend
        # Where one variance is 0 so is c, and k has a cone there; odd * c has the same value and, as
        # its derivative, the mean of the one-sided ones.
        some = scale > 0
        k = scale * jnp.where(v > 0.5, reflected, direct)
        apart = 0.5 * (odd + even) * spread**2 + scale * (2 * (odd + even) * v - bend)
        return PairExpectation(
            k=jnp.where(some, k, odd * c),
            distance=jnp.where(some, apart, 0.5 * (odd + even) * (q1 + q2) - odd * c),
            kdot=odd + even * (1 - 2 * theta / math.pi),
        )

    return pair


def stepper(left: float, right: float) -> Stepper:
    """The recursion through ``phi(x) = right * max(x, 0) + left * min(x, 0)``.

    With ``m = min(v, 1 - v)``, the half angle is ``sqrt m`` and F is ``m sqrt m`` times a polynomial in
    m; past the right angle ``theta`` and F follow from ``pi - theta``.
    """
    linear, kink = (right + left) / 2, (right - left) / 2
    even, odd = kink**2, linear**2

    def features(q: Array) -> Features:
        root = _safe.sqrt(q)
        return q, root, jnp.where(q > 0, math.sqrt(0.5) / jnp.where(q > 0, root, 1), 0)

    def second_moment(own: Features) -> Array:
        return (odd + even) * own[0]

    def moment_slope(own: Features) -> Array:
        return jnp.full_like(own[0], odd + even)

    def advance(distance: Array, one: Features, two: Features) -> tuple[Array, Array]:
        if not even:
            return odd * distance, jnp.full_like(distance, odd)
        (_, root1, inverse1), (_, root2, inverse2) = one, two
        spread = root1 - root2
        radial = 0.5 * spread * spread
        v = (distance - radial) * (inverse1 * inverse2)
        m = jnp.maximum(jnp.minimum(v, 1 - v), 0)
        far = v > 0.5
        root = 0.5 * jnp.sqrt(4 * m)
        turn = root * _polynomials.arcsine_factor(m, 4 * even / math.pi)
        bend = m * root * _polynomials.cap_factor(m, 2 * even / math.pi)
        straight = jnp.where(far, 2 * odd + 2 * (even - odd) * m, 2 * (odd + even) * m)
        apart = (odd + even) * radial + root1 * root2 * (straight - bend)
        return apart, jnp.where(far, (odd - even) + turn, (odd + even) - turn)

    def slopes(distance: Array, kdot: Array, one: Features, two: Features) -> Slopes:
        """With ``r = sqrt q``::

            dkdot/dD = -(2 b^2/pi)/(s sin theta)
            dkdot/dq = (b^2/pi)/(s sin theta) (r - r' + 2 v r')/r
            dD'/dq = (b^2/pi) (theta - (r'/r) sin theta)

        where 1/sin theta is 0 at theta = 0 and pi. Close to 0 the last is a difference of what is
        nearly equal, so that ``theta - sin theta`` is a polynomial of its own.
        """
        none = jnp.zeros_like(kdot)
        if not even:
            return Slopes((kdot, none, none), (none, none, none), kdot)
        (_, root1, inverse1), (_, root2, inverse2) = one, two
        spread, inverse = root1 - root2, inverse1 * inverse2
        some = inverse > 0
        v = jnp.where(some, (distance - 0.5 * spread * spread) * inverse, 0.5)
        m = jnp.maximum(jnp.minimum(v, 1 - v), 0)
        middle = m * (1 - m)  # (sin theta)^2/4
        # What the rounding of v leaves where two sequences are multiples of each other is no angle.
        inner = middle > 4 * jnp.finfo(m.dtype).eps * jnp.where(v > 0.5, 1, spread * spread * inverse)
        over = jnp.where(inner, 0.5 * jax.lax.rsqrt(jnp.where(inner, 0.25 * middle, 1)), 0)
        sine = 2 * middle * over
        rest = m * sine * _polynomials.sagitta_factor(m)
        rest = jnp.where(v > 0.5, math.pi - rest - 2 * sine, rest)  # theta - sin theta
        steep = 2 * even / math.pi * inverse * over  # (2 b^2/pi)/(s sin theta)
        along, bends = [], []
        for root, own, sign in ((root2, inverse1, 1), (root1, inverse2, -1)):
            ahead = sign * math.sqrt(2) * spread * own  # 1 - r'/r
            along.append(even / math.pi * (rest + jnp.where(some, ahead, 1) * sine))
            bends.append(0.5 * steep * (ahead + 2 * math.sqrt(2) * v * root * own))
        by_psi = jnp.where(some, kdot, odd)
        return Slopes((by_psi, *along), (-steep, *bends), by_psi)

    return fast(features, second_moment, moment_slope, advance, lambda own: own, slopes)
