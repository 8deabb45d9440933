"""Recurrent networks written in flax, linen or nnx, as functions for the empirical kernels.

Importing this loads flax; ``import ntkrnn`` does not.
"""

from ntkrnn.flax._apply import apply_fn_from_module

__all__ = ["apply_fn_from_module"]
