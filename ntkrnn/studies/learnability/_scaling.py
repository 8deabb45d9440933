"""Conclusions about how quantities change with one axis, from a declaration of the quantities.

Where an experiment asks for the powers that some quantities follow, all that it has to say of each is
its name, what a theory claims of it and where it is drawn; table, figure and findings follow.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ntkrnn.report import Line, Plot, guide, plots
from ntkrnn.report.statistics import exactly, exponent
from ntkrnn.studies.learnability._experiment import Conclusion, Finding, finding
from ntkrnn.studies.learnability._grid import Measured
from ntkrnn.studies.learnability._table import table


class Claim(NamedTuple):
    """What a theory says of a quantity."""

    of: str
    """The quantity, as the finding names it."""
    relation: str
    predicted: float
    otherwise: str
    """What it may mean if it does not hold."""
    margin: float = 0.0

    def held(self, words: str, estimate: tuple[float, tuple[float, float]]) -> Finding:
        """The claim beside what was measured."""
        return finding(
            words, *estimate, self.relation, self.predicted, self.otherwise, margin=self.margin
        )


class Quantity(NamedTuple):
    """An array ``[X, S]`` or ``[X]`` that was measured along the axis."""

    key: str
    """Of the measured arrays."""
    heading: str = ""
    """Of its column; none without one."""
    panel: str = ""
    """Title of the plot that it is drawn in; none without one."""
    name: str = ""
    """In the legend."""
    guides: Mapping[str, float] = {}
    """Powers to draw beside it, by their names in the legend; the first in its own colour."""
    exponent: Claim | None = None
    """Of its power, fitted to the means over seeds."""
    largest: Claim | None = None
    """Of its largest value."""


@dataclasses.dataclass(frozen=True)
class Scaling:
    """The ``conclude`` of an experiment whose grid has one axis.

    Args:
        axis: the argument of ``measure`` that is varied.
        symbol: of the axis, as in "width m".
        panels: titles of the plots, and the label of their y axis.
        quantities: what was measured.
        title: of the figure.
        subtitle: of the figure, a pattern that the settings fill in: "{seeds} networks".
        table: title of the table.
    """

    axis: str
    symbol: str
    panels: Mapping[str, str]
    quantities: Sequence[Quantity]
    title: str
    subtitle: str
    table: str

    def __call__(self, settings: Any, measured: Measured) -> Conclusion:
        """Findings, table and figure."""
        x = measured.values(self.axis)
        values = {one.key: np.asarray(measured(one.key), float) for one in self.quantities}
        shown = {one.heading: values[one.key] for one in self.quantities if one.heading}
        figure = plots(
            [self._plot(title, x, values) for title in self.panels],
            title=self.title,
            subtitle=self.subtitle.format(**dataclasses.asdict(settings)),
        )
        return Conclusion(
            table(self.table, {self.axis: x}, shown), tuple(self._findings(x, values)), figure
        )

    def _findings(self, x: np.ndarray, values: Mapping[str, np.ndarray]) -> list[Finding]:
        found = []
        for one in self.quantities:
            of = values[one.key]
            if one.exponent:
                words = f"exponent of {one.exponent.of} in {self.symbol}"
                found.append(one.exponent.held(words, exponent(x, of)))
            if one.largest:
                found.append(one.largest.held(f"largest {one.largest.of}", exactly(of.max())))
        return found

    def _plot(self, title: str, x: np.ndarray, values: Mapping[str, np.ndarray]) -> Plot:
        lines, colour = [], 0
        for one in (one for one in self.quantities if one.panel == title):
            lines.append(Line(one.name, x, values[one.key], colour=colour))
            for more, (name, power) in enumerate(one.guides.items()):
                lines.append(guide(name, x, values[one.key], power, colour + more))
            colour += max(1, len(one.guides))
        return Plot(title, f"{self.axis} {self.symbol}", self.panels[title], lines, ticks=x)
