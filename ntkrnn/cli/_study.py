"""What the commands of all studies do around their work: the folder, finished runs, a stop."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeVar

import numpy as np
import typer
from rich.table import Table
from rich.text import Text

from ntkrnn._files import remove_parts
from ntkrnn.cli._console import err, out, progress_bar, user_errors, warnings_afterwards
from ntkrnn.cli._network_options import RUN
from ntkrnn.cli._stop import stopped
from ntkrnn.data import Dataset
from ntkrnn.report import Slope, mean_and_std
from ntkrnn.studies import Pieces, Progress, StudyError, fingerprint
from ntkrnn.studies.compare import LIMIT

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
def followed(unit: str, prefix: str = "") -> Iterator[Progress]:
    """``progress(done, total, what)``: a bar on a terminal, elsewhere a line for each job that ended.

    Of the parts of a limit, which are many, those are told whose number is a power of 2.

    Args:
        unit: what is counted.
        prefix: of each line, the name of one of several studies.
    """
    console, last = err(), -1
    with progress_bar(unit) as bar:
        task = bar.add_task("starting", total=None)

        def report(done: int, total: int, what: str) -> None:
            nonlocal last
            bar.update(task, completed=done, total=total or None, description=what)
            of_limit = what.startswith(LIMIT)
            if console.is_terminal or (done & (done - 1) if of_limit else done == last):
                return
            last = -1 if of_limit else done
            line = f"{prefix}{done}/{total or '?'}  {what}" if done or total else f"{prefix}{what}"
            console.print(line, highlight=False, markup=False, soft_wrap=True)

        yield report


def print_results(shown: Iterable[Table | Text | str], end: str, files: Iterable[Path]) -> None:
    """Tables and sentences of a study, a last word, and the files that it wrote."""
    console = out()
    for one in shown:
        console.print(one, highlight=False, markup=False, soft_wrap=not isinstance(one, Table))
    console.print(f"{end} Wrote:", highlight=False, soft_wrap=True)
    for file in files:
        console.print(f"  {file}", highlight=False, soft_wrap=True)


class Result(Protocol):
    """What a study returns."""

    @property
    def seconds(self) -> float:
        """Of this run."""
        ...


_R = TypeVar("_R", bound=Result)


def studied(
    folder: Path,
    settings: Any,
    dataset: Dataset | None = None,
    *,
    resume: bool,
    files: Collection[str],
    what: str,
    unit: str,
    run: Callable[[Pieces, Progress], _R],
    write: Callable[[_R], Iterable[Path]],
    show: Callable[[_R], Iterable[Table | Text | str]],
    pattern: str = "*",
    prefix: str = "",
    **marks: str,
) -> None:
    """What every study is: run with what is kept, followed by a bar, then written and printed.

    Args:
        folder: of the results; finished runs are kept in ``pieces`` there.
        settings: what the runs depend on, with ``dataset`` and ``marks``.
        dataset: if the study does not make its data itself.
        resume, files, what, pattern: see :func:`kept_in`.
        unit, prefix: see :func:`followed`.
        run: the study; it is handed the store and the progress.
        write: writes the files.
        show: tables and sentences.
        marks: further words that tell these settings from others.
    """
    own = fingerprint(settings, dataset, **marks)
    with kept_in(folder / "pieces", own, resume, files=files, what=what, pattern=pattern) as pieces:
        with followed(unit, prefix) as report:
            result = run(pieces, report)
        written = write(result)
        print_results(show(result), f"{result.seconds:.1f} s, compilation included.", written)


def caution(sentence: str) -> Text:
    """What makes a result worth little, set off from the result."""
    return Text(f"caution: {sentence}", style="yellow")


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
