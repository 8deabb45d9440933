"""Architectures as data: frozen, hashable dataclasses that every capability is a function of."""

from ntkrnn.architectures._diagonal import Diagonal, DiagonalScales
from ntkrnn.architectures._elman import Elman, Scales
from ntkrnn.architectures._known import ARCHITECTURES, AnyScales, Architecture, check_architecture

__all__ = [
    "ARCHITECTURES",
    "AnyScales",
    "Architecture",
    "Diagonal",
    "DiagonalScales",
    "Elman",
    "Scales",
    "check_architecture",
]
