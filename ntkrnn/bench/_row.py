"""What a benchmark is: programs that do the same work, and what is wanted of their ratio."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

Program = Callable[[], Any]
"""Does the work once and returns arrays; what is measured."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        name: short and unique, as it is asked for.
        title: what is compared.
        sizes: N, T, d, m and so on, for the record.
        build: makes the programs by name; "ntkrnn" is ours, the others are peers.
        target: wanted ratio, see ``wanted``; None if the row only informs.
        wanted: "at least": the fastest peer takes ``target`` times as long as we do. "at most": we take
            at most ``target`` times as long as the peer. "near": ours over the peer's is within 10% of
            ``target``. "seconds": we take at most so many.
        tolerance: largest relative difference of the results, checked before anything is timed;
            None if the programs compute different things (two sizes of the same kernel).
        repeats: timed runs of each program, at least 5.
    """

    name: str
    title: str
    sizes: Mapping[str, int]
    build: Callable[[], dict[str, Program]]
    target: float | None = None
    wanted: str = "at least"
    tolerance: float | None = 1e-3
    repeats: int = 7
