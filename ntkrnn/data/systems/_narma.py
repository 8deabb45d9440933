"""NARMA-10, the nonlinear average with a memory of ten steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from ntkrnn.data.systems._system import System, begin, with_constant

_ATTEMPTS = 200


def narma10(key: Any, n: int, T: int) -> System:
    r"""NARMA-10, a nonlinear average of ten past outputs driven by a delayed product of inputs.

    With i.i.d. u uniform on [0, 1/2] and everything 0 before the start::

        y_t = 0.3 y_{t-1} + 0.05 y_{t-1} sum_{i=1..10} y_{t-i} + 1.5 u_{t-9} u_t + 0.1

    The tokens are ``(4 u_t - 1, 1)/sqrt 2``. Rare inputs make it diverge: sequences that leave [-1, 1]
    are drawn again.

    Args:
        key: a random key of JAX, or a whole number as a seed.
        n: sequences.
        T: steps.

    Returns:
        A :class:`System`.

    Raises:
        TypeError, ValueError: naming the argument.
        RuntimeError: if too few sequences of this length stay bounded.

    Cost: O(n T).

    Source: Atiya & Parlos, *New results on recurrent network training*, IEEE Trans. Neural Networks 11
    (2000), in the usual constants.

    Example:
        >>> narma10(0, 4, 30).y.shape
        (4, 30, 1)
    """
    rng, n, length = begin(key, n, T)
    kept_u, kept_y, found = [], [], 0
    for _ in range(_ATTEMPTS):
        u = rng.uniform(0, 0.5, (n, length))
        padded, y = np.concatenate([np.zeros((n, 9)), u], axis=1), np.zeros((n, length + 10))
        for t in range(length):
            past = y[:, t : t + 10]
            new = 0.3 * past[:, 9] + 0.05 * past[:, 9] * past.sum(axis=1)
            new += 1.5 * padded[:, t] * padded[:, t + 9] + 0.1
            # What has left [-1, 1] is dropped below; here it only must not overflow.
            y[:, t + 10] = np.clip(new, -2, 2)
        y = y[:, 10:]
        stays = np.abs(y).max(axis=1) <= 1
        kept_u.append(u[stays])
        kept_y.append(y[stays])
        found += int(stays.sum())
        if found >= n:
            u, y = np.concatenate(kept_u)[:n], np.concatenate(kept_y)[:n]
            return System(with_constant(4 * u - 1), y[:, :, None], "NARMA-10")
    raise RuntimeError(
        f"T: of {_ATTEMPTS * n} sequences of T={length} steps only {found} stay in [-1, 1], expected "
        f"{n}; ask for shorter ones."
    )
