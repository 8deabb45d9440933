"""Where output goes, and how a mistake of the user's is shown."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import typer
from rich.console import Console
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
