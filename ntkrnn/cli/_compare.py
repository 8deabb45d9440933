"""``ntkrnn compare``."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from ntkrnn.cli._console import user_errors
from ntkrnn.cli._network_options import (
    RUN,
    Kind,
    NetworkOptions,
    Seed,
    SequenceOptions,
    print_data,
)
from ntkrnn.cli._options import engine_named, flat, integers, one_of, out_folder
from ntkrnn.cli._study import Out, Resume, caution, cell, slope_line, studied
from ntkrnn.studies import CompareResult, CompareSettings, compare, write_compare
from ntkrnn.studies.compare import PREDICTED_SLOPE
from ntkrnn.studies.compare_files import FILES, warned

_WIDTHS = ",".join(str(width) for width in CompareSettings.widths)


@flat
def compare_command(
    *,
    sequences: SequenceOptions,
    kind: Kind = "elman",
    network: NetworkOptions,
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
            autocompletion=one_of("ntkrnn", "neural-tangents"),
            help="What computes the kernels: ntkrnn or neural-tangents.",
        ),
    ] = "ntkrnn",
    resume: Resume = False,
    out_dir: Out,
) -> None:
    """Compare finite-width kernels with their infinite-width limit on real sequences.

    For each width and seed a network is drawn, and its empirical NTK and NNGP kernel are compared
    with the exact infinite-width ones. Prints the relative errors and the slope of error against
    width, which theory puts at -1/2, and writes compare.json, kernels.npz, error_vs_width.png and
    kernels.png. Every finished network is kept in DIR/pieces.
    """
    with user_errors(ValueError, TypeError, ImportError, OSError):
        settings = CompareSettings(
            architecture=network.architecture(kind),
            widths=integers("widths", widths),
            seeds=seeds,
            seed=seed,
        )
        kernels_by = engine_named(engine)
        loaded = sequences.load(seed)
        # Before the work, not after it: a folder that cannot be made should cost nothing.
        folder = out_folder(out_dir)
    print_data(loaded)
    studied(
        folder,
        settings,
        loaded,
        resume=resume,
        files=FILES,
        what=f"of {len(settings.widths) * settings.seeds} networks",
        pattern="width-*-seed-*",
        unit="networks",
        run=functools.partial(compare, settings, loaded, kernels_by),
        write=lambda result: write_compare(result, folder),
        show=_shown,
        engine=kernels_by.name,
    )


def _shown(result: CompareResult) -> Iterator[Table | Text | str]:
    yield _table(result)
    for name, fit in (("NTK ", result.ntk_fit), ("NNGP", result.nngp_fit)):
        yield f"{name} {slope_line(fit, f'predicted {PREDICTED_SLOPE:+.3f}')}"
    if any(result.limit_errors):
        nngp, ntk = result.limit_errors
        yield (
            f"The limit is sampled: its standard error, {ntk:.2%} (NTK) and {nngp:.2%} (NNGP), is part "
            "of every error above."
        )
    yield from map(caution, warned(result))


def _table(result: CompareResult) -> Table:
    table = Table(
        title="Relative error of finite-width kernels",
        caption=f"Frobenius norm; mean ± standard deviation over {result.settings.seeds} seeds",
    )
    for name in ("width", "NTK error", "NNGP error", "seconds"):
        table.add_column(name, justify="right")
    for i, width in enumerate(result.settings.widths):
        errors = [cell(row[i]) for row in (result.ntk_errors, result.nngp_errors)]
        table.add_row(str(width), *errors, f"{result.seconds_per_width[i]:.1f}")
    return table
