"""Measuring a row: compile apart, check agreement, alternate the runs, compare medians."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from rich.table import Table

from ntkrnn.bench._row import Program, Row
from ntkrnn.report import run_record

_SETTLE = 0.1
"""Seconds between programs."""


@dataclasses.dataclass(frozen=True)
class Measured:
    """One program of a row; seconds."""

    name: str
    first: float
    """First call, compilation included."""
    median: float
    ratio: float
    """Median over runs of (this program's time / ours in the same round)."""
    spread: tuple[float, float]
    """Quartiles of that ratio."""


@dataclasses.dataclass(frozen=True)
class Result:
    """A row with its figures; ours is the first program."""

    row: Row
    programs: tuple[Measured, ...]

    @property
    def ours(self) -> Measured:
        """Our program."""
        return self.programs[0]

    @property
    def best_peer(self) -> Measured:
        """The fastest of the others."""
        return min(self.programs[1:], key=lambda p: p.ratio)

    @property
    def figure(self) -> float:
        """The number that the target speaks of."""
        if self.row.wanted == "seconds":
            return self.ours.median
        ratio = self.best_peer.ratio
        return ratio if self.row.wanted == "at least" else 1 / ratio

    @property
    def met(self) -> bool | None:
        """Whether the target is met, None if there is none."""
        target = self.row.target
        if target is None:
            return None
        if self.row.wanted == "at least":
            return self.figure >= target
        if self.row.wanted in ("at most", "seconds"):
            return self.figure <= target
        return abs(self.figure / target - 1) <= 0.1


def _seconds(program: Program) -> tuple[float, Any]:
    start = time.perf_counter()
    result = jax.block_until_ready(program())
    return time.perf_counter() - start, result


def median_seconds(program: Program, repeats: int = 5) -> float:
    """Median time of a program alone, compiled and warm."""
    _seconds(program)
    return float(np.median([_seconds(program)[0] for _ in range(repeats)]))


def measure(row: Row) -> Result:
    """Time all programs of a row in one run, in alternation, each warm.

    Raises:
        AssertionError: if the programs do not agree within the row's tolerance.
    """
    programs, first, reference = row.build(), {}, None
    for name, program in programs.items():
        first[name], result = _seconds(program)
        flat = np.concatenate([np.ravel(a) for a in jax.tree.leaves(result)]).astype(np.float64)
        if reference is None:
            reference = flat
        elif row.tolerance is not None and flat.shape == reference.shape:
            error = np.linalg.norm(flat - reference) / np.linalg.norm(reference)
            assert error <= row.tolerance, f"{row.name}: {name} differs by {error:.1e}"
    times = {name: [] for name in programs}
    for _ in range(row.repeats):
        for name, program in programs.items():
            # NumPy's threads spin for a while after a product, and a program that needs much memory
            # leaves none in the allocator: let things settle, and run once without the clock.
            time.sleep(_SETTLE)
            jax.block_until_ready(program())
            times[name].append(_seconds(program)[0])
    ours = np.array(next(iter(times.values())))
    measured = []
    for name, taken in times.items():
        low, middle, high = np.quantile(np.array(taken) / ours, (0.25, 0.5, 0.75))
        median = float(np.median(taken))
        measured.append(Measured(name, first[name], median, float(middle), (float(low), float(high))))
    return Result(row, tuple(measured))


def table(results: Sequence[Result]) -> Table:
    """A table to print: one line for each peer of each row."""
    shown = Table(title="Seconds are medians; ratios are peer / ntkrnn, with quartiles over the runs")
    for column in ("row", "sizes", "peer", "seconds", "ratio", "first call", "target"):
        left = column in ("row", "sizes", "peer")
        shown.add_column(column, justify="left" if left else "right", no_wrap=True)
    for result in results:
        row = result.row
        sizes = " ".join(f"{k}={v}" for k, v in row.sizes.items())
        shown.add_section()
        for index, program in enumerate(result.programs):
            low, high = program.spread
            ratio = "" if index == 0 else f"{program.ratio:.2f} ({low:.2f}-{high:.2f})"
            shown.add_row(
                row.title if index == 0 else "",
                sizes if index == 0 else "",
                program.name,
                f"{program.median:.4f}",
                ratio,
                f"{program.first:.1f}",
                _verdict(result) if program is result.best_peer else "",
            )
    return shown


def _verdict(result: Result) -> str:
    row = result.row
    if row.target is None:
        return ""
    signs = {"at least": ">=", "at most": "1/ratio <=", "near": "1/ratio =", "seconds": "seconds <="}
    bound = signs[row.wanted]
    return f"{bound} {row.target:g}: {'met' if result.met else 'missed'}"


def record(results: Sequence[Result], extra: dict[str, Any]) -> dict[str, Any]:
    """What the JSON file holds."""
    rows = []
    for result in results:
        row = result.row
        rows.append(
            {
                "name": row.name,
                "title": row.title,
                "sizes": dict(row.sizes),
                "target": row.target,
                "wanted": row.wanted,
                "figure": result.figure,
                "met": result.met,
                "repeats": row.repeats,
                "programs": [dataclasses.asdict(p) for p in result.programs],
            }
        )
    device = jax.devices()[0]
    about = {
        "kind": device.device_kind,
        "platform": device.platform,
        "dtype": str(jax.numpy.zeros(()).dtype),
        "count": jax.device_count(),
    }
    return {"rows": rows, "measured_on": about, **extra, **run_record()}
