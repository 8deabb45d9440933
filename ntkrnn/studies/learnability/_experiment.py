"""The form that all experiments share: settings, a grid of jobs, and findings with a verdict."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from ntkrnn import _checks
from ntkrnn.studies.learnability._grid import Grid, Job, Measured
from ntkrnn.studies.learnability._table import Table
from ntkrnn.studies.piece_form import Piece

RELATIONS = ("equals", "at most", "at least")
AGREES, DISAGREES, INCONCLUSIVE = "agrees", "disagrees", "inconclusive"
NOT_FINITE = "What was measured is not finite."


class Finding(NamedTuple):
    """A fitted quantity beside what a theorem says of it."""

    quantity: str
    value: float
    """NaN if what was measured is not finite."""
    interval: tuple[float, float]
    """Of 95% confidence; an end that the data leave open is infinite."""
    predicted: float
    relation: str
    """"equals", "at most" or "at least"."""
    margin: float
    """Differences from ``predicted`` that do not count, set before measuring."""
    verdict: str
    otherwise: str
    """What it may mean if the verdict is not "agrees"."""


class Conclusion(NamedTuple):
    """What an experiment found."""

    table: Table
    findings: tuple[Finding, ...]
    figure: Figure
    arrays: Piece = MappingProxyType({})
    """What was worked out of the measured arrays and is worth keeping."""


class Experiment(NamedTuple):
    """A claim of a theory and how it is measured."""

    name: str
    title: str
    about: str
    """Two lines: what is claimed, what is measured."""
    source: str
    settings: type
    """A frozen dataclass; its class method ``quick()`` gives the small setting."""
    grid: Grid
    conclude: Callable[[Any, Measured], Conclusion]

    def jobs(self, settings: Any) -> Sequence[Job]:
        """What there is to measure."""
        return self.grid.jobs(settings)

    def concluded(self, settings: Any, pieces: Mapping[str, Piece]) -> Conclusion:
        """What follows from the arrays of all jobs; they are among its arrays, with their axes."""
        measured = Measured(self.grid, settings, pieces)
        found = self.conclude(settings, measured)
        return found._replace(arrays={**measured.arrays(), **found.arrays})


def finding(
    quantity: str,
    value: float,
    interval: tuple[float, float],
    relation: str,
    predicted: float,
    otherwise: str = "",
    *,
    margin: float = 0.0,
) -> Finding:
    r"""Hold a measured interval against a prediction.

    The prediction is the set ``[predicted - margin, predicted + margin]`` ("equals"), everything up to
    ``predicted + margin`` ("at most") or from ``predicted - margin`` on ("at least"). The verdict is
    "agrees" if the whole interval lies in it, "disagrees" if none of it does, else "inconclusive". A
    value that is not finite, of runs that diverged, is "inconclusive" too, and says so.

    Args:
        quantity: what was fitted, in words.
        value: the estimate.
        interval: of 95% confidence.
        relation: "equals", "at most" or "at least".
        predicted: what the theory says.
        otherwise: what it may mean if it does not agree.
        margin: at least 0.

    Returns:
        A :class:`Finding`.

    Raises:
        ValueError: for an unknown relation, a prediction that is not finite, or an interval without the
            value.

    Example:
        >>> finding("slope", -0.52, (-0.56, -0.48), "at most", -0.45).verdict
        'agrees'
        >>> finding("slope", -0.52, (-0.56, -0.48), "equals", -1.0).verdict
        'disagrees'
    """
    _checks.choice("relation", relation, RELATIONS)
    margin = _checks.nonnegative_float("margin", margin)
    if not math.isfinite(predicted):
        raise ValueError(f"predicted: got {predicted}, expected a finite number.")
    if not math.isfinite(value):
        value, interval = math.nan, (-math.inf, math.inf)
        said_why = f"{NOT_FINITE} {otherwise}".strip()
        return Finding(
            quantity, value, interval, float(predicted), relation, margin, INCONCLUSIVE, said_why
        )
    low, high = (float(end) for end in interval)
    if not low <= value <= high:
        raise ValueError(f"interval: got ({low}, {high}), expected one that holds the value {value}.")
    least = -math.inf if relation == "at most" else predicted - margin
    most = math.inf if relation == "at least" else predicted + margin
    if least <= low and high <= most:
        verdict = AGREES
    elif high < least or most < low:
        verdict = DISAGREES
    else:
        verdict = INCONCLUSIVE
    return Finding(
        quantity, float(value), (low, high), float(predicted), relation, margin, verdict, otherwise
    )


def nothing_fitted(pieces: Mapping[str, Piece], why: str) -> Conclusion:
    """What is left to say where the jobs gave nothing that can be fitted: why, and what they gave."""
    rows = tuple((name, ", ".join(sorted(piece))) for name, piece in pieces.items())
    table = Table(f"Nothing can be fitted to what was measured: {why}", ("job", "arrays"), rows)
    arrays = {f"{name}.{key}": array for name, piece in pieces.items() for key, array in piece.items()}
    figure = Figure(figsize=(7.4, 2.0), layout="constrained")
    figure.text(0.5, 0.5, why, ha="center", va="center", wrap=True)
    return Conclusion(table, (), figure, arrays)


def said(found: Finding) -> str:
    """The finding in one line.

    Example:
        >>> said(finding("slope", -1, (-1.1, -0.9), "at most", -0.5))
        'slope: -1, 95% interval (-1.1, -0.9), predicted at most -0.5: agrees'
    """
    low, high = found.interval
    margin = f" within {found.margin:.3g}" if found.margin else ""
    return (
        f"{found.quantity}: {found.value:.3g}, 95% interval ({low:.3g}, {high:.3g}), predicted "
        f"{found.relation} {found.predicted:.3g}{margin}: {found.verdict}"
    )
