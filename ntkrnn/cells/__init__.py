"""Finite networks: one cell step, unrolled over one sequence, stacked, read out.

A cell is described once. Finite networks, the taps of the empirical kernels and what they need of
each layer read that one description.
"""

from ntkrnn.cells._cell import Cell, Gate, Term, cell_of
from ntkrnn.cells._parameters import fitting_input, init_params, parameter_shapes
from ntkrnn.cells._stack import Trace, apply, features, run, trace_one, zero_taps

__all__ = [
    "Cell",
    "Gate",
    "Term",
    "Trace",
    "apply",
    "cell_of",
    "features",
    "fitting_input",
    "init_params",
    "parameter_shapes",
    "run",
    "trace_one",
    "zero_taps",
]
