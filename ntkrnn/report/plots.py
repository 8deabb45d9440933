"""Figures of several plots side by side: measured lines with their spread, predicted ones dashed."""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from ntkrnn.report.axes import (
    COLOURS,
    LEGEND,
    MARKERS,
    drawn,
    legend_below,
    legend_shape,
    log_scale,
    plain,
    whole_ticks,
)
from ntkrnn.report.statistics import mean_and_std

_MOST_MARKERS = 24
_SHARED = 5
"""Names from which on a legend that all plots share stands beside them once."""


class Line(NamedTuple):
    """One quantity against another."""

    name: str
    x: np.ndarray
    """``[X]``"""
    values: np.ndarray
    """``[X]``, or ``[X, S]`` for several seeds, of which the mean and one standard deviation are
    drawn; NaN or infinite where nothing was measured."""
    predicted: bool = False
    """Drawn dashed and without markers."""
    colour: int | None = None
    """Number of the colour, so that a prediction can share it with what was measured; None for the
    next."""
    points: bool = False
    """Markers only, for scattered values."""


def guide(
    name: str, x: np.ndarray, values: np.ndarray, power: float, colour: int | None = None
) -> Line:
    """A power of x through the first of some values ``[X, S]``, to hold their slope against.

    Example:
        >>> guide("m^(-1)", np.array([1, 2]), np.array([[1.0, 3.0], [1.0, 1.0]]), -1).values
        array([2., 1.])
    """
    x = np.asarray(x, float)
    return Line(name, x, values[0].mean() * (x / x[0]) ** power, True, colour)


class Plot(NamedTuple):
    """Some lines over the same axes."""

    title: str
    x: str
    y: str
    lines: Sequence[Line]
    log: str = "xy"
    """Which axes are logarithmic: "", "x", "y" or "xy"."""
    ticks: Any = None
    """Where x is labelled, None to choose."""
    words: Sequence[str] = ()
    """Labels of x = 0, 1, ..., in place of numbers; "\\n" parts their lines."""

    @property
    def label_lines(self) -> int:
        """Lines of text below the x axis."""
        return 1 + max((word.count("\n") for word in self.words), default=0)


def plots(rows: Sequence[Plot], *, title: str, subtitle: str = "") -> Figure:
    """Draw each plot's lines; at most three plots stand in a row.

    Legends stand below the plots, where there are no data; several plots that name the same lines, many
    of them, have one legend, to their right.

    Args:
        rows: at least one plot.
        title: of the figure.
        subtitle: a sentence below it, in lines of about one length.

    Returns:
        A figure, to be written with :func:`ntkrnn.report.write_figure`.

    Raises:
        ValueError: if there are no plots.
    """
    if not rows:
        raise ValueError("rows: got no plots, expected at least one.")
    columns = min(len(rows), 3)
    lines = -(-len(rows) // columns)
    shared = _shared_names(rows)
    each = 7.4 if columns == 1 else 4.7
    width = each * columns + (1.5 if shared else 0.0)
    names = [] if shared else [[line.name for line in plot.lines if line.name] for plot in rows]
    legend = max((legend_shape(own, each)[1] for own in names), default=0.0)
    height = ((4.4 if columns == 1 else 4.1) + legend) * lines + 0.5
    # Space for the label of an axis that follows another plot.
    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.1))
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes, plot in zip(grid, rows, strict=False):
        _draw(axes, plot)
        if not shared:
            legend_below(axes, each, plot.label_lines)
    if shared:
        figure.legend(*grid[0].get_legend_handles_labels(), loc="outside right center", **LEGEND)
    for axes in grid[len(rows) :]:
        axes.set_axis_off()
    figure.suptitle(f"{title}\n{_lines(subtitle, int(9.5 * width))}".strip(), fontsize=12)
    return figure


def _shared_names(rows: Sequence[Plot]) -> bool:
    names = [[line.name for line in plot.lines] for plot in rows]
    return len(rows) > 1 and len(names[0]) >= _SHARED and all(one == names[0] for one in names)


def _lines(text: str, most: int) -> str:
    """``text`` in as few lines of up to ``most`` letters as hold it, about equally long; "T = 8" stays
    together.

    Example:
        >>> _lines("one two three four five, n = 6", 28).splitlines()
        ['one two three', 'four five, n\xa0=\xa06']
    """
    text = text.replace(" = ", "\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}")
    wrap = functools.partial(textwrap.wrap, text, break_long_words=False, break_on_hyphens=False)
    found = wrap(most)
    for shorter in range(most - 1, 0, -1):
        closer = wrap(shorter)
        if len(closer) > len(found) or any(len(line) > shorter for line in closer):
            break
        found = closer
    return "\n".join(found)


def _draw(axes: Axes, plot: Plot) -> None:
    shade = 0
    for line in plot.lines:
        colour = COLOURS[(shade if line.colour is None else line.colour) % len(COLOURS)]
        marker = MARKERS[(shade if line.colour is None else line.colour) % len(MARKERS)]
        shade += line.colour is None
        x = np.asarray(line.x, float)
        values = drawn(line.values)
        rows = values[:, None] if values.ndim == 1 else values
        mean = rows.mean(axis=1)
        if line.predicted:
            axes.plot(x, mean, "--", color=colour, linewidth=1.6, label=line.name)
            continue
        style = "none" if line.points else "-"
        axes.plot(
            x, mean, linestyle=style, marker=marker, markersize=5, color=colour, linewidth=1.6,
            markevery=-(-len(x) // _MOST_MARKERS), label=line.name,
        )  # fmt: skip
        if rows.shape[1] > 1:
            _, spread = mean_and_std(rows)
            low = np.maximum(mean - spread, rows.min(axis=1)) if "y" in plot.log else mean - spread
            if line.points:
                axes.vlines(x, low, mean + spread, color=colour, alpha=0.4, linewidth=1)
            else:
                axes.fill_between(x, low, mean + spread, color=colour, alpha=0.15, linewidth=0)
    for which in plot.log:
        log_scale(axes, which)
    axes.set_title(plot.title, fontsize=10.5)
    axes.set_xlabel(plot.x)
    axes.set_ylabel(plot.y)
    if plot.words:
        axes.set_xticks(range(len(plot.words)), plot.words)
    elif plot.ticks is not None:
        axes.xaxis.set_major_locator(FixedLocator([float(tick) for tick in plot.ticks]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
    elif "x" not in plot.log and plot.lines:
        whole_ticks(axes, np.concatenate([np.asarray(line.x, float) for line in plot.lines]))
    _readable_logs(axes.yaxis, axes.get_yscale(), axes.get_ylim(), (1, 1.5, 2, 3, 5, 7))
    if plot.ticks is None:
        _readable_logs(axes.xaxis, axes.get_xscale(), axes.get_xlim(), (1, 2, 3, 5))
    plain(axes)


def _readable_logs(axis: Axis, scale: str, ends: tuple[float, float], subs: tuple[float, ...]) -> None:
    """Plain numbers where a logarithmic axis spans too few powers of ten to read a value from."""
    low, high = ends
    if scale != "log" or high >= 300 * low:
        return
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high > 10 * low else subs))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())
