"""What cells with gates have in common."""

from __future__ import annotations

import dataclasses
from typing import Any

from ntkrnn import _checks
from ntkrnn.architectures._dense import Dense
from ntkrnn.architectures._fields import normalised_nonlinearity, per_gate
from ntkrnn.dual._value import Nonlinearity, Scalar, scalar_function


@dataclasses.dataclass(frozen=True)
class Gated(Dense):
    """The fields of :class:`ntkrnn.LSTM`, which documents them."""

    gate_nonlinearity: str | Nonlinearity = "sigmoid"
    b_mean: Any = 0.0

    def __post_init__(self) -> None:
        """Normalise and validate every field."""
        super().__post_init__()
        put = lambda name, value: object.__setattr__(self, name, value)  # noqa: E731
        put(
            "gate_nonlinearity",
            normalised_nonlinearity(self.gate_nonlinearity, "gate_nonlinearity"),
        )
        biased = self.part_names["b"]
        put("b_mean", per_gate("b_mean", self.b_mean, biased, _checks.finite_float, every=True))

    @property
    def functions(self) -> tuple[Scalar, Scalar]:
        """The function of the gates, and that of what they let through."""
        return scalar_function(self.gate_nonlinearity), scalar_function(self.nonlinearity)
