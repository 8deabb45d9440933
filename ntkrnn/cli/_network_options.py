"""Options that commands share: which data, and which network."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ntkrnn.architectures import Elman
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
        "basic_motions; or a .npz, .csv, .tsv or .ts file.",
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
Nonlinearity = Annotated[
    str, typer.Option(metavar="NAME", rich_help_panel=NET, help="erf, relu, tanh, sin, ...")
]
Readout = Annotated[
    str, typer.Option(metavar="NAME", rich_help_panel=NET, help="last, mean or sequence.")
]
Depth = Annotated[
    int, typer.Option(metavar="INT", rich_help_panel=NET, help="Number of recurrent layers.")
]
Bidirectional = Annotated[
    bool, typer.Option("--bidirectional", rich_help_panel=NET, help="Read both ways in time.")
]
WStd = Annotated[
    float, typer.Option(metavar="FLOAT", rich_help_panel=NET, help="Recurrent weights' scale.")
]
UStd = Annotated[
    float, typer.Option(metavar="FLOAT", rich_help_panel=NET, help="Input weights' scale.")
]
BStd = Annotated[float, typer.Option(metavar="FLOAT", rich_help_panel=NET, help="Biases' scale.")]
VStd = Annotated[
    float, typer.Option(metavar="FLOAT", rich_help_panel=NET, help="Readout weights' scale.")
]
Trainable = Annotated[
    str,
    typer.Option(
        metavar="BLOCKS",
        rich_help_panel=NET,
        help="Blocks that the NTK sums over, out of w,u,b,v.",
    ),
]
Seed = Annotated[
    int, typer.Option(metavar="INT", rich_help_panel=RUN, help="Seed of everything random.")
]


def architecture(trainable: str, **fields: Any) -> Elman:
    """The architecture of the options, with the blocks of ``--trainable``."""
    return Elman(trainable=blocks(trainable), **fields)


def dataset(data: str, n: int | None, seed: int, standardize: str) -> Dataset:
    """The sequences of the options."""
    chosen = {"at_most": DEFAULT_N} if n is None else {"n": n}
    return load(data, seed=seed, standardize=standardize, **chosen)
