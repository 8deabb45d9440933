# pyright: basic
"""Where the scales of a Gaussian process are looked for: free scales, their bounds, first guesses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ntkrnn.architectures import Architecture, Elman
from ntkrnn.estimators._gp_kernel import Scaled
from ntkrnn.estimators._gp_likelihood import profiled
from ntkrnn.estimators._sequences import Sequences

BOUNDS = {
    "w_std": (0.05, 1.0),
    "u_std": (1e-3, 10.0),
    "b_std": (1e-3, 10.0),
    "v_std": (1e-3, 10.0),
    "output_scale": (1e-2, 1e3),
    "noise": (1e-6, 1.0),
}
"""Of scales, in units of standardised series and targets. Beyond w_std = 1 erf and tanh networks are
chaotic: ``w_std^2 E phi'^2 > 1`` at the variance that states of erf networks settle at, unless a larger
input or bias drives them; they tell series apart by their rounding."""
ANY = (1e-3, 10.0)
"""Of scales that have no bounds of their own."""
_LARGEST_RELU = 2**0.5


def free_scales(arch: Architecture, fitted: Any) -> tuple[str, ...]:
    """The names of ``fitted``, each a scale of the architecture that is above 0.

    Raises:
        TypeError, ValueError: naming what does not fit.
    """
    if not isinstance(fitted, (str, tuple, list)):
        raise TypeError(f"fitted: got {fitted!r}, expected names of scales such as ('w_std', 'u_std').")
    names = (fitted,) if isinstance(fitted, str) else tuple(fitted)
    for name in names:
        if name not in arch.scale_fields:
            raise ValueError(
                f"fitted: got {name!r}, expected scales of {type(arch).__name__}: "
                f"{', '.join(arch.scale_fields)}."
            )
        value = getattr(arch, name)
        if isinstance(value, tuple) or value <= 0:
            raise ValueError(
                f"architecture: got {name}={value}, expected a number above 0 where the search "
                "for it can begin; leave it out of fitted otherwise."
            )
    return names


def limits(scaled: Scaled, bounds: Any) -> np.ndarray:
    """``[P + 2, 2]``: bounds of the free scales, of the square of the output scale, and of the noise.

    Raises:
        TypeError, ValueError: naming ``bounds``.
    """
    if not isinstance(bounds, (Mapping, type(None))):
        raise TypeError(f"bounds: got {bounds!r}, expected a mapping {{name: (low, high)}}.")
    names = (*scaled.names, "output_scale", "noise")
    given = dict(bounds or {})
    if unknown := set(given) - set(names):
        raise ValueError(f"bounds: got {sorted(unknown)}, expected names that are fitted.")
    every = BOUNDS | {"w_std": (BOUNDS["w_std"][0], _largest_w(scaled.architecture))} | given
    try:
        rows = np.array([every.get(name, ANY) for name in names], np.float64)
        ordered = rows.shape[1:] == (2,) and bool(((rows[:, 0] > 0) & (rows[:, 0] <= rows[:, 1])).all())
    except (TypeError, ValueError):
        ordered = False
    if not ordered:
        raise ValueError(f"bounds: got {bounds!r}, expected pairs 0 < low <= high.")
    rows[-2] = np.square(rows[-2])
    return rows


def starts(
    scaled: Scaled, series: Sequences, targets: np.ndarray, within: np.ndarray, more: int
) -> list[np.ndarray]:
    """First guesses ``[P + 2]``: the architecture's scales, and others at random.

    Each comes with the best amplitude and noise for it, so that the search is about scales.

    Args:
        scaled: the kernel.
        series: of the training set.
        targets: ``[N, O]``, standardised.
        within: bounds.
        more: how many random ones.

    Cost: a kernel and an eigendecomposition for each.
    """
    rng = np.random.default_rng(scaled.seed)
    low, high = np.log(within[:-2]).T
    scales = [np.array([getattr(scaled.architecture, name) for name in scaled.names])]
    scales += [np.exp(rng.uniform(low, high)) for _ in range(more)]
    found = []
    for begin in (np.clip(one, *within[:-2].T) for one in scales):
        kernel = scaled.kernel(series, None, begin)
        found.append(np.clip([*begin, *profiled(kernel, targets)], *within.T))
    return found


def _largest_w(arch: Architecture) -> float:
    """Where states turn chaotic, or, of relu, grow without end."""
    relu = isinstance(arch, Elman) and arch.nonlinearity == "relu"
    return _LARGEST_RELU if relu else BOUNDS["w_std"][1]
