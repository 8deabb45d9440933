"""Means and slopes over seeds, with intervals."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from scipy import stats

Estimate: TypeAlias = tuple[float, tuple[float, float]]
"""A value, and the lower and the upper end of its interval."""


def finite_or_nan(values: Any) -> np.ndarray:
    """Values with NaN for what is infinite: arithmetic goes on without a word, and gives NaN."""
    values = np.asarray(values, float)
    return np.where(np.isfinite(values), values, np.nan)


@np.errstate(over="ignore", invalid="ignore")  # of what is about to diverge
def mean_and_std(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``[W]`` each, of ``[W, S]``: over seeds, NaN where one of them is not finite.

    Example:
        >>> mean_and_std(np.array([[1.0, 3.0], [1.0, np.inf]]))
        (array([ 2., nan]), array([1.41421356,        nan]))
    """
    values = finite_or_nan(values)
    return values.mean(axis=1), values.std(axis=1, ddof=1)


class Slope(NamedTuple):
    """A line ``log error = intercept + slope log width``, and how sure its slope is."""

    slope: float
    interval: tuple[float, float]
    """The lower and the upper end, of the given confidence, over seeds."""
    intercept: float
    """Natural logarithm of the fitted error at width 1."""
    confidence: float
    left_out: tuple[float, ...] = ()
    """Widths whose errors are not all finite and above 0, if the fit was made without them."""

    def error(self, width: np.ndarray) -> np.ndarray:
        """The fitted error at each width."""
        return np.exp(self.intercept) * np.asarray(width, float) ** self.slope


def loglog_slope(
    widths: np.ndarray,
    errors: np.ndarray,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Slope:
    r"""Least-squares slope of log mean error against log width, with a bootstrap interval.

    The mean over seeds is taken before the logarithm. For the interval the seeds are resampled
    with replacement, independently at each width, and the slope is fitted anew. Resampling ``S``
    values understates the spread of their mean by ``sqrt((S-1)/S)`` and, for few seeds, the weight
    of its tails, so the percentiles are taken at the levels ``Phi(-+ sqrt(S/(S-1)) t)`` with ``t``
    the quantile of Student's distribution with ``W (S-1)`` degrees of freedom, in place of the
    nominal ones ("expanded percentile interval").

    Args:
        widths: ``[W]``, positive, at least two of them different.
        errors: ``[W, S]``, positive, at least two seeds.
        confidence: of the interval, between 0 and 1.
        resamples: number of bootstrap resamples.
        seed: seed of the resampling.

    Returns:
        A :class:`Slope`.

    Raises:
        ValueError: naming the argument, what came and what was expected.

    Cost: ``O(resamples W S)`` time and memory.

    Source: T. C. Hesterberg, What teachers should know about the bootstrap, The American
    Statistician 69 (2015), for the expanded levels.

    Example:
        >>> widths = np.array([64, 128, 256])
        >>> fit = loglog_slope(widths, widths[:, None] ** -0.5 * np.array([2.9, 3.1]))
        >>> round(fit.slope, 6), fit.interval[0] <= -0.5 <= fit.interval[1]
        (-0.5, True)
    """
    widths, errors = np.asarray(widths, float), np.asarray(errors, float)
    _check(widths, errors, confidence, resamples)
    count, seeds = errors.shape
    centred = np.log(widths) - np.log(widths).mean()
    weights = centred / np.sum(centred**2)  # The slope is this linear function of the log errors.
    log_mean = np.log(errors.mean(axis=1))
    slope = float(weights @ log_mean)

    rng = np.random.default_rng(seed)
    picks = rng.integers(seeds, size=(resamples, count, seeds))
    means = np.take_along_axis(errors[None], picks, axis=2).mean(axis=2)
    slopes = np.log(means) @ weights
    t = stats.t.ppf((1 + confidence) / 2, count * (seeds - 1))
    level = stats.norm.cdf(-np.sqrt(seeds / (seeds - 1)) * t)
    low, high = np.quantile(slopes, [level, 1 - level])
    intercept = float(log_mean.mean() - slope * np.log(widths).mean())
    return Slope(slope, (float(low), float(high)), intercept, confidence)


def finite_slope(
    widths: np.ndarray, errors: np.ndarray, *, resamples: int = 2000, confidence: float = 0.95
) -> Slope:
    """:func:`loglog_slope` over the widths where every seed has an error that has a logarithm.

    A seed that diverged is not left out alone: the mean over those that did not would be that of
    another, tamer kind of run.

    Args:
        widths: ``[W]``, positive, different.
        errors: ``[W, S]``, at least two seeds; some may be NaN, infinite or 0.
        resamples: number of bootstrap resamples.
        confidence: of the interval, between 0 and 1.

    Returns:
        A :class:`Slope` that says which widths it leaves out; all of it NaN if fewer than two are left.

    Example:
        >>> errors = np.array([[np.inf, 2.0], [1.0, 1.0], [0.5, 0.5]])
        >>> fit = finite_slope(np.array([8, 16, 32]), errors)
        >>> round(fit.slope, 6), fit.left_out
        (-1.0, (8,))
    """
    widths, errors = np.asarray(widths), np.asarray(errors, float)
    use = (np.isfinite(errors) & (errors > 0)).all(axis=1)
    left_out = tuple(widths[~use].tolist())
    if use.sum() < 2:
        return Slope(np.nan, (np.nan, np.nan), np.nan, confidence, left_out)
    fit = loglog_slope(widths[use], errors[use], resamples=resamples, confidence=confidence)
    return fit._replace(left_out=left_out)


def exponent(x: Any, values: np.ndarray) -> Estimate:
    """The power of x that means over seeds follow, by :func:`finite_slope`, and its interval of 95%.

    Args:
        x: ``[X]``, positive, different.
        values: ``[X, S]``, at least two seeds; rows with values that have no logarithm are left out.

    Returns:
        ``(exponent, (low, high))``; NaN if fewer than two rows are left.

    Example:
        >>> value, (low, high) = exponent([1, 2, 4], np.array([[1.0, 1.1], [2.0, 2.2], [4.0, 4.4]]))
        >>> round(value, 6), low <= 1 <= high
        (1.0, True)
    """
    fit = finite_slope(np.asarray(x, float), values)
    return fit.slope, (min(fit.interval[0], fit.slope), max(fit.interval[1], fit.slope))


def exactly(value: Any) -> Estimate:
    """A number without a sampling error.

    Example:
        >>> exactly(2)
        (2.0, (2.0, 2.0))
    """
    return float(value), (float(value), float(value))


def mean_interval(values: np.ndarray, confidence: float = 0.95) -> Estimate:
    """The mean over seeds, and its interval by Student's t.

    Args:
        values: ``[S]``, at least two.
        confidence: of the interval, between 0 and 1.

    Returns:
        ``(mean, (low, high))``; NaN if a value is not finite.

    Raises:
        ValueError: if there are fewer than two values.

    Example:
        >>> mean, (low, high) = mean_interval(np.array([1.0, 3.0]))
        >>> mean, round(high - mean, 3)
        (2.0, 12.706)
    """
    values = np.asarray(values, float)
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"values: got {values.tolist()}, expected at least two numbers.")
    if not np.isfinite(values).all():
        return np.nan, (np.nan, np.nan)
    mean = float(values.mean())
    half = float(stats.t.ppf((1 + confidence) / 2, len(values) - 1) * stats.sem(values))
    return mean, (mean - half, mean + half)


class LineFit(NamedTuple):
    """A least-squares line."""

    slope: float
    interval: tuple[float, float]
    """By Student's t, from the scatter about the line."""
    intercept: float
    residual: float
    """The share of the variance that the line leaves."""


def line_fit(x: np.ndarray, y: np.ndarray, confidence: float = 0.95) -> LineFit:
    """Fit ``y = intercept + slope x``.

    Args:
        x: ``[X]``, at least three different values.
        y: ``[X]``.
        confidence: of the interval, between 0 and 1.

    Returns:
        A :class:`LineFit`; NaN if a value of y is not finite.

    Raises:
        ValueError: if there are too few values.

    Example:
        >>> fit = line_fit(np.arange(4.0), 2 * np.arange(4.0) + 1)
        >>> round(fit.slope, 6), round(fit.intercept, 6), fit.residual < 1e-12
        (2.0, 1.0, True)
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    if x.shape != y.shape or x.ndim != 1 or len(np.unique(x)) < 3:
        raise ValueError(
            f"x, y: got shapes {x.shape} and {y.shape}, expected at least three different x, each with "
            "a y; an interval about a line needs three."
        )
    if not np.isfinite(y).all():
        return LineFit(np.nan, (np.nan, np.nan), np.nan, np.nan)
    centred = x - x.mean()
    slope = float(centred @ y / (centred @ centred))
    intercept = float(y.mean() - slope * x.mean())
    wrong = float(np.sum((y - intercept - slope * x) ** 2))
    half = stats.t.ppf((1 + confidence) / 2, len(x) - 2) * np.sqrt(
        wrong / (len(x) - 2) / (centred @ centred)
    )
    total = float(np.sum((y - y.mean()) ** 2))
    residual = wrong / total if total else 0.0
    return LineFit(slope, (slope - float(half), slope + float(half)), intercept, residual)


def _check(widths: np.ndarray, errors: np.ndarray, confidence: float, resamples: int) -> None:
    if widths.ndim != 1 or len(np.unique(widths)) < 2 or not (widths > 0).all():
        raise ValueError(
            f"widths: got {widths.tolist()}, expected a list of positive widths, at least two of "
            "them different; a slope needs two."
        )
    if errors.ndim != 2 or len(errors) != len(widths) or errors.shape[1] < 2:
        raise ValueError(
            f"errors: got shape {errors.shape}, expected [{len(widths)}, S] for {len(widths)} "
            "widths and S >= 2 seeds; an interval over seeds needs two."
        )
    if not (np.isfinite(errors).all() and (errors > 0).all()):
        bad = errors[~(np.isfinite(errors) & (errors > 0))][0]
        raise ValueError(
            f"errors: got {bad}, expected finite errors above 0, because the fit takes logarithms."
        )
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: got {confidence}, expected a number between 0 and 1.")
    if resamples < 100:
        raise ValueError(f"resamples: got {resamples}, expected at least 100.")
