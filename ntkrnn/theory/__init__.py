"""Learning theory of recurrent networks as functions: networks, concept classes, measures, bounds.

What the theorems speak of, in a form that can be computed; kernels and networks come as arguments.
"""

from ntkrnn.theory._additive import AdditiveTarget
from ntkrnn.theory._certificate import Certificate, Cutoff, certificate, cutoff
from ntkrnn.theory._coefficients import MonomialCoefficients, monomial_coefficients
from ntkrnn.theory._complexity import KernelComplexity, alignment, cumulative_power, kernel_complexity
from ntkrnn.theory._exactly_one import ExactlyOneTarget
from ntkrnn.theory._kernel_matrices import SingularKernelError
from ntkrnn.theory._lipschitz import LipschitzConstants, lipschitz_constants
from ntkrnn.theory._margin import MarginComplexity, margin_complexity
from ntkrnn.theory._n_variable import NVariableTarget
from ntkrnn.theory._networks import (
    PaperWeights,
    al19_network,
    paper_weights,
    params_from_paper,
    wshc21_network,
)
from ntkrnn.theory._power_series import PowerSeries
from ntkrnn.theory._projection import max_norm_projection
from ntkrnn.theory._relu_kernel import relu_recurrent_ntk
from ntkrnn.theory._schur import additive_schur_bound, n_variable_schur_bound, schur_bound
from ntkrnn.theory._target import Estimate, Target
from ntkrnn.theory._token_bound import token_schur_bounds
from ntkrnn.theory._token_target import TokenTarget
from ntkrnn.theory._tokens import (
    al19_tokens,
    rescaled_tokens,
    sample_tokens,
    true_tokens,
    unit_tokens,
)
from ntkrnn.theory._transport import TransportTarget
from ntkrnn.theory._transport_integral import TransportValues
from ntkrnn.theory._widths import al19_samples, al19_width, wshc21_samples

__all__ = [
    "AdditiveTarget",
    "Certificate",
    "Cutoff",
    "Estimate",
    "ExactlyOneTarget",
    "KernelComplexity",
    "LipschitzConstants",
    "MarginComplexity",
    "MonomialCoefficients",
    "NVariableTarget",
    "PaperWeights",
    "PowerSeries",
    "SingularKernelError",
    "Target",
    "TokenTarget",
    "TransportTarget",
    "TransportValues",
    "additive_schur_bound",
    "al19_network",
    "al19_samples",
    "al19_tokens",
    "al19_width",
    "alignment",
    "certificate",
    "cumulative_power",
    "cutoff",
    "kernel_complexity",
    "lipschitz_constants",
    "margin_complexity",
    "max_norm_projection",
    "monomial_coefficients",
    "n_variable_schur_bound",
    "paper_weights",
    "params_from_paper",
    "relu_recurrent_ntk",
    "rescaled_tokens",
    "sample_tokens",
    "schur_bound",
    "token_schur_bounds",
    "true_tokens",
    "unit_tokens",
    "wshc21_network",
    "wshc21_samples",
]
