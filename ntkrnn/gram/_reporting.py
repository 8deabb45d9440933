"""How far a computation of tiles is, shown or told."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from ntkrnn import _checks
from ntkrnn._progress import tell

Report = Callable[[int, int], None]
"""``report(done, total)``"""


@contextlib.contextmanager
def reporting(progress: bool | Report) -> Iterator[Report]:
    """A function of (done, total) that shows a bar, or is the one that was given."""
    if callable(progress):
        yield progress
        return
    if not _checks.boolean("progress", progress):
        yield lambda done, total: tell(done, total, "tiles")
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    counts = (MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
    columns = (TextColumn("tiles"), BarColumn(), *counts)
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("tiles", rate="")

        def report(done: int, total: int) -> None:
            speed = bar.tasks[task].speed
            bar.update(task, completed=done, total=total, rate=f"{speed:.2f} a second" if speed else "")
            tell(done, total, "tiles")

        yield report
