"""The points at which an experiment measures, and what was measured there as arrays over all of them.

An experiment varies a few arguments of its function ``measure``; every combination of their values is
a job, which is measured, kept and resumed alone. Where all have been measured, their arrays are those
of the jobs stacked, the axes of the grid first.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ntkrnn.studies.piece_form import Piece

Values: TypeAlias = "str | Sequence[Any] | Callable[[Any], Sequence[Any]]"
"""A field of the settings, a tuple or a number n of 0, ..., n - 1; or values; or a function of the
settings that gives them."""


class Job(NamedTuple):
    """A part of an experiment that is measured, kept and resumed alone."""

    name: str
    """Unique in the experiment; letters, digits, "-" and "."."""
    measure: Callable[[], Piece]


class Part(NamedTuple):
    """A function and the arguments that are varied."""

    measure: Callable[..., Piece]
    axes: Mapping[str, Values]

    def values(self, axis: str, settings: Any) -> tuple[Any, ...]:
        """The values of one axis."""
        given: Any = self.axes[axis]
        if isinstance(given, str):
            given = getattr(settings, given)
        if callable(given):
            given = given(settings)
        return tuple(range(given) if isinstance(given, int) else given)

    def points(self, settings: Any, fixed: Mapping[str, Any]) -> list[dict[str, Any]]:
        """All combinations, the last axis varying fastest; of a fixed axis, one value."""
        of = [(fixed[a],) if a in fixed else self.values(a, settings) for a in self.axes]
        return [dict(zip(self.axes, point, strict=True)) for point in itertools.product(*of)]


@dataclasses.dataclass(frozen=True)
class Grid:
    """Jobs over all combinations of the values of some axes; made by :func:`grid`, joined by ``+``."""

    parts: tuple[Part, ...]

    def __add__(self, other: Grid) -> Grid:
        """The jobs of both."""
        return Grid(self.parts + other.parts)

    def jobs(self, settings: Any) -> list[Job]:
        """One job for each point."""
        return [
            Job(_name(point), functools.partial(part.measure, settings, **point))
            for part in self.parts
            for point in part.points(settings, {})
        ]


def grid(measure: Callable[..., Piece], **axes: Values) -> Grid:
    """Measure at every combination: ``measure(settings, width=8, seed=0)``, ...

    Args:
        measure: gives arrays by name; called with the settings and one value of each axis.
        axes: arguments of ``measure`` and where their values come from: the name of a field of the
            settings (a tuple, or a number of repetitions), the values, or a function of the settings.

    Returns:
        A :class:`Grid`.

    Example:
        >>> from types import SimpleNamespace
        >>> over = grid(lambda settings, width, seed: {}, width="widths", seed="seeds")
        >>> [job.name for job in over.jobs(SimpleNamespace(widths=(8, 16), seeds=2))]
        ['width-8-seed-0', 'width-8-seed-1', 'width-16-seed-0', 'width-16-seed-1']
    """
    return Grid((Part(measure, axes),))


def _name(point: Mapping[str, Any]) -> str:
    """Words stand for themselves, numbers behind the name of their axis.

    Example:
        >>> _name({"regime": "unit", "w_std": 0.5, "cell": (3, 8)})
        'unit-w-std-0.5-cell-3-8'
    """
    words: list[str] = []
    for axis, value in point.items():
        words += [] if isinstance(value, str) else [axis]
        words += map(str, value if isinstance(value, tuple) else (value,))
    return "-".join(words).lower().replace("_", "-").replace("+", "")


@dataclasses.dataclass(frozen=True)
class Measured:
    """What the jobs of a grid gave. Called with a name, it gives the stacked array."""

    grid: Grid
    settings: Any
    pieces: Mapping[str, Piece]

    def __call__(self, key: str, **fixed: Any) -> np.ndarray:
        """The arrays of all jobs, ``[axes of the grid, ...]``.

        Args:
            key: name of an array that the jobs gave.
            fixed: axes, and the one value of each that is asked for; those axes are then left out.

        Returns:
            In the order of the axes and of their values.

        Raises:
            KeyError: if no job has such an array.
        """
        part = self._part(key)
        points = part.points(self.settings, fixed)
        shape = [len(part.values(a, self.settings)) for a in part.axes if a not in fixed]
        found = np.stack([np.asarray(self.pieces[_name(point)][key]) for point in points])
        return found.reshape(*shape, *found.shape[1:])

    def values(self, axis: str) -> np.ndarray:
        """Those of an axis, from the first part that has it."""
        part = next(part for part in self.grid.parts if axis in part.axes)
        return np.array(part.values(axis, self.settings))

    def _part(self, key: str) -> Part:
        for part in self.grid.parts:
            points = part.points(self.settings, {})
            if points and key in self.pieces[_name(points[0])]:
                return part
        raise KeyError(f"{key}: no job of this experiment gives such an array.")

    def arrays(self) -> dict[str, np.ndarray]:
        """Every array and the values of the axes, by name; arrays of unequal shapes by job."""
        found: dict[str, np.ndarray] = {}
        for part in self.grid.parts:
            points = part.points(self.settings, {})
            for axis, given in part.axes.items():
                name = given if isinstance(given, str) else axis
                if not isinstance(given, str) or not isinstance(getattr(self.settings, given), int):
                    found[name] = np.array(part.values(axis, self.settings))
            for key in self.pieces[_name(points[0])] if points else ():
                if len({np.shape(self.pieces[_name(point)][key]) for point in points}) == 1:
                    found[key] = self(key)
                else:
                    found |= {
                        f"{key}.{name}": np.asarray(self.pieces[name][key])
                        for name in map(_name, points)
                    }
        return found
