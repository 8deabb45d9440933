"""Gates that leave a cell without entering it again, integrated exactly.

The output gate of an LSTM multiplies the state, ``h = gate(a) rest``, and is independent of the rest:
``E h h' = E gate(a) gate(a') * E rest rest'``, where the first factor is a function of the covariance.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

from ntkrnn._nonlinearities import Nonlinearity, scalar_function
from ntkrnn._types import Array
from ntkrnn.architectures import Cell, GateFunction
from ntkrnn.dual import nonlinearity, pair_function, truncation_error

LARGEST_ERROR = 1e-4
"""Relative error of the expansion from which samples are better."""

Expectation = Callable[[Array, Array, Array], Array]
"""``(covariance, variance, variance) -> expectation``, elementwise with broadcasting."""


class Exact(NamedTuple):
    """What of a cell is not left to samples."""

    factor: bool
    """The gate that multiplies the state on its way out."""
    memory: bool
    """The covariance of what is remembered, as far as it is known; with the former only."""


class ExactGate(NamedTuple):
    """Expectations over the pre-activations of a gate."""

    value: Expectation
    """Of the product of two values."""
    slope: Expectation
    """Of the product of two derivatives."""


@functools.lru_cache(maxsize=32)
def _shifted(spec: str | Nonlinearity, mean: float) -> str | Nonlinearity:
    """The function of a pre-activation of mean 0."""
    if mean == 0:
        return spec
    fn = scalar_function(spec)
    return nonlinearity(lambda a: fn(a + mean), name=f"{spec} of mean {mean:g}")


@functools.lru_cache(maxsize=32)
def _exact_gate(spec: str | Nonlinearity, mean: float) -> ExactGate:
    pair = pair_function(_shifted(spec, mean))

    def expectations(c: Array, q1: Array, q2: Array) -> tuple[Array, Array]:
        found = pair(c, 0.5 * (q1 + q2) - c, q1, q2)
        return found.k, found.kdot

    return ExactGate(
        lambda c, q1, q2: expectations(c, q1, q2)[0], lambda c, q1, q2: expectations(c, q1, q2)[1]
    )


def exact_gate(cell: Cell, of: GateFunction) -> ExactGate:
    """The expectations of what a gate of a cell lets through."""
    return _exact_gate(of.nonlinearity, cell.gates[of.gate].mean)


@functools.lru_cache(maxsize=256)
def _accurate(spec: str | Nonlinearity, mean: float, octave: int) -> bool:
    try:
        return truncation_error(_shifted(spec, mean), 2.0**octave) <= LARGEST_ERROR
    except ValueError:  # not smooth enough for an expansion
        return False


def can_integrate(cell: Cell, of: GateFunction, octave: int) -> bool:
    """Whether the expectations of a gate are accurate up to the variance ``2 ** octave``."""
    return _accurate(of.nonlinearity, cell.gates[of.gate].mean, octave)
