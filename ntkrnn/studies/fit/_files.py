"""The files of a fit: the model, what it predicts, figures, and a page for people."""

from __future__ import annotations

import html
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ntkrnn._files import make_folder, write_bytes, write_json
from ntkrnn.data import Dataset
from ntkrnn.estimators import save
from ntkrnn.report import run_record, write_figure
from ntkrnn.report.page import escaped, image, page, table
from ntkrnn.report.tables import write_csv
from ntkrnn.studies.fit._figures import figures
from ntkrnn.studies.fit._form import LEVELS, FitResult
from ntkrnn.studies.fit._words import CANDIDATE_COLUMNS, candidates, described, found_scales, said
from ntkrnn.studies.records import dataset_record

MODEL = "model.npz"
_DRAWN = "ambiguous calibration confusion forecast kernel predictions"
FILES = (MODEL, "fit.json", "predictions.csv", "report.html", *(f"{n}.png" for n in _DRAWN.split()))
"""All that a fit may write."""


def write_fit(result: FitResult, folder: str | os.PathLike[str]) -> list[Path]:
    """Write ``model.npz``, ``predictions.csv``, figures, ``report.html`` and ``fit.json``.

    Args:
        result: what :func:`ntkrnn.studies.fit` returned.
        folder: made if it is not there. Files of an earlier fit are replaced, and figures that this one
            does not have are removed.

    Returns:
        The paths, that of the report first.

    Raises:
        OSError: if the folder or a file cannot be written.
        TypeError: if the model has a nonlinearity of your own, which no file holds.
    """
    folder = make_folder(folder)
    save(result.model, folder / MODEL)
    drawn = figures(result)
    for name in FILES:
        if name.endswith(".png") and name not in drawn:
            (folder / name).unlink(missing_ok=True)
    written = {name: write_figure(folder / name, figure) for name, (_, figure) in drawn.items()}
    predictions = write_csv(folder / "predictions.csv", *rows(result))
    told = {name: (words, written[name]) for name, (words, _) in drawn.items()}
    report = write_bytes(folder / "report.html", _page(result, told))
    record = write_json(folder / "fit.json", summary(result))
    return [report, record, folder / MODEL, predictions, *written.values()]


def summary(result: FitResult) -> dict[str, Any]:
    """The content of ``fit.json``."""
    settings, found = result.settings, result.evaluation
    architectures = result.model.architecture_
    members = architectures if isinstance(architectures, tuple) else (architectures,)
    return {
        "task": settings.task,
        "data": _data_record(result.data),
        "test": None if result.test is None else _data_record(result.test),
        "settings": {"kernel": settings.kernel, "folds": settings.folds, "seed": settings.seed},
        "architectures": [repr(arch) for arch in members],
        "candidates": [one._asdict() for one in candidates(result)],
        "scales": found_scales(result),
        "evaluated": found.how,
        "predictions": len(found.truth),
        "measure": "accuracy" if settings.task == "classify" else "root mean squared error",
        "score": result.score.value,
        "interval": [result.score.low, result.score.high],
        "baseline": result.baseline,
        "covered": None
        if found.bands is None
        else {f"{level:g}": share for level, share in zip(LEVELS, found.covered, strict=True)},
        "seconds": result.seconds,
        **run_record(),
    }


def _data_record(data: Any) -> dict[str, Any]:
    if isinstance(data, Dataset):
        return dataset_record(data)
    n, steps, inputs = data.x.shape
    return {
        "name": data.name,
        "records": n,
        "length": steps,
        "inputs": inputs,
        "output": data.target,
        "lengths": data.lengths,
        "source": data.source,
    }


def rows(result: FitResult) -> tuple[list[str], Iterable[Sequence[Any]]]:
    """The columns of ``predictions.csv`` and its rows; series and steps are counted from 1."""
    found = result.evaluation
    columns: list[tuple[str, Any]] = [("series", result.numbers)]
    if found.steps is not None:
        columns.append(("step", found.steps + 1))
    columns += [("truth", found.truth), ("predicted", found.predicted)]
    if found.probabilities is not None:
        columns += [
            (f"p({name})", np.round(found.probabilities[:, c], 6))
            for c, name in enumerate(result.model.classes_)
        ]
    if found.bands is not None:
        half = found.bands[:, -1]
        columns += [("low95", found.predicted - half), ("high95", found.predicted + half)]
    return [name for name, _ in columns], zip(*(values for _, values in columns), strict=True)


def _page(result: FitResult, drawn: dict[str, tuple[str, Path]]) -> bytes:
    data, found = result.data, candidates(result)
    record = run_record()
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    parts = [f"<p>{html.escape(sentence)}.</p>" for sentence in said(result)]
    parts.append(f"<p>{html.escape(described(data))}</p>")
    if found:
        parts += [
            "<h2>What was chosen, and from what</h2>",
            "<p>Every kernel with the ridge that has the least mean squared error of left-out series"
            + (", whose targets are +1 and −1" if result.settings.task == "classify" else "")
            + ".</p>",
            table(CANDIDATE_COLUMNS, [escaped(one.cells) for one in found]),
        ]
    else:
        scales = [[name, f"{value:.4g}"] for name, value in found_scales(result).items()]
        parts += ["<h2>What the marginal likelihood found</h2>", table(["scale", "value"], scales)]
    for words, path in drawn.values():
        parts += [f"<h2>{html.escape(words)}</h2>", image(path, words)]
    parts.append(
        f'<p class="small">{result.seconds:.1f} s. {html.escape(record["device"])}. '
        f"{html.escape(versions)}.</p>"
    )
    title = {"classify": "Classes", "regress": "Numbers", "forecast": "Forecasts"}[result.settings.task]
    return page(f"ntkrnn fit {data.name}", f"{title} from {data.name}", "\n".join(parts))
