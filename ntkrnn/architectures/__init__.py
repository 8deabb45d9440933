"""Architectures as data: frozen, hashable dataclasses that every capability is a function of."""

from ntkrnn.architectures._elman import Elman, Scales, check_architecture

__all__ = ["Elman", "Scales", "check_architecture"]
