"""What all figures ask of their axes."""

from __future__ import annotations

from matplotlib.axes import Axes


def log_scale(axes: Axes, which: str = "y") -> None:
    """Make an axis logarithmic, if something positive is drawn on it: of nothing there is no logarithm.

    Args:
        axes: on which all is drawn.
        which: "x" or "y".
    """
    least = axes.dataLim.minposx if which == "x" else axes.dataLim.minposy
    if least < float("inf"):
        (axes.set_xscale if which == "x" else axes.set_yscale)("log")
