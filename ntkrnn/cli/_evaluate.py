"""``ntkrnn evaluate``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from ntkrnn.cli._console import user_errors
from ntkrnn.cli._fit import AUTO, Estimators, Kernel, network
from ntkrnn.cli._network_options import DATA, CellOptions, Seed
from ntkrnn.cli._options import blocks, flat, one_of, out_folder
from ntkrnn.cli._study import Out, Resume, followed, kept_in, print_results
from ntkrnn.studies import fingerprint

if TYPE_CHECKING:
    from ntkrnn.studies.evaluate import EvaluateSettings, Published, SetScore

AEON = "aeon"


@flat
def evaluate_command(
    *,
    suite: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            rich_help_panel=DATA,
            autocompletion=one_of("ucr", "uea", "uci", "sysid"),
            help="ucr, uea, uci or sysid.",
        ),
    ],
    data_dir: Annotated[
        str,
        typer.Option(
            metavar="DIR|aeon",
            rich_help_panel=DATA,
            help="Folder of sets in the layout of their archive: NAME/NAME_TRAIN.ts and NAME_TEST.ts "
            "(or .tsv); for uci NAME/NAME_R.dat and conxuntos_kfold.dat; for sysid NAME.mat or .csv; "
            "or NAME.npz. aeon: the few sets that come with that package.",
        ),
    ],
    sets: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES", rich_help_panel=DATA, show_default="all", help="Sets, with commas."
        ),
    ] = None,
    published: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=DATA,
            show_default="published_accuracy.csv in the folder, if it is there",
            help="A .csv of results of others: a set a row, a method a column.",
        ),
    ] = None,
    kind: Estimators = AUTO,
    cell: CellOptions,
    kernel: Kernel = "nngp",
    seed: Seed = 0,
    resume: Resume = False,
    out_dir: Out,
) -> None:
    """Score the estimators on sets with published splits, beside published results.

    Everything is chosen on training data, and test data are predicted once. Prints the accuracy (sysid:
    root mean squared error) and the seconds of a fit for every set, wins and losses against every
    method, and mean ranks; writes results.json, .csv, .md and ranks.png. Finished sets are kept in
    DIR/pieces.
    """
    import ntkrnn.studies.evaluate as evaluation  # as in _fit: it loads scikit-learn

    with user_errors(ValueError, TypeError, ImportError, OSError):
        settings = evaluation.EvaluateSettings(
            suite, network(kind, suite == "sysid", cell), kernel, seed
        )
        source = _folder(data_dir)
        theirs = _published(settings, published, source)
        folder = out_folder(out_dir) / "pieces"
    names, marks = blocks(sets or ""), fingerprint(settings)
    with kept_in(folder, marks, resume, files=evaluation.FILES, what="sets") as pieces:
        with followed("sets") as report:
            scores = evaluation.evaluate(settings, source, names, report, pieces)
        files = evaluation.write_evaluate(settings, scores, theirs, folder.parent)
        _print(settings, scores, theirs, files)


def _folder(data_dir: str) -> Path:
    """The folder of the sets.

    Raises:
        ValueError: if there is none.
        ImportError: if aeon is not installed.
    """
    if data_dir == AEON:
        try:
            import aeon.datasets
        except ImportError:
            raise ImportError(
                "--data-dir: got aeon, which is not installed; install it with 'pip install "
                '"ntkrnn[aeon]"\'.'
            ) from None
        return Path(aeon.datasets.__file__).parent / "data"
    folder = Path(data_dir)
    if not folder.is_dir():
        raise ValueError(f"--data-dir: got {data_dir!r}, which is no folder; expected one with sets.")
    return folder


def _published(settings: EvaluateSettings, file: str | None, source: Path) -> Published | None:
    from ntkrnn.studies.evaluate import FILE, in_shares, read_published

    path = source / FILE if file is None else Path(file)
    if file is None and not path.exists():
        return None
    return in_shares(read_published(path), settings)


def _print(
    settings: EvaluateSettings, scores: list[SetScore], published: Published | None, files: list[Path]
) -> None:
    import ntkrnn.studies.evaluate as evaluation

    compared = [] if published is None else evaluation.against(settings, scores, published)
    # As much as a terminal is wide; the files have the sizes of all sets, and more methods.
    shown = evaluation.best_of(published, compared[:3])
    columns, rows = (
        evaluation.score_columns(settings, shown),
        evaluation.score_rows(settings, scores, shown),
    )
    kept = [i for i, name in enumerate(columns) if name not in evaluation.SIZES]
    tables = [
        _table("Test scores", [columns[i] for i in kept], [[row[i] for i in kept] for row in rows])
    ]
    if published is not None and compared:
        ranks = evaluation.mean_ranks(settings, scores, published)
        title, lines = f"Against {published.source}", evaluation.against_rows(compared, ranks)
        tables.append(_table(title, evaluation.AGAINST_COLUMNS, lines))
    print_results(tables, f"{evaluation.said(settings, scores)}.", files)


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(title=title)
    for i, name in enumerate(columns):
        table.add_column(
            name, justify="right" if i else "left", no_wrap=not i, min_width=min(len(name), 8)
        )
    for row in rows:
        table.add_row(*row)
    return table
