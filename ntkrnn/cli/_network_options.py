"""Options that commands share: which data, and which network."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import typer

from ntkrnn.architectures import ARCHITECTURES, Architecture
from ntkrnn.cli._console import out
from ntkrnn.cli._options import blocks, one_of
from ntkrnn.data import NAMES, Dataset, load
from ntkrnn.dual import names
from ntkrnn.readouts import NAMED

DATA, NET, RUN = "Data", "Network", "Run"
DEFAULT_N = 64


def _net(default: str, what: str, metavar: str, values: tuple[str, ...] = ()) -> Any:
    """An option that is None where it is not given: the architecture has the default."""
    return typer.Option(
        metavar=metavar,
        rich_help_panel=NET,
        show_default=default,
        help=what,
        autocompletion=one_of(*values) if values else None,
    )


Data = Annotated[
    str,
    typer.Option(
        metavar="NAME|FILE",
        rich_help_panel=DATA,
        autocompletion=one_of(*NAMES),
        help="digits; with the extra [aeon] japanese_vowels, italy_power_demand, gunpoint, "
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
Kind = Annotated[
    str,
    typer.Option(
        "--architecture",
        metavar="NAME",
        rich_help_panel=NET,
        autocompletion=one_of(*ARCHITECTURES),
        help="elman, leaky, lstm, gru, minimal-gru, or diagonal: every neuron remembers itself alone.",
    ),
]
Seed = Annotated[
    int, typer.Option(metavar="INT", rich_help_panel=RUN, help="Seed of everything random.")
]


@dataclasses.dataclass(frozen=True)
class SequenceOptions:
    """Which sequences a study is about."""

    data: Data = "digits"
    n: Annotated[
        int | None,
        typer.Option(
            metavar="INT",
            rich_help_panel=DATA,
            show_default=f"{DEFAULT_N}, or all if fewer",
            help="Number of sequences, a random subset drawn with --seed.",
        ),
    ] = None
    standardize: Annotated[
        str,
        typer.Option(
            metavar="KIND",
            rich_help_panel=DATA,
            autocompletion=one_of("none", "global", "channel", "series"),
            help="none, global, channel or series: what shares one mean and standard deviation.",
        ),
    ] = "global"
    label_column: LabelColumn = None
    long: Long = None

    def load(self, seed: int) -> Dataset:
        """The sequences."""
        most = DEFAULT_N if self.n is None else None
        options: dict[str, Any] = {"label_column": self.label_column, "long": self.long, "seed": seed}
        return load(self.data, n=self.n, at_most=most, standardize=self.standardize, **options)


@dataclasses.dataclass(frozen=True)
class CellOptions:
    """Fields of the networks that estimators are made of; what is None was not given."""

    nonlinearity: Annotated[
        str | None,
        _net(
            "erf; diagonal, lstm, gru, minimal-gru: tanh", "erf, relu, tanh, sin, ...", "NAME", names()
        ),
    ] = None
    gate_nonlinearity: Annotated[
        str | None, _net("sigmoid", "Of the gates of lstm, gru and minimal-gru.", "NAME", names())
    ] = None
    readout: Annotated[
        str | None,
        _net("last; diagonal: sequence", "last, mean or sequence.", "NAME", tuple(NAMED)),
    ] = None
    depth: Annotated[int | None, _net("1", "Number of recurrent layers; not for diagonal.", "INT")] = (
        None
    )
    bidirectional: Annotated[
        bool,
        typer.Option(
            "--bidirectional", rich_help_panel=NET, help="Read both ways in time; not for diagonal."
        ),
    ] = False
    w_std: Annotated[
        float | None, _net("1.0", "Recurrent weights' scale; not for diagonal.", "FLOAT")
    ] = None
    u_std: Annotated[float | None, _net("1.0", "Input weights' scale; not for diagonal.", "FLOAT")] = (
        None
    )
    b_std: Annotated[float | None, _net("0.0", "Biases' scale; not for diagonal.", "FLOAT")] = None
    rate: Annotated[
        float | None, _net("0.5", "How far a state moves in a step, 0 to 1, leaky.", "FLOAT")
    ] = None
    reset: Annotated[
        str | None,
        _net(
            "after",
            "after or before the recurrent matrix of the candidate, gru.",
            "WHERE",
            ("after", "before"),
        ),
    ] = None

    def given(self) -> dict[str, Any]:
        """Those that are there, by name."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {k: value for k, value in fields.items() if value is not None and value is not False}

    def architecture(self, kind: str) -> Architecture:
        """The architecture of a name with these fields.

        Raises:
            ValueError: naming an option that is unknown, out of range, or of another architecture.
        """
        return architecture(kind, self.given())


@dataclasses.dataclass(frozen=True)
class NetworkOptions(CellOptions):
    """Fields of the networks that studies are about."""

    v_std: Annotated[
        float | None, _net("1.0", "Readout weights' scale; not for diagonal.", "FLOAT")
    ] = None
    alpha: Annotated[
        float | None, _net("0.5", "Size of the recurrent weights at the start, diagonal.", "FLOAT")
    ] = None
    trainable: Annotated[
        str | None,
        _net(
            "w,u,b,v; diagonal: w,u",
            "Blocks that the NTK sums over, out of w,u,b,v (diagonal: w,u).",
            "BLOCKS",
        ),
    ] = None

    def given(self) -> dict[str, Any]:
        """Those that are there, by name."""
        fields = super().given()
        if self.trainable is not None:
            fields["trainable"] = blocks(self.trainable)
        return fields


def architecture(kind: str, fields: dict[str, Any]) -> Architecture:
    """The architecture of a name with fields that were given as options."""
    if kind not in ARCHITECTURES:
        raise ValueError(f"--architecture: got {kind!r}, expected one of {', '.join(ARCHITECTURES)}.")
    known = [field.name for field in dataclasses.fields(ARCHITECTURES[kind])]
    for name, value in fields.items():
        if name not in known:
            raise ValueError(
                f"--{name.replace('_', '-')}: got {value} with --architecture {kind}, which has no "
                "such option; leave it out."
            )
    return ARCHITECTURES[kind](**fields)


def print_data(sequences: Dataset) -> None:
    """What the sequences are, and how their file was read."""
    for line in (sequences.describe(), sequences.reading):
        if line:
            out().print(line, highlight=False, soft_wrap=True)
