"""The complexity measures of AL19, summed in logarithms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.special import logsumexp

from ntkrnn import _checks


def log_complexity(coefficients: tuple[float, ...], radius: Any, eps: Any, c_star: float) -> Any:
    """``log sum_i [(C* R)^i + (C* R sqrt(log(1/eps)/i))^i] |c_i|``; both terms are 1 at i = 0."""
    radius, eps = _in_range("radius", radius, math.inf), _in_range("eps", eps, 1)
    if (eps == 0).any():
        raise ValueError("eps: got 0, expected numbers above 0 and at most 1.")
    c_star = _checks.positive_float("c_star", c_star)
    radius, eps = (a[..., None] for a in np.broadcast_arrays(radius, eps))
    powers, log_c = _log_coefficients(coefficients)
    with np.errstate(divide="ignore"):
        log_r = np.log(radius) + math.log(c_star)
        log_root = 0.5 * np.log(-np.log(eps) / np.maximum(powers, 1))
    both = np.logaddexp(_log_power(log_r, powers), _log_power(log_r + log_root, powers))
    return _number(np.asarray(logsumexp(log_c + both, axis=-1)))


def log_sample_complexity(coefficients: tuple[float, ...], radius: Any, c_star: float) -> Any:
    """``log C* sum_i (i+1)^{1.75} R^i |c_i|``."""
    radius = _in_range("radius", radius, math.inf)[..., None]
    c_star = _checks.positive_float("c_star", c_star)
    powers, log_c = _log_coefficients(coefficients)
    with np.errstate(divide="ignore"):
        log_r = np.log(radius)
    terms = log_c + 1.75 * np.log1p(powers) + _log_power(log_r, powers)
    return _number(math.log(c_star) + np.asarray(logsumexp(terms, axis=-1)))


def exponential(log: Any) -> Any:
    """``exp(log)``, infinity where that is beyond the largest float."""
    with np.errstate(over="ignore"):
        return _number(np.exp(log))


def _log_coefficients(coefficients: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    with np.errstate(divide="ignore"):
        return np.arange(len(coefficients)), np.log(np.abs(coefficients))


def _log_power(log: np.ndarray, power: np.ndarray) -> np.ndarray:
    """The logarithm of a power, where 0^0 is 1."""
    return np.where(power == 0, 0.0, np.maximum(power, 1) * log)


def _in_range(name: str, value: Any, high: float) -> np.ndarray:
    """Finite numbers between 0 and ``high``."""
    array = np.asarray(_checks.real_array(name, value, "a number or an array of numbers"), float)
    bad = ~(np.isfinite(array) & (array >= 0) & (array <= high))
    if bad.any():
        expected = "finite numbers of at least 0" if high == math.inf else "numbers above 0, at most 1"
        raise ValueError(f"{name}: got {array[bad].flat[0]}, expected {expected}.")
    return array


def _number(array: Any) -> Any:
    return array if np.ndim(array) else float(array)
