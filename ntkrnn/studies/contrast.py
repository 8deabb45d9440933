"""Runs that agree with the linearised network, and runs that part from it.

Full-batch descent on the squared loss. In a wide network and with a step that its kernel allows, both
fall alike. In a narrow one the kernel changes while it learns, and they part. With a step beyond the
largest stable one the linearised network diverges; the network itself climbs, moves to where its kernel
allows the step, and falls from there.
"""

from __future__ import annotations

import warnings

import jax
import numpy as np

import ntkrnn
from ntkrnn import dynamics
from ntkrnn.studies.piece_form import Piece
from ntkrnn.studies.trajectory_run import Problem, parameters_of, sgd
from ntkrnn.studies.trajectory_settings import TrajectorySettings

STEPS = 60
NARROW = 8
LARGE_STEP = 2.0
"""In units of the largest stable step."""


def contrast_cases(settings: TrajectorySettings) -> list[tuple[str, int, float]]:
    """Title, width, and step in units of the largest stable one."""
    wide, middle = settings.widths[-1], settings.widths[len(settings.widths) // 2]
    return [
        (f"width {wide}, half the largest stable step", wide, 0.5),
        (f"width {NARROW}, half the largest stable step", NARROW, 0.5),
        (f"width {middle}, {LARGE_STEP:g} times the largest stable step", middle, LARGE_STEP),
    ]


def contrast(
    settings: TrajectorySettings, problem: Problem, title: str, width: int, factor: float
) -> Piece:
    """Full-batch descent, and its linearisation, with a step measured by the network's own kernel."""
    arch, params = parameters_of(settings, problem, width, 0)
    ntk_fn = ntkrnn.empirical_ntk_fn(arch, trace_axes=())
    kernel = ntk_fn(problem.x, None, params, problem.lengths)
    largest = dynamics.largest_stable_step(kernel)
    rate = factor * largest
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dynamics.DivergedWarning)  # the loss says it
        found = dynamics.train(
            arch,
            params,
            problem.x,
            problem.y,
            optimizer=sgd(rate),
            steps=STEPS,
            lengths=problem.lengths,
            record=("loss", "drift"),
            at=1,
        )
    predicted = dynamics.linearized(
        kernel,
        ntkrnn.network(arch).apply_fn(params, problem.x, problem.lengths),
        problem.y,
        learning_rate=rate,
        steps=STEPS,
        lengths=problem.lengths,
        at=1,
        unstable="ignore",
    )
    after = np.nan
    if all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found.params)):
        after = dynamics.largest_stable_step(ntk_fn(problem.x, None, found.params, problem.lengths))
    return {
        "title": title,
        "width": width,
        "learning_rate": rate,
        "largest_step_before": largest,
        "largest_step_after": after,
        "steps": found.steps,
        "loss": np.asarray(found.loss),
        # Past infinity the arithmetic of a prediction gives NaN.
        "loss_linear": np.nan_to_num(predicted.loss, nan=np.inf, posinf=np.inf),
        "drift": np.asarray(found.drift),
    }
