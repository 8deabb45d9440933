"""Which architectures there are."""

from __future__ import annotations

from typing import Any, TypeAlias

from ntkrnn.architectures._dense import Dense, LeakyScales, Scales
from ntkrnn.architectures._diagonal import Diagonal, DiagonalScales
from ntkrnn.architectures._elman import Elman
from ntkrnn.architectures._gru import GRU
from ntkrnn.architectures._leaky import Leaky
from ntkrnn.architectures._lstm import LSTM
from ntkrnn.architectures._minimal_gru import MinimalGRU

Architecture: TypeAlias = Dense | Diagonal
"""Any of them, and any class that describes a cell as these do."""

AnyScales: TypeAlias = Scales | LeakyScales | DiagonalScales
"""The continuous fields of any of them."""

ARCHITECTURES: dict[str, type[Architecture]] = {
    "elman": Elman,
    "diagonal": Diagonal,
    "leaky": Leaky,
    "lstm": LSTM,
    "gru": GRU,
    "minimal-gru": MinimalGRU,
}
"""By the name that the command line has for them."""


def check_architecture(arch: Any) -> None:
    """Raise unless ``arch`` is an architecture, built in or of one's own.

    Raises:
        TypeError: saying what came.
    """
    if not isinstance(arch, Architecture):
        raise TypeError(
            f"arch: got {arch!r} of type {type(arch).__name__}, expected an architecture such as "
            "ntkrnn.Elman(width=256)."
        )
