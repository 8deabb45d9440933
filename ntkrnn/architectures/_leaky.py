"""The leaky recurrent network, whose states follow their drive with a time constant."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from ntkrnn import _checks
from ntkrnn.architectures._cell import Cell, Part
from ntkrnn.architectures._dense import ALONE, Dense, LeakyScales
from ntkrnn.dual._value import Nonlinearity, scalar_function


@dataclasses.dataclass(frozen=True)
class Leaky(Dense):
    r"""A leaky (leaky-integrator) network: an Elman network whose states move part of the way.

    ``s_t = (1 - rate) s_{t-1} + rate phi(h_t)``, ``h_t`` as in :class:`ntkrnn.Elman`. Its kernels at
    infinite width have a closed form, a double exponential filter over time.

    Args:
        rate: how far a state moves in a step, between 0 and 1; 1 is the Elman network. It may be
            traced. The other fields are those of :class:`ntkrnn.Elman`.

    Raises:
        ValueError, TypeError: naming the field, what came and what was expected.

    Source: the leaky integrator of echo state networks; ``docs/gated-kernels.md``.

    Example:
        >>> Leaky(width=256, rate=0.3).scales.rate
        0.3
    """

    limit: ClassVar[str] = "filter"
    kind: ClassVar[str] = "leaky"
    scale_type: ClassVar[Any] = LeakyScales
    scale_fields: ClassVar[tuple[str, ...]] = (*Dense.scale_fields, "rate")

    nonlinearity: str | Nonlinearity = "erf"
    rate: Any = 0.5

    def __post_init__(self) -> None:
        """Normalise and validate every field."""
        super().__post_init__()
        object.__setattr__(self, "rate", _checks.fraction("rate", self.rate))

    @property
    def parts(self) -> tuple[Part, ...]:
        """One pre-activation."""
        return ALONE

    @property
    def cell(self) -> Cell:
        """``s_t = (1 - rate) s_{t-1} + rate phi(h_t)``."""
        phi, rate = scalar_function(self.nonlinearity), self.rate
        update = lambda pre, carry: ((1 - rate) * carry[0] + rate * phi(pre[0]),)  # noqa: E731
        return Cell(self.gates_with(), update)
