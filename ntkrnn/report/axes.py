"""What all figures ask of their axes."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from ntkrnn.report.statistics import finite_or_nan

_LARGEST = 1e250
"""The ends of an axis lie beyond what is drawn on it, and have to be floats too."""


def drawn(values: Any) -> np.ndarray:
    """Values as axes can show them: what is not finite, or nearly not, becomes NaN, which leaves a gap.

    Example:
        >>> drawn([1.0, float("inf"), -1e300])
        array([ 1., nan, nan])
    """
    values = finite_or_nan(values)
    return np.where(np.abs(values) <= _LARGEST, values, np.nan)


def log_scale(axes: Axes, which: str = "y") -> None:
    """Make an axis logarithmic, if something positive is drawn on it: of nothing there is no logarithm.

    Args:
        axes: on which all is drawn.
        which: "x" or "y".
    """
    least = axes.dataLim.minposx if which == "x" else axes.dataLim.minposy
    if least < float("inf"):
        (axes.set_xscale if which == "x" else axes.set_yscale)("log")
