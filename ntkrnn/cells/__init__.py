"""Finite networks: one cell step, unrolled over a batch of sequences, stacked, read out.

A dense cell is described once, by its architecture, and a cell of your own by a class that has
:attr:`Dense.parts` and :attr:`Dense.cell`. Finite networks, their backward pass and the
empirical kernels read that one description. A diagonal network has no matrix between its neurons, and
code of its own. What either offers stands in one table, :data:`ntkrnn.cells._family.FAMILIES`.
"""

from ntkrnn.architectures import INNER, STATE, Cell, Dense, Gated, Part
from ntkrnn.cells._family import (
    apply,
    checked_params,
    features,
    fitting_input,
    floating_params,
    gradient,
    init_params,
    parameter_shapes,
    run,
    split_trainable,
)
from ntkrnn.cells._matrices import reading
from ntkrnn.cells._neuron_gram import Batch, Neurons, Reading, neuron_gram
from ntkrnn.cells._pullback import pullback
from ntkrnn.cells._stack import UNROLL, Steps, Trace

__all__ = [
    "INNER",
    "STATE",
    "UNROLL",
    "Batch",
    "Cell",
    "Dense",
    "Gated",
    "Neurons",
    "Part",
    "Reading",
    "Steps",
    "Trace",
    "apply",
    "checked_params",
    "features",
    "fitting_input",
    "floating_params",
    "gradient",
    "init_params",
    "neuron_gram",
    "parameter_shapes",
    "pullback",
    "reading",
    "run",
    "split_trainable",
]
