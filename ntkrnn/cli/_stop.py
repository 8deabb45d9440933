"""Ctrl-C and SIGTERM: both end a command in the same way, with a word about what is left."""

from __future__ import annotations

import contextlib
import functools
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import typer

from ntkrnn.cli._console import err


class Terminated(KeyboardInterrupt):
    """SIGTERM came, by which batch systems and service managers stop a program."""

    exit_code = 128 + signal.SIGTERM


def stop_on_sigterm() -> None:
    """Let SIGTERM do what Ctrl-C does, in the main thread."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, stop)


@contextlib.contextmanager
def stopped(left: Callable[[], str]) -> Iterator[None]:
    """Where a command is stopped say what is left, and exit with 130 (Ctrl-C) or 143 (SIGTERM)."""
    try:
        yield
    except KeyboardInterrupt as stop:
        err().print(f"stopped; {left()}", highlight=False, soft_wrap=True)
        raise typer.Exit(getattr(stop, "exit_code", 128 + signal.SIGINT)) from None


def stoppable(command: Callable[..., None]) -> Callable[..., None]:
    """A command that, stopped before there is anything to keep, says so."""

    @functools.wraps(command)
    def run(**options: Any) -> None:
        with stopped(lambda: "nothing of this run is kept. The same command starts it anew."):
            command(**options)

    return run
