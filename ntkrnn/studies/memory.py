"""Whether the networks of a study fit into memory, asked before the first of them is drawn."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import jax

import ntkrnn
from ntkrnn._memory import require
from ntkrnn.architectures import Architecture
from ntkrnn.studies.engines import as_study_errors

COPIES = 2
"""Of the parameters that are there at the least: they and their derivatives."""


def check_memory(arch: Architecture, widths: Sequence[int], shape: Sequence[int]) -> None:
    """Raise if the parameters of the widest network, and as many derivatives, do not fit.

    What a run takes is more; this is what none can do without.

    Args:
        arch: the network, of whatever width.
        widths: those of the study.
        shape: ``(N, T, d)`` of the sequences.

    Raises:
        StudyError: naming the width, the bytes that its parameters take and those that there are.
    """
    width = max(widths)
    init_fn = ntkrnn.network(dataclasses.replace(arch, width=width)).init_fn
    params = jax.eval_shape(lambda key: init_fn(key, tuple(shape))[1], jax.random.key(0))
    needed = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(params))
    with as_study_errors():
        require(
            "widths",
            COPIES * needed,
            f"the parameters of a network of width {width}, and derivatives by them,",
            "take smaller widths.",
            jax.devices()[0],
        )
