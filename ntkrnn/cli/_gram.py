"""``ntkrnn gram``: kernel matrices in a store."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from ntkrnn import gram
from ntkrnn._memory import size_in_words
from ntkrnn.cli._console import out, user_errors
from ntkrnn.cli._network_options import (
    RUN,
    Kind,
    NetworkOptions,
    Seed,
    SequenceOptions,
    architecture,
    print_data,
)
from ntkrnn.cli._options import flat
from ntkrnn.cli._stop import stoppable, stopped

app = typer.Typer(
    name="gram",
    help="Compute kernel matrices of any size into a store, look at one, check it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Store = Annotated[
    str,
    typer.Option("--store", metavar="DIR", help="A folder, or a URL of fsspec.", show_default=False),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="INT",
        rich_help_panel=RUN,
        help="Worker processes on this machine; without, this process computes.",
        show_default=False,
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        metavar="ADDRESS",
        rich_help_panel=RUN,
        help="Of a dask scheduler, tcp://host:8786, whose workers compute.",
        show_default=False,
    ),
]
_ERRORS = (ValueError, TypeError, OSError, ImportError, gram.WorkersError)


@app.command("compute")
@stoppable
@flat
def compute_command(
    *,
    store: Store,
    sequences: SequenceOptions,
    kind: Kind = "elman",
    network: NetworkOptions,
    get: Annotated[
        str, typer.Option(metavar="NAMES", rich_help_panel=RUN, help="nngp, ntk, or both.")
    ] = "nngp,ntk",
    tile: Annotated[
        int | None,
        typer.Option(
            metavar="INT", rich_help_panel=RUN, help="Sequences per side of a tile.", show_default=False
        ),
    ] = None,
    seed: Seed = 0,
    workers: Workers = None,
    scheduler: Scheduler = None,
) -> None:
    """Compute the kernels of all pairs of sequences into a store; the same command continues it.

    For example: `ntkrnn gram compute --data digits --n 2000 --store out/gram --workers 2`
    """
    with user_errors(*_ERRORS):
        arch, names = network.architecture(kind), tuple(word.strip() for word in get.split(","))
        record = {"kind": kind, "network": network.given()}
        loaded = sequences.load(seed)
    print_data(loaded)
    options: dict[str, Any] = {"lengths1": loaded.lengths, "get": names, "tile": tile, "record": record}
    _run(arch, loaded.x, store, workers, scheduler, **options)


@app.command("resume")
@stoppable
def resume_command(store: Store, workers: Workers = None, scheduler: Scheduler = None) -> None:
    """Continue a store of `ntkrnn gram compute`, with the sequences that it holds."""
    with user_errors(*_ERRORS):
        state = gram.status(store)
        if "kind" not in state.record:
            raise ValueError(
                f"--store: {store} was made in Python; the same call of gram.compute continues it."
            )
        arch = architecture(state.record["kind"], state.record["network"])
        names = [name for name in state.names if not name.endswith("_error")]
        options = {"get": tuple(names), "dtype": state.marks["dtype"], "record": state.record}
    _run(arch, f"{store}/x1", store, workers, scheduler, lengths1=_lengths(store), **options)


@app.command("status")
@stoppable
def status_command(store: Store) -> None:
    """Print what a store is of, and how many tiles are done."""
    with user_errors(*_ERRORS):
        _told(gram.status(store))


@app.command("verify")
@stoppable
def verify_command(store: Store) -> None:
    """Read every tile and compare it with what was written; exit with 1 unless all are whole."""
    with user_errors(*_ERRORS):
        found = gram.verify(store)
    whole = found.tiles - found.missing - len(found.damaged)
    counts = f"{found.missing} missing, {len(found.damaged)} damaged"
    out().print(f"{whole} of {found.tiles} tiles are whole, {counts}")
    if whole < found.tiles:
        out().print(f"ntkrnn gram resume --store {store} computes the others.", soft_wrap=True)
        raise typer.Exit(1)


def _run(
    arch: Any, x: Any, store: str, workers: int | None, scheduler: str | None, **options: Any
) -> None:
    """Compute what is missing, with a bar, and say what there is then."""
    if workers is not None and scheduler is not None:
        with user_errors(ValueError):
            raise ValueError("--workers: got a number beside --scheduler, expected one of the two.")
    left = f"what is done is in {store}: ntkrnn gram resume --store {store} continues it."
    with user_errors(*_ERRORS), stopped(lambda: left):
        client = workers if scheduler is None else scheduler
        gram.compute(arch, x, store=store, client=client, **options)
    _told(gram.status(store))


def _lengths(store: str) -> Any:
    """Of the sequences in a store, if they have some."""
    import zarr

    try:
        return zarr.open_array(f"{store}/lengths1", mode="r")[:]
    except FileNotFoundError:
        return None


def _told(state: gram.Status) -> None:
    table = Table("matrices", "shape", "tiles done", "size", title="Store")
    shape = " × ".join(map(str, state.shape))
    table.add_row(
        ", ".join(state.names), shape, f"{state.done} of {state.tiles}", size_in_words(state.bytes)
    )
    out().print(table)
    for name, value in state.marks.items():
        out().print(f"{name}: {value}", highlight=False, soft_wrap=True, markup=False)
