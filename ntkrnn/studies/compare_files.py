"""The files of a comparison: one JSON, the kernels, and two figures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from ntkrnn._files import make_folder, write_json, write_npz
from ntkrnn.report import (
    Curve,
    KernelRow,
    error_against_width,
    kernel_images,
    mean_and_std,
    run_record,
    write_figure,
)
from ntkrnn.studies.cautions import cautions
from ntkrnn.studies.compare import PREDICTED_SLOPE, CompareResult
from ntkrnn.studies.records import architecture_record, dataset_record, network_in_words

FILES = ("compare.json", "kernels.npz", "error_vs_width.png", "kernels.png")


def write_compare(result: CompareResult, folder: str | os.PathLike[str]) -> list[Path]:
    """Write ``compare.json``, ``kernels.npz``, ``error_vs_width.png`` and ``kernels.png``.

    Args:
        result: what :func:`ntkrnn.studies.compare` returned.
        folder: made if it is not there. Files of an earlier comparison are replaced, each in one
            step, and the JSON last.

    Returns:
        The four paths, in the order above.

    Raises:
        OSError: if the folder or a file cannot be written.
    """
    folder = make_folder(folder)
    kernels = write_npz(folder / "kernels.npz", _arrays(result))
    errors = write_figure(folder / "error_vs_width.png", _error_figure(result))
    images = write_figure(folder / "kernels.png", _kernel_figure(result))
    record = write_json(folder / "compare.json", summary(result))
    return [record, kernels, errors, images]


def summary(result: CompareResult) -> dict[str, Any]:
    """The content of ``compare.json``; lists over widths, and over ``[width][seed]``.

    Args:
        result: what :func:`ntkrnn.studies.compare` returned.

    Returns:
        A mapping that JSON can hold.
    """
    settings = result.settings
    ntk_mean, ntk_std = mean_and_std(result.ntk_errors)
    nngp_mean, nngp_std = mean_and_std(result.nngp_errors)
    return {
        "architecture": architecture_record(settings.architecture, settings.widths[-1]),
        "dataset": dataset_record(result.dataset),
        **run_record(),
        "engine": result.engine,
        "settings": {
            "widths": settings.widths,
            "seeds": settings.seeds,
            "seed": settings.seed,
            "resamples": settings.resamples,
        },
        "dtype": str(result.infinite.ntk.dtype),
        "widths": settings.widths,
        "seeds": settings.seeds,
        "ntk_error_mean": ntk_mean,
        "ntk_error_std": ntk_std,
        "nngp_error_mean": nngp_mean,
        "nngp_error_std": nngp_std,
        "ntk_slope": result.ntk_fit.slope,
        "ntk_slope_interval": result.ntk_fit.interval,
        "nngp_slope": result.nngp_fit.slope,
        "nngp_slope_interval": result.nngp_fit.interval,
        "widths_without_slope": {
            "ntk": result.ntk_fit.left_out,
            "nngp": result.nngp_fit.left_out,
        },
        "slope_confidence": result.ntk_fit.confidence,
        "slope_predicted": PREDICTED_SLOPE,
        "ntk_errors": result.ntk_errors,
        "nngp_errors": result.nngp_errors,
        "nngp_limit_error": result.limit_errors[0],
        "ntk_limit_error": result.limit_errors[1],
        "cautions": warned(result),
        "seconds": result.seconds,
        "seconds_per_width": result.seconds_per_width,
    }


def warned(result: CompareResult) -> list[str]:
    """Where the comparison means little, see :mod:`ntkrnn.studies.cautions`."""
    settings = result.settings
    of = settings.architecture, result.dataset, settings.widths, settings.seeds
    return cautions(*of, np.maximum(result.ntk_errors, result.nngp_errors))


def _arrays(result: CompareResult) -> dict[str, Any]:
    dataset, settings = result.dataset, result.settings
    arrays = {
        "ntk_infinite": result.infinite.ntk,
        "nngp_infinite": result.infinite.nngp,
        "finite_widths": np.array([settings.widths[0], settings.widths[-1]]),
        "ntk_finite": np.stack([result.narrowest.ntk, result.widest.ntk]),
        "nngp_finite": np.stack([result.narrowest.nngp, result.widest.nngp]),
        "widths": np.array(settings.widths),
        "ntk_errors": result.ntk_errors,
        "nngp_errors": result.nngp_errors,
        "x": dataset.x,
    }
    for name in ("lengths", "labels"):
        value = getattr(dataset, name)
        if value is not None:
            arrays[name] = value
    return arrays


def _error_figure(result: CompareResult) -> Any:
    widths = np.array(result.settings.widths)
    return error_against_width(
        [
            Curve("NTK", widths, result.ntk_errors, result.ntk_fit, result.limit_errors[1]),
            Curve("NNGP", widths, result.nngp_errors, result.nngp_fit, result.limit_errors[0]),
        ],
        title="Finite-width kernels approach the infinite-width kernel",
        subtitle=f"{network_in_words(result.settings.architecture)}, {result.settings.seeds} seeds\n"
        f"{result.dataset.describe()}",
        predicted=PREDICTED_SLOPE,
    )


def _kernel_figure(result: CompareResult) -> Any:
    widths, lengths = result.settings.widths, result.dataset.lengths
    sequence = result.settings.architecture.reading.stepwise
    steps = result.dataset.x.shape[1]
    last = np.full(len(result.dataset.x), steps) - 1 if lengths is None else lengths - 1
    rows = np.arange(len(last))

    def image(kernel: np.ndarray) -> np.ndarray:
        if not sequence:
            return kernel
        return kernel[rows[:, None], rows[None, :], last[:, None], last[None, :]]

    def row(name: str, errors: np.ndarray) -> KernelRow:
        field = name.lower()
        finite = [
            (
                f"finite width {width}\n(one network, error {errors[i, 0]:.1%})",
                image(getattr(kernels, field)),
            )
            for width, i, kernels in (
                (widths[0], 0, result.narrowest),
                (widths[-1], -1, result.widest),
            )
        ]
        return KernelRow(name, image(getattr(result.infinite, field)), finite)

    note = "The images show the last valid step of each sequence." if sequence else ""
    return kernel_images(
        [row("NTK", result.ntk_errors), row("NNGP", result.nngp_errors)],
        title="Kernels between sequences: infinite width and finite width",
        subtitle=f"{network_in_words(result.settings.architecture)}\n{result.dataset.describe()}",
        labels=result.dataset.labels,
        note=note,
    )
