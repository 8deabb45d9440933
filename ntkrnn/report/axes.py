"""What all figures look like, and how they show what has no place on an axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation

from ntkrnn.report.statistics import finite_or_nan

# Of lengths without a common factor: no pair comes twice before the 56th line.
COLOURS = ("#1f5fa8", "#c4512d", "#2f7d4f", "#7a4fa3", "#8a6a1f", "#3b8f9e", "#b8428c", "#4d4d4d")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "0.35"
LEGEND: dict[str, Any] = {"fontsize": 8.5, "frameon": False}

_LETTER, _HANDLE, _LINE = 0.066, 0.55, 0.175
"""Inches of a letter, of a handle with its space, and of a line of a legend."""
_POINTS = 15.0
"""Height of a line of labels below the axes."""
_EDGES = (0.01, 0.99)
"""Quantiles of its entries at which the colours of a kernel end: one entry does not fade all others."""
_SIGNED = 0.05
"""Part of the largest entry from which on the negative ones are worth a colour of their own."""
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


def plain(axes: Axes) -> None:
    """A light grid, and no frame."""
    axes.grid(True, which="major", color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def legend_shape(names: Sequence[str], width: float) -> tuple[int, float]:
    """Columns of a legend below axes that are ``width`` inches wide, and its height in inches.

    Example:
        >>> legend_shape(["measured", "m^(-1/2)"], 4.7)[0], legend_shape(["x" * 80, "y"], 4.7)[0]
        (2, 1)
    """
    if not names:
        return 1, 0.0
    longest = _HANDLE + _LETTER * max(map(len, names))
    columns = max(1, min(len(names), 4, int(width / longest)))
    return columns, _LINE * math.ceil(len(names) / columns)


def legend_below(axes: Axes, width: float, lines: int = 1) -> None:
    """A legend under the labels of the x axis, where there are no data.

    Args:
        axes: with what is named drawn.
        width: of the axes, in inches.
        lines: of text that a tick of the x axis has.
    """
    handles, names = axes.get_legend_handles_labels()
    if not names:
        return
    figure = axes.get_figure(root=True)
    assert isinstance(figure, Figure)
    down = ScaledTranslation(0, -_POINTS * (lines + 1.2) / 72, figure.dpi_scale_trans)
    axes.legend(
        handles,
        names,
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        bbox_transform=axes.transAxes + down,
        ncols=legend_shape(names, width)[0],
        **LEGEND,
    )


def whole_ticks(axes: Axes, values: Any) -> None:
    """Label whole numbers only, if the values on the x axis are whole, as lags and steps are."""
    values = np.asarray(values, float)
    if len(values) and np.isfinite(values).all() and (values == np.round(values)).all():
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))


class Colours(NamedTuple):
    """How the entries of some kernels are shown, with one scale for all."""

    low: float
    high: float
    map: str
    clipped: bool
    """Whether there are entries beyond the ends."""

    @property
    def image(self) -> dict[str, Any]:
        """Arguments of ``imshow``."""
        return {"vmin": self.low, "vmax": self.high, "cmap": self.map, "interpolation": "nearest"}

    @property
    def note(self) -> str:
        """For the label of the bar, if colours end before the entries do."""
        low, high = (f"{100 * edge:g}%" for edge in _EDGES)
        return f"\ncolours end at {low} and {high} of entries" if self.clipped else ""


def kernel_colours(kernels: Sequence[Any]) -> Colours:
    """A scale that the kernels share: from their small to their large entries, white at 0 if signed.

    Args:
        kernels: arrays; what is not finite does not count.

    Example:
        >>> kernel_colours([np.array([[1.0, -1.0]])]).map, kernel_colours([np.array([[1.0, 2.0]])]).map
        ('RdBu_r', 'viridis')
    """
    entries = np.concatenate([drawn(kernel).ravel() for kernel in kernels])
    entries = entries[np.isfinite(entries)]
    if not entries.size:
        return Colours(0.0, 1.0, "viridis", False)
    least, most = float(entries.min()), float(entries.max())
    low, high = (float(end) for end in np.quantile(entries, _EDGES))
    if low < -_SIGNED * max(high, 0.0):
        edge = max(-low, high)
        return Colours(-edge, edge, "RdBu_r", bool(least < -edge or most > edge))
    # A kernel whose entries are all equal has one colour rather than none.
    return Colours(low, max(high, low + 1e-12), "viridis", bool(least < low or most > high))
