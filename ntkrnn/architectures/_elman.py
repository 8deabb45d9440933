"""The Elman (vanilla) recurrent network."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, NamedTuple

from ntkrnn import _checks
from ntkrnn._nonlinearities import Nonlinearity
from ntkrnn.architectures._fields import (
    READOUTS,
    name_of,
    normalised_nonlinearity,
    normalised_trainable,
)

BLOCKS = ("w", "u", "b", "v")


class Scales(NamedTuple):
    """The continuous fields of an architecture."""

    w: Any
    u: Any
    b: Any
    v: Any


@dataclasses.dataclass(frozen=True)
class Elman:
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
            the valid steps) or "sequence" (every step).
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

    family: ClassVar[str] = "dense"
    """What kind of code computes it: the key of the tables of cells, infinite and empirical."""
    blocks: ClassVar[tuple[str, ...]] = BLOCKS
    """What can be trained."""

    width: int = 1024
    nonlinearity: str | Nonlinearity = "erf"
    w_std: float = 1.0
    u_std: float = 1.0
    b_std: float = 0.0
    v_std: float = 1.0
    depth: int = 1
    readout: str = "last"
    out_dim: int = 1
    bidirectional: bool = False
    trainable: tuple[str, ...] = BLOCKS

    def __post_init__(self) -> None:
        """Normalise and validate every field."""
        put = lambda name, value: object.__setattr__(self, name, value)  # noqa: E731
        for name in ("width", "depth", "out_dim"):
            put(name, _checks.positive_integer(name, getattr(self, name)))
        for name in ("w_std", "u_std", "b_std", "v_std"):
            put(name, _checks.nonnegative_float(name, getattr(self, name)))
        put("nonlinearity", normalised_nonlinearity(self.nonlinearity))
        put("readout", _checks.choice("readout", self.readout, READOUTS))
        put("bidirectional", _checks.boolean("bidirectional", self.bidirectional))
        put("trainable", normalised_trainable(self.trainable, BLOCKS))

    @property
    def scales(self) -> Scales:
        """The scales, apart from what decides the shape of the computation."""
        return Scales(self.w_std, self.u_std, self.b_std, self.v_std)

    def with_scales(self, scales: Any) -> Elman:
        """The same architecture with other scales."""
        w, u, b, v = scales
        return dataclasses.replace(self, w_std=w, u_std=u, b_std=b, v_std=v)

    @property
    def form(self) -> Elman:
        """The architecture with all scales 1: what a compiled function depends on."""
        return self.with_scales(Scales(1.0, 1.0, 1.0, 1.0))

    @property
    def directions(self) -> tuple[str, ...]:
        """``("forward",)``, or ``("forward", "backward")`` when bidirectional."""
        return ("forward", "backward") if self.bidirectional else ("forward",)

    @property
    def state_size(self) -> int:
        """Number of channels that a layer hands on: ``m``, or ``2 m`` when bidirectional."""
        return self.width * len(self.directions)

    @property
    def readout_variance(self) -> Any:
        """Variance of what multiplies each feature in an output: ``v_std^2/m``."""
        return self.v_std**2 / self.state_size

    @property
    def title(self) -> str:
        """The kind of network, in a line of a figure."""
        kind = "bidirectional Elman network" if self.bidirectional else "Elman network"
        depth = f", depth {self.depth}" if self.depth > 1 else ""
        return f"{kind} ({name_of(self.nonlinearity)}{depth})"
