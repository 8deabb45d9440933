"""What a recurrent cell is, said once for finite networks, tangent kernels and the infinite width.

A cell has gates, and a carry of vectors of the width that its elementwise function moves on in time.
The pre-activation of a gate is ``sum_terms scale * A z + mean``: every term names a block of
parameters, its scale, and the vector that it multiplies. The Jacobian by such a block is
``scale * sum_t delta_t z_t^T`` with ``delta_t`` the derivative by the pre-activation, and in the limit
of infinite width the pre-activations of a gate are a Gaussian process whose covariance is the sum of
``scale^2 E<z, z'>/len(z)``: nothing else about a cell matters to a kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ntkrnn._types import Array

STATE, INNER, INPUT, ONE = "state", "inner", "input", "one"
"""What a block can multiply: the state of the previous step, a vector made of it and of gates of the
same step (see :class:`Cell`), the input of the step, or the constant 1."""


class Part(NamedTuple):
    """Which terms a gate has, apart from their scales."""

    name: str
    recurrent: str | None = STATE
    """What its recurrent matrix multiplies, :data:`STATE` or :data:`INNER`; None for no matrix."""
    input: bool = True
    """Whether it reads the input."""
    bias: bool = True


class Term(NamedTuple):
    """One product in a pre-activation."""

    block: str
    """Name of the parameter block, ``"w"``, ``"u"`` or ``"b"``."""
    index: int  # pyright: ignore[reportIncompatibleMethodOverride]
    """Which of the arrays that are stacked in the block."""
    source: str
    """What it multiplies: :data:`STATE`, :data:`INNER`, :data:`INPUT` or :data:`ONE`."""
    std: Any
    """Scale; for matrices it is divided by the square root of the number of columns."""


class Gate(NamedTuple):
    """One pre-activation of size ``m``."""

    name: str
    terms: tuple[Term, ...]
    mean: float = 0.0
    """Added to the pre-activation: the mean of its bias."""


class Cell(NamedTuple):
    """A recurrent cell."""

    gates: tuple[Gate, ...]
    update: Callable[[tuple[Array, ...], tuple[Array, ...]], tuple[Array, ...]]
    """``(pre-activations of the gates, carry) -> carry``, elementwise; the state that matrices
    multiply and that readouts see comes first in the carry, which starts at zero."""
    inner: Callable[[tuple[Array, ...], tuple[Array, ...]], Array] | None = None
    """``(pre-activations of the gates that do not multiply it, carry) -> vector`` that the matrices
    of the other gates multiply. Those come last."""
    carries: int = 1
    """Number of vectors in the carry."""

    @property
    def outer_gates(self) -> int:
        """How many gates come before the vector ``inner``, all if there is none."""
        return sum(all(term.source != INNER for term in gate.terms) for gate in self.gates)
