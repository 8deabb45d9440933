"""Where output goes, and how a mistake of the user's is shown."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text


def out() -> Console:
    """The console for results, on stdout."""
    return Console()


def err() -> Console:
    """The console for progress and messages, on stderr."""
    return Console(stderr=True)


@contextlib.contextmanager
def user_errors(*kinds: type[Exception]) -> Iterator[None]:
    """Show exceptions of these kinds as one red message on stderr, and exit with code 2.

    Wrapped around steps whose errors speak of what the user passed; everything else keeps its
    traceback.
    """
    try:
        yield
    except kinds as error:
        text = str(error)
        if isinstance(error, OSError) and error.strerror:
            # Raised by the system, which says "[Errno 13] Permission denied: 'out'".
            text = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
        err().print(Text(f"error: {text}", style="red"), soft_wrap=True)
        raise typer.Exit(2) from None


@contextlib.contextmanager
def warnings_afterwards() -> Iterator[None]:
    """Keep warnings off the progress bar, and print them once it is gone."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.filterwarnings("always", category=UserWarning)
        try:
            yield
        finally:
            for warning in warned:
                err().print(Text(f"warning: {warning.message}", style="yellow"), soft_wrap=True)


def progress_bar(unit: str) -> Progress:
    """A bar on stderr that counts some unit, and is gone afterwards."""
    return Progress(
        TextColumn("{task.description:<26}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        console=err(),
        transient=True,
    )
