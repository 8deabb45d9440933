"""The gated recurrent unit, with the reset after the matrix or before it."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from ntkrnn import _checks
from ntkrnn._types import Array
from ntkrnn.architectures._cell import INNER, Cell, Part
from ntkrnn.architectures._gated import Gated

RESETS = ("after", "before")


@dataclasses.dataclass(frozen=True)
class GRU(Gated):
    r"""A gated recurrent unit in the NTK parameterisation.

    With pre-activations as in :class:`ntkrnn.LSTM`, r and z with both matrices, and ``reset="after"``
    (as flax and cuDNN have it)::

        n_t   = phi(a^n_t + gate(a^r_t) a^m_t)
        a^m_t = (w_std/sqrt m) W_m h_{t-1} + b_std b_m + b_mean_m

    where ``a^n`` reads the input alone; with ``reset="before"`` (as it was published)::

        n_t   = phi(a^n_t)
        a^n_t = (w_std/sqrt m) W_n (gate(a^r_t) h_{t-1}) + (u_std/sqrt d) U_n x_t + b_std b_n + b_mean_n

    and in both ``h_t = (1 - gate(a^z_t)) n_t + gate(a^z_t) h_{t-1}``. The parameters are w [3, m, m] in
    the order (r, z, m) or (r, z, n), u [3, m, d] in the order (r, z, n), and b [4, m] in the order
    (r, z, n, m), or [3, m] in the order (r, z, n) if the reset comes before.

    Args:
        reset: "after" the recurrent matrix of the candidate, or "before" it. The other fields are
            those of :class:`ntkrnn.LSTM`; scales of single gates come in the orders above.

    Raises:
        ValueError, TypeError: naming the field, what came and what was expected.

    Source: Cho et al. 2014; ``flax.linen.GRUCell`` with mapped parameters for "after"; TP1
    (arXiv 1910.12478) for the limit of "before".

    Example:
        >>> GRU(width=64).part_names["b"], GRU(width=64, reset="before").part_names["b"]
        (('r', 'z', 'n', 'm'), ('r', 'z', 'n'))
    """

    kind: ClassVar[str] = "GRU"

    reset: str = "after"

    def __post_init__(self) -> None:
        """Normalise and validate every field."""
        object.__setattr__(self, "reset", _checks.choice("reset", self.reset, RESETS))
        super().__post_init__()

    @property
    def parts(self) -> tuple[Part, ...]:
        """Reset, update and candidate, whose matrix of states has a gate of its own for "after"."""
        if self.reset == "before":
            return Part("r"), Part("z"), Part("n", INNER)
        return Part("r"), Part("z"), Part("n", None), Part("m", input=False)

    @property
    def cell(self) -> Cell:
        """The recursion of the class."""
        gate, phi = self.functions
        gates = self.gates_with(self.b_mean)

        def between(pre: tuple[Array, ...], n: Array, h: Array) -> tuple[Array, ...]:
            z = gate(pre[1])
            return ((1 - z) * n + z * h,)

        if self.reset == "before":
            return Cell(
                gates,
                lambda pre, carry: between(pre, phi(pre[2]), carry[0]),
                inner=lambda pre, carry: gate(pre[0]) * carry[0],
            )
        return Cell(
            gates, lambda pre, carry: between(pre, phi(pre[2] + gate(pre[0]) * pre[3]), carry[0])
        )
