"""``ntkrnn compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from ntkrnn.cli._console import out, progress_bar, user_errors, warnings_afterwards
from ntkrnn.cli._network_options import (
    RUN,
    Alpha,
    Bidirectional,
    BStd,
    Count,
    Data,
    Depth,
    GateNonlinearity,
    Kind,
    LabelColumn,
    Long,
    Nonlinearity,
    Rate,
    Readout,
    Reset,
    Seed,
    Standardize,
    Trainable,
    UStd,
    VStd,
    WStd,
    architecture,
    dataset,
)
from ntkrnn.cli._options import engine_named, integers
from ntkrnn.report import Slope
from ntkrnn.studies import CompareResult, CompareSettings, StudyError, compare, write_compare
from ntkrnn.studies.compare import PREDICTED_SLOPE

_WIDTHS = ",".join(str(width) for width in CompareSettings.widths)


def compare_command(
    *,
    data: Data = "digits",
    n: Count = None,
    standardize: Standardize = "global",
    label_column: LabelColumn = None,
    long: Long = None,
    kind: Kind = "elman",
    nonlinearity: Nonlinearity = None,
    gate_nonlinearity: GateNonlinearity = None,
    readout: Readout = None,
    depth: Depth = None,
    bidirectional: Bidirectional = False,
    w_std: WStd = None,
    u_std: UStd = None,
    b_std: BStd = None,
    v_std: VStd = None,
    alpha: Alpha = None,
    rate: Rate = None,
    reset: Reset = None,
    trainable: Trainable = None,
    widths: Annotated[
        str,
        typer.Option(metavar="INTS", rich_help_panel=RUN, help="Widths to compare, at least two."),
    ] = _WIDTHS,
    seeds: Annotated[
        int, typer.Option(metavar="INT", rich_help_panel=RUN, help="Networks a width, 2 or more.")
    ] = 10,
    seed: Seed = 0,
    engine: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            rich_help_panel=RUN,
            help="What computes the kernels: ntkrnn or neural-tangents.",
        ),
    ] = "ntkrnn",
    out_dir: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="DIR",
            rich_help_panel=RUN,
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
            architecture=architecture(
                kind,
                trainable,
                bidirectional,
                nonlinearity=nonlinearity,
                gate_nonlinearity=gate_nonlinearity,
                w_std=w_std,
                u_std=u_std,
                b_std=b_std,
                v_std=v_std,
                alpha=alpha,
                rate=rate,
                reset=reset,
                depth=depth,
                readout=readout,
            ),
            widths=integers("widths", widths),
            seeds=seeds,
            seed=seed,
        )
        kernels_by = engine_named(engine)
        sequences = dataset(data, n, seed, standardize, label_column, long)
        # Before the work, not after it: a folder that cannot be made should cost nothing.
        out_dir.mkdir(parents=True, exist_ok=True)
    console = out()
    console.print(sequences.describe(), highlight=False, soft_wrap=True)
    if sequences.reading:
        console.print(sequences.reading, highlight=False, soft_wrap=True)
    with warnings_afterwards(), progress_bar("networks") as bar, user_errors(StudyError):
        task = bar.add_task("starting", total=len(settings.widths) * settings.seeds)
        result = compare(
            settings,
            sequences,
            kernels_by,
            lambda done, total, what: bar.update(task, completed=done, description=what),
        )
    with user_errors(OSError):
        files = write_compare(result, out_dir)
    console.print(_table(result))
    console.print(_slope_line("NTK ", result.ntk_fit), highlight=False, soft_wrap=True)
    console.print(_slope_line("NNGP", result.nngp_fit), highlight=False, soft_wrap=True)
    if any(result.limit_errors):
        nngp, ntk = result.limit_errors
        console.print(
            f"The limit is sampled: its standard error, {ntk:.2%} (NTK) and {nngp:.2%} (NNGP), is part "
            "of every error above.",
            highlight=False,
            soft_wrap=True,
        )
    console.print(f"{result.seconds:.1f} s, compilation included. Wrote:", highlight=False)
    for file in files:
        console.print(f"  {file}", highlight=False, soft_wrap=True)


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
