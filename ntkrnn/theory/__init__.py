"""Learning theory of recurrent networks as functions: networks, concept classes, measures, bounds.

What the theorems speak of, in a form that can be computed; kernels and networks come as arguments.
"""

# Networks, inputs, concept classes
from ntkrnn.theory._additive import AdditiveTarget
from ntkrnn.theory._exactly_one import ExactlyOneTarget
from ntkrnn.theory._n_variable import NVariableTarget
from ntkrnn.theory._networks import (
    PaperWeights,
    al19_network,
    paper_weights,
    params_from_paper,
    wshc21_network,
)
from ntkrnn.theory._power_series import PowerSeries
from ntkrnn.theory._relu_kernel import relu_recurrent_ntk
from ntkrnn.theory._target import Estimate, Target
from ntkrnn.theory._token_target import TokenTarget
from ntkrnn.theory._tokens import (
    al19_tokens,
    rescaled_tokens,
    sample_tokens,
    true_tokens,
    unit_tokens,
)

__all__ = [
    "AdditiveTarget",
    "Estimate",
    "ExactlyOneTarget",
    "NVariableTarget",
    "PaperWeights",
    "PowerSeries",
    "Target",
    "TokenTarget",
    "al19_network",
    "al19_tokens",
    "paper_weights",
    "params_from_paper",
    "relu_recurrent_ntk",
    "rescaled_tokens",
    "sample_tokens",
    "true_tokens",
    "unit_tokens",
    "wshc21_network",
]
