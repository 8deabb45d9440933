"""From settings to a conclusion, by way of jobs."""

from __future__ import annotations

import time
import warnings
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import Any, NamedTuple

import jax
import numpy as np
from threadpoolctl import threadpool_limits

from ntkrnn._compile import available_cores
from ntkrnn._progress import Progress
from ntkrnn.studies.engines import StudyError
from ntkrnn.studies.learnability._experiment import Conclusion, Experiment, nothing_fitted
from ntkrnn.studies.piece_form import Piece
from ntkrnn.studies.pieces import Store


class LearnabilityResult(NamedTuple):
    """An experiment that was run."""

    experiment: Experiment
    settings: Any
    conclusion: Conclusion
    seconds: float
    """Of this run; jobs that were kept cost nothing."""


def learnability(
    experiment: Experiment,
    settings: Any = None,
    store: Store | None = None,
    progress: Progress | None = None,
) -> LearnabilityResult:
    r"""Run an experiment: measure its jobs, then hold what they give against the theory.

    Args:
        experiment: one of :data:`EXPERIMENTS`.
        settings: of the experiment's own class; None for the full setting.
        store: finished jobs are loaded from it and saved to it.
        progress: called as ``progress(done, total, what)``.

    Returns:
        A :class:`LearnabilityResult`.

    Raises:
        TypeError: if the settings are those of another experiment.
        StudyError: if a matrix of a job has no factor.

    Cost: that of the jobs; each experiment's settings say which.

    Source: the experiment's.

    Example:
        >>> from ntkrnn.studies.learnability import EXPERIMENTS, learnability
        >>> found = EXPERIMENTS["rntk-sensitivity"]
        >>> tiny = found.settings(length=8, dim=2, pairs=2, recurrent=(0.5, 2.0), seeds=2, skip=1)
        >>> [one.relation for one in learnability(found, tiny).conclusion.findings]
        ['at most', 'equals']
    """
    if settings is None:
        settings = experiment.settings()
    if not isinstance(settings, experiment.settings):
        raise TypeError(
            f"settings: got {settings!r}, expected {experiment.settings.__name__} for "
            f"{experiment.name!r}."
        )
    start = time.perf_counter()
    report = progress or (lambda done, total, what: None)
    jobs = experiment.jobs(settings)
    pieces: dict[str, Piece] = {}
    waiting: dict[Future[Piece], str] = {}
    workers = _workers()
    # Where jobs share the cores, the threads of one's linear algebra stand in another's way; and sums
    # over threads are rounded by their number.
    limit = threadpool_limits(1 if jax.default_backend() == "cpu" else None)
    with limit, ThreadPoolExecutor(workers) as pool:
        for job in jobs:
            piece = None if store is None else store.load(job.name)
            if piece is None:
                waiting[pool.submit(job.measure)] = job.name
            else:
                pieces[job.name] = piece
        report(len(pieces), len(jobs), "measuring")
        try:
            for future in as_completed(waiting):
                name = waiting[future]
                pieces[name] = _piece(future, f"{experiment.name}: {name}")
                if store is not None:
                    store.save(name, pieces[name])
                report(len(pieces), len(jobs), name)
        except BaseException:  # Ctrl-C too: what has not begun is not begun
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    pieces = {job.name: pieces[job.name] for job in jobs}  # not in the order in which they ended
    report(len(jobs), len(jobs), "fitting")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", RuntimeWarning
            )  # what is not finite is told in the findings
            conclusion = experiment.concluded(settings, pieces)
    except StudyError:  # what has to be done before anything can be measured
        raise
    except (ValueError, ArithmeticError) as error:
        conclusion = nothing_fitted(pieces, str(error))
    return LearnabilityResult(experiment, settings, conclusion, time.perf_counter() - start)


def _piece(future: Future[Piece], name: str) -> Piece:
    try:
        return future.result()
    except np.linalg.LinAlgError as error:
        raise StudyError(f"{name}: {error}; sequences are equal or nearly so.") from error


def _workers() -> int:
    """Jobs at a time: small products leave all but one core of a CPU idle."""
    return min(available_cores(), 4) if jax.default_backend() == "cpu" else 1
