"""Recurrent layers for ``neural_tangents.stax``. Importing this does not load neural-tangents yet."""

from ntkrnn.stax._recurrent import Recurrent

__all__ = ["Recurrent"]
