"""The files of a trajectory study: one JSON, the arrays, four figures."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np

from ntkrnn._files import make_folder, write_json, write_npz
from ntkrnn.report import (
    Curve,
    Panel,
    along_training,
    error_against_width,
    run_panels,
    run_record,
    write_figure,
)
from ntkrnn.report.axes import drawn
from ntkrnn.studies.contrast import LARGE_STEP
from ntkrnn.studies.records import architecture_record, dataset_record, network_in_words
from ntkrnn.studies.trajectory import TrajectoryResult
from ntkrnn.studies.trajectory_summary import (
    MEASURES,
    PREDICTED_SLOPE,
    along,
    fit_record,
    fitted,
    not_finite,
    parts,
    suprema,
    warned,
)

FILES = (
    "trajectory.json",
    "trajectory.npz",
    "loss_curves.png",
    "deviation_vs_width.png",
    "kernel_drift.png",
    "contrast.png",
)


def write_trajectory(result: TrajectoryResult, folder: str | os.PathLike[str]) -> list[Path]:
    """Write ``trajectory.json``, ``trajectory.npz``, and the figures of a study.

    Those are ``loss_curves.png``, ``deviation_vs_width.png``, ``kernel_drift.png`` and, if there is a
    contrast, ``contrast.png``.

    Args:
        result: what :func:`ntkrnn.studies.trajectory` returned.
        folder: made if it is not there; files of an earlier study are replaced, each in one step, and
            the JSON last.

    Returns:
        The paths, the JSON first.

    Raises:
        OSError: if the folder or a file cannot be written.
    """
    folder = make_folder(folder)
    arrays = write_npz(folder / "trajectory.npz", _arrays(result))
    figures = [
        write_figure(folder / name, figure)
        for name, figure in (
            ("loss_curves.png", _loss_figure(result)),
            ("deviation_vs_width.png", _deviation_figure(result)),
            ("kernel_drift.png", _drift_figure(result)),
            *((("contrast.png", _contrast_figure(result)),) if result.contrast else ()),
        )
    ]
    return [write_json(folder / "trajectory.json", summary(result)), arrays, *figures]


def summary(result: TrajectoryResult) -> dict[str, Any]:
    """The content of ``trajectory.json``; lists over widths, and over ``[width][seed]``."""
    settings, found = result.settings, parts(result)
    names = sorted(name for name in result.pieces[0][0] if name.startswith("movement_"))
    return {
        "architecture": architecture_record(settings.architecture, settings.widths[-1]),
        "dataset": dataset_record(result.dataset),
        **run_record(),
        "settings": {
            name: value
            for name, value in dataclasses.asdict(settings).items()
            if name != "architecture"
        },
        "dtype": str(result.pieces[0][0]["loss"].dtype),
        "outputs": result.outputs,
        "learning_rate": result.learning_rate,
        "largest_stable_step": result.largest_step,
        "widths": settings.widths,
        "runs_not_finite": not_finite(result),
        "sup_deviation": {name: suprema(result, name) for name in MEASURES if name != "drift"},
        "kernel_drift": suprema(result, "drift"),
        "changed_signs": along(result, "signs")[..., -1],
        "movement": {name.removeprefix("movement_"): along(result, name)[..., -1] for name in names},
        "final_loss": {
            name: along(result, name)[..., -1]
            for name in ("loss", "test_loss", "loss_linear", "loss_infinite")
        },
        "slopes": {name: fit_record(fitted(result, name)) for name in MEASURES},
        "slope_predicted_at_most": PREDICTED_SLOPE,
        "final_test_deviation": {
            "shared_by_seeds": found.shared,
            "spread_over_seeds": np.sqrt(np.mean(found.spread**2, axis=1)),
            "spread_slope": fit_record(found.spread_fit),
        },
        "contrast": [
            {name: case[name] for name in case if name != "steps"} for case in result.contrast
        ],
        "cautions": warned(result),
        "seconds": result.seconds,
    }


def _arrays(result: TrajectoryResult) -> dict[str, Any]:
    first = result.pieces[0][0]
    arrays = {name: along(result, name) for name in first if name != "steps"}
    arrays |= {"steps": first["steps"], "widths": np.array(result.settings.widths)}
    return {**arrays, "x": result.dataset.x}


def _subtitle(result: TrajectoryResult) -> str:
    settings = result.settings
    batch = "full batches" if settings.batch_size is None else f"batches of {settings.batch_size}"
    momentum = f", momentum {settings.momentum:g}" if settings.momentum else ""
    return (
        f"{network_in_words(settings.architecture)}; SGD, {batch}, step "
        f"{result.learning_rate:.3g}{momentum}, {settings.seeds} seeds\n{result.dataset.describe()}"
    )


def _loss_figure(result: TrajectoryResult) -> Any:
    widths = result.settings.widths
    curves = {
        "network": along(result, "loss"),
        "linearised (own kernel)": along(result, "loss_linear"),
        "infinite-width kernel": along(result, "loss_infinite"),
    }
    shown = sorted({0, len(widths) // 2, len(widths) - 1})
    panels = [
        Panel(
            f"width {widths[i]}",
            result.pieces[0][0]["steps"],
            [(name, values[i]) for name, values in curves.items()],
        )
        for i in shown
    ]
    return run_panels(
        panels,
        title="Training loss: network and predictions, from the same start, with the same batches",
        subtitle=_subtitle(result),
        quantity="training loss (mean of ½‖f − y‖²)",
    )


def _deviation_figure(result: TrajectoryResult) -> Any:
    widths = np.array(result.settings.widths)
    curves = [
        Curve(label, widths, suprema(result, name), fitted(result, name))
        for name, label in MEASURES.items()
        if name != "drift"
    ]
    return error_against_width(
        curves,
        title="Networks come to obey their kernels as they widen",
        subtitle=_subtitle(result),
        predicted=PREDICTED_SLOPE,
        bound=True,
        quantity="largest deviation along the run (rms over sequences)",
    )


def _drift_figure(result: TrajectoryResult) -> Any:
    return along_training(
        result.settings.widths,
        result.pieces[0][0]["steps"][1:],
        along(result, "drift")[..., 1:],
        title="The tangent kernel moves less in wider networks",
        subtitle=f"{_subtitle(result)}; band: ± 1 std",
        quantity="kernel drift  ‖Θₖ − Θ₀‖ / ‖Θ₀‖  (Frobenius)",
    )


def _contrast_figure(result: TrajectoryResult) -> Any:
    panels = []
    for case in result.contrast:
        before, after = case["largest_step_before"], case["largest_step_after"]
        note = (
            f"step {case['learning_rate']:.3g}\nlargest stable one:\n"
            f"{before:.3g} at first, {after:.3g} at the end"
        )
        curves = [("network", case["loss"]), ("linearised (own kernel)", case["loss_linear"])]
        panels.append(Panel(case["title"].replace(", ", "\n"), case["steps"], curves, note))
    losses = drawn(np.concatenate([case["loss"] for case in result.contrast]))
    losses = losses[np.isfinite(losses) & (losses > 0)]
    return run_panels(
        panels,
        title="Where the linearised network holds, and where it does not (full-batch descent)",
        subtitle=f"at {LARGE_STEP:g} times the largest stable step the linearised network diverges; "
        "the network moves to where the step is stable",
        quantity="training loss (mean of ½‖f − y‖²)",
        limits=(0.5 * losses.min(), 30 * losses.max()) if losses.size else None,
    )
