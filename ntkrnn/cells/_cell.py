"""What a cell is: its gates, the vectors their matrices multiply, and one elementwise function.

Each gate has a pre-activation ``sum_terms scale * A z``, in which every term names a block of
parameters, its scale and what it multiplies: the previous state, the input, or the constant 1. The
Jacobian of an output with respect to such a block is ``scale * sum_t delta_t z_t^T``, with ``delta_t``
the derivative with respect to the pre-activation, so that this list is all that an empirical tangent
kernel needs to know of a cell.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ntkrnn._nonlinearities import scalar_function
from ntkrnn._types import Array
from ntkrnn.architectures import Elman


class Term(NamedTuple):
    """One product in a pre-activation."""

    block: str
    """Name of the parameter block, ``"w"``, ``"u"`` or ``"b"``."""
    source: str
    """What the block multiplies: ``"state"``, ``"input"`` or ``"one"``."""
    std: float
    """Scale; for matrices it is divided by the square root of the number of columns."""


class Gate(NamedTuple):
    """One pre-activation of size ``m``."""

    terms: tuple[Term, ...]


class Cell(NamedTuple):
    """A recurrent cell."""

    gates: tuple[Gate, ...]
    update: Callable[[tuple[Array, ...], Array], Array]
    """``(pre-activations of the gates, previous state) -> state``, elementwise."""


def cell_of(arch: Elman) -> Cell:
    """The cell of an architecture: for Elman, one gate and ``s_t = phi(h_t)``."""
    phi = scalar_function(arch.nonlinearity)
    gate = Gate(
        (
            Term("w", "state", arch.w_std),
            Term("u", "input", arch.u_std),
            Term("b", "one", arch.b_std),
        )
    )

    def update(pre_activations: tuple[Array, ...], state: Any) -> Array:
        return phi(pre_activations[0])

    return Cell((gate,), update)
