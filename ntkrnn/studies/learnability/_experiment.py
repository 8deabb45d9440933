"""The form that all experiments share: settings, jobs, and findings with a verdict."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from ntkrnn import _checks
from ntkrnn.report import finite_slope
from ntkrnn.studies.piece_form import Piece

RELATIONS = ("equals", "at most", "at least")
AGREES, DISAGREES, INCONCLUSIVE = "agrees", "disagrees", "inconclusive"
NOT_FINITE = "What was measured is not finite."


class Job(NamedTuple):
    """A part of an experiment that is measured, kept and resumed alone."""

    name: str
    """Unique in the experiment; letters, digits, "-" and "."."""
    measure: Callable[[], Piece]


class Table(NamedTuple):
    """What was measured, for reading."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


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
    arrays: Piece
    """What the figure shows, and what was fitted."""
    figure: Figure


class Experiment(NamedTuple):
    """A claim of a theory and how it is measured."""

    name: str
    title: str
    about: str
    """Two lines: what is claimed, what is measured."""
    source: str
    settings: type
    """A frozen dataclass; its class method ``quick()`` gives the small setting."""
    jobs: Callable[[Any], Sequence[Job]]
    conclude: Callable[[Any, Mapping[str, Piece]], Conclusion]


def finding(
    quantity: str,
    value: float,
    interval: tuple[float, float],
    *,
    relation: str,
    predicted: float,
    margin: float = 0.0,
    otherwise: str = "",
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
        margin: at least 0.
        otherwise: what it may mean if it does not agree.

    Returns:
        A :class:`Finding`.

    Raises:
        ValueError: for an unknown relation, a prediction that is not finite, or an interval without the
            value.

    Example:
        >>> finding("slope", -0.52, (-0.56, -0.48), relation="at most", predicted=-0.45).verdict
        'agrees'
        >>> finding("slope", -0.52, (-0.56, -0.48), relation="equals", predicted=-1.0).verdict
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
    return Conclusion(table, (), arrays, figure)


def exact(
    quantity: str, value: float, *, relation: str, predicted: float, otherwise: str = ""
) -> Finding:
    """A number without a sampling error, held against a prediction."""
    return finding(
        quantity,
        value,
        (value, value),
        relation=relation,
        predicted=predicted,
        otherwise=otherwise,
    )


def said(found: Finding) -> str:
    """The finding in one line.

    Example:
        >>> said(finding("slope", -1, (-1.1, -0.9), relation="at most", predicted=-0.5))
        'slope: -1, 95% interval (-1.1, -0.9), predicted at most -0.5: agrees'
    """
    low, high = found.interval
    margin = f" within {found.margin:.3g}" if found.margin else ""
    return (
        f"{found.quantity}: {found.value:.3g}, 95% interval ({low:.3g}, {high:.3g}), predicted "
        f"{found.relation} {found.predicted:.3g}{margin}: {found.verdict}"
    )


def stacked(pieces: Mapping[str, Piece], names: Sequence[Sequence[str]], key: str) -> np.ndarray:
    """The array ``key`` of the jobs ``names [A][S]``, stacked to ``[A, S, ...]``."""
    return np.stack([np.stack([np.asarray(pieces[name][key]) for name in row]) for row in names])


def slope_finding(
    quantity: str,
    x: Sequence[float] | np.ndarray,
    values: np.ndarray,
    *,
    relation: str,
    predicted: float,
    margin: float = 0.1,
    otherwise: str = "",
) -> Finding:
    """The exponent of ``values [X, S]`` in ``x [X]``, fitted to the means over seeds.

    Rows where a seed gave nothing that is finite and above 0 are left out; if fewer than two are left,
    nothing is found.

    Example:
        >>> slope_finding("cost", [1, 2, 4], np.array([[1.0, 1.1], [2.0, 2.2], [4.0, 4.4]]),
        ...     relation="equals", predicted=1.0).verdict
        'agrees'
    """
    fit = finite_slope(np.asarray(x, float), values)
    return finding(
        quantity,
        fit.slope,
        (min(fit.interval[0], fit.slope), max(fit.interval[1], fit.slope)),
        relation=relation,
        predicted=predicted,
        margin=margin,
        otherwise=otherwise,
    )


def spread_or(values: np.ndarray, otherwise: str) -> str:
    """:func:`spread`, or words where a seed gave nothing."""
    return spread(values) if np.isfinite(values).all() else otherwise


def spread(values: np.ndarray, digits: int = 3) -> str:
    """Mean and standard deviation over seeds, for a table.

    Example:
        >>> spread(np.array([1.0, 2.0]))
        '1.5 ± 0.707'
    """
    return f"{values.mean():.{digits}g} ± {values.std(ddof=1):.{digits}g}"
