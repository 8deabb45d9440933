"""``ntkrnn learnability``."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from typing import Annotated

import typer
from rich.table import Table

from ntkrnn._files import make_folder
from ntkrnn.cli._console import out, user_errors
from ntkrnn.cli._network_options import RUN, Seed
from ntkrnn.cli._options import out_folder
from ntkrnn.cli._study import Resume, studied
from ntkrnn.studies.learnability import (
    AGREES,
    EXPERIMENTS,
    Experiment,
    LearnabilityResult,
    learnability,
    said,
    write_learnability,
)


def learnability_command(
    *,
    experiment: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|all", rich_help_panel=RUN, help="Which; several with commas. See --list."
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", rich_help_panel=RUN, help="The small setting: under a minute.")
    ] = False,
    listing: Annotated[
        bool, typer.Option("--list", rich_help_panel=RUN, help="Explain every experiment, and stop.")
    ] = False,
    seed: Seed = 0,
    resume: Resume = False,
    out_dir: Annotated[
        str | None,
        typer.Option(
            "--out", metavar="DIR", rich_help_panel=RUN, help="Folder for the results; made if new."
        ),
    ] = None,
) -> None:
    """Measure what the learning theories of recurrent networks claim.

    Each experiment prints a table and, for each claim, what was found with its 95% interval, what was
    predicted and whether they agree. It writes DIR/NAME/NAME.json, .npz and .png; DIR/report.html
    gathers all experiments of the folder. Finished jobs are kept in DIR/NAME/pieces.
    """
    if listing:
        _list()
        return
    with user_errors(ValueError, OSError):
        chosen = _chosen(experiment)
        sizes = [one.settings.quick() if quick else one.settings() for one in chosen]
        sizes = [dataclasses.replace(settings, seed=seed) for settings in sizes]
        folder = out_folder(out_dir)
    for one, settings in zip(chosen, sizes, strict=True):
        with user_errors(OSError):
            own = make_folder(folder / one.name)
        studied(
            own,
            settings,
            resume=resume,
            files=[f"{one.name}.{suffix}" for suffix in ("json", "npz", "png")],
            what=f"jobs of {one.name}",
            unit="jobs",
            prefix=f"{one.name} ",
            run=functools.partial(learnability, one, settings),
            write=lambda result: write_learnability(result, folder),
            show=_shown,
        )


def _chosen(names: str | None) -> list[Experiment]:
    if names == "all":
        return list(EXPERIMENTS.values())
    words = [word.strip() for word in (names or "").split(",") if word.strip()]
    unknown = [word for word in words if word not in EXPERIMENTS]
    if unknown or not words:
        raise ValueError(
            f"--experiment: got {unknown[0] if unknown else names!r}, expected all, or one or more of "
            f"{', '.join(EXPERIMENTS)}; --list explains them."
        )
    return [EXPERIMENTS[word] for word in words]


def _list() -> None:
    console = out()
    for one in EXPERIMENTS.values():
        console.print(f"[bold]{one.name}[/bold]: {one.title}", highlight=False, soft_wrap=True)
        for line in one.about.splitlines():
            console.print(f"    {line}", highlight=False, markup=False, soft_wrap=True)


def _shown(result: LearnabilityResult) -> Iterator[Table | str]:
    found = result.conclusion
    table = Table(title=f"{result.experiment.title}\n{found.table.title}")
    for column in found.table.columns:
        table.add_column(column, justify="right")
    for row in found.table.rows:
        table.add_row(*row)
    yield table
    for one in found.findings:
        yield said(one)
        if one.verdict != AGREES and one.otherwise:
            yield f"  {one.otherwise}"
