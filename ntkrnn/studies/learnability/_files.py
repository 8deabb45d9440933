"""The files of an experiment: its findings, its arrays, its figure, and a page for all of them."""

from __future__ import annotations

import collections
import dataclasses
import html
import json
import os
import warnings
from pathlib import Path
from typing import Any

from ntkrnn._files import make_folder, remove_parts, write_bytes, write_json, write_npz
from ntkrnn.report import run_record, write_figure
from ntkrnn.report.page import escaped, image, page, table
from ntkrnn.studies.learnability._experiment import (
    AGREES,
    DISAGREES,
    INCONCLUSIVE,
    Finding,
)
from ntkrnn.studies.learnability._registry import EXPERIMENTS
from ntkrnn.studies.learnability._run import LearnabilityResult
from ntkrnn.studies.lock import FolderLock

_SIGNS = {"equals": "=", "at most": "≤", "at least": "≥"}


def write_learnability(result: LearnabilityResult, folder: str | os.PathLike[str]) -> list[Path]:
    """Write ``NAME/NAME.json``, ``.npz`` and ``.png``, and ``report.html`` over all experiments.

    Args:
        result: what :func:`learnability` returned.
        folder: made if it is not there. ``report.html`` gathers every experiment found in it.

    Returns:
        The four paths, in the order above.

    Raises:
        OSError: if the folder or a file cannot be written.
    """
    folder = make_folder(folder)
    name = result.experiment.name
    own = make_folder(folder / name)
    arrays = write_npz(own / f"{name}.npz", result.conclusion.arrays)
    figure = write_figure(own / f"{name}.png", result.conclusion.figure)
    record = write_json(own / f"{name}.json", summary(result))
    return [record, arrays, figure, write_page(folder)]


def summary(result: LearnabilityResult) -> dict[str, Any]:
    """The content of ``NAME.json``; an open end of an interval becomes null."""
    experiment, settings = result.experiment, result.settings
    table = result.conclusion.table
    return {
        "experiment": experiment.name,
        "title": experiment.title,
        "about": experiment.about,
        "source": experiment.source,
        "settings": dataclasses.asdict(settings),
        "quick": settings == dataclasses.replace(experiment.settings.quick(), seed=settings.seed),
        "findings": [_finding(one) for one in result.conclusion.findings],
        "table": table._asdict(),
        "seconds": result.seconds,
        **run_record(),
    }


def _finding(one: Finding) -> dict[str, Any]:
    fields = one._asdict() | {"confidence": 0.95}
    if one.verdict == AGREES:
        del fields["otherwise"]
    return fields


def write_page(folder: Path) -> Path:
    """Write ``report.html``: every experiment's findings, table and figure, in one file.

    Experiments may be run into one folder at the same time; they gather and write one after the other.
    """
    with FolderLock(folder, wait=True):
        remove_parts(folder, of=("report.html",))
        return write_bytes(folder / "report.html", _page(folder))


def _page(folder: Path) -> bytes:
    links, sections, records = "", [], []
    for path in sorted(folder.glob("*/*.json")):
        if path.stem != path.parent.name:
            continue
        try:
            record = json.loads(path.read_bytes())
            if not isinstance(record, dict) or "findings" not in record:
                continue  # a folder may hold other studies too
            sections.append(_section(path, record))
            links += _link(record)
            records.append(record)
        except (OSError, ValueError, LookupError, TypeError) as error:
            warnings.warn(
                f"{path} or its figure cannot be read ({type(error).__name__}: {error}); it is left "
                "out of report.html. Run that experiment again.",
                stacklevel=2,
            )
    body = f"<p>{_counted(records)}</p>\n<ul>{links}</ul>\n{chr(10).join(sections)}"
    return page("ntkrnn learnability", "What was found", body)


def _counted(records: list[dict[str, Any]]) -> str:
    """How many claims hold, and which experiments are missing."""
    verdicts = collections.Counter(one["verdict"] for of in records for one in of["findings"])
    parts = [f"{verdicts[verdict]} {verdict}" for verdict in (AGREES, INCONCLUSIVE, DISAGREES)]
    words = (
        f"{len(records)} experiments with {verdicts.total()} findings: {', '.join(parts)}. The verdict "
        "is over the 95% interval: it agrees if all of the interval is what is predicted."
    )
    names = {record["experiment"] for record in records}
    missing = [name for name in EXPERIMENTS if name not in names]
    if not missing:
        return words
    command = f"ntkrnn learnability --experiment {','.join(missing)} --out ."
    return (
        f"{words} Missing: {', '.join(missing)}; in this folder <code>{html.escape(command)}</code> "
        "adds them."
    )


def _link(record: dict[str, Any]) -> str:
    verdicts = ", ".join(_verdict(one) for one in record["findings"])
    title = html.escape(record["title"])
    return f'<li><a href="#{record["experiment"]}">{title}</a>: {verdicts or "nothing"}</li>'


def _section(path: Path, record: dict[str, Any]) -> str:
    findings = [
        [
            html.escape(one["quantity"]),
            "not finite" if one["value"] is None else f"{one['value']:.3g}",
            _ends(one["interval"]),
            f"{_SIGNS[one['relation']]} {one['predicted']:.3g}"
            + (f" ± {one['margin']:.3g}" if one["margin"] else ""),
            _verdict(one),
        ]
        for one in record["findings"]
    ]
    notes = "".join(
        f"<p>{html.escape(one['otherwise'])}</p>" for one in record["findings"] if one.get("otherwise")
    )
    shown = record["table"]
    rows = [escaped(row) for row in shown["rows"]]
    size = "the small setting" if record["quick"] else "not the small setting"
    settings = ", ".join(f"{key} = {value}" for key, value in record["settings"].items())
    return (
        f'<h2 id="{record["experiment"]}">{html.escape(record["title"])}</h2>\n'
        f"<p>{html.escape(record['about'])}</p>\n"
        + table(["quantity", "found", "95% interval", "predicted", "verdict"], findings)
        + notes
        + image(path.with_suffix(".png"), record["title"])
        + f"<p>{html.escape(shown['title'])}</p>"
        + table(escaped(shown["columns"]), rows)
        + f'<p class="small">{html.escape(record["source"])}. {record["seconds"]:.0f} s, {size}: '
        f"{html.escape(settings)}. {html.escape(record['device'])}.</p>\n"
    )


def _verdict(one: dict[str, Any]) -> str:
    return f'<span class="{one["verdict"]}">{one["verdict"]}</span>'


def _ends(interval: list[float | None]) -> str:
    low, high = interval
    return f"{'−∞' if low is None else f'{low:.3g}'} … {'∞' if high is None else f'{high:.3g}'}"
