"""``ntkrnn trajectory``."""

from __future__ import annotations

import functools
import math
from typing import Annotated

import typer
from rich.table import Table

from ntkrnn.cli._console import user_errors
from ntkrnn.cli._network_options import (
    RUN,
    Kind,
    NetworkOptions,
    Seed,
    SequenceOptions,
    print_data,
)
from ntkrnn.cli._options import flat, integers, one_of, out_folder
from ntkrnn.cli._study import Out, Resume, caution, cell, slope_line, studied
from ntkrnn.studies import (
    TrajectoryResult,
    TrajectorySettings,
    trajectory,
    write_trajectory,
)
from ntkrnn.studies.trajectory_files import FILES
from ntkrnn.studies.trajectory_settings import BATCH_SIZE
from ntkrnn.studies.trajectory_summary import (
    MEASURES,
    PREDICTED_SLOPE,
    fitted,
    local_slopes,
    not_finite,
    parts,
    suprema,
    warned,
)

_WIDTHS = ",".join(str(width) for width in TrajectorySettings.widths)


@flat
def trajectory_command(
    *,
    sequences: SequenceOptions,
    target: Annotated[
        str,
        typer.Option(
            metavar="KIND",
            rich_help_panel=RUN,
            autocompletion=one_of("auto", "one-vs-rest", "regression"),
            help="one-vs-rest (an output for each class), regression (labels as numbers), or auto: "
            "regression where the data have real numbers for labels.",
        ),
    ] = "auto",
    kind: Kind = "elman",
    network: NetworkOptions,
    widths: Annotated[
        str, typer.Option(metavar="INTS", rich_help_panel=RUN, help="Widths, at least two.")
    ] = _WIDTHS,
    seeds: Annotated[
        int, typer.Option(metavar="INT", rich_help_panel=RUN, help="Runs a width, 2 or more.")
    ] = TrajectorySettings.seeds,
    seed: Seed = 0,
    optimizer: Annotated[
        str,
        typer.Option(
            metavar="NAME", rich_help_panel=RUN, help="sgd; the predictions are exact for it."
        ),
    ] = "sgd",
    lr: Annotated[
        str,
        typer.Option(
            metavar="NUMBER|auto",
            rich_help_panel=RUN,
            help="Learning rate; auto is half of the largest that the infinite kernel allows.",
        ),
    ] = "auto",
    batch_size: Annotated[
        int | None,
        typer.Option(
            metavar="INT",
            rich_help_panel=RUN,
            show_default=f"{BATCH_SIZE}, or all if fewer",
            help="Training sequences a step; 0 for all of them.",
        ),
    ] = None,
    momentum: Annotated[
        float, typer.Option(metavar="FLOAT", rich_help_panel=RUN, help="Heavy-ball momentum.")
    ] = 0.0,
    steps: Annotated[
        int, typer.Option(metavar="INT", rich_help_panel=RUN, help="Steps of SGD.")
    ] = TrajectorySettings.steps,
    contrast: Annotated[
        bool,
        typer.Option(
            rich_help_panel=RUN, help="Also runs where the prediction holds, and where it does not."
        ),
    ] = True,
    resume: Resume = False,
    out_dir: Out,
) -> None:
    """Train networks, and follow each with what its kernels predict.

    For each width and seed a network is trained by SGD; its linearisation and the infinite-width
    kernel are followed from the same start with the same batches. Prints how far the network strays
    from either and the slopes against width, which theory bounds by -1/2, and writes trajectory.json,
    trajectory.npz, loss_curves.png, deviation_vs_width.png, kernel_drift.png and contrast.png. Every
    finished run is kept in DIR/pieces.
    """
    with user_errors(ValueError, TypeError, ImportError, OSError):
        if optimizer != "sgd":
            raise ValueError(
                f"--optimizer: got {optimizer!r}, expected sgd, whose course the kernels predict; "
                "ntkrnn.dynamics.train takes any optax optimiser."
            )
        settings = TrajectorySettings(
            architecture=network.architecture(kind),
            widths=integers("widths", widths),
            seeds=seeds,
            seed=seed,
            target=target,
            learning_rate=_rate(lr),
            momentum=momentum,
            batch_size="auto" if batch_size is None else batch_size or None,
            steps=steps,
            contrast=contrast,
        )
        loaded = sequences.load(seed)
        settings = settings.for_sequences(len(loaded.x))
        folder = out_folder(out_dir)
    print_data(loaded)
    studied(
        folder,
        settings,
        loaded,
        resume=resume,
        files=FILES,
        what=f"of {len(settings.widths) * settings.seeds} runs",
        unit="runs",
        run=functools.partial(trajectory, settings, loaded),
        write=lambda result: write_trajectory(result, folder),
        show=lambda result: [_table(result), *_lines(result), *map(caution, warned(result))],
    )


def _rate(text: str) -> float | None:
    if text == "auto":
        return None
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"--lr: got {text!r}, expected a number or auto.") from None


def _table(result: TrajectoryResult) -> Table:
    table = Table(
        title="Largest deviation along the run (rms), kernel drift, final training loss",
        caption=f"mean ± standard deviation over {result.settings.seeds} seeds",
    )
    table.add_column("width", justify="right")
    for label in MEASURES.values():
        table.add_column(label.replace(", ", "\n"), justify="right")
    table.add_column("loss", justify="right")
    strange = [run["width"] for run in not_finite(result)]
    if strange:
        table.add_column("runs not\nfinite", justify="right")
    columns = [suprema(result, name) for name in MEASURES]
    for i, width in enumerate(result.settings.widths):
        cells = [cell(rows[i]) for rows in columns]
        loss = sum(float(piece["loss"][-1]) for piece in result.pieces[i]) / result.settings.seeds
        cells.append(f"{loss:.4f}" if math.isfinite(loss) else "not finite")
        if strange:
            cells.append(f"{strange.count(width)} of {result.settings.seeds}")
        table.add_row(str(width), *cells)
    return table


def _or_none(value: float, form: str) -> str:
    return f"{value:{form}}" if math.isfinite(value) else "none"


def _lines(result: TrajectoryResult) -> list[str]:
    lines = [
        f"step {result.learning_rate:.4g}; the largest stable one of full batches in infinite width is "
        f"{result.largest_step:.4g}"
    ]
    runs = not_finite(result)
    for width in dict.fromkeys(run["width"] for run in runs):
        here = [run for run in runs if run["width"] == width]
        networks = sum("loss" in run["figures"] for run in here)
        first = min(run["from_step"] for run in here)
        lines.append(
            f"width {width}: {len(here)} of {result.settings.seeds} runs are not finite, the first "
            f"from step {first} on: in {networks} the network, in the others what is predicted for it. "
            "A smaller --lr keeps them finite."
        )
    found = parts(result)
    measured = {label: (fitted(result, k), suprema(result, k)) for k, label in MEASURES.items()}
    measured["final test deviation, spread over seeds"] = found.spread_fit, found.spread
    for label, (fit, values) in measured.items():
        between = ", ".join(_or_none(slope, "+.2f") for slope in local_slopes(result, values))
        line = slope_line(fit, f"bound {PREDICTED_SLOPE:+.1f}")
        lines.append(f"{label}: {line}; between neighbouring widths {between}")
    shared = ", ".join(
        f"{width}: {_or_none(value, '.4f')}"
        for width, value in zip(result.settings.widths, found.shared, strict=True)
    )
    lines.append(f"final test deviation, what all seeds share: {shared}")
    for case in result.contrast:
        lines.append(
            f"{case['title']}: loss {case['loss'][0]:.3g}, at most {case['loss'].max():.3g}, at the "
            f"end {case['loss'][-1]:.3g}, linearised {case['loss_linear'][-1]:.3g}; largest stable "
            f"step {case['largest_step_before']:.3g}, at the end {case['largest_step_after']:.3g}"
        )
    return lines
