"""The Elman (vanilla) recurrent network."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from ntkrnn.architectures._cell import Cell, Part
from ntkrnn.architectures._dense import ALONE, Dense
from ntkrnn.dual._value import Nonlinearity, scalar_function


@dataclasses.dataclass(frozen=True)
class Elman(Dense):
    r"""An Elman network in the NTK parameterisation, described by data alone.

    With raw weights i.i.d. N(0, 1), input dimension ``d`` and width ``m``::

        h_t = (w_std/sqrt m) W s_{t-1} + (u_std/sqrt d) U x_t + b_std b,   s_t = phi(h_t),   s_0 = 0
        y   = (v_std/sqrt m) V r,   r = s_T | (1/T) sum_t s_t | every s_t

    A deeper layer reads the states below it in place of ``x_t``, scaled by ``u_std/sqrt m``. A
    bidirectional layer runs once forwards and once backwards with independent weights; its states
    are concatenated to ``2 m`` channels, and whoever reads them scales by ``1/sqrt(2 m)``.

    Args:
        width: number of hidden units ``m`` of each layer and direction, at least 1. The
            infinite-width kernels do not depend on it.
        nonlinearity: ``phi``, a name ("erf", "relu", "tanh", "leaky_relu(0.1)", ...) or what
            :func:`ntkrnn.dual.nonlinearity` returns.
        w_std: scale of the recurrent weights W. The scales may be traced: a function of them that
            builds an architecture and evaluates its kernels can be differentiated by JAX.
        u_std: scale of the input weights U.
        b_std: scale of the biases.
        v_std: scale of the readout V.
        depth: number of recurrent layers L.
        readout: "last" (the state at the last valid step; backwards, at the first), "mean" (over
            the valid steps), "sequence" (every step), or a value of :mod:`ntkrnn.readouts`.
        out_dim: number of outputs.
        bidirectional: whether each layer also runs backwards in time.
        trainable: the blocks that the tangent kernel sums over, a subset of
            ``("w", "u", "b", "v")``; they are kept in that order.

    Raises:
        ValueError, TypeError: naming the field, what came and what was expected.

    Source: theory of NTK parameterisation in TP2 (arXiv 2006.14548) and RNTK (arXiv 2006.10246);
    the scalings are those of ``docs/conventions.md``.

    Example:
        >>> import dataclasses, json
        >>> arch = Elman(width=256, nonlinearity="relu", w_std=2**0.5)
        >>> Elman(**json.loads(json.dumps(dataclasses.asdict(arch)))) == arch
        True
    """

    limit: ClassVar[str] = "recursion"
    kind: ClassVar[str] = "Elman"

    nonlinearity: str | Nonlinearity = "erf"

    @property
    def parts(self) -> tuple[Part, ...]:
        """One pre-activation."""
        return ALONE

    @property
    def cell(self) -> Cell:
        """``s_t = phi(h_t)``."""
        phi = scalar_function(self.nonlinearity)
        return Cell(self.gates_with(), lambda pre, carry: (phi(pre[0]),))
