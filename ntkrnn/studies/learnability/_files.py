"""The files of an experiment: its findings, its arrays, its figure, and a page for all of them."""

from __future__ import annotations

import base64
import dataclasses
import html
import json
import os
import warnings
from pathlib import Path
from typing import Any

from ntkrnn._files import make_folder, remove_parts, write_bytes, write_json, write_npz
from ntkrnn.report import run_record, write_figure
from ntkrnn.studies.learnability._form import AGREES, Finding
from ntkrnn.studies.learnability._run import LearnabilityResult
from ntkrnn.studies.lock import FolderLock

_SIGNS = {"equals": "=", "at most": "≤", "at least": "≥"}
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
       color: #222; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
img { max-width: 100%; border: 1px solid #ddd; }
table { border-collapse: collapse; margin: 0.8rem 0; font-size: 0.9rem; }
th, td { border-bottom: 1px solid #ddd; padding: 0.25rem 0.7rem; text-align: left; }
th { border-bottom: 2px solid #888; }
.agrees { color: #1b6b37; font-weight: 600; } .disagrees { color: #a3271c; font-weight: 600; }
.inconclusive { color: #8a6100; font-weight: 600; }
.small { color: #666; font-size: 0.85rem; }
"""


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
        return write_bytes(folder / "report.html", _page(folder).encode())


def _page(folder: Path) -> str:
    links, sections = "", []
    for path in sorted(folder.glob("*/*.json")):
        if path.stem != path.parent.name:
            continue
        try:
            record = json.loads(path.read_bytes())
            if not isinstance(record, dict) or "findings" not in record:
                continue  # a folder may hold other studies too
            sections.append(_section(path, record))
            links += _link(record)
        except (OSError, ValueError, LookupError, TypeError) as error:
            warnings.warn(
                f"{path} or its figure cannot be read ({type(error).__name__}: {error}); it is left "
                "out of report.html. Run that experiment again.",
                stacklevel=2,
            )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>ntkrnn learnability</title><style>{_STYLE}</style></head><body>\n"
        f"<h1>What was found</h1>\n<ul>{links}</ul>\n{chr(10).join(sections)}\n</body></html>\n"
    )


def _link(record: dict[str, Any]) -> str:
    verdicts = ", ".join(_verdict(one) for one in record["findings"])
    title = html.escape(record["title"])
    return f'<li><a href="#{record["experiment"]}">{title}</a>: {verdicts or "nothing"}</li>'


def _section(path: Path, record: dict[str, Any]) -> str:
    picture = base64.b64encode(path.with_suffix(".png").read_bytes()).decode()
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
    table = record["table"]
    rows = [[html.escape(cell) for cell in row] for row in table["rows"]]
    size = "the small setting" if record["quick"] else "not the small setting"
    settings = ", ".join(f"{key} = {value}" for key, value in record["settings"].items())
    return (
        f'<h2 id="{record["experiment"]}">{html.escape(record["title"])}</h2>\n'
        f"<p>{html.escape(record['about'])}</p>\n"
        + _table(["quantity", "found", "95% interval", "predicted", "verdict"], findings)
        + notes
        + f'<img alt="{html.escape(record["title"])}" src="data:image/png;base64,{picture}">\n'
        + f"<p>{html.escape(table['title'])}</p>"
        + _table([html.escape(name) for name in table["columns"]], rows)
        + f'<p class="small">{html.escape(record["source"])}. {record["seconds"]:.0f} s, {size}: '
        f"{html.escape(settings)}. {html.escape(record['device'])}.</p>\n"
    )


def _table(columns: list[str], rows: list[list[str]]) -> str:
    line = lambda cells, tag: "".join(f"<{tag}>{cell}</{tag}>" for cell in cells)  # noqa: E731
    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    return f"<table><tr>{line(columns, 'th')}</tr>{body}</table>\n"


def _verdict(one: dict[str, Any]) -> str:
    return f'<span class="{one["verdict"]}">{one["verdict"]}</span>'


def _ends(interval: list[float | None]) -> str:
    low, high = interval
    return f"{'−∞' if low is None else f'{low:.3g}'} … {'∞' if high is None else f'{high:.3g}'}"
