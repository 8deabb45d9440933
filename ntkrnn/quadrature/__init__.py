"""Expectations over a standard Gaussian vector: nodes and weights, and replicates with their spread.

Independent scrambles of a Sobol sequence, or trapezoidal rules of which each has every other node: the
mean over the replicates is the estimate, and their spread is its standard error.
"""

from ntkrnn.quadrature._nodes import (
    METHODS,
    MOST_SAMPLES,
    QUADRATURE_CHANNELS,
    REPLICATES,
    SAMPLES,
    Rule,
    replicates_of,
    rule_of,
)
from ntkrnn.quadrature._replicates import (
    AccuracyWarning,
    Running,
    check_tolerance,
    check_traced_tolerance,
    checked_replicates,
    nothing,
    relative_error,
    relative_norm,
    spread,
    with_another,
    with_one_more,
)

__all__ = [
    "METHODS",
    "MOST_SAMPLES",
    "QUADRATURE_CHANNELS",
    "REPLICATES",
    "SAMPLES",
    "AccuracyWarning",
    "Rule",
    "Running",
    "check_tolerance",
    "check_traced_tolerance",
    "checked_replicates",
    "nothing",
    "relative_error",
    "relative_norm",
    "replicates_of",
    "rule_of",
    "spread",
    "with_another",
    "with_one_more",
]
