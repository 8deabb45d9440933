"""``ntkrnn fit`` and ``ntkrnn predict``.

Estimators are imported by the commands that run them: scikit-learn takes a second to load, for which no
other command should wait.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from ntkrnn._files import remove_parts
from ntkrnn.cli._console import out, user_errors, warnings_afterwards
from ntkrnn.cli._network_options import (
    DATA,
    NET,
    RUN,
    CellOptions,
    Data,
    LabelColumn,
    Long,
    Seed,
    architecture,
)
from ntkrnn.cli._options import flat, one_of, out_folder
from ntkrnn.cli._study import Out, followed, print_results
from ntkrnn.data import Dataset, Records, load, records
from ntkrnn.report.tables import csv_text, write_csv

if TYPE_CHECKING:
    from ntkrnn.studies.fit import FitResult

AUTO = "auto"
Estimators = Annotated[
    str,
    typer.Option(
        "--architecture",
        metavar="NAME",
        rich_help_panel=NET,
        autocompletion=one_of(AUTO, "elman", "leaky", "lstm", "gru", "minimal-gru"),
        help="auto: an average of relu and erf networks, in forecasts erf; or elman, leaky, lstm, gru, "
        "minimal-gru.",
    ),
]
Kernel = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        rich_help_panel=RUN,
        autocompletion=one_of("nngp", "ntk"),
        help="nngp or ntk.",
    ),
]


@dataclasses.dataclass(frozen=True)
class Columns:
    """What the columns of a table are."""

    label_column: LabelColumn = None
    long: Long = None
    target: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|INDEX",
            rich_help_panel=DATA,
            help="forecast: the output's column in a table with a time step a row; all others are "
            "inputs.",
        ),
    ] = None


@flat
def fit_command(
    *,
    data: Data = "digits",
    test: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=DATA,
            help="Data to predict, which no fit sees; without it folds of the data are predicted.",
        ),
    ] = None,
    n: Annotated[
        int | None,
        typer.Option(
            metavar="INT",
            rich_help_panel=DATA,
            show_default="all",
            help="Number of training sequences, a random subset drawn with --seed.",
        ),
    ] = None,
    columns: Columns,
    kind: Estimators = AUTO,
    cell: CellOptions,
    task: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=RUN,
            autocompletion=one_of("classify", "regress", "forecast"),
            show_default="forecast with --target, regress for labels with fractions, else classify",
            help="classify, regress or forecast.",
        ),
    ] = None,
    kernel: Kernel = "nngp",
    cv: Annotated[
        int | None,
        typer.Option(
            metavar="INT",
            rich_help_panel=RUN,
            show_default="5; forecast: 1",
            help="Folds, predicted by a fit to the others; forecast: parts of the last quarter.",
        ),
    ] = None,
    seed: Seed = 0,
    out_dir: Out,
) -> None:
    """Fit recurrent kernels to labelled sequences, or to records, and say how well they predict.

    Preparation, kernels and ridge are chosen by leave-one-out error, scales of forecasts by marginal
    likelihood. Writes model.npz, predictions.csv, fit.json, figures and report.html.
    """
    import ntkrnn.studies.fit as fitting

    with user_errors(ValueError, TypeError, ImportError, OSError):
        read, task = _reader(task, columns, seed)
        training, later = read(data, n), None if test is None else read(test, None)
        settings = fitting.FitSettings(
            task or fitting.task_of(training),
            network(kind, task == "forecast", cell),
            kernel,
            cv,
            seed,
        )
        folder = out_folder(out_dir)
        remove_parts(folder, of=fitting.FILES)
        for one in (training, later):
            if one is not None:
                out().print(fitting.described(one), highlight=False, soft_wrap=True)
        with warnings_afterwards(), followed("fits") as report:
            result = fitting.fit(settings, training, later, report)
        files = fitting.write_fit(result, folder)
    _print(result, files)


@flat
def predict_command(
    *,
    model: Annotated[
        str,
        typer.Option(
            metavar="DIR|FILE", rich_help_panel=RUN, help="Folder of ntkrnn fit, or a saved model."
        ),
    ],
    data: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE", rich_help_panel=DATA, help="Sequences to predict, as ntkrnn fit reads."
        ),
    ],
    columns: Columns,
    out_file: Annotated[
        str | None,
        typer.Option(
            "--out", metavar="FILE", rich_help_panel=RUN, help="A .csv to write in place of printing."
        ),
    ] = None,
) -> None:
    """Predict with a model that ntkrnn fit wrote: a table on stdout, or in a file.

    Classes come with probabilities, numbers with the ends of 95% bands. Labels in the data are not
    looked at.
    """
    import ntkrnn.studies.fit as fitting

    with user_errors(ValueError, TypeError, ImportError, OSError):
        known = fitting.model_of(model)
        if fitting.by_steps(known) != (columns.target is not None):
            wanted = (
                "its column"
                if fitting.by_steps(known)
                else "no such option: its model is of whole series"
            )
            raise ValueError(f"--target: got {columns.target!r}, expected {wanted}.")
        read, _ = _reader(None, columns, 0)
        with warnings_afterwards():
            found = fitting.predict(known, read(data, None))
        if out_file is not None:
            path = write_csv(Path(out_file), found.columns, found.rows)
            out().print(
                f"{len(found.predicted)} predictions in {path}", highlight=False, soft_wrap=True
            )
            return
    typer.echo(csv_text(found.columns, found.rows), nl=False)


def _reader(task: str | None, columns: Columns, seed: int) -> tuple[Any, str | None]:
    """``read(source, n)``, and the task if options say it."""
    label_column, long, target = dataclasses.astuple(columns)
    if task == "forecast" and target is None:
        raise ValueError(
            "--target: got nothing, expected the column of the output for --task forecast."
        )
    if target is None:

        def series(source: str, n: int | None) -> Dataset:
            options: dict[str, Any] = {"label_column": label_column, "long": long, "seed": seed}
            return load(source, n=n, standardize="none", **options)

        return series, task
    if task not in (None, "forecast"):
        raise ValueError(f"--target: got {target!r} with --task {task}, expected --task forecast.")
    if label_column is not None:
        raise ValueError(f"--label-column: got {label_column!r} beside --target, expected one of them.")

    def table(source: str, n: int | None) -> Records:
        if n is not None:
            raise ValueError(f"--n: got {n} with --target, expected all steps of a record to be kept.")
        return records(source, target=target, long=long)

    return table, "forecast"


def network(kind: str, forecast: bool, cell: CellOptions) -> Any:
    """The architecture of the options, or "auto"; the readout that the task needs is its default."""
    fields = cell.given()
    if kind != AUTO:
        return architecture(kind, {"readout": "sequence" if forecast else "mean"} | fields)
    if fields:
        option = next(iter(fields)).replace("_", "-")
        raise ValueError(
            f"--{option}: is an option of one network, and --architecture is auto; name one, as "
            "--architecture elman."
        )
    return AUTO


def _print(result: FitResult, files: list[Path]) -> None:
    import ntkrnn.studies.fit as fitting

    rows = fitting.candidates(result)
    table = Table(title="Kernels that were compared" if rows else "Found by marginal likelihood")
    for i, name in enumerate(fitting.CANDIDATE_COLUMNS if rows else ("scale", "value")):
        table.add_column(name, justify="right" if i else "left")
    scales = [[name, f"{value:.4g}"] for name, value in fitting.found_scales(result).items()]
    for row in [one.cells for one in rows] or scales:
        table.add_row(*row)
    end = f"{result.seconds:.1f} s, compilation included."
    print_results([table, *fitting.said(result)], end, files)
