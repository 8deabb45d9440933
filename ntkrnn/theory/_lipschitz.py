"""How large a nonlinearity and its first two derivatives get."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn.dual._value import Nonlinearity, facts_of, scalar_function

INF = math.inf
HALF_WIDTH = 20.0
"""The dense grid covers the interval of this half-width; a sparse one goes on to :data:`FAR`."""
FAR = 1e4
_DENSE, _SPARSE = 200_001, 20_001
_STILL_GROWING = 0.01
"""Relative growth of a maximum over the last decade of the grid above which there is no bound."""
_KINK = 1.02
"""Difference quotients never exceed the largest derivative, unless that has jumped between nodes."""


class LipschitzConstants(NamedTuple):
    """Suprema over the real line, infinite where there is none."""

    r0: float
    """``sup |sigma|``"""
    r1: float
    """``sup |sigma'|``"""
    r2: float
    """``sup |sigma''|``, infinite at a kink"""


def lipschitz_constants(nonlinearity: str | Nonlinearity) -> LipschitzConstants:
    r"""The constants ``r0 = sup |sigma|``, ``r1 = sup |sigma'|``, ``r2 = sup |sigma''|``.

    Exact for identity (infinite, 1, 0), sin and cos (1, 1, 1), tanh (1, 1, 4/(3 sqrt 3)), erf
    (1, 2/sqrt pi, sqrt(8/(pi e))), sigmoid (1, 1/4, 1/(6 sqrt 3)), softplus, and those with kinks or
    jumps. Any other function is searched numerically in float64: a grid of step 2e-4 on [-20, 20] and a
    sparse one from there to +-1e4, refined about the largest values. What the function does between the
    nodes of the sparse grid or beyond it is not seen (arctan: r0 is 1e-4 short of pi/2). A maximum that
    grows by 1% over the last decade of the grid is reported as infinite, and so are r1 and r2 if
    difference quotients show a jump or a kink.

    Args:
        nonlinearity: a name, or what :func:`ntkrnn.dual.nonlinearity` returns.

    Returns:
        :class:`LipschitzConstants` ``(r0, r1, r2)``.

    Raises:
        ValueError: for an unknown name, or a function that is not finite on the grid.

    Cost: a table, or about a second for the first use of another function.

    Source: the constants of CE24 (arXiv 2402.12241); theory.

    Example:
        >>> lipschitz_constants("sin")
        LipschitzConstants(r0=1.0, r1=1.0, r2=1.0)
        >>> lipschitz_constants("sigmoid").r1, lipschitz_constants("identity").r0
        (0.25, inf)
    """
    if not isinstance(nonlinearity, (str, Nonlinearity)):
        raise TypeError(
            f"nonlinearity: got {nonlinearity!r}, expected a name such as 'tanh' or what "
            "ntkrnn.dual.nonlinearity returns."
        )
    known = facts_of(nonlinearity).lipschitz
    return _searched(nonlinearity) if known is None else LipschitzConstants(*known)


@functools.lru_cache(maxsize=64)
def _searched(nonlinearity: str | Nonlinearity) -> LipschitzConstants:
    fn = scalar_function(nonlinearity)
    with jax.enable_x64(True):
        slope = jax.grad(lambda x: fn(x))
        levels = [jax.jit(jax.vmap(f)) for f in (lambda x: fn(x), slope, jax.grad(slope))]
        dense = np.linspace(-HALF_WIDTH, HALF_WIDTH, _DENSE)
        far = np.geomspace(HALF_WIDTH, FAR, _SPARSE)
        grid = np.concatenate([-far[::-1], dense[1:-1], far])
        values = [np.asarray(level(jnp.asarray(grid))) for level in levels]
        for what, found in zip(("value", "derivative", "second derivative"), values, strict=True):
            if not np.isfinite(found).all():
                at = grid[~np.isfinite(found)][0]
                raise ValueError(
                    f"nonlinearity: the {what} at {at:.4g} is {found[~np.isfinite(found)][0]}, "
                    "expected a function that is finite with two derivatives; pass another."
                )
        largest = [
            _refined(level, grid, np.abs(found)) for level, found in zip(levels, values, strict=True)
        ]
    near = np.abs(grid) <= FAR / 10
    for order, found in enumerate(values):
        if largest[order] > (1 + _STILL_GROWING) * np.abs(found[near]).max():
            largest[order] = INF
    for order in (1, 2):
        quotients = np.abs(np.diff(values[order - 1]) / np.diff(grid))
        # Rounding of the values leaves this much of a quotient.
        noise = 1e-15 * np.abs(values[order - 1]).max() / np.diff(grid).min()
        if quotients.max() > _KINK * largest[order] + 16 * noise:
            largest[order] = INF
    if largest[1] == INF:
        largest[2] = INF
    return LipschitzConstants(*(float(a) for a in largest))


def _refined(level: Any, grid: np.ndarray, values: np.ndarray) -> float:
    """The largest value, searched again three times about the node where it is."""
    at, best = int(values.argmax()), float(values.max())
    low, high = grid[max(at - 1, 0)], grid[min(at + 1, len(grid) - 1)]
    for _ in range(3):
        finer = np.linspace(low, high, 201)
        found = np.abs(np.asarray(level(jnp.asarray(finer))))
        at = int(found.argmax())
        best = max(best, float(found[at]))
        low, high = finer[max(at - 1, 0)], finer[min(at + 1, 200)]
    return best
