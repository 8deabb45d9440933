"""What the commands of all studies do around their work: the folder, finished runs, a stop."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from ntkrnn._files import remove_parts
from ntkrnn.cli._console import err, progress_bar, user_errors, warnings_afterwards
from ntkrnn.cli._network_options import RUN
from ntkrnn.cli._stop import stopped
from ntkrnn.report import Slope, mean_and_std
from ntkrnn.studies import Pieces, Progress, StudyError

Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        rich_help_panel=RUN,
        help="Continue with the finished runs in the folder pieces; without it they are removed.",
    ),
]

Out = Annotated[
    str,
    typer.Option(
        "--out", metavar="DIR", rich_help_panel=RUN, help="Folder for the results; made if new."
    ),
]


@contextlib.contextmanager
def kept_in(
    folder: Path,
    marks: Mapping[str, str],
    resume: bool,
    *,
    files: Collection[str],
    what: str,
    pattern: str = "*",
) -> Iterator[Pieces]:
    """The finished runs of a study; what was removed, and what is left if it ends early, is said.

    Args:
        folder: ``pieces`` in that of the results.
        marks: of the settings.
        resume: whether runs of an earlier study are continued with.
        files: that the study writes beside the pieces; what a killed one left of them goes.
        what: runs are called, as "runs of this study".
        pattern: of their names.
    """
    console = err()
    say = lambda text: console.print(text, highlight=False, soft_wrap=True)  # noqa: E731
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings_afterwards())
        with user_errors(StudyError, OSError):
            pieces = stack.enter_context(Pieces(folder, marks, resume))
            remove_parts(folder.parent, of=files)
        if pieces.removed:
            say(
                f"{folder}: the {pieces.removed} finished runs of an earlier study are removed; with "
                "--resume a study continues with them."
            )
        go_on = "The same command with --resume continues."
        left = lambda: f"{pieces.count(pattern)} {what} are kept in {folder}. {go_on}"  # noqa: E731
        with stopped(left):
            try:
                with user_errors(StudyError, OSError):
                    yield pieces
            except typer.Exit:
                if pieces.count(pattern):
                    say(left())
                raise


@contextlib.contextmanager
def followed(unit: str, line: Callable[[int, int, str], str | None]) -> Iterator[Progress]:
    """``progress(done, total, what)``: a bar on a terminal, elsewhere the line, if there is one."""
    console = err()
    with progress_bar(unit) as bar:
        task = bar.add_task("starting", total=None)

        def report(done: int, total: int, what: str) -> None:
            bar.update(task, completed=done, total=total, description=what)
            said = None if console.is_terminal else line(done, total, what)
            if said is not None:
                console.print(said, highlight=False, soft_wrap=True)

        yield report


def cell(values: np.ndarray) -> str:
    """Mean and standard deviation over seeds, for a table; or that a run is not finite."""
    (mean,), (spread,) = mean_and_std(values[None])
    if not np.isfinite(mean):
        return "not finite"
    form = ".4f" if max(mean, spread) < 1000 else ".2g"  # what diverges has too many digits
    return f"{mean:{form}} ± {spread:{form}}"


def slope_line(fit: Slope, beside: str) -> str:
    """A fitted slope in words, beside what is expected of it.

    Example:
        >>> slope_line(Slope(-0.5, (-0.6, -0.4), 0.0, 0.95), "predicted -0.500")
        'slope -0.500, 95% interval (-0.600, -0.400), predicted -0.500'
    """
    without = ", ".join(f"{width:g}" for width in fit.left_out)
    if not np.isfinite(fit.slope):
        return f"no slope: at widths {without} a run is not finite, or 0; {beside}"
    low, high = fit.interval
    left_out = f"; without widths {without}, where a run is not finite, or 0" if without else ""
    return (
        f"slope {fit.slope:+.3f}, {100 * fit.confidence:g}% interval ({low:+.3f}, {high:+.3f}), "
        f"{beside}{left_out}"
    )
