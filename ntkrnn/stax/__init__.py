"""Recurrent layers for ``neural_tangents.stax``, and neural-tangents itself on current JAX.

Importing this does not load neural-tangents; :func:`neural_tangents` and :func:`Recurrent` do.
"""

from ntkrnn._compat import neural_tangents
from ntkrnn.stax._recurrent import Recurrent

__all__ = ["Recurrent", "neural_tangents"]
