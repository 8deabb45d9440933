"""Checks of what callers pass in: every message names the argument, what came, what was expected.

One rule for each kind of argument: numbers, arrays, sequences with their lengths, random keys. Values
can be checked only when they are concrete; under ``jax.jit`` an array has a shape and a dtype but no
entries yet, and the checks of entries are skipped.
"""

from ntkrnn._checks._arrays import (
    all_finite,
    concrete_values,
    finite_array,
    finite_outputs,
    float_dtype,
    in_dtype,
    inside_a_trace,
    on_accelerator,
    plain_array,
    real_array,
    squares_fit,
    whole_array,
)
from ntkrnn._checks._keys import random_key
from ntkrnn._checks._matrices import check_symmetric, rounding_norm, row_blocks
from ntkrnn._checks._numbers import (
    boolean,
    choice,
    described,
    finite_float,
    fraction,
    nonnegative_float,
    positive_float,
    positive_integer,
    scale,
    whole_number,
)
from ntkrnn._checks._sequences import (
    batch,
    batch_shape,
    host_sequences,
    input_shape,
    lengths,
    pair,
    same_channels,
    sequences,
    side,
)

__all__ = [
    "all_finite",
    "batch",
    "batch_shape",
    "boolean",
    "check_symmetric",
    "choice",
    "concrete_values",
    "described",
    "finite_array",
    "finite_float",
    "finite_outputs",
    "float_dtype",
    "fraction",
    "host_sequences",
    "in_dtype",
    "input_shape",
    "inside_a_trace",
    "lengths",
    "nonnegative_float",
    "on_accelerator",
    "pair",
    "plain_array",
    "positive_float",
    "positive_integer",
    "random_key",
    "real_array",
    "rounding_norm",
    "row_blocks",
    "same_channels",
    "scale",
    "sequences",
    "side",
    "squares_fit",
    "whole_array",
    "whole_number",
]
