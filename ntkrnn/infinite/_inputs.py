"""What feeds the first layer of a pair of sequences, at any pair of time steps.

:class:`PairInputs` computes it from the sequences themselves; :class:`GramInputs` looks it up in
kernels that a layer below has handed on. Both index time-major arrays, so that a scan over time
reads one contiguous slice per step.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ntkrnn._types import Array


class Pair(NamedTuple):
    """The state of the recursion at one pair of time steps; each entry ``[N1, N2]``."""

    cov: Array
    """``K = E s s'`` of the two states (or ``<x, x'>/d`` of two inputs)."""
    distance: Array
    """``E (s - s')^2 / 2``, carried along because K loses the difference of near-equal states."""
    ntk: Array
    """``Theta``, the tangent kernel of the state."""


class PairInputs(NamedTuple):
    """Raw sequences, time-major: ``x1`` [T1, N1, d], ``x2`` [T2, N2, d], padding set to 0."""

    x1: Array
    x2: Array

    def at(self, t1: Array, t2: Array) -> Pair:
        """Input covariance ``<x, x'>/d`` and half squared distance; inputs have no tangent kernel.

        The distance is summed from differences, never from ``|x|^2 + |x'|^2 - 2 <x, x'>``: that is
        what keeps nearly equal sequences apart.
        """
        a, b = self.x1[t1], self.x2[t2]
        channels = a.shape[-1]
        cov = jnp.einsum("id,jd->ij", a, b, precision=jax.lax.Precision.HIGHEST) / channels
        distance = jnp.sum(jnp.square(a[:, None] - b[None]), axis=-1) / (2 * channels)
        return Pair(cov, distance, jnp.zeros_like(cov))


class GramInputs(NamedTuple):
    """Kernels of the layer below at every pair of steps, each ``[T1, T2, N1, N2]``."""

    cov: Array
    distance: Array
    ntk: Array

    def at(self, t1: Array, t2: Array) -> Pair:
        """Look the pair of time steps up."""
        return Pair(self.cov[t1, t2], self.distance[t1, t2], self.ntk[t1, t2])
