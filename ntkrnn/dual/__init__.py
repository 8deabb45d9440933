"""Gaussian expectations of nonlinearities: the dual activations that infinite-width kernels need.

Closed forms for identity, relu, leaky_relu, abs, erf, gelu, sin, cos, step and sign; any smooth
scalar function otherwise, through :func:`nonlinearity`.
"""

from ntkrnn._nonlinearities import Nonlinearity
from ntkrnn.dual._nonlinearity import (
    dual_activation,
    has_closed_form,
    names,
    nonlinearity,
    pair_function,
    stepper,
    truncation_error,
)
from ntkrnn.dual._result import PairExpectation, PairFunction
from ntkrnn.dual._stepper import Features, Stepper

__all__ = [
    "Features",
    "Nonlinearity",
    "PairExpectation",
    "PairFunction",
    "Stepper",
    "dual_activation",
    "has_closed_form",
    "names",
    "nonlinearity",
    "pair_function",
    "stepper",
    "truncation_error",
]
