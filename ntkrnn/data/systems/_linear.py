"""Linear state spaces."""

from __future__ import annotations

from typing import Any

import numpy as np

from ntkrnn import _checks
from ntkrnn._memory import require
from ntkrnn.data.systems._system import System, begin, noisy


def linear_state_space(
    key: Any,
    n: int,
    T: int,
    *,
    states: int = 2,
    channels: int = 1,
    radius: float = 0.8,
    noise: float = 0.0,
) -> System:
    r"""A random linear system, ``s_t = A s_{t-1} + B x_t``, ``y_t = C s_t + noise``.

    A, B and C are Gaussian; A is rescaled to spectral radius ``radius`` and C such that
    ``sum_k ||C A^k B|| = 1`` over T steps, so that ``|y_t| <= 1`` without noise. Tokens are uniform in
    the unit ball. The system is drawn from the key as well as the inputs.

    Args:
        key: a random key of JAX, or a whole number as a seed.
        n: sequences.
        T: steps.
        states: dimension of s.
        channels: d.
        radius: spectral radius of A, at least 0.
        noise: standard deviation of Gaussian noise on y.

    Returns:
        A :class:`System`.

    Raises:
        TypeError, ValueError: naming the argument.

    Cost: O(n T states (states + d)).

    Source: the linear systems of CE24 (arXiv 2402.12241).

    Example:
        >>> system = linear_state_space(0, 3, 5, channels=2)
        >>> system.x.shape, system.y.shape, bool(abs(system.y).max() <= 1)
        ((3, 5, 2), (3, 5, 1), True)
    """
    rng, n, length = begin(key, n, T)
    states = _checks.positive_integer("states", states)
    channels = _checks.positive_integer("channels", channels)
    matrices = f"matrices of states={states} and channels={channels}"
    require("states", 32 * states * (states + channels), matrices, "take fewer of either.")
    radius = _checks.nonnegative_float("radius", radius)
    a = rng.standard_normal((states, states))
    a *= radius / np.abs(np.linalg.eigvals(a)).max()
    b, c = rng.standard_normal((states, channels)), rng.standard_normal(states)
    responses, power = 0.0, b
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(length):
            responses += float(np.linalg.norm(c @ power))
            power = a @ power
    if not np.isfinite(responses):
        raise ValueError(
            f"radius: got {radius:g}, whose powers leave the range of floats in T={length} steps, "
            "expected one of about 1 or less."
        )
    c /= responses
    x = rng.standard_normal((n, length, channels))
    x *= rng.uniform(size=(n, length, 1)) ** (1 / channels) / np.linalg.norm(x, axis=2, keepdims=True)
    s, outputs = np.zeros((n, states)), []
    for t in range(length):
        s = s @ a.T + x[:, t] @ b.T
        outputs.append(s @ c)
    return System(x, noisy(rng, np.stack(outputs, axis=1), noise), "linear state space")
