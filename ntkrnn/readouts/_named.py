"""The three readouts that have names, and facts by which the engines take shorter ways."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from ntkrnn._types import Array
from ntkrnn.readouts._readout import Readout


@dataclasses.dataclass(frozen=True)
class _Last(Readout):
    """The state that has read everything: at the last valid step, of a backward layer at the first."""

    final: ClassVar[bool] = True

    def weights(self, times: Array, lengths: Array, backward: bool) -> Array:
        """1 there."""
        return times == (0 if backward else lengths - 1)

    def __repr__(self) -> str:
        return "readouts.last"


@dataclasses.dataclass(frozen=True)
class _Mean(Readout):
    """The mean over the valid steps."""

    uniform: ClassVar[bool] = True

    def weights(self, times: Array, lengths: Array, backward: bool) -> Array:
        """One over the number of steps."""
        return 1 / lengths

    def __repr__(self) -> str:
        return "readouts.mean"


@dataclasses.dataclass(frozen=True)
class _Sequence(Readout):
    """An output at every step, 0 in the padding."""

    stepwise: ClassVar[bool] = True

    def weights(self, times: Array, lengths: Array, backward: bool) -> Array:
        """There is no sum."""
        raise TypeError("The readout 'sequence' has an output at every step and no weights.")

    def __repr__(self) -> str:
        return "readouts.sequence"


last: Readout = _Last()
"""The readout "last": the state after the whole run."""
mean: Readout = _Mean()
"""The readout "mean": the mean of the states over the valid steps."""
sequence: Readout = _Sequence()
"""The readout "sequence": an output at every step."""

NAMED: dict[str, Readout] = {"last": last, "mean": mean, "sequence": sequence}
"""By the names that stand for them wherever a readout is given."""
