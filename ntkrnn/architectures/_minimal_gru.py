"""The minimal gated unit: one gate for what is forgotten and what is reset."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from ntkrnn._types import Array
from ntkrnn.architectures._cell import Cell, Part
from ntkrnn.architectures._gated import Gated


@dataclasses.dataclass(frozen=True)
class MinimalGRU(Gated):
    r"""A minimal gated unit in the NTK parameterisation: a GRU with one gate.

    ``n_t = phi(a^n_t + gate(a^f_t) a^m_t)`` and ``h_t = (1 - gate(a^f_t)) n_t + gate(a^f_t) h_{t-1}``,
    where ``a^f`` has both matrices, ``a^n`` reads the input and ``a^m`` the state. Parameters: w
    [2, m, m] in the order (f, m), u [2, m, d] in the order (f, n), b [3, m] in the order (f, n, m).

    Args:
        b_mean: by default 1 for f, as in flax. The other fields are those of :class:`ntkrnn.LSTM`.

    Raises:
        ValueError, TypeError: naming the field, what came and what was expected.

    Source: Zhou, Wu, Zhang & Zhou 2016; ``flax.linen.MGUCell`` with mapped parameters.

    Example:
        >>> MinimalGRU(width=64).b_mean
        (1.0, 0.0, 0.0)
    """

    kind: ClassVar[str] = "minimal GRU"

    b_mean: Any = (1.0, 0.0, 0.0)

    @property
    def parts(self) -> tuple[Part, ...]:
        """Gate, what the candidate has of the input, and what it has of the state."""
        return Part("f"), Part("n", None), Part("m", input=False)

    @property
    def cell(self) -> Cell:
        """The recursion of the class."""
        gate, phi = self.functions

        def update(pre: tuple[Array, ...], carry: tuple[Array, ...]) -> tuple[Array, ...]:
            f = gate(pre[0])
            return ((1 - f) * phi(pre[1] + f * pre[2]) + f * carry[0],)

        return Cell(self.gates_with(self.b_mean), update)
