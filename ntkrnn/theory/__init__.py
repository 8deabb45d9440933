"""Learning theory of recurrent networks as functions: networks, concept classes, measures, bounds.

What the theorems speak of, in a form that can be computed; kernels and networks come as arguments.
"""

from ntkrnn.theory._coefficients import MonomialCoefficients, monomial_coefficients
from ntkrnn.theory._complexity import KernelComplexity, alignment, cumulative_power, kernel_complexity
from ntkrnn.theory._kernel_matrices import SingularKernelError
from ntkrnn.theory._margin import MarginComplexity, margin_complexity
from ntkrnn.theory._schur import additive_schur_bound, n_variable_schur_bound, schur_bound
from ntkrnn.theory._widths import al19_samples, al19_width, wshc21_samples

__all__ = [
    "KernelComplexity",
    "MarginComplexity",
    "MonomialCoefficients",
    "SingularKernelError",
    "additive_schur_bound",
    "al19_samples",
    "al19_width",
    "alignment",
    "cumulative_power",
    "kernel_complexity",
    "margin_complexity",
    "monomial_coefficients",
    "n_variable_schur_bound",
    "schur_bound",
    "wshc21_samples",
]
