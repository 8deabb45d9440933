"""The two figures of a comparison, drawn with matplotlib's object interface (no pyplot)."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ntkrnn.report.axes import (
    COLOURS,
    GREY,
    LEGEND,
    MARKERS,
    drawn,
    kernel_colours,
    log_scale,
    plain,
)
from ntkrnn.report.statistics import Slope, mean_and_std


class Curve(NamedTuple):
    """One quantity measured at several widths with several seeds."""

    name: str
    widths: np.ndarray
    """``[W]``."""
    errors: np.ndarray
    """``[W, S]``, positive; what is not finite leaves a gap."""
    fit: Slope
    limit_error: float = 0.0
    """Standard error of what the errors are measured from, if it has one; a dotted line."""


class KernelRow(NamedTuple):
    """One kernel at infinite width and at two finite ones."""

    name: str
    infinite: np.ndarray
    """``[N, N]``."""
    finite: Sequence[tuple[str, np.ndarray]]
    """Pairs of a title and ``[N, N]``, from the narrowest to the widest."""


def error_against_width(
    curves: Sequence[Curve],
    *,
    title: str,
    subtitle: str = "",
    predicted: float = -0.5,
    bound: bool = False,
    quantity: str = "relative error  ‖K(m) − K(∞)‖ / ‖K(∞)‖  (Frobenius)",
) -> Figure:
    """Draw errors against width on log-log axes, every seed of them.

    Dots are single seeds, the line through the markers is their mean, the band is one standard
    deviation over seeds, the thin line is the fit whose slope and interval stand in the legend,
    and the dashed line has the predicted slope (its height is arbitrary).

    Args:
        curves: what to draw, for example the NTK's and the NNGP's error.
        title: of the figure.
        subtitle: a second, smaller line: data, network, seeds.
        predicted: slope of the dashed line.
        bound: whether the theory says that slopes are at most that, rather than that.
        quantity: label of the vertical axis.

    Returns:
        A figure, to be written with :func:`ntkrnn.report.write_figure`.
    """
    entries = sum(1 + (curve.limit_error > 0) for curve in curves) + 1
    figure = Figure(figsize=(7.4, 5.2 + 0.19 * entries), layout="constrained")
    axes = figure.subplots()
    # Seeds of different curves stand side by side at one width, not over each other.
    shifts = 1.06 ** (np.arange(len(curves)) - (len(curves) - 1) / 2)
    for i, curve in enumerate(curves):
        _draw_curve(axes, curve, COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)], float(shifts[i]))
    widths = np.unique(np.concatenate([curve.widths for curve in curves])).astype(float)
    heights = [drawn(curve.errors).mean(axis=1) / curve.widths**predicted for curve in curves]
    top = np.fmax.reduce(np.concatenate(heights))  # of those that are finite, NaN if none is
    axes.plot(
        widths,
        1.6 * top * widths**predicted,
        "--",
        color=GREY,
        label=f"{'bound on the slope' if bound else 'predicted slope'} {_number(predicted)} (1/√width)",
    )
    log_scale(axes, "x")
    log_scale(axes)
    _label_widths(axes, widths)
    _label_errors(axes)
    axes.set_xlabel("width m (hidden units)")
    axes.set_ylabel(quantity)
    plain(axes)
    figure.legend(
        loc="outside lower center",
        **LEGEND,
        title="dot: one seed   marker: mean   band: ± 1 std   line: fit",
        title_fontsize=8.5,
        alignment="left",
    )
    figure.suptitle(title, fontsize=13)
    axes.set_title(_wrapped(subtitle, 100), fontsize=9.5, color=GREY)
    return figure


def kernel_images(
    rows: Sequence[KernelRow],
    *,
    title: str,
    subtitle: str = "",
    labels: np.ndarray | None = None,
    note: str = "",
) -> Figure:
    """Draw each kernel at infinite and at finite width as images with one colour scale a row.

    The scale of a kernel with negative entries is white at 0, and colours end before single entries do.
    The last column is the widest finite kernel minus the infinite one, on a scale of its own that is
    symmetric about 0.

    Args:
        rows: the kernels.
        title: of the figure.
        subtitle: further lines: network and data.
        labels: ``[N]``; if given, sequences are sorted by label for display, and lines part the
            classes. The sort is stable.
        note: a last line in small print.

    Returns:
        A figure, to be written with :func:`ntkrnn.report.write_figure`.
    """
    n = len(rows[0].infinite)
    order = np.arange(n) if labels is None else np.argsort(labels, kind="stable")
    columns = 2 + len(rows[0].finite)
    figure = Figure(figsize=(3.15 * columns + 1.2, 3.25 * len(rows) + 1.1), layout="constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False)
    name_of_axis = "sequence" if labels is None else "sequence, by label"
    sort = lambda kernel: np.asarray(kernel)[np.ix_(order, order)]  # noqa: E731
    for line, (row, axes) in enumerate(zip(rows, grid, strict=True)):
        kernels = [row.infinite, *(kernel for _, kernel in row.finite)]
        titles = ["infinite width", *(name for name, _ in row.finite)]
        colours = kernel_colours(kernels)
        images = []
        for axis, kernel, name in zip(axes[:-1], kernels, titles, strict=True):
            images.append(axis.imshow(drawn(sort(kernel)), **colours.image))
            axis.set_title(name, fontsize=10)
        figure.colorbar(
            images[0],
            ax=list(axes[:-1]),
            shrink=0.85,
            pad=0.012,
            label=f"{row.name}, one scale for all three{colours.note}",
        )
        difference = drawn(sort(kernels[-1])) - sort(row.infinite)
        # A kernel equal to its limit is drawn white rather than refused, and so is one that overflowed.
        bound = float(np.fmax(0, np.fmax.reduce(np.abs(difference), axis=None))) or 1.0
        image = axes[-1].imshow(difference, vmin=-bound, vmax=bound, cmap="RdBu_r")
        axes[-1].set_title(f"difference\n{titles[-1].splitlines()[0]} − infinite", fontsize=10)
        figure.colorbar(image, ax=axes[-1], shrink=0.85, pad=0.03, label="difference (its own scale)")
        for column, axis in enumerate(axes):
            label_rows(axis, n, None if labels is None else np.asarray(labels)[order])
            axis.set_xlabel(name_of_axis if line == len(rows) - 1 else "")
            axis.set_ylabel(name_of_axis if column == 0 else "")
        axes[0].text(
            -0.28,
            0.5,
            row.name,
            transform=axes[0].transAxes,
            fontsize=14,
            fontweight="bold",
            ha="center",
            va="center",
            rotation=90,
        )
    if labels is not None:
        note = "Sequences are sorted by label for display; ticks name the labels. " + note
    # One text in two sizes is beyond matplotlib; two texts would not be laid out together.
    figure.suptitle(f"{title}\n{_wrapped(subtitle, 120)}".strip(), fontsize=13)
    if note:
        figure.supxlabel(note.strip(), fontsize=9, color="0.35")
    return figure


def _draw_curve(axes: Axes, curve: Curve, colour: str, marker: str, shift: float) -> None:
    widths = np.asarray(curve.widths, float)
    errors = drawn(curve.errors)
    mean, spread = mean_and_std(errors)
    axes.plot(
        np.repeat(widths * shift, errors.shape[1]),
        errors.ravel(),
        linestyle="none",
        marker=".",
        markersize=7,
        color=colour,
        alpha=0.35,
        markeredgewidth=0,
    )
    # One standard deviation downwards may reach below 0, which a log axis cannot show.
    low = np.maximum(mean - spread, errors.min(axis=1))
    axes.fill_between(widths, low, mean + spread, color=colour, alpha=0.13, linewidth=0)
    axes.plot(widths, curve.fit.error(widths), "-", color=colour, linewidth=1, alpha=0.8)
    bounds = ", ".join(_number(end) for end in curve.fit.interval)
    fitted = (
        f"slope {_number(curve.fit.slope)}, {100 * curve.fit.confidence:g}% interval [{bounds}]"
        if np.isfinite(curve.fit.slope)
        else "no slope, runs are not finite"
    )
    axes.plot(
        widths,
        mean,
        linestyle="none",
        marker=marker,
        markersize=6,
        color=colour,
        label=f"{curve.name}: {fitted}",
    )
    if curve.limit_error > 0:
        axes.axhline(
            curve.limit_error,
            linestyle=":",
            color=colour,
            linewidth=1.3,
            label=f"standard error of the sampled {curve.name} limit: {curve.limit_error:.2%}",
        )


def _label_widths(axes: Axes, widths: np.ndarray) -> None:
    # Every width that was measured, unless there are too many to read.
    shown = widths if len(widths) <= 12 else widths[:: -(-len(widths) // 12)]
    axes.xaxis.set_major_locator(FixedLocator(shown.tolist()))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _label_errors(axes: Axes) -> None:
    low, high = axes.get_ylim()
    steps = [m * 10.0**e for e in range(-12, 4) for m in (1, 2, 5)]
    inside = [value for value in steps if low <= value <= high]
    if 2 <= len(inside) <= 12:
        axes.yaxis.set_major_locator(FixedLocator(inside))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def label_rows(axis: Axes, n: int, labels: Any) -> None:
    """Name the classes at the sides of a kernel whose rows are sorted by them, and part them by lines.

    Args:
        axis: with the image of ``[n, n]``.
        n: number of rows.
        labels: ``[n]``, sorted, or None for no names.
    """
    if labels is None:
        return
    first = np.flatnonzero(np.r_[True, labels[1:] != labels[:-1]])
    ends = np.r_[first[1:], n]
    if len(first) > 16:  # Too many classes to name; plain indices say more.
        return
    for edge in first[1:]:
        axis.axhline(edge - 0.5, color="white", linewidth=0.5, alpha=0.7)
        axis.axvline(edge - 0.5, color="white", linewidth=0.5, alpha=0.7)
    names = [str(labels[i])[:12] for i in first]
    centres = (first + ends - 1) / 2
    axis.set_yticks(centres, names, fontsize=8)
    long = max(len(name) for name in names) > 2
    axis.set_xticks(centres, names, fontsize=8, rotation=60 if long else 0)
    axis.tick_params(length=0)


def _wrapped(text: str, columns: int) -> str:
    """``text`` with no line longer than ``columns``, so that none leaves the figure."""
    return "\n".join(textwrap.fill(line, columns) for line in text.splitlines())


def _number(value: float) -> str:
    """A number with two decimals and a real minus sign."""
    return f"{value:.2f}".replace("-", "−")
