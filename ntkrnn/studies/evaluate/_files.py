"""The files of an evaluation: a score a set, beside what was published."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ntkrnn._files import make_folder, write_bytes, write_json
from ntkrnn.report import run_record, write_figure
from ntkrnn.report.axes import COLOURS, GREY
from ntkrnn.report.tables import write_csv
from ntkrnn.studies.evaluate._published import (
    OURS,
    SIZES,
    Against,
    Published,
    Ranks,
    against,
    mean_ranks,
)
from ntkrnn.studies.evaluate._run import EvaluateSettings, SetScore

FILES = ("results.json", "results.csv", "results.md", "ranks.png")
ALPHA = 0.05
"""Level of the tests by which methods are joined in a diagram, before Holm's correction."""
_MOST = 8
"""Methods beside ours in a table of scores: the best of those that were published."""


def score_columns(settings: EvaluateSettings, published: Published | None) -> tuple[str, ...]:
    """Names of the columns of :func:`score_rows`."""
    measure = ("RMSE", "in 95% bands") if settings.lower_is_better else ("accuracy",)
    others = () if published is None else published.methods
    return ("set", *SIZES, *measure, "fit s", *others)


def score_rows(
    settings: EvaluateSettings, scores: Sequence[SetScore], published: Published | None
) -> list[list[str]]:
    """A row a set; its own score and those of the best published methods."""
    rows = []
    for one in scores:
        train, length, channels, classes = (int(size) for size in one.sizes)
        measure = [f"{one.score:.4f}"]
        if settings.lower_is_better:
            measure.append(f"{one.covered.mean():.3f}")
        others = [] if published is None else published.scores.get(one.name)
        cells = [] if published is None else ["" for _ in published.methods]
        if others is not None and len(others):
            cells = ["" if np.isnan(value) else f"{value:.4f}" for value in others]
        sizes = [str(train), str(int(one.tests.sum())), str(length), str(channels), str(classes)]
        rows.append([one.name, *sizes, *measure, f"{one.seconds.mean():.1f}", *cells])
    return rows


def best_of(published: Published | None, compared: Sequence[Against]) -> Published | None:
    """The methods that a table has room for, best first."""
    if published is None:
        return None
    names = tuple(one.method for one in compared[:_MOST])
    columns = [published.methods.index(name) for name in names]
    return Published(names, {k: row[columns] for k, row in published.scores.items()}, published.source)


AGAINST_COLUMNS = ("method", "sets", "mean", "ours", "win/tie/loss", "p", "rank")


def against_rows(compared: Sequence[Against], ranks: Ranks | None) -> list[list[str]]:
    """A row a method, by :data:`AGAINST_COLUMNS`: wins and losses are ours."""
    # Ranks are over the sets that all have.
    place = {} if ranks is None else dict(zip(ranks.methods, ranks.ranks, strict=True))
    rows = [
        [
            one.method, str(one.sets), f"{one.theirs:.4f}", f"{one.ours:.4f}",
            f"{one.wins}/{one.ties}/{one.losses}", "" if np.isnan(one.p) else f"{one.p:.3f}",
            f"{place[one.method]:.2f}" if one.method in place else "",
        ]
        for one in compared
    ]  # fmt: skip
    if OURS in place:
        rows.append([OURS, *[""] * 5, f"{place[OURS]:.2f}"])
    return rows


def said(settings: EvaluateSettings, scores: Sequence[SetScore]) -> str:
    """The mean over sets, in a sentence."""
    mean = float(np.mean([one.score for one in scores]))
    seconds = float(sum(one.seconds.sum() for one in scores))
    what = "root mean squared error" if settings.lower_is_better else "accuracy"
    fits = sum(len(one.seconds) for one in scores)
    sets, many = (f"{n} {noun}{'s' * (n != 1)}" for n, noun in ((len(scores), "set"), (fits, "fit")))
    return f"mean {what} {mean:.4f} over {sets}; {many} in {seconds:.0f} s"


def write_evaluate(
    settings: EvaluateSettings,
    scores: Sequence[SetScore],
    published: Published | None,
    folder: str | os.PathLike[str],
) -> list[Path]:
    """Write ``results.json``, ``.csv``, ``.md`` and, with enough published, ``ranks.png``.

    Args:
        settings: of the evaluation.
        scores: of :func:`ntkrnn.studies.evaluate.evaluate`.
        published: results of others, or None.
        folder: made if it is not there.

    Returns:
        The paths.

    Raises:
        OSError: if the folder or a file cannot be written.
    """
    folder = make_folder(folder)
    compared = [] if published is None else against(settings, scores, published)
    ranks = None if published is None else mean_ranks(settings, scores, published)
    shown = best_of(published, compared)
    columns, rows = score_columns(settings, shown), score_rows(settings, scores, shown)
    files = [write_csv(folder / "results.csv", columns, rows)]
    parts = [_markdown(columns, rows), said(settings, scores) + "."]
    if compared:
        parts.append(_markdown(AGAINST_COLUMNS, against_rows(compared, ranks)))
    files.append(write_bytes(folder / "results.md", ("\n\n".join(parts) + "\n").encode()))
    figure = None if ranks is None else _diagram(settings, ranks)
    if figure is None:
        (folder / "ranks.png").unlink(missing_ok=True)
    else:
        files.append(write_figure(folder / "ranks.png", figure))
    record = _record(settings, scores, compared, ranks)
    return [write_json(folder / "results.json", record), *files]


def _record(
    settings: EvaluateSettings,
    scores: Sequence[SetScore],
    compared: Sequence[Against],
    ranks: Ranks | None,
) -> dict[str, Any]:
    return {
        "suite": settings.suite,
        "architecture": repr(settings.architecture),
        "kernel": settings.kernel,
        "seed": settings.seed,
        "measure": "root mean squared error" if settings.lower_is_better else "accuracy",
        "sets": [one._asdict() | {"score": one.score} for one in scores],
        "against": [one._asdict() for one in compared],
        "mean_ranks": None if ranks is None else dict(zip(ranks.methods, ranks.ranks, strict=True)),
        **run_record(),
    }


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    line = lambda cells: "| " + " | ".join(cells) + " |"  # noqa: E731
    ruler = ["---", *["---:"] * (len(columns) - 1)]
    return "\n".join([line(columns), line(ruler), *(line(row) for row in rows)])


def _diagram(settings: EvaluateSettings, ranks: Ranks) -> Figure | None:
    """A critical-difference diagram; None for fewer than three methods, or without aeon.

    Source: Demsar 2006; Benavoli, Corani & Mangili 2016; drawn by aeon.
    """
    try:
        from aeon.visualisation import plot_critical_difference
    except ImportError:
        return None
    if len(ranks.methods) < 3:
        return None
    space = 0.4 + 0.19 * max(map(len, ranks.methods))  # inches for a name on either side
    with warnings.catch_warnings():  # of methods that are equal on all sets
        warnings.simplefilter("ignore", UserWarning)
        drawn: Any = plot_critical_difference(
            ranks.scores,
            list(ranks.methods),
            lower_better=settings.lower_is_better,
            alpha=ALPHA,
            highlight={OURS: COLOURS[0]},
            width=5 + 2 * space,
            textspace=space,
        )
    figure, _ = drawn
    figure.suptitle(
        f"Mean ranks over {len(ranks.sets)} sets. Bars join methods that Wilcoxon's test does not tell "
        f"apart (level {ALPHA}, Holm).",
        fontsize=9,
        color=GREY,
    )
    return figure
