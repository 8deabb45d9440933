"""The diagonal recurrent network, in which every neuron remembers itself alone."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, ClassVar, NamedTuple

from ntkrnn import _checks
from ntkrnn.architectures._fields import (
    name_of,
    normalised_nonlinearity,
    normalised_trainable,
)
from ntkrnn.dual._value import Nonlinearity
from ntkrnn.readouts import Readout, normalised_readout, readout_of

BLOCKS = ("w", "u")


class DiagonalScales(NamedTuple):
    """The continuous field of a diagonal network."""

    alpha: Any


@dataclasses.dataclass(frozen=True)
class Diagonal:
    r"""A diagonal recurrent network, described by data alone.

    With input dimension ``d`` and width ``m``, for every neuron i::

        h_t^i = sigma(w_i h_{t-1}^i + <u_i, x_t>),   h_0 = 0
        F_t   = (1/sqrt m) sum_i c_i h_t^i

    with ``w_i = +-alpha`` and ``c_i = +-1`` at equal odds and ``u_i ~ N(0, I)``. The parameters are w
    [m] and u [m, d] themselves, with no scale in front of them; c [O, m], with signs of its own for
    each output, is fixed. Neurons meet in the readout only.

    Args:
        width: number of neurons ``m``, at least 1, and even if ``symmetric``. The infinite-width
            kernels do not depend on it.
        nonlinearity: ``sigma``, a name ("tanh", "sin", "sigmoid", ...) or what
            :func:`ntkrnn.dual.nonlinearity` returns.
        alpha: size of the recurrent weights at the start, at least 0. It may be traced.
        readout: "last" (F at the last valid step), "mean" (F averaged over the valid steps),
            "sequence" (every step), or a value of :mod:`ntkrnn.readouts`.
        symmetric: whether neuron ``i + m/2`` starts as a copy of neuron i with the opposite sign, so
            that the output is exactly 0 at the start. The tangent kernel has the same expectation
            either way.
        trainable: the blocks that the tangent kernel sums over, a subset of ``("w", "u")``; they are
            kept in that order.
        out_dim: number of outputs.

    Raises:
        ValueError, TypeError: naming the field, what came and what was expected.

    Source: CE24 (arXiv 2402.12241); ``docs/conventions.md``, diagonal networks.

    Example:
        >>> import jax, ntkrnn
        >>> x = jax.random.normal(jax.random.key(0), (2, 5, 3))
        >>> init_fn, apply_fn, _ = ntkrnn.network(Diagonal(width=64, alpha=0.8))
        >>> _, params = init_fn(jax.random.key(1), x.shape)
        >>> apply_fn(params, x).shape, float(abs(apply_fn(params, x)).max())
        ((2, 5, 1), 0.0)
    """

    family: ClassVar[str] = "diagonal"
    """What kind of code computes finite networks: the key of the tables of cells and empirical."""
    limit: ClassVar[str] = "neurons"
    """How kernels of infinite width are computed: over single neurons, :class:`ntkrnn.Quadrature`."""
    blocks: ClassVar[tuple[str, ...]] = BLOCKS
    """What can be trained."""
    scale_fields: ClassVar[tuple[str, ...]] = ("alpha",)
    """The continuous fields, in the order of :attr:`scales`."""
    depth: ClassVar[int] = 1
    directions: ClassVar[tuple[str, ...]] = ("forward",)

    width: int = 1024
    nonlinearity: str | Nonlinearity = "tanh"
    alpha: float = 0.5
    readout: str | Readout = "sequence"
    symmetric: bool = True
    trainable: tuple[str, ...] = BLOCKS
    out_dim: int = 1

    def __post_init__(self) -> None:
        """Normalise and validate every field."""
        put = lambda name, value: object.__setattr__(self, name, value)  # noqa: E731
        for name in ("width", "out_dim"):
            put(name, _checks.positive_integer(name, getattr(self, name)))
        put("alpha", _checks.scale("alpha", self.alpha))
        put("nonlinearity", normalised_nonlinearity(self.nonlinearity))
        put("readout", normalised_readout(self.readout))
        put("symmetric", _checks.boolean("symmetric", self.symmetric))
        put("trainable", normalised_trainable(self.trainable, BLOCKS))
        if self.symmetric and self.width % 2:
            raise ValueError(
                f"width: got {self.width}, expected an even number with symmetric=True, where half of "
                f"the neurons mirror the others; pass width={self.width + 1} or symmetric=False."
            )

    @property
    def reading(self) -> Readout:
        """The readout as a value."""
        return readout_of(self.readout)

    @property
    def scales(self) -> DiagonalScales:
        """What may be traced, apart from what decides the shape of the computation."""
        return DiagonalScales(self.alpha)

    def with_scales(self, scales: Any) -> Diagonal:
        """The same architecture with another alpha."""
        return dataclasses.replace(self, alpha=scales.alpha)

    @functools.cached_property
    def form(self) -> Diagonal:
        """The architecture with alpha 1: what a compiled function depends on."""
        return self.with_scales(DiagonalScales(1.0))

    @property
    def state_size(self) -> int:
        """Number of neurons."""
        return self.width

    @property
    def readout_variance(self) -> float:
        """Variance of what multiplies each feature in an output: ``1/m``."""
        return 1 / self.width

    @property
    def title(self) -> str:
        """The kind of network, in a line of a figure."""
        return f"Diagonal network ({name_of(self.nonlinearity)}, alpha {self.alpha:g})"
