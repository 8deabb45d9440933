"""Every set of a suite, fitted to its training data and scored on its test data."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ntkrnn import _checks
from ntkrnn._progress import Progress
from ntkrnn.estimators import progress
from ntkrnn.report.scores import root_mean_square
from ntkrnn.studies.engines import StudyError
from ntkrnn.studies.evaluate._sets import SUITES, Part, Split, belongs, digest, sets_of
from ntkrnn.studies.fit import FitSettings, estimator, gaussian_bands
from ntkrnn.studies.pieces import Store, kept

KEPT = ("scores", "covered", "tests", "seconds", "sizes")


@dataclasses.dataclass(frozen=True)
class EvaluateSettings:
    """What is fitted to every set.

    Attributes:
        suite: "ucr", "uea", "uci" or "sysid".
        architecture: "auto" or an architecture.
        kernel: "nngp" or "ntk".
        seed: of everything random.
    """

    suite: str
    architecture: Any = "auto"
    kernel: str = "nngp"
    seed: int = 0

    def __post_init__(self) -> None:
        _checks.choice("suite", self.suite, SUITES)
        _checks.choice("kernel", self.kernel, ("nngp", "ntk"))
        _checks.whole_number("seed", self.seed)

    @property
    def lower_is_better(self) -> bool:
        """Whether the score is an error: in "sysid", where all others have the accuracy."""
        return self.suite == "sysid"


class SetScore(NamedTuple):
    """What one set gave."""

    name: str
    scores: np.ndarray
    """``[S]``: the test accuracy of every split, or the root mean squared error."""
    covered: np.ndarray
    """``[S]``: the share of the truth in 95% bands; NaN for classes."""
    tests: np.ndarray
    """``[S]``: test series, or steps."""
    seconds: np.ndarray
    """``[S]``: of a fit, its compilation included."""
    sizes: np.ndarray
    """``[4]``: training series, longest length, channels, classes (0 for records)."""

    @property
    def score(self) -> float:
        """The mean over splits."""
        return float(self.scores.mean())


def evaluate(
    settings: EvaluateSettings,
    folder: Path,
    names: Sequence[str] = (),
    report: Progress | None = None,
    store: Store | None = None,
) -> list[SetScore]:
    """Fit the estimators to the training data of every set of a folder, and score their predictions.

    Everything is chosen on the training data; test data are predicted once. The protocol is that of the
    archives: the splits that they publish, and the mean over splits where there are several.

    Args:
        settings: the suite, and what is fitted.
        folder: of the sets.
        names: of those that are wanted; none for all.
        report: called as ``report(done, total, what)``.
        store: finished sets are loaded from it and saved to it.

    Raises:
        StudyError: if a set cannot be read, is not there, or the folder has none.

    Cost: a fit for every split.
    """
    found = sets_of(settings.suite, folder)
    known = [one.name for one in found]
    missing = [name for name in names if name not in known]
    if missing:
        raise StudyError(f"{folder} has no set {missing[0]!r}; found {', '.join(known)[:300]}.")
    told = report or (lambda done, total, what: None)
    chosen = [one for one in found if not names or one.name in names]
    scores = []
    for i, one in enumerate(chosen):
        told(i, len(chosen), one.name)
        with _of_set(one.name):
            splits = one.read()
            if not belongs(settings.suite, splits):
                continue

            def measure(i: int = i, name: str = one.name, splits: list[Split] = splits) -> Any:
                with progress(lambda what: told(i, len(chosen), f"{name}: {what}")):
                    return _measured(settings, splits)

            piece = kept(store, f"{one.name}-{digest(splits)}", KEPT, measure)
        scores.append(SetScore(one.name, **{key: np.asarray(piece[key]) for key in KEPT}))
    told(len(chosen), len(chosen), "done")
    if not scores:
        raise StudyError(
            f"{folder} has no set of the suite {settings.suite!r}, which are classes of series with "
            f"{'one channel' if settings.suite == 'ucr' else 'several channels'}."
        )
    return scores


@contextlib.contextmanager
def _of_set(name: str) -> Iterator[None]:
    """What readers and estimators refuse, said with the name of the set."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise StudyError(f"{name}: {error}") from error


def _measured(settings: EvaluateSettings, splits: Sequence[Split]) -> dict[str, Any]:
    one = _records if settings.suite == "sysid" else _classes
    rows = [one(settings, split) for split in splits]
    train = splits[0].train
    classes = 0 if settings.suite == "sysid" else len(np.unique(train.y))
    columns = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    return columns | {"sizes": np.array([*train.x.shape, classes])}


def _fitted(settings: EvaluateSettings, train: Part) -> tuple[Any, float]:
    """The estimator of a suite, and the seconds of its fit."""
    task = "forecast" if settings.suite == "sysid" else "classify"
    asked = FitSettings(task, settings.architecture, settings.kernel, seed=settings.seed)
    start = time.perf_counter()
    model = estimator(asked).fit(train.x, train.y, lengths=train.lengths)
    return model, time.perf_counter() - start


def _classes(settings: EvaluateSettings, split: Split) -> dict[str, float]:
    model, seconds = _fitted(settings, split.train)
    right = model.predict(split.test.x, lengths=split.test.lengths) == split.test.y
    return {"scores": right.mean(), "covered": np.nan, "tests": len(right), "seconds": seconds}


def _records(settings: EvaluateSettings, split: Split) -> dict[str, float]:
    model, seconds = _fitted(settings, split.train)
    mean, std = model.predict(split.test.x, return_std=True)
    errors = (mean - split.test.y).ravel()
    return {
        "scores": root_mean_square(errors).value,
        "covered": np.mean(np.abs(errors) <= gaussian_bands(std.ravel())[:, -1]),
        "tests": errors.size,
        "seconds": seconds,
    }
