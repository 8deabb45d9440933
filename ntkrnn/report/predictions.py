"""Figures of predictions: which classes are taken for which, what probabilities and bands hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ntkrnn.report.axes import COLOURS, GREY, LEGEND, drawn, kernel_colours, plain
from ntkrnn.report.figures import label_rows
from ntkrnn.report.scores import share

_BLUE = COLOURS[0]
_BINS = 8
"""Of equally many predictions: of bins of equal width most would be empty."""
_NAMED = 30
"""Classes up to which a matrix names and counts them."""


class Panel(NamedTuple):
    """One series to look at."""

    title: str
    x: np.ndarray
    """``[T, d]``, of valid steps."""


def confusion_matrix(counts: np.ndarray, classes: Sequence[str], *, title: str) -> Figure:
    """Draw how often a class (row) was taken for another one (column).

    Args:
        counts: whole numbers ``[C, C]``.
        classes: C names.
        title: of the figure.

    Returns:
        A figure, to be written with :func:`ntkrnn.report.write_figure`; colours are shares of a row.
    """
    size = float(np.clip(0.42 * len(classes) + 2.6, 4.6, 11))
    figure = Figure(figsize=(size + 0.8, size), layout="constrained")
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    figure.colorbar(image, ax=axes, shrink=0.8, label="share of the series of a class")
    if len(classes) <= _NAMED:
        names = [str(name)[:14] for name in classes]
        long = max(map(len, names)) > 3
        axes.set_xticks(range(len(names)), names, rotation=60 if long else 0)
        axes.set_yticks(range(len(names)), names)
        for i, j in np.argwhere(counts > 0):
            colour = "white" if shares[i, j] > 0.55 else "black"
            axes.text(j, i, str(counts[i, j]), ha="center", va="center", color=colour, fontsize=9)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    figure.suptitle(title, fontsize=12)
    return figure


def reliability(confidence: np.ndarray, right: np.ndarray, *, title: str) -> Figure:
    """Draw how often predictions of a probability were right, with 95% intervals.

    Args:
        confidence: ``[M]``, the probability of the predicted class.
        right: boolean ``[M]``.
        title: of the figure.
    """
    figure = Figure(figsize=(5.4, 5.0), layout="constrained")
    axes = figure.subplots()
    _diagonal(axes, "what is said is what is found")
    bins = np.array_split(np.argsort(confidence, kind="stable"), min(_BINS, len(confidence)))
    said = [float(confidence[rows].mean()) for rows in bins]
    found = [share(int(right[rows].sum()), len(rows)) for rows in bins]
    values = np.array([one.value for one in found])
    ends = np.array([[one.value - one.low, one.high - one.value] for one in found]).T
    axes.errorbar(
        said, values, np.maximum(ends, 0), fmt="o", color=_BLUE, capsize=3, label="found, 95% interval"
    )
    axes.set_xlabel("probability of the predicted class, mean of a bin")
    axes.set_ylabel("share of predictions that are right")
    axes.set_title(f"{len(bins)} bins of equally many series", fontsize=9.5, color=GREY)
    return _finished(figure, axes, title)


def coverage(levels: np.ndarray, covered: np.ndarray, of: int, *, title: str) -> Figure:
    """Draw which share of the truth lies in bands that are to hold a given share.

    Args:
        levels: ``[L]``.
        covered: ``[L]``.
        of: number of predictions.
        title: of the figure.
    """
    figure = Figure(figsize=(5.4, 5.0), layout="constrained")
    axes = figure.subplots()
    _diagonal(axes, "bands hold what they say")
    axes.plot(levels, covered, "o-", color=_BLUE, label="found")
    axes.set_xlabel("share that a band is to hold")
    axes.set_ylabel(f"share of the truth in it, of {of}")
    return _finished(figure, axes, title)


def against_truth(truth: np.ndarray, predicted: np.ndarray, half: np.ndarray, *, title: str) -> Figure:
    """Draw predictions with bands over the truth; on the dashed line they are equal.

    Args:
        truth: ``[M]``.
        predicted: ``[M]``.
        half: ``[M]``, half widths of 95% bands.
        title: of the figure.
    """
    figure = Figure(figsize=(5.8, 5.4), layout="constrained")
    axes = figure.subplots()
    low, high = float(min(truth.min(), predicted.min())), float(max(truth.max(), predicted.max()))
    axes.plot([low, high], [low, high], "--", color=GREY, label="truth")
    axes.errorbar(
        truth, predicted, half, fmt="o", markersize=4, color=_BLUE, ecolor="#9db8d8",
        elinewidth=1, label="predicted, 95% band",
    )  # fmt: skip
    axes.set_xlabel("true target")
    axes.set_ylabel("predicted target")
    return _finished(figure, axes, title)


def along_time(
    pieces: Sequence[tuple[str, np.ndarray, np.ndarray, np.ndarray, np.ndarray]],
    *,
    title: str,
    name: str,
) -> Figure:
    """Draw records: the truth, the prediction and its band, over steps.

    Args:
        pieces: of each a title, and steps, truth, prediction and half widths of 95% bands ``[S]``.
        title: of the figure.
        name: of the output.
    """
    figure = Figure(figsize=(9.6, 2.7 * len(pieces) + 0.9), layout="constrained")
    grid = figure.subplots(len(pieces), squeeze=False)[:, 0]
    for axes, (words, steps, truth, mean, half) in zip(grid, pieces, strict=True):
        axes.fill_between(steps, mean - half, mean + half, color=_BLUE, alpha=0.18, linewidth=0,
                          label="95% band")  # fmt: skip
        axes.plot(steps, truth, color="black", linewidth=1, label="truth")
        axes.plot(steps, mean, color=_BLUE, linewidth=1.3, label="predicted from the inputs")
        axes.set_title(words, fontsize=10)
        axes.set_ylabel(name)
        plain(axes)
    handles, names = grid[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, **LEGEND)
    grid[-1].set_xlabel("step")
    figure.suptitle(title, fontsize=12)
    return figure


def sorted_kernel(kernel: np.ndarray, labels: np.ndarray | None, *, title: str, by: str) -> Figure:
    """Draw a kernel whose rows are in order already.

    Args:
        kernel: ``[N, N]``.
        labels: ``[N]``, classes to name at its sides, or None.
        title: of the figure.
        by: what the series are sorted by.
    """
    figure = Figure(figsize=(6.4, 5.4), layout="constrained")
    axes = figure.subplots()
    # Of a kernel near 1 everywhere, as those at unit diagonal are, the differences are to be seen.
    colours = kernel_colours([kernel])
    image = axes.imshow(drawn(kernel), **colours.image)
    figure.colorbar(image, ax=axes, shrink=0.85, label=f"kernel{colours.note}")
    label_rows(axes, len(kernel), labels)
    axes.set_xlabel(f"series, by {by}")
    axes.set_ylabel(f"series, by {by}")
    figure.suptitle(title, fontsize=12)
    return figure


def series_panels(panels: Sequence[Panel], *, title: str) -> Figure:
    """Draw some series, three in a row, with all of their channels.

    Args:
        panels: at least one.
        title: of the figure.
    """
    columns = min(3, len(panels))
    lines = -(-len(panels) // columns)
    figure = Figure(figsize=(3.6 * columns + 0.6, 2.5 * lines + 0.7), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes, panel in zip(grid, panels, strict=False):
        axes.plot(
            np.arange(len(panel.x)), panel.x, linewidth=1.1, marker="." if len(panel.x) < 3 else ""
        )
        axes.set_title(panel.title, fontsize=9.5)
        plain(axes)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    for axes in grid[max(0, len(panels) - columns) : len(panels)]:
        axes.set_xlabel("step")
    figure.suptitle(title, fontsize=12)
    return figure


def _diagonal(axes: Axes, words: str) -> None:
    axes.plot([0, 1], [0, 1], "--", color=GREY, label=words)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)


def _finished(figure: Figure, axes: Axes, title: str) -> Figure:
    figure.legend(loc="outside lower center", ncols=2, **LEGEND)
    plain(axes)
    figure.suptitle(title, fontsize=12)
    return figure
