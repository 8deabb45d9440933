"""``ntkrnn learnability``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from ntkrnn.cli._console import (
    INTERRUPTED,
    err,
    out,
    progress_bar,
    user_errors,
    warnings_afterwards,
)
from ntkrnn.cli._network_options import RUN, Seed
from ntkrnn.studies import Pieces, StudyError, fingerprint
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
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", rich_help_panel=RUN, help="Continue with the finished jobs in DIR/NAME/pieces."
        ),
    ] = False,
    out_dir: Annotated[
        Path | None,
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
        if out_dir is None:
            raise ValueError("--out: got nothing, expected a folder for results, as --out out/theory.")
        if seed < 0:
            raise ValueError(f"--seed: got {seed}, expected a whole number of at least 0.")
        out_dir.mkdir(parents=True, exist_ok=True)
    for one in chosen:
        settings = one.settings.quick() if quick else one.settings()
        result = _run(one, dataclasses.replace(settings, seed=seed), out_dir, resume)
        with user_errors(OSError):
            files = write_learnability(result, out_dir)
        _print(result, files)


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


def _run(one: Experiment, settings: Any, folder: Path, resume: bool) -> LearnabilityResult:
    """The experiment, with a bar on a terminal and a line for each job elsewhere."""
    console = err()
    with user_errors(StudyError, OSError):
        (folder / one.name).mkdir(exist_ok=True)
        pieces = Pieces(folder / one.name / "pieces", fingerprint(settings), resume)
    try:
        with warnings_afterwards(), progress_bar("jobs") as bar, user_errors(StudyError):
            task = bar.add_task(one.name, total=None)

            def report(done: int, total: int, what: str) -> None:
                bar.update(task, completed=done, total=total, description=f"{one.name}: {what}")
                if not console.is_terminal:
                    console.print(f"{one.name} {done}/{total}  {what}", highlight=False, soft_wrap=True)

            return learnability(one, settings, pieces, report)
    except KeyboardInterrupt:
        console.print(
            f"stopped; {len(list(pieces.folder.glob('*.msgpack')))} jobs of {one.name} are kept in "
            f"{pieces.folder}. The same command with --resume continues.",
            highlight=False,
            soft_wrap=True,
        )
        raise typer.Exit(INTERRUPTED) from None


def _print(result: LearnabilityResult, files: list[Path]) -> None:
    console, found = out(), result.conclusion
    table = Table(title=f"{result.experiment.title}\n{found.table.title}")
    for column in found.table.columns:
        table.add_column(column, justify="right")
    for row in found.table.rows:
        table.add_row(*row)
    console.print(table)
    for one in found.findings:
        console.print(said(one), highlight=False, markup=False, soft_wrap=True)
        if one.verdict != AGREES and one.otherwise:
            console.print(f"  {one.otherwise}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"{result.seconds:.1f} s, compilation included. Wrote:", highlight=False)
    for file in files:
        console.print(f"  {file}", highlight=False, soft_wrap=True)
