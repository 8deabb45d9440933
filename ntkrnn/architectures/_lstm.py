"""The long short-term memory."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from ntkrnn._types import Array
from ntkrnn.architectures._cell import Cell, Part
from ntkrnn.architectures._gated import Gated


@dataclasses.dataclass(frozen=True)
class LSTM(Gated):
    r"""A long short-term memory in the NTK parameterisation.

    With pre-activations ``a^k_t = (w_std/sqrt m) W_k h_{t-1} + (u_std/sqrt d) U_k x_t + b_std b_k +
    b_mean_k`` of the gates k = i, f, g, o, raw weights i.i.d. N(0, 1)::

        c_t = gate(a^f) c_{t-1} + gate(a^i) phi(a^g),   h_t = gate(a^o) phi(c_t),   h_0 = c_0 = 0

    and the readout of :class:`ntkrnn.Elman`. The parameters have one array for each gate, stacked in
    this order: w [4, m, m], u [4, m, d], b [4, m].

    Args:
        width: number of hidden units ``m`` of each layer and direction. Also ``depth``, ``readout``,
            ``out_dim``, ``bidirectional`` and ``trainable`` are those of :class:`ntkrnn.Elman`.
        nonlinearity: ``phi``.
        w_std: scale of the recurrent weights: a number, or one for each gate, as a tuple in the order
            (i, f, g, o) or a mapping ``{"i": ..., "f": ..., "g": ..., "o": ...}``. So are ``u_std``
            and ``b_std``.
        gate_nonlinearity: ``gate``.
        b_mean: mean of the biases, which is not trained apart from them: a number, or one for each
            gate. By default that of the forget gate is 1, so that the network remembers at the start.

    Raises:
        ValueError, TypeError: naming the field, what came and what was expected.

    Source: Hochreiter & Schmidhuber 1997; Jozefowicz, Zaremba & Sutskever 2015 for the bias 1.
    ``flax.linen.LSTMCell`` with mapped parameters.

    Example:
        >>> LSTM(width=64, b_mean={"i": 0, "f": 2, "g": 0, "o": 0}).b_mean
        (0.0, 2.0, 0.0, 0.0)
    """

    kind: ClassVar[str] = "LSTM"

    b_mean: Any = (0.0, 1.0, 0.0, 0.0)

    @property
    def parts(self) -> tuple[Part, ...]:
        """Input, forget, cell and output gate."""
        return Part("i"), Part("f"), Part("g"), Part("o")

    @property
    def cell(self) -> Cell:
        """The recursion of the class."""
        gate, phi = self.functions

        def update(pre: tuple[Array, ...], carry: tuple[Array, ...]) -> tuple[Array, ...]:
            i, f, g, o = pre
            c = gate(f) * carry[1] + gate(i) * phi(g)
            return gate(o) * phi(c), c

        return Cell(self.gates_with(self.b_mean), update, carries=2)
