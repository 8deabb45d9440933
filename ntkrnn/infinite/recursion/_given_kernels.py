"""Kernels at every pair of steps from the kernels of a layer below, for networks of other libraries."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp

from ntkrnn._tiling import choose
from ntkrnn._types import Array, add_up
from ntkrnn.architectures import Elman, Scales
from ntkrnn.dual import stepper
from ntkrnn.infinite.pairs._rows import Layout
from ntkrnn.infinite.pairs._step import Pair, Plan
from ntkrnn.infinite.recursion._readouts import cyclic, whole
from ntkrnn.infinite.recursion._sweep import plainly
from ntkrnn.infinite.recursion._variances import Track, packed_rows


class GramInputs(NamedTuple):
    """Kernels of the layer below at every pair of steps, each ``[T1, T2, N1, N2]``."""

    distance: Array
    """Half squared distances."""
    ntk: Array


class StateKernels(NamedTuple):
    """Kernels of the top states at every pair of steps, each ``[T1, T2, N1, N2]``."""

    cov: Array
    ntk: Array


def sequence_kernels(
    arch: Elman, scale: Scales, inputs: GramInputs, track1: Track, track2: Track
) -> StateKernels:
    """Kernels of the top states at every pair of steps, averaged over directions.

    Args:
        arch: the architecture; its readout and scales are not looked at.
        scale: the squares of the scales.
        inputs: kernels of what feeds the first layer.
        track1: variances along the first side.
        track2: variances along the second side.

    Returns:
        :class:`StateKernels`, zero where either step is padding. These are the kernels of the states
        themselves, without the readout.

    Cost: O(L N1 N2 T1 T2) time and memory.
    """
    step = stepper(arch.nonlinearity)
    layout = Layout.of(step, inputs.distance.dtype, 0, restarts=True)
    plan = Plan(arch, scale, step, layout, plainly)
    t1, t2, n1, n2 = inputs.distance.shape
    lanes = choose(n1, n2, t2, inputs.distance.dtype.itemsize, "cpu").lanes
    rows1, rows2 = packed_rows(layout, None, track1), packed_rows(layout, None, track2)

    def below(shift: Array) -> Any:
        def at(t: Array) -> Pair:
            columns = (t + shift + jnp.arange(lanes)) % t2
            return Pair(inputs.distance[t, columns], inputs.ntk[t, columns])

        return at

    state = whole(plan, rows1, cyclic(rows2, t2, lanes, t1), t1, t2, lanes, below)
    halves1, halves2 = (
        add_up([0.5 * entry.state for entry in t.layers[-1].values()]) / len(arch.directions)
        for t in (track1, track2)
    )
    inside = track1.valid[:, None, :, None] & track2.valid[None, :, None, :]
    cov = halves1[:, None, :, None] + halves2[None, :, None, :] - state.distance
    return StateKernels(jnp.where(inside, cov, 0), jnp.where(inside, state.ntk, 0))
