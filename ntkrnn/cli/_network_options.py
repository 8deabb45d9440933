"""Options that commands share: which data, and which network."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import typer

from ntkrnn.architectures import ARCHITECTURES, Architecture
from ntkrnn.cli._console import out
from ntkrnn.cli._options import blocks
from ntkrnn.data import Dataset, load

DATA, NET, RUN = "Data", "Network", "Run"
DEFAULT_N = 64

Data = Annotated[
    str,
    typer.Option(
        metavar="NAME|FILE",
        rich_help_panel=DATA,
        help="digits; with the extra [data] japanese_vowels, italy_power_demand, gunpoint, "
        "basic_motions; or a file: .npz (X, lengths, y), .csv (a series a row), UCR .tsv (label first) "
        "or .ts.",
    ),
]
LabelColumn = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|INDEX",
        rich_help_panel=DATA,
        help="Column of labels in a .csv or .tsv: its name, or its position from 1, the last is -1.",
    ),
]
Long = Annotated[
    str | None,
    typer.Option(
        metavar="ID,TIME",
        rich_help_panel=DATA,
        help="Columns of series and time in a .csv or .tsv with one time step a row.",
    ),
]
Count = Annotated[
    int | None,
    typer.Option(
        metavar="INT",
        rich_help_panel=DATA,
        show_default=f"{DEFAULT_N}, or all if fewer",
        help="Number of sequences, a random subset drawn with --seed.",
    ),
]
Standardize = Annotated[
    str,
    typer.Option(
        metavar="KIND",
        rich_help_panel=DATA,
        help="none, global, channel or series: what shares one mean and standard deviation.",
    ),
]
Kind = Annotated[
    str,
    typer.Option(
        "--architecture",
        metavar="NAME",
        rich_help_panel=NET,
        help="elman, leaky, lstm, gru, minimal-gru, or diagonal: every neuron remembers itself alone.",
    ),
]
Nonlinearity = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        rich_help_panel=NET,
        show_default="erf; diagonal, lstm, gru, minimal-gru: tanh",
        help="erf, relu, tanh, sin, ...",
    ),
]
GateNonlinearity = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        rich_help_panel=NET,
        show_default="sigmoid",
        help="Of the gates of lstm, gru and minimal-gru.",
    ),
]
Readout = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        rich_help_panel=NET,
        show_default="last; diagonal: sequence",
        help="last, mean or sequence.",
    ),
]
Depth = Annotated[
    int | None,
    typer.Option(
        metavar="INT",
        rich_help_panel=NET,
        show_default="1",
        help="Number of recurrent layers; not for diagonal.",
    ),
]
Bidirectional = Annotated[
    bool,
    typer.Option(
        "--bidirectional", rich_help_panel=NET, help="Read both ways in time; not for diagonal."
    ),
]


def _scale(what: str, default: str) -> Any:
    return typer.Option(metavar="FLOAT", rich_help_panel=NET, show_default=default, help=what)


WStd = Annotated[float | None, _scale("Recurrent weights' scale; not for diagonal.", "1.0")]
UStd = Annotated[float | None, _scale("Input weights' scale; not for diagonal.", "1.0")]
BStd = Annotated[float | None, _scale("Biases' scale; not for diagonal.", "0.0")]
VStd = Annotated[float | None, _scale("Readout weights' scale; not for diagonal.", "1.0")]
Alpha = Annotated[float | None, _scale("Size of the recurrent weights at the start, diagonal.", "0.5")]
Rate = Annotated[float | None, _scale("How far a state moves in a step, 0 to 1, leaky.", "0.5")]
Reset = Annotated[
    str | None,
    typer.Option(
        metavar="WHERE",
        rich_help_panel=NET,
        show_default="after",
        help="after or before the recurrent matrix of the candidate, gru.",
    ),
]
Trainable = Annotated[
    str | None,
    typer.Option(
        metavar="BLOCKS",
        rich_help_panel=NET,
        show_default="w,u,b,v; diagonal: w,u",
        help="Blocks that the NTK sums over, out of w,u,b,v (diagonal: w,u).",
    ),
]
Seed = Annotated[
    int, typer.Option(metavar="INT", rich_help_panel=RUN, help="Seed of everything random.")
]


def architecture(kind: str, trainable: str | None, bidirectional: bool, **given: Any) -> Architecture:
    """The architecture of the options; what is None was not given, and is as the architecture has it.

    Raises:
        ValueError: naming an option that is unknown, out of range, or of another architecture.
    """
    if kind not in ARCHITECTURES:
        raise ValueError(f"--architecture: got {kind!r}, expected one of {', '.join(ARCHITECTURES)}.")
    fields = {name: value for name, value in given.items() if value is not None}
    if trainable is not None:
        fields["trainable"] = blocks(trainable)
    if bidirectional:
        fields["bidirectional"] = True
    known = [field.name for field in dataclasses.fields(ARCHITECTURES[kind])]
    for name, value in fields.items():
        if name not in known:
            raise ValueError(
                f"--{name.replace('_', '-')}: got {value} with --architecture {kind}, which has no "
                "such option; leave it out."
            )
    return ARCHITECTURES[kind](**fields)


def dataset(
    data: str,
    n: int | None,
    seed: int,
    standardize: str,
    label_column: str | None = None,
    long: str | None = None,
) -> Dataset:
    """The sequences of the options."""
    most = DEFAULT_N if n is None else None
    options = {"standardize": standardize, "label_column": label_column, "long": long}
    return load(data, n=n, at_most=most, seed=seed, **options)


def print_data(sequences: Dataset) -> None:
    """What the sequences are, and how their file was read."""
    for line in (sequences.describe(), sequences.reading):
        if line:
            out().print(line, highlight=False, soft_wrap=True)
