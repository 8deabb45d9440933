"""Driven oscillators, integrated between the steps: the pendulum and Van der Pol's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ntkrnn import _checks
from ntkrnn.data.systems._system import System, begin, noisy, with_constant


def pendulum(
    key: Any,
    n: int,
    T: int,
    *,
    dt: float = 0.5,
    damping: float = 0.3,
    torque: float = 1.0,
    noise: float = 0.02,
) -> System:
    r"""A damped pendulum under a random torque, observed through the sine of its angle, with noise.

    ``theta'' = -sin theta - damping theta' + torque x(s)``, from rest, with x piecewise constant: one
    value, uniform on [-1, 1], for each time ``dt``. ``y_t = sin theta`` at the end of step t, plus
    Gaussian noise. The system is odd, and x has one channel.

    Args:
        key: a random key of JAX, or a whole number as a seed.
        n: sequences.
        T: steps.
        dt: time of a step, integrated in eight steps of the classical Runge-Kutta rule.
        damping: at least 0.
        torque: size of the torque, at least 0.
        noise: standard deviation of the noise on y.

    Returns:
        A :class:`System`.

    Raises:
        TypeError, ValueError: naming the argument.

    Cost: O(n T).

    Example:
        >>> system = pendulum(0, 4, 20)
        >>> system.x.shape, bool(abs(system.x).max() <= 1)
        ((4, 20, 1), True)
    """
    rng, n, length = begin(key, n, T)
    dt = _checks.positive_float("dt", dt)
    damping = _checks.nonnegative_float("damping", damping)
    torque = _checks.nonnegative_float("torque", torque)
    x = rng.uniform(-1, 1, (n, length))

    def field(s: np.ndarray, force: np.ndarray) -> np.ndarray:
        return np.stack([s[1], -np.sin(s[0]) - damping * s[1] + torque * force])

    angles = _integrate(field, np.zeros((2, n)), x, dt)
    return System(x[:, :, None], noisy(rng, np.sin(angles), noise), "noisy pendulum")


def van_der_pol(
    key: Any,
    n: int,
    T: int,
    *,
    dt: float = 0.5,
    mu: float = 1.0,
    force: float = 1.0,
    noise: float = 0.0,
) -> System:
    r"""A forced Van der Pol oscillator observed through its position.

    ``s'' = mu (1 - s^2) s' - s + force x``, from ``s = 1, s' = 0``, with x piecewise constant: one
    value, uniform on [-1, 1], for each time ``dt``. ``y_t = s/3`` at the end of step t, plus Gaussian
    noise; the free oscillation has amplitude 2. Tokens are ``(x_t, 1)/sqrt 2``: the start is no
    equilibrium.

    Args:
        key: a random key of JAX, or a whole number as a seed.
        n: sequences.
        T: steps.
        dt: time of a step, integrated in eight steps of the classical Runge-Kutta rule.
        mu: strength of the nonlinear damping, at least 0.
        force: size of the force, at least 0.
        noise: standard deviation of the noise on y.

    Returns:
        A :class:`System`.

    Raises:
        TypeError, ValueError: naming the argument, or dt where the integration fails.

    Cost: O(n T).

    Example:
        >>> system = van_der_pol(0, 4, 20)
        >>> system.x.shape, bool(abs(system.y).max() < 1.2)
        ((4, 20, 2), True)
    """
    rng, n, length = begin(key, n, T)
    dt = _checks.positive_float("dt", dt)
    mu = _checks.nonnegative_float("mu", mu)
    size = _checks.nonnegative_float("force", force)
    x = rng.uniform(-1, 1, (n, length))

    def field(s: np.ndarray, push: np.ndarray) -> np.ndarray:
        return np.stack([s[1], mu * (1 - s[0] ** 2) * s[1] - s[0] + size * push])

    start = np.stack([np.ones(n), np.zeros(n)])
    y = _integrate(field, start, x, dt) / 3
    return System(with_constant(x), noisy(rng, y, noise), "Van der Pol oscillator")


def _integrate(
    field: Callable[[np.ndarray, np.ndarray], np.ndarray],
    start: np.ndarray,
    x: np.ndarray,
    dt: float,
    substeps: int = 8,
) -> np.ndarray:
    """``[n, T]``: the first coordinate after every step, by the classical Runge-Kutta rule."""
    s, h, found = start, dt / substeps, []
    with np.errstate(all="ignore"):
        for push in x.T:
            for _ in range(substeps):
                k1 = field(s, push)
                k2 = field(s + 0.5 * h * k1, push)
                k3 = field(s + 0.5 * h * k2, push)
                k4 = field(s + h * k3, push)
                s = s + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            found.append(s[0])
    out = np.stack(found, axis=1)
    if not np.isfinite(out).all():
        raise ValueError(f"dt: got {dt:g}, for which the integration leaves the range of the numbers; "
                         "pass a shorter one, or a smaller force.")  # fmt: skip
    return out
