"""Coefficients of a power series from a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

ROUNDING = 16 * np.finfo(float).eps
"""Fitted coefficients below this part of the function's size are rounding, and are set to 0."""
NOT_ANALYTIC = 1e-8
"""Largest part of the function that may sit at negative frequencies on the circle."""


def chebyshev_coefficients(function: Callable[[Any], Any], degree: int, radius: float) -> np.ndarray:
    """Powers of the polynomial that interpolates at the Chebyshev points of [-radius, radius]."""
    fitted = np.polynomial.Chebyshev.interpolate(
        lambda z: values_of(function, z), degree, domain=[-radius, radius]
    )
    coefficients = _without_rounding(fitted.coef, np.abs(fitted.coef).max())
    fitted = np.polynomial.Chebyshev(coefficients, domain=[-radius, radius])
    powers = fitted.convert(kind=np.polynomial.Polynomial, domain=[-1, 1], window=[-1, 1]).coef
    return np.concatenate([powers, np.zeros(degree + 1 - len(powers))])


def taylor_coefficients(function: Callable[[Any], Any], degree: int, radius: float) -> np.ndarray:
    """Derivatives at 0 over factorials, by Cauchy's integral over the circle of this radius.

    Raises:
        ValueError: if the function is not analytic within the circle, or not real on the real line.
    """
    points = 256
    while points < 8 * (degree + 1):
        points *= 2
    circle = radius * np.exp(2j * np.pi * np.arange(points) / points)
    found = np.fft.fft(values_of(function, circle)) / points
    size = np.abs(found).max()
    # Of an analytic function the negative frequencies vanish; those in the middle are both.
    outside = np.abs(found[-points // 4 :]).max()
    unreal = np.abs(found[: degree + 1].imag).max()
    if max(outside, unreal) > NOT_ANALYTIC * size:
        raise ValueError(
            f"function: got one that is not analytic in the disc |z| <= {radius:g}, or not real on the "
            f"real line (a part {max(outside, unreal) / size:.1e} of it is no power series with real "
            "coefficients); lower radius below its nearest singularity, or use method='chebyshev'."
        )
    scaled = _without_rounding(found[: degree + 1].real, size)
    return scaled / radius ** np.arange(degree + 1)


def values_of(function: Callable[[Any], Any], z: np.ndarray) -> np.ndarray:
    """The function on an array, checked.

    Raises:
        ValueError: if it returns another shape, or NaN or infinity.
    """
    values = np.asarray(function(z))
    if values.shape != z.shape:
        raise ValueError(
            f"function: got values of shape {values.shape} at points of shape {z.shape}, expected an "
            "elementwise function such as numpy.tanh."
        )
    if not np.isfinite(values).all():
        where = z[~np.isfinite(values)][0]
        raise ValueError(
            f"function: got {values[~np.isfinite(values)][0]} at {where:.6g}, expected finite values; "
            "lower radius."
        )
    return values.astype(complex if np.iscomplexobj(z) else float)


def _without_rounding(coefficients: np.ndarray, size: float) -> np.ndarray:
    return np.where(np.abs(coefficients) > ROUNDING * size, coefficients, 0.0)
