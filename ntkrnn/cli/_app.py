"""The commands, put together."""

from __future__ import annotations

from typing import Annotated

import typer

from ntkrnn._cache import cache
from ntkrnn._version import __version__
from ntkrnn.cli._bench import bench_command
from ntkrnn.cli._compare import compare_command
from ntkrnn.cli._console import err
from ntkrnn.cli._evaluate import evaluate_command
from ntkrnn.cli._fit import fit_command, predict_command
from ntkrnn.cli._info import info_command
from ntkrnn.cli._learnability import learnability_command
from ntkrnn.cli._stop import stop_on_sigterm, stoppable
from ntkrnn.cli._trajectory import trajectory_command

app = typer.Typer(
    name="ntkrnn",
    help="Tangent kernels of recurrent neural networks.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    # What we did not foresee keeps its traceback, undecorated, for the bug report.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("fit")(stoppable(fit_command))
app.command("predict")(stoppable(predict_command))
app.command("evaluate")(stoppable(evaluate_command))
app.command("compare")(stoppable(compare_command))
app.command("trajectory")(stoppable(trajectory_command))
app.command("learnability")(stoppable(learnability_command))
app.command("bench")(stoppable(bench_command))
app.command("info")(stoppable(info_command))


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
    if context.invoked_subcommand not in _UNCACHED:
        try:
            cache()
        except OSError as error:
            err().print(f"compiled programs are not kept: {error}", highlight=False, soft_wrap=True)


def main() -> None:
    """Run the command line; the entry point of ``ntkrnn`` and ``python -m ntkrnn``."""
    stop_on_sigterm()
    app(prog_name="ntkrnn")
