"""Finite networks: one cell step, unrolled over a batch of sequences, stacked, read out.

A cell is described once. Finite networks, their backward pass and the empirical kernels read that
one description.
"""

from ntkrnn.cells._cell import Cell, Gate, Term, cell_of
from ntkrnn.cells._gradient import parameter_gradient, split_trainable
from ntkrnn.cells._parameters import fitting_input, init_params, parameter_shapes
from ntkrnn.cells._pullback import pullback
from ntkrnn.cells._stack import UNROLL, Steps, Trace, apply, features, run

__all__ = [
    "UNROLL",
    "Cell",
    "Gate",
    "Steps",
    "Term",
    "Trace",
    "apply",
    "cell_of",
    "features",
    "fitting_input",
    "init_params",
    "parameter_gradient",
    "parameter_shapes",
    "pullback",
    "run",
    "split_trainable",
]
