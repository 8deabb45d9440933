"""What the settings of studies have in common, checked once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from ntkrnn import _checks
from ntkrnn.architectures import Architecture

LARGEST_SEED = 2**32 - 1
"""JAX keeps 32 bits of a seed by default: larger ones would be the same as smaller ones."""
LARGEST_WIDTH = 2**31 - 1


def check_widths(architecture: Any, widths: Any) -> tuple[int, ...]:
    """The widths in increasing order, each of which the architecture takes.

    Raises:
        TypeError: if they are not whole numbers, or the architecture is none.
        ValueError: if there are not at least two, every one once, or one does not fit.

    Example:
        >>> from ntkrnn.architectures import Elman
        >>> check_widths(Elman(), [128, 64])
        (64, 128)
    """
    if not isinstance(architecture, Architecture):
        raise TypeError(
            f"architecture: got {architecture!r} of type {type(architecture).__name__}, expected an "
            "architecture such as ntkrnn.Elman()."
        )
    if isinstance(widths, (str, bytes)) or not isinstance(widths, Iterable):
        raise TypeError(f"widths: got {widths!r}, expected whole numbers such as (64, 128, 256).")
    ordered = tuple(sorted(_checks.positive_integer("widths", width) for width in widths))
    if len(set(ordered)) < 2:
        raise ValueError(
            f"widths: got {list(ordered)}, expected at least two different widths; a slope against the "
            "width needs two."
        )
    if len(set(ordered)) < len(ordered):
        raise ValueError(f"widths: got {list(ordered)}, expected every width once.")
    if ordered[-1] > LARGEST_WIDTH:
        raise ValueError(f"widths: got {ordered[-1]}, expected at most {LARGEST_WIDTH}.")
    for width in ordered:  # not every architecture takes every width
        dataclasses.replace(architecture, width=width)
    return ordered


def check_runs(value: Any) -> None:
    """Raise unless ``seeds``, the number of runs, is at least 2."""
    if _checks.positive_integer("seeds", value) < 2:
        raise ValueError("seeds: got 1, expected at least 2; the interval over seeds needs two.")


def check_seed(value: Any) -> None:
    """Raise unless ``seed`` is a whole number that JAX keeps all of."""
    if _checks.whole_number("seed", value) > LARGEST_SEED:
        raise ValueError(f"seed: got {value}, expected at most {LARGEST_SEED}.")


def check_resamples(value: Any) -> None:
    """Raise unless ``resamples`` is enough for the ends of an interval."""
    if _checks.positive_integer("resamples", value) < 100:
        raise ValueError(f"resamples: got {value}, expected at least 100.")
