"""Gaussian expectations of nonlinearities: the dual activations that infinite-width kernels need.

Closed forms for identity, relu, leaky_relu, abs, erf, gelu, sin, cos, step and sign; any smooth
scalar function otherwise, through :func:`nonlinearity`.
"""

from ntkrnn.dual._nonlinearity import (
    dual_activation,
    has_closed_form,
    leaky_relu,
    names,
    nonlinearity,
    pair_function,
    stepper,
    truncation_error,
)
from ntkrnn.dual._result import PairExpectation, PairFunction
from ntkrnn.dual._stepper import Features, Stepper
from ntkrnn.dual._value import Nonlinearity

__all__ = [
    "Features",
    "Nonlinearity",
    "PairExpectation",
    "PairFunction",
    "Stepper",
    "dual_activation",
    "has_closed_form",
    "leaky_relu",
    "names",
    "nonlinearity",
    "pair_function",
    "stepper",
    "truncation_error",
]
