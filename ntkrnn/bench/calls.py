"""What is called in a process of its own, see :mod:`ntkrnn.bench._fresh`."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from ntkrnn import Elman, network
from ntkrnn.bench._gradients import weighted_kernel


def _sequences(n: int, t: int, d: int) -> Any:
    """By NumPy: JAX would compile its random numbers."""
    return np.random.default_rng(0).normal(size=(n, t, d)).astype(np.float32)


def kernel(nonlinearity: str, readout: str, n: int, t: int, d: int) -> Any:
    """Both kernels of infinitely wide Elman networks."""
    arch = Elman(nonlinearity=nonlinearity, readout=readout, u_std=0.5)
    return tuple(network(arch).kernel_fn(_sequences(n, t, d)))


def gradient(nonlinearity: str, readout: str, n: int, t: int, d: int) -> Any:
    """The value and gradient by scales and x, in a program of the caller's."""
    arch = Elman(nonlinearity=nonlinearity, readout=readout)
    loss, given = weighted_kernel(arch, jax.numpy.asarray(_sequences(n, t, d)))
    return jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))(*given)
