r"""Functions that jump: step and sign.

With ``rho = cos theta``: step has ``k = 1/2 - theta/(2 pi)`` and sign ``k = 1 - 2 theta/pi``. Both are
defined as 0 at 0, so a pre-activation of zero variance gives k = 0.

Their derivative is 0 almost everywhere: no gradient passes through them in a finite network, and
``kdot = 0`` here, so that the tangent kernel is that of the readout alone. (E phi'(a) phi'(b) with
delta functions for phi' would diverge at rho = 1; no finite network has that limit.)
"""

from __future__ import annotations

import math

import jax.numpy as jnp

from ntkrnn._types import Array
from ntkrnn.dual import _safe
from ntkrnn.dual._result import PairExpectation, PairFunction


def threshold(height: float) -> PairFunction:
    """Dual of a function that jumps by ``height`` at 0, with E phi^2 = ``jump^2 / 2 or 1``.

    ``height`` 1 is the step function (values 0 and 1), ``height`` 2 is the sign (values -1 and 1).
    """
    own = 0.5 if height == 1 else 1.0
    slope = height**2 / (2 * math.pi)

    def pair(c: Array, distance: Array, q1: Array, q2: Array) -> PairExpectation:
        scale, gap, _ = _safe.geometry(c, distance, q1, q2)
        theta = _safe.angle(_safe.ratio(gap, 2 * scale, default=0.5))
        both = scale > 0
        own1, own2 = (jnp.where(q > 0, own, 0.0).astype(c.dtype) for q in (q1, q2))
        return PairExpectation(
            k=jnp.where(both, own - slope * theta, 0),
            distance=jnp.where(both, slope * theta, 0.5 * (own1 + own2)),
            kdot=jnp.zeros_like(theta),
        )

    return pair
