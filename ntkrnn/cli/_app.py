"""The commands, put together; each is loaded when it is run, and its help when that is asked for."""

from __future__ import annotations

import importlib
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from ntkrnn._version import __version__
from ntkrnn.cli._console import err
from ntkrnn.cli._stop import stop_on_sigterm, stoppable

COMMANDS = {
    "fit": "Fit recurrent kernels to labelled sequences, or to records, and say how well they predict.",
    "predict": "Predict with a model that ntkrnn fit wrote: a table on stdout, or in a file.",
    "evaluate": "Score the estimators on sets with published splits, beside published results.",
    "compare": "Compare finite-width kernels with their infinite-width limit on real sequences.",
    "trajectory": "Train networks, and follow each with what its kernels predict.",
    "learnability": "Measure what the learning theories of recurrent networks claim.",
    "gram": "Compute kernel matrices of any size into a store, look at one, check it.",
    "bench": "Measure the kernels and their peers in one run, and say which targets are met.",
    "info": "Print versions, architectures, devices, memory, and which extras are installed.",
}
"""By name the first line of their help."""
_FILES = {"predict": "_fit"}
"""The file of a command that is not called like it."""


class _Lazy(TyperGroup):
    """A group that knows of its commands without loading them."""

    def list_commands(self, ctx: Any) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A stand-in that says what the command is for."""
        del ctx
        return TyperCommand(cmd_name, help=COMMANDS[cmd_name]) if cmd_name in COMMANDS else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command itself, with its options."""
        name, stand_in, rest = super().resolve_command(ctx, args)
        return name, stand_in and _loaded(stand_in.name or ""), rest


def _loaded(name: str) -> Any:
    file = importlib.import_module(f"ntkrnn.cli.{_FILES.get(name, f'_{name}')}")
    if hasattr(file, "app"):  # a group of its own
        return typer.main.get_command(file.app)
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, **_STYLE)
    alone.command(name)(stoppable(getattr(file, f"{name}_command")))
    return typer.main.get_command(alone)


_STYLE: Any = {
    "rich_markup_mode": "markdown",
    "context_settings": {"help_option_names": ["-h", "--help"]},
}
app = typer.Typer(
    name="ntkrnn",
    cls=_Lazy,
    help="Tangent kernels of recurrent neural networks.",
    no_args_is_help=True,
    # What we did not foresee keeps its traceback, undecorated, for the bug report.
    pretty_exceptions_enable=False,
    **_STYLE,
)

_UNCACHED = ("bench", "info")
"""Commands that measure what compiling takes, or compile nothing."""


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ntkrnn {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Tangent kernels of recurrent neural networks."""
    if context.invoked_subcommand in COMMANDS and context.invoked_subcommand not in _UNCACHED:
        from ntkrnn._cache import cache  # loads JAX

        try:
            cache()
        except OSError as error:
            err().print(f"compiled programs are not kept: {error}", highlight=False, soft_wrap=True)


def main() -> None:
    """Run the command line; the entry point of ``ntkrnn`` and ``python -m ntkrnn``."""
    stop_on_sigterm()
    app(prog_name="ntkrnn")
