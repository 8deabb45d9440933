"""``ntkrnn compare``."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from ntkrnn.architectures import Elman
from ntkrnn.cli._console import err, out, user_errors
from ntkrnn.cli._options import blocks, engine_named, integers
from ntkrnn.data import load
from ntkrnn.report import Slope
from ntkrnn.studies import CompareResult, CompareSettings, StudyError, compare, write_compare
from ntkrnn.studies.compare import PREDICTED_SLOPE

_DATA, _NET, _RUN = "Data", "Network", "Comparison"
_WIDTHS = ",".join(str(width) for width in CompareSettings.widths)
_DEFAULT_N = 64


def compare_command(
    *,
    data: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE",
            rich_help_panel=_DATA,
            help="digits; with the extra [data] japanese_vowels, italy_power_demand, gunpoint, "
            "basic_motions; or a .npz, .csv, .tsv or .ts file.",
        ),
    ] = "digits",
    n: Annotated[
        int | None,
        typer.Option(
            metavar="INT",
            rich_help_panel=_DATA,
            show_default=f"{_DEFAULT_N}, or all if fewer",
            help="Number of sequences, a random subset drawn with --seed.",
        ),
    ] = None,
    standardize: Annotated[
        str,
        typer.Option(
            metavar="KIND",
            rich_help_panel=_DATA,
            help="none, global, channel or series: what shares one mean and standard deviation.",
        ),
    ] = "global",
    nonlinearity: Annotated[
        str, typer.Option(metavar="NAME", rich_help_panel=_NET, help="erf, relu, tanh, sin, ...")
    ] = "erf",
    readout: Annotated[
        str, typer.Option(metavar="NAME", rich_help_panel=_NET, help="last, mean or sequence.")
    ] = "last",
    depth: Annotated[
        int, typer.Option(metavar="INT", rich_help_panel=_NET, help="Number of recurrent layers.")
    ] = 1,
    bidirectional: Annotated[
        bool, typer.Option("--bidirectional", rich_help_panel=_NET, help="Read both ways in time.")
    ] = False,
    w_std: Annotated[
        float, typer.Option(metavar="FLOAT", rich_help_panel=_NET, help="Recurrent weights' scale.")
    ] = 1.0,
    u_std: Annotated[
        float, typer.Option(metavar="FLOAT", rich_help_panel=_NET, help="Input weights' scale.")
    ] = 1.0,
    b_std: Annotated[
        float, typer.Option(metavar="FLOAT", rich_help_panel=_NET, help="Biases' scale.")
    ] = 0.0,
    v_std: Annotated[
        float, typer.Option(metavar="FLOAT", rich_help_panel=_NET, help="Readout weights' scale.")
    ] = 1.0,
    trainable: Annotated[
        str,
        typer.Option(
            metavar="BLOCKS",
            rich_help_panel=_NET,
            help="Blocks that the NTK sums over, out of w,u,b,v.",
        ),
    ] = "w,u,b,v",
    widths: Annotated[
        str,
        typer.Option(metavar="INTS", rich_help_panel=_RUN, help="Widths to compare, at least two."),
    ] = _WIDTHS,
    seeds: Annotated[
        int, typer.Option(metavar="INT", rich_help_panel=_RUN, help="Networks a width, 2 or more.")
    ] = 10,
    seed: Annotated[
        int, typer.Option(metavar="INT", rich_help_panel=_RUN, help="Seed of everything random.")
    ] = 0,
    engine: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            rich_help_panel=_RUN,
            help="What computes the kernels: ntkrnn or neural-tangents.",
        ),
    ] = "ntkrnn",
    out_dir: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="DIR",
            rich_help_panel=_RUN,
            help="Folder for the results; made if new.",
        ),
    ],
) -> None:
    """Compare finite-width kernels with their infinite-width limit on real sequences.

    For each width and seed a network is drawn, and its empirical NTK and NNGP kernel are compared
    with the exact infinite-width ones. Prints the relative errors and the slope of error against
    width, which theory puts at -1/2, and writes compare.json, kernels.npz, error_vs_width.png and
    kernels.png.
    """
    with user_errors(ValueError, TypeError, ImportError, OSError):
        settings = CompareSettings(
            architecture=Elman(
                nonlinearity=nonlinearity,
                w_std=w_std,
                u_std=u_std,
                b_std=b_std,
                v_std=v_std,
                depth=depth,
                readout=readout,
                bidirectional=bidirectional,
                trainable=blocks(trainable),
            ),
            widths=integers("widths", widths),
            seeds=seeds,
            seed=seed,
        )
        kernels_by = engine_named(engine)
        chosen = {"at_most": _DEFAULT_N} if n is None else {"n": n}
        dataset = load(data, seed=seed, standardize=standardize, **chosen)
        # Before the work, not after it: a folder that cannot be made should cost nothing.
        out_dir.mkdir(parents=True, exist_ok=True)
    console = out()
    console.print(dataset.describe(), highlight=False, soft_wrap=True)
    with _warnings_afterwards(), _progress() as bar, user_errors(StudyError):
        task = bar.add_task("starting", total=len(settings.widths) * settings.seeds)
        result = compare(
            settings,
            dataset,
            kernels_by,
            lambda done, total, what: bar.update(task, completed=done, description=what),
        )
    with user_errors(OSError):
        files = write_compare(result, out_dir)
    console.print(_table(result))
    console.print(_slope_line("NTK ", result.ntk_fit), highlight=False, soft_wrap=True)
    console.print(_slope_line("NNGP", result.nngp_fit), highlight=False, soft_wrap=True)
    console.print(f"{result.seconds:.1f} s, compilation included. Wrote:", highlight=False)
    for file in files:
        console.print(f"  {file}", highlight=False, soft_wrap=True)


@contextlib.contextmanager
def _warnings_afterwards() -> Iterator[None]:
    """Keep warnings off the progress bar, and print them once it is gone."""
    with warnings.catch_warnings(record=True) as warned:
        try:
            yield
        finally:
            for warning in warned:
                err().print(Text(f"warning: {warning.message}", style="yellow"), soft_wrap=True)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description:<26}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("networks"),
        TimeElapsedColumn(),
        console=err(),
        transient=True,
    )


def _table(result: CompareResult) -> Table:
    table = Table(
        title="Relative error of finite-width kernels",
        caption=f"Frobenius norm; mean ± standard deviation over {result.settings.seeds} seeds",
    )
    for name in ("width", "NTK error", "NNGP error", "seconds"):
        table.add_column(name, justify="right")
    for i, width in enumerate(result.settings.widths):
        errors = [
            f"{row[i].mean():.4f} ± {row[i].std(ddof=1):.4f}"
            for row in (result.ntk_errors, result.nngp_errors)
        ]
        table.add_row(str(width), *errors, f"{result.seconds_per_width[i]:.1f}")
    return table


def _slope_line(name: str, fit: Slope) -> str:
    low, high = fit.interval
    return (
        f"{name} slope {fit.slope:+.3f}, {100 * fit.confidence:g}% interval "
        f"({low:+.3f}, {high:+.3f}), predicted {PREDICTED_SLOPE:+.3f}"
    )
