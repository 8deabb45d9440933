"""What cells whose neurons meet in matrices have in common."""

from __future__ import annotations

import abc
import dataclasses
import functools
from typing import Any, ClassVar, NamedTuple

from ntkrnn import _checks
from ntkrnn.architectures._cell import INPUT, ONE, STATE, Cell, Gate, Part, Term
from ntkrnn.architectures._description import check_description, check_parts
from ntkrnn.architectures._fields import (
    name_of,
    normalised_nonlinearity,
    normalised_trainable,
    per_gate,
)
from ntkrnn.dual._value import Nonlinearity
from ntkrnn.readouts import Readout, normalised_readout, readout_of

BLOCKS = ("w", "u", "b", "v")


class Scales(NamedTuple):
    """The continuous fields of an architecture; a tuple where gates have scales of their own."""

    w: Any
    u: Any
    b: Any
    v: Any


class LeakyScales(NamedTuple):
    """Those of :class:`ntkrnn.Leaky`."""

    w: Any
    u: Any
    b: Any
    v: Any
    rate: Any


@dataclasses.dataclass(frozen=True)
class Dense(abc.ABC):
    """The fields that all of them have; :class:`ntkrnn.Elman` documents them.

    A cell names its parts and says what they make of a carry: :attr:`parts` and :attr:`cell`. A class
    of yours that does is an architecture as the built-in ones are: ``docs/own-cell.md`` has one.
    """

    family: ClassVar[str] = "dense"
    """What kind of code computes finite networks: the key of the tables of cells and empirical."""
    limit: ClassVar[str] = "sampled"
    """How kernels of infinite width are computed by default: exactly by "recursion" or "filter", by
    features of random networks, "sampled", or over single "neurons"; see :class:`ntkrnn.Sampling`."""
    kind: ClassVar[str] = ""
    """What it is called in a line of a figure; the name of the class if that is not said."""
    blocks: ClassVar[tuple[str, ...]] = BLOCKS
    """What can be trained."""
    scale_type: ClassVar[Any] = Scales
    scale_fields: ClassVar[tuple[str, ...]] = ("w_std", "u_std", "b_std", "v_std")

    width: int = 1024
    nonlinearity: str | Nonlinearity = "tanh"
    w_std: Any = 1.0
    u_std: Any = 1.0
    b_std: Any = 0.0
    v_std: Any = 1.0
    depth: int = 1
    readout: str | Readout = "last"
    out_dim: int = 1
    bidirectional: bool = False
    trainable: tuple[str, ...] = BLOCKS

    def __init_subclass__(cls, **options: Any) -> None:
        """Check descriptions once all fields are normalised, in whatever class that ends."""
        super().__init_subclass__(**options)
        normalise = cls.__post_init__

        @functools.wraps(normalise)
        def checked(self: Any) -> None:
            normalise(self)
            if type(self) is cls:
                check_description(self)

        cls.__post_init__ = checked

    def __post_init__(self) -> None:
        """Normalise and validate every field."""
        check_parts(self)
        put = lambda name, value: object.__setattr__(self, name, value)  # noqa: E731
        for name in ("width", "depth", "out_dim"):
            put(name, _checks.positive_integer(name, getattr(self, name)))
        named = self.part_names
        for name, block in (("w_std", "w"), ("u_std", "u"), ("b_std", "b")):
            put(name, per_gate(name, getattr(self, name), named[block], _checks.scale))
        put("v_std", _checks.scale("v_std", self.v_std))
        put("nonlinearity", normalised_nonlinearity(self.nonlinearity))
        put("readout", normalised_readout(self.readout))
        put("bidirectional", _checks.boolean("bidirectional", self.bidirectional))
        put("trainable", normalised_trainable(self.trainable, BLOCKS))

    @property
    def reading(self) -> Readout:
        """The readout as a value."""
        return readout_of(self.readout)

    @property
    @abc.abstractmethod
    def parts(self) -> tuple[Part, ...]:
        """The gates, in the order of their pre-activations."""

    @property
    @abc.abstractmethod
    def cell(self) -> Cell:
        """The cell in full: :meth:`gates_with` of the parts, and the elementwise function."""

    @property
    def part_names(self) -> dict[str, tuple[str, ...]]:
        """Names of the gates that each block has an array for, in the order of the arrays."""
        has = {"w": lambda p: p.recurrent, "u": lambda p: p.input, "b": lambda p: p.bias}
        return {block: tuple(p.name for p in self.parts if test(p)) for block, test in has.items()}

    def gates_with(self, means: tuple[float, ...] | None = None) -> tuple[Gate, ...]:
        """The gates with their scales, and the means of the biases of those that have one."""
        named = self.part_names
        stds = {"w": self.w_std, "u": self.u_std, "b": self.b_std}

        def term(block: str, part: Part, source: str) -> Term:
            index, std = named[block].index(part.name), stds[block]
            return Term(block, index, source, std[index] if isinstance(std, tuple) else std)

        gates = []
        for part in self.parts:
            terms = [term("w", part, part.recurrent)] if part.recurrent else []
            terms += [term("u", part, INPUT)] if part.input else []
            terms += [term("b", part, ONE)] if part.bias else []
            mean = means[named["b"].index(part.name)] if means and part.bias else 0.0
            gates.append(Gate(part.name, tuple(terms), mean))
        return tuple(gates)

    @property
    def scales(self) -> Any:
        """The continuous fields, apart from what decides the shape of the computation."""
        return self.scale_type(*(getattr(self, name) for name in self.scale_fields))

    def with_scales(self, scales: Any) -> Any:
        """The same architecture with other scales."""
        return dataclasses.replace(self, **dict(zip(self.scale_fields, scales, strict=True)))

    @functools.cached_property
    def form(self) -> Any:
        """The architecture with all scales 1: what a compiled function depends on."""
        ones = [tuple(1.0 for _ in s) if isinstance(s, tuple) else 1.0 for s in self.scales]
        return self.with_scales(type(self.scales)(*ones))

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
        kind = self.kind or type(self).__name__
        kind = f"bidirectional {kind}" if self.bidirectional else kind
        depth = f", depth {self.depth}" if self.depth > 1 else ""
        return f"{kind} network ({name_of(self.nonlinearity)}{depth})"


ALONE = (Part("h", STATE),)
"""The parts of a cell without gates: one pre-activation."""
