"""Figures of training runs: curves of network and prediction, over each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ntkrnn.report.axes import COLOURS, GREY, LEGEND, drawn, log_scale, plain
from ntkrnn.report.statistics import mean_and_std

_STYLES = (
    {"color": COLOURS[0], "linestyle": "-", "linewidth": 2.2},
    {"color": COLOURS[1], "linestyle": "--", "linewidth": 1.8},
    {"color": COLOURS[2], "linestyle": ":", "linewidth": 2.2},
)


class Panel(NamedTuple):
    """Some curves over the same steps."""

    title: str
    steps: np.ndarray
    """``[R]``"""
    curves: Sequence[tuple[str, np.ndarray]]
    """Names and values ``[R]``, or ``[S, R]`` for several seeds: their mean is drawn, and each one
    thinly. What is not finite leaves a gap."""
    note: str = ""
    """Below the axis."""


def run_panels(
    panels: Sequence[Panel],
    *,
    title: str,
    subtitle: str = "",
    quantity: str,
    limits: tuple[float, float] | None = None,
) -> Figure:
    """Draw each panel's curves over one another, on a logarithmic scale that the panels share.

    Args:
        panels: at least one.
        title: of the figure.
        subtitle: a second line.
        quantity: label of the vertical axis.
        limits: of the vertical axis, None to fit.

    Returns:
        A figure, to be written with :func:`ntkrnn.report.write_figure`.
    """
    figure = Figure(figsize=(4.3 * len(panels) + 0.6, 4.6), layout="constrained")
    grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, panel in zip(grid, panels, strict=True):
        for (name, values), style in zip(panel.curves, _STYLES, strict=False):
            rows = np.atleast_2d(drawn(values))
            axes.plot(panel.steps, rows.mean(axis=0), label=name, **style)
            if len(rows) > 1:
                thin = {**style, "linewidth": 0.6, "alpha": 0.35}
                axes.plot(panel.steps, rows.T, **thin)
        axes.set_title(panel.title, fontsize=10)
        _plain(axes, f"step\n{panel.note}".strip())
    grid[0].set_ylabel(quantity)
    if limits is not None:
        grid[0].set_ylim(limits)
    handles, names = grid[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), **LEGEND)
    figure.suptitle(f"{title}\n{subtitle}".strip(), fontsize=12)
    return figure


def along_training(
    widths: Sequence[int],
    steps: np.ndarray,
    values: np.ndarray,
    *,
    title: str,
    subtitle: str = "",
    quantity: str,
) -> Figure:
    """Draw one quantity along training, a line for each width with a band of one standard deviation.

    Args:
        widths: ``[W]``.
        steps: ``[R]``.
        values: ``[W, S, R]``; what is not finite leaves a gap.
        title: of the figure.
        subtitle: a second line.
        quantity: label of the vertical axis.

    Returns:
        A figure, to be written with :func:`ntkrnn.report.write_figure`.
    """
    from matplotlib import colormaps

    figure = Figure(figsize=(7.4, 5.0), layout="constrained")
    axes = figure.subplots()
    shades = colormaps["viridis"](np.linspace(0.85, 0.1, len(widths)))
    for width, rows, shade in zip(widths, drawn(values), shades, strict=True):
        mean, spread = mean_and_std(rows.T)
        axes.plot(steps, mean, color=shade, linewidth=1.8, label=f"{width}")
        # One standard deviation downwards may reach below 0, which a log axis cannot show.
        low = np.maximum(mean - spread, rows.min(axis=0))
        axes.fill_between(steps, low, mean + spread, color=shade, alpha=0.15, linewidth=0)
    _plain(axes, "step")
    axes.set_ylabel(quantity)
    figure.legend(title="width", loc="outside right center", **LEGEND)
    figure.suptitle(title, fontsize=13)
    axes.set_title(subtitle, fontsize=9.5, color=GREY)
    return figure


def _plain(axes: Axes, label: str) -> None:
    log_scale(axes)
    axes.set_xlabel(label)
    plain(axes)
