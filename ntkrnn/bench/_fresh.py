"""What somebody waits for who has just started Python: calls in processes of their own.

The clock starts when JAX, NumPy and ntkrnn are imported and ends when the result is there: the start of
JAX's backend, tracing, compiling and the work itself are in it. "Cold" is without any cache on disk;
"warm" with one in a folder of its own that an earlier process has filled by :func:`ntkrnn.cache`, whose
call is in it too.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.table import Table

from ntkrnn._cache import FOLDER_VARIABLE

_SCRIPT = """
import json, sys, time
import jax, numpy as np, ntkrnn
from ntkrnn.bench import calls
start, used = time.perf_counter(), time.process_time()
if sys.argv[1]:
    ntkrnn.cache(sys.argv[1])
jax.block_until_ready(getattr(calls, sys.argv[2])(**json.loads(sys.argv[3])))
print(json.dumps([time.perf_counter() - start, time.process_time() - used]))
"""


@dataclasses.dataclass(frozen=True)
class Fresh:
    """One call in a process of its own.

    Attributes:
        name: short and unique, as it is asked for.
        title: what is called.
        call: the function of :mod:`ntkrnn.bench.calls` that does it.
        options: its arguments, also for the record.
        target: seconds, None if the row only informs.
        warm: whether with a cache on disk that an earlier process has filled.
        repeats: processes that are timed.
    """

    name: str
    title: str
    call: str
    options: Mapping[str, Any]
    target: float | None = None
    warm: bool = False
    repeats: int = 3


@dataclasses.dataclass(frozen=True)
class FreshResult:
    """A row with its figures."""

    row: Fresh
    seconds: tuple[float, ...]
    """By the clock, of every process."""
    cpu_seconds: tuple[float, ...]
    """Of all threads: what does not depend on who else uses the machine."""

    @property
    def figure(self) -> float:
        """The median by the clock."""
        return float(np.median(self.seconds))

    @property
    def met(self) -> bool | None:
        """Whether the target is met, None if there is none."""
        return None if self.row.target is None else self.figure <= self.row.target


def _once(row: Fresh, folder: str) -> tuple[float, float]:
    environment = {k: v for k, v in os.environ.items() if k != FOLDER_VARIABLE}
    given = [sys.executable, "-c", _SCRIPT, folder, row.call, json.dumps(dict(row.options))]
    done = subprocess.run(given, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise RuntimeError(f"{row.name}: {done.stderr.strip()[-2000:]}")
    seconds, used = json.loads(done.stdout.splitlines()[-1])
    return seconds, used


def measure_fresh(row: Fresh) -> FreshResult:
    """Start the processes one after the other.

    Raises:
        RuntimeError: if one of them fails, with the end of what it said.
    """
    with tempfile.TemporaryDirectory() as folder:
        where = folder if row.warm else ""
        if row.warm:
            _once(row, where)
        found = [_once(row, where) for _ in range(row.repeats)]
    seconds, used = zip(*found, strict=True)
    return FreshResult(row, seconds, used)


def fresh_table(results: Sequence[FreshResult]) -> Table:
    """A table to print."""
    shown = Table(title="Seconds in a fresh process, after the imports: medians, and all of them")
    for column in ("row", "sizes", "disk cache", "seconds", "CPU seconds", "target"):
        shown.add_column(
            column, justify="left" if column in ("row", "sizes") else "right", no_wrap=True
        )
    for result in results:
        row = result.row
        target = row.target
        verdict = "" if target is None else f"<= {target:g}: {'met' if result.met else 'missed'}"
        shown.add_row(
            row.title,
            " ".join(f"{k}={v}" for k, v in row.options.items() if isinstance(v, (int, float))),
            "warm" if row.warm else "cold",
            f"{result.figure:.2f} ({min(result.seconds):.2f}-{max(result.seconds):.2f})",
            f"{np.median(result.cpu_seconds):.2f}",
            verdict,
        )
    return shown


def fresh_record(results: Sequence[FreshResult]) -> list[dict[str, Any]]:
    """What the JSON file holds."""
    return [
        {**dataclasses.asdict(result), "figure": result.figure, "met": result.met} for result in results
    ]
