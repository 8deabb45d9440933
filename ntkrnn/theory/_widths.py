"""The widths and sample counts of the learning theorems, as scalings with open constants."""

from __future__ import annotations

from typing import Any

import numpy as np

from ntkrnn import _checks
from ntkrnn.theory._kernel_matrices import real_array


def al19_width(
    complexity: Any,
    eps: Any,
    length: Any,
    *,
    constant: float = 1.0,
    power_complexity: float = 1.0,
    power_eps: float = 1.0,
    power_length: float = 1.0,
) -> np.ndarray:
    r"""A width that suffices, ``m = constant C^a L^b (1/eps)^c``: a polynomial, of open degree.

    AL19 shows that some polynomial in the complexity C_eps, the length and 1/eps is enough. The paper
    does not claim that its polynomial is the least: constant and powers here are yours to set or to
    fit, and the defaults, all 1, are none of the paper's. Up to constants and powers; see the paper.

    Args:
        complexity: C = C_eps(Phi, sqrt L) of the target, positive. Any shape, as the others: arrays are
            broadcast.
        eps: the excess error asked for, positive.
        length: L, the number of tokens, positive.
        constant: the factor in front.
        power_complexity: a.
        power_eps: c.
        power_length: b.

    Returns:
        Widths in float64, not rounded to whole numbers, in the broadcast shape.

    Raises:
        TypeError, ValueError: naming the argument, what came and what was expected.

    Cost: that of the powers.

    Source: AL19 (arXiv 1902.01028), reconstructed.

    Example:
        >>> from ntkrnn.theory import al19_width
        >>> al19_width(3.0, [0.1, 0.01], 8).round(6).tolist()
        [240.0, 2400.0]
    """
    return _product(
        _positive("constant", constant),
        (_positive("complexity", complexity), power_complexity, "power_complexity"),
        (1 / _positive("eps", eps), power_eps, "power_eps"),
        (_positive("length", length), power_length, "power_length"),
    )


def al19_samples(
    sample_complexity: Any,
    eps: Any,
    length: Any,
    width: Any,
    *,
    constant: float = 1.0,
    power_complexity: float = 2.0,
    power_eps: float = 2.0,
    power_length: float = 0.0,
    power_log: float = 1.0,
) -> np.ndarray:
    r"""Samples that suffice, ``N = constant C_s^a L^b (1/eps)^c (log m)^e``: logarithmic in the width.

    One-sample SGD sees each sample once, so this counts steps as well. The defaults are those of an
    error that falls as ``C_s sqrt(log(m)/N)``; further powers of L, beyond those in C_s(Phi, sqrt L),
    are for ``power_length``. Up to constants and powers; see the paper.

    Args:
        sample_complexity: C_s(Phi, sqrt L) of the target, positive; arrays are broadcast.
        eps: the excess error asked for, positive.
        length: L, the number of tokens, positive.
        width: m, above 1.
        constant: the factor in front.
        power_complexity: a.
        power_eps: c.
        power_length: b.
        power_log: e.

    Returns:
        Numbers of samples in float64, not rounded, in the broadcast shape.

    Raises:
        TypeError, ValueError: naming the argument, what came and what was expected.

    Cost: that of the powers.

    Source: AL19 (arXiv 1902.01028), reconstructed.

    Example:
        >>> from ntkrnn.theory import al19_samples
        >>> few, many = al19_samples(2.0, 0.1, 16, [1e2, 1e4])
        >>> print((many / few).round(6))  # the square of the width, twice the samples
        2.0
    """
    width = _positive("width", width)
    if width.min() <= 1:
        raise ValueError(
            f"width: got {width.min():g}, expected widths above 1: the logarithm is 0 there."
        )
    return _product(
        _positive("constant", constant),
        (_positive("sample_complexity", sample_complexity), power_complexity, "power_complexity"),
        (1 / _positive("eps", eps), power_eps, "power_eps"),
        (_positive("length", length), power_length, "power_length"),
        (np.log(width), power_log, "power_log"),
    )


def wshc21_samples(
    complexity: Any,
    eps: Any,
    length: Any,
    *,
    constant: float = 1.0,
    delta: float = 1.0,
    power_complexity: float = 2.0,
    power_eps: float = 2.0,
    power_length: float = 0.0,
) -> np.ndarray:
    r"""Samples that suffice, ``n = constant (L^b Y^a + log(1/delta)) (1/eps)^c``.

    The bound ``error <~ poly(L) sqrt(Y^2/n) + sqrt(log(1/delta)/n)`` solved for n, where Y is the limit
    of ``sqrt(y^T H^{-1} y)`` as samples are added, or what bounds it (:func:`schur_bound`); solving the
    two terms apart costs a factor of at most 4, left to ``constant``. Up to constants and powers; see
    the paper.

    Args:
        complexity: Y, positive: **not** divided by the square root of n; arrays are broadcast.
        eps: the error asked for, positive.
        length: L, the number of tokens, positive.
        constant: the factor in front.
        delta: the probability of failure, above 0 and at most 1; at 1 its term is 0.
        power_complexity: a.
        power_eps: c.
        power_length: b, of the polynomial in L squared.

    Returns:
        Numbers of samples in float64, not rounded, in the broadcast shape.

    Raises:
        TypeError, ValueError: naming the argument, what came and what was expected.

    Cost: that of the powers.

    Source: WSHC21 (arXiv 2109.14142), reconstructed.

    Example:
        >>> from ntkrnn.theory import wshc21_samples
        >>> wshc21_samples([1.0, 3.0], 0.1, 16).round(6).tolist()
        [100.0, 900.0]
    """
    risk = _positive("delta", delta)
    if risk.max() > 1:
        raise ValueError(f"delta: got {risk.max():g}, expected a probability, above 0 and at most 1.")
    norm = _product(
        np.ones(()),
        (_positive("complexity", complexity), power_complexity, "power_complexity"),
        (_positive("length", length), power_length, "power_length"),
    )
    rest = (1 / _positive("eps", eps), power_eps, "power_eps")
    return _product(_positive("constant", constant) * (norm + np.log(1 / risk)), rest)


def _product(constant: np.ndarray, *factors: tuple[np.ndarray, float, str]) -> np.ndarray:
    """The product of powers, in logarithms: complexities of long sequences may be huge."""
    log = np.log(constant)
    for base, power, name in factors:
        log = log + _checks.nonnegative_float(name, power) * np.log(base)
    with np.errstate(over="ignore"):  # infinity is beyond the largest float
        return np.exp(log)


def _positive(name: str, value: Any) -> np.ndarray:
    array = real_array(name, value, tuple(range(9)), "positive numbers")
    if array.min() <= 0:
        raise ValueError(f"{name}: got {array.min():g}, expected positive numbers.")
    return array
