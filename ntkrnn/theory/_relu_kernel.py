"""The infinite-width tangent kernel of the papers' network, in closed form."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ntkrnn import _checks

SMALL_ANGLE = 0.25
CAP_TERMS = 6
"""Terms of the series of sin t - t cos t below SMALL_ANGLE: the next is 1e-18 of the first."""


def relu_recurrent_ntk(x1: Any, x2: Any = None, readout_std: float = 1.0) -> np.ndarray:
    r"""Tangent kernel of an infinitely wide ReLU network with W trained, at every pair of steps.

    With ``Q_a = sum_{l<=a} ||x_l||^2``, ``kappa0(r) = (pi - arccos r)/pi`` and
    ``kappa1(r) = (sqrt(1 - r^2) + r (pi - arccos r))/pi``::

        rho_{a,b} = (K_{a-1,b-1} + <x_a, x'_b>)/sqrt(Q_a Q'_b)
        K_{a,b}   = sqrt(Q_a Q'_b) kappa1(rho_{a,b})
        Theta_{j,j'} = s^2 sum_{k<min(j,j')} K_{j-k-1,j'-k-1} prod_{i<=k} kappa0(rho_{j-i,j'-i})

    the sum evaluated as ``Theta_{a,b} = kappa0(rho_{a,b}) (K_{a-1,b-1} + Theta_{a-1,b-1})``. It is the
    "ntk" of the kernel function of :func:`~ntkrnn.theory.al19_network` with ``v_std = s``, in the
    scaling of ``docs/conventions.md``. Angles come from the gap between a covariance and the
    largest that its variances allow, carried as a sum of squares: nearly parallel sequences lose no
    digits.

    Args:
        x1: ``[N1, T1, d]``.
        x2: ``[N2, T2, d]``; None stands for x1.
        readout_std: the scale s of an output weight, ``output_scale/sqrt(out_dim)`` of the network.

    Returns:
        ``[N1, N2, T1, T2]``, NumPy float64 on the host whatever the inputs, exactly symmetric for
        ``x2=None``. It is 0 at the first step, whose state W has not met.

    Raises:
        TypeError, ValueError: for the wrong rank, dtype, channels or NaN.

    Cost: O(N1 N2 T1 T2) special functions and O(N1 N2 T1 T2 d) multiply-adds; memory O(N1 N2 T2)
    beside the result.

    Source: theory, for the network of AL19 (arXiv 1902.01028).

    Example:
        >>> kernel = relu_recurrent_ntk(np.ones((1, 3, 1)))
        >>> kernel[0, 0].diagonal().round(12).tolist()  # Theta_{j,j} = sum_{l<j} Q_l: 0, 1, 1 + 2
        [0.0, 1.0, 3.0]
    """
    readout_std = _checks.scale("readout_std", readout_std)
    x1 = _checks.host_sequences("x1", x1)
    x2 = x1 if x2 is None else _checks.host_sequences("x2", x2)
    _checks.same_channels(x1, x2)
    (n1, t1, _), (n2, t2, _) = x1.shape, x2.shape
    left, right = _polar(x1), _polar(x2)
    kernel = np.empty((n1, n2, t1, t2))
    # At (a - 1, b - 1): K, by how much it is below sqrt(Q Q'), Theta. All are 0 for an empty prefix.
    covariance, below, theta = np.zeros((3, n1, n2, t2))
    for a in range(t1):
        token = _Polar(*(part[:, a : a + 1] for part in left))
        gap = below + _gap_of_step(token, right)
        kappa0, covariance_now, below_now = _through_relu(gap, _outer(token.total, right.total))
        theta_now = kappa0 * (covariance + theta)
        kernel[:, :, a] = theta_now
        covariance, below, theta = (_delayed(v) for v in (covariance_now, below_now, theta_now))
    return readout_std**2 * kernel


class _Polar(NamedTuple):
    """A batch of sequences: directions of tokens, and roots of variances."""

    direction: np.ndarray
    """``[N, T, d]``: unit tokens, 0 for zero tokens."""
    norm: np.ndarray
    """``[N, T]``: ``||x_a||``."""
    before: np.ndarray
    """``[N, T]``: ``sqrt Q_{a-1}``."""
    total: np.ndarray
    """``[N, T]``: ``sqrt Q_a``."""


def _polar(x: np.ndarray) -> _Polar:
    norm = np.linalg.norm(x, axis=2)
    direction = np.divide(x, norm[..., None], out=np.zeros_like(x), where=norm[..., None] > 0)
    total = np.sqrt(np.cumsum(norm**2, axis=1))
    return _Polar(direction, norm, _delayed(total), total)


def _outer(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """``[N1, 1]`` and ``[N2, T2]`` to ``[N1, N2, T2]``."""
    return one[:, None] * two[None]


def _delayed(values: np.ndarray) -> np.ndarray:
    """Values one step later along the last axis, 0 at first."""
    late = np.zeros_like(values)
    late[..., 1:] = values[..., :-1]
    return late


def _gap_of_step(one: _Polar, two: _Polar) -> np.ndarray:
    r"""What a step adds to ``sqrt(Q_a Q'_b) - H_{a,b}``, ``[N1, N2, T2]``.

    With P = Q_{a-1} and p = ||x_a||^2 it is ``sqrt((P+p)(P'+p')) - sqrt(P P') - <x_a, x'_b>``; by
    Lagrange's identity, with s the sum of the three roots below and u, u' the unit tokens, it is
    ``(sqrt(P p') - sqrt(p P'))^2/s + sqrt(p p') ||u - u'||^2/2``.
    """
    roots = _outer(one.total, two.total) + _outer(one.before, two.before) + _outer(one.norm, two.norm)
    cross = _outer(one.before, two.norm) - _outer(one.norm, two.before)
    apart = np.zeros_like(cross)
    for channel in range(two.direction.shape[2]):
        apart += (one.direction[:, None, :, channel] - two.direction[None, :, :, channel]) ** 2
    radial = np.divide(cross**2, roots, out=np.zeros_like(cross), where=roots > 0)
    return radial + 0.5 * _outer(one.norm, two.norm) * apart


def _through_relu(gap: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """kappa0, K and ``sqrt(Q Q') - K``, from ``sqrt(Q Q') - H`` and ``sqrt(Q Q')``."""
    # v = sin^2(angle/2). Where a variance is 0, K is 0 and kappa0 meets nothing but zeros.
    v = np.divide(gap, 2 * scale, out=np.full_like(scale, 0.5), where=scale > 0).clip(0, 1)
    angle = 2 * np.arcsin(np.sqrt(v))
    cap = _cap(angle) / math.pi
    return 1 - angle / math.pi, scale * (1 - 2 * v + cap), scale * (2 * v - cap)


def _cap(angle: np.ndarray) -> np.ndarray:
    """``sin t - t cos t``, to full relative accuracy near 0."""
    t2 = np.minimum(angle, SMALL_ANGLE) ** 2
    series = np.zeros_like(angle)
    for k in range(CAP_TERMS, 0, -1):
        series = (-1) ** (k + 1) * 2 * k / math.factorial(2 * k + 1) + t2 * series
    direct = np.sin(angle) - angle * np.cos(angle)
    return np.where(angle < SMALL_ANGLE, angle**3 * series, direct)
