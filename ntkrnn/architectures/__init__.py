"""Architectures as data: frozen, hashable dataclasses that every capability is a function of."""

from ntkrnn.architectures._cell import (
    INNER,
    INPUT,
    ONE,
    STATE,
    Cell,
    Gate,
    Part,
    Term,
)
from ntkrnn.architectures._dense import Dense, LeakyScales, Scales
from ntkrnn.architectures._diagonal import Diagonal, DiagonalScales
from ntkrnn.architectures._elman import Elman
from ntkrnn.architectures._fields import name_of
from ntkrnn.architectures._gated import Gated
from ntkrnn.architectures._gru import GRU
from ntkrnn.architectures._known import ARCHITECTURES, AnyScales, Architecture, check_architecture
from ntkrnn.architectures._leaky import Leaky
from ntkrnn.architectures._lstm import LSTM
from ntkrnn.architectures._minimal_gru import MinimalGRU

__all__ = [
    "ARCHITECTURES",
    "GRU",
    "INNER",
    "INPUT",
    "LSTM",
    "ONE",
    "STATE",
    "AnyScales",
    "Architecture",
    "Cell",
    "Dense",
    "Diagonal",
    "DiagonalScales",
    "Elman",
    "Gate",
    "Gated",
    "Leaky",
    "LeakyScales",
    "MinimalGRU",
    "Part",
    "Scales",
    "Term",
    "check_architecture",
    "name_of",
]
