"""Training runs, and what the kernels say about them.

:func:`train` trains finite networks; :func:`linearized` and :func:`gradient_flow` follow their
linearisation from a kernel; :func:`trained_ensemble` and :func:`nngp_posterior` are the limit of
infinite width.
"""

from ntkrnn.dynamics._batches import batches
from ntkrnn.dynamics._linearized import Linearized, linearized
from ntkrnn.dynamics._measures import Movement
from ntkrnn.dynamics._posterior import Gaussian, nngp_posterior, trained_ensemble
from ntkrnn.dynamics._spectral import Flow, gradient_flow
from ntkrnn.dynamics._stability import UnstableStepWarning, largest_stable_step
from ntkrnn.dynamics._train import DivergedWarning, Trained, train
from ntkrnn.dynamics._weight_space import decay_to_start, linearize

__all__ = [
    "DivergedWarning",
    "Flow",
    "Gaussian",
    "Linearized",
    "Movement",
    "Trained",
    "UnstableStepWarning",
    "batches",
    "decay_to_start",
    "gradient_flow",
    "largest_stable_step",
    "linearize",
    "linearized",
    "nngp_posterior",
    "train",
    "trained_ensemble",
]
