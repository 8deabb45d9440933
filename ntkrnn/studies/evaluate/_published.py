"""Published results beside ours: who wins where, and mean ranks."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from ntkrnn.studies.engines import StudyError
from ntkrnn.studies.evaluate._run import EvaluateSettings, SetScore

OURS = "ntkrnn"
FILE = "published_accuracy.csv"
"""Read where it stands beside the sets."""
SIZES = ("train", "test", "length", "channels", "classes")
"""Columns of tables that are no scores."""
_TIE = 1e-9


class Published(NamedTuple):
    """Scores of other methods."""

    methods: tuple[str, ...]
    scores: dict[str, np.ndarray]
    """Of every set ``[M]``, NaN where nothing was published."""
    source: str


class Against(NamedTuple):
    """Ours against one method, on the sets that both have."""

    method: str
    sets: int
    ours: float
    """Mean score."""
    theirs: float
    wins: int
    ties: int
    losses: int
    p: float
    """Of Wilcoxon's signed-rank test that there is no difference, two-sided; NaN for fewer than six
    sets that differ."""


def read_published(path: Path) -> Published:
    """Read a table with a set a row and a method a column.

    Columns that say sizes (train, test, length, classes) are no methods, and cells may be empty.

    Raises:
        StudyError: naming the file and the line.
    """
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        (_, header), *rows = [(reader.line_num, row) for row in reader if row] or [(1, [])]
    sizes = (*SIZES, "dimensions")
    columns = [i for i, name in enumerate(header) if i and name.strip().lower() not in sizes]
    if not columns or not rows:
        raise StudyError(f"{path}: expected a header 'dataset,METHOD,...' and a line for every set.")
    scores: dict[str, np.ndarray] = {}
    for line, row in rows:
        try:
            cells = [row[i].strip() for i in columns]
            scores[row[0].strip()] = np.array([float(cell) if cell else np.nan for cell in cells])
        except (ValueError, IndexError) as error:
            raise StudyError(
                f"{path}, line {line}: {error}; expected numbers, or empty cells."
            ) from None
    return Published(tuple(header[i].strip() for i in columns), scores, path.name)


def in_shares(published: Published, settings: EvaluateSettings) -> Published:
    """Percentages as shares, where the score is an accuracy."""
    largest = max((np.nanmax(row, initial=0) for row in published.scores.values()), default=0)
    if settings.lower_is_better or largest <= 1:
        return published
    return published._replace(scores={name: row / 100 for name, row in published.scores.items()})


def against(
    settings: EvaluateSettings, scores: Sequence[SetScore], published: Published
) -> list[Against]:
    """Ours against every method, the best of them first."""
    sign = -1.0 if settings.lower_is_better else 1.0
    found = []
    for m, method in enumerate(published.methods):
        pairs = [
            (one.score, published.scores[one.name][m])
            for one in scores
            if one.name in published.scores and np.isfinite(published.scores[one.name][m])
        ]
        if not pairs:
            continue
        ours, theirs = np.array(pairs).T
        ahead = sign * (ours - theirs)
        differ = np.abs(ahead) > _TIE
        tested: Any = stats.wilcoxon(ahead[differ]) if differ.sum() >= 6 else None
        p = np.nan if tested is None else float(tested.pvalue)
        wins, losses = int((ahead > _TIE).sum()), int((ahead < -_TIE).sum())
        found.append(
            Against(
                method, len(pairs), float(ours.mean()), float(theirs.mean()),
                wins, len(pairs) - wins - losses, losses, p,
            )
        )  # fmt: skip
    return sorted(found, key=lambda one: -sign * one.theirs)


class Ranks(NamedTuple):
    """Mean ranks over the sets that all methods have; 1 is best."""

    methods: tuple[str, ...]
    ranks: np.ndarray
    """``[M]``"""
    sets: tuple[str, ...]
    scores: np.ndarray
    """``[sets, M]``"""


def mean_ranks(
    settings: EvaluateSettings, scores: Sequence[SetScore], published: Published
) -> Ranks | None:
    """Ranks of ours and the methods that have half of our sets; None for fewer than two sets."""
    mine = [one for one in scores if one.name in published.scores]
    if not mine:
        return None
    theirs = np.array([published.scores[one.name] for one in mine])
    wide = np.flatnonzero(np.isfinite(theirs).mean(axis=0) >= 0.5)
    whole = np.asarray(np.isfinite(theirs[:, wide]).all(axis=1))
    if not wide.size or whole.sum() < 2:
        return None
    table = np.column_stack([[one.score for one in mine], theirs[:, wide]])[whole]
    sign = 1.0 if settings.lower_is_better else -1.0
    ranks = stats.rankdata(sign * np.round(table, 9), axis=1).mean(axis=0)
    methods = (OURS, *(published.methods[m] for m in wide))
    names = tuple(one.name for one, kept in zip(mine, whole, strict=True) if kept)
    return Ranks(methods, ranks, names, table)
