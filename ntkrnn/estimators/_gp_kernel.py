# pyright: basic
"""A kernel as a function of its scales, with its derivatives, in float64.

The scales of an architecture may be traced, so that one compiled program gives the kernel of given
series at any scales, together with its derivatives by their logarithms, a tangent for each.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn._network import network
from ntkrnn.architectures import Architecture
from ntkrnn.estimators._members import sampling
from ntkrnn.estimators._sequences import Sequences


class Scaled(NamedTuple):
    """Which kernel, and which of its scales are free."""

    architecture: Architecture
    names: tuple[str, ...]
    """Fields of the architecture."""
    get: str
    """"nngp" or "ntk"."""
    seed: int
    """Of sampled limits."""

    def at(self, scales: Any) -> Architecture:
        """The architecture with other scales ``[P]``."""
        return dataclasses.replace(self.architecture, **dict(zip(self.names, scales, strict=True)))

    def kernel(self, one: Sequences, two: Sequences | None, scales: np.ndarray) -> np.ndarray:
        """float64 ``[M, N]`` of outputs: of series, or of their valid steps one after the other."""
        with jax.enable_x64(True):
            found = self._call(self.at([float(s) for s in scales]), one, two)
        return self._matrix(np.asarray(found, np.float64), one, one if two is None else two)

    def variances(self, one: Sequences, scales: np.ndarray) -> np.ndarray:
        """float64 ``[M]``: the diagonal of the kernel of series with themselves."""
        with jax.enable_x64(True):
            found = self._call(self.at([float(s) for s in scales]), one, None, diagonal=True)
        every = np.asarray(found, np.float64)
        if every.ndim == 1:
            return every
        return np.diagonal(every, axis1=1, axis2=2)[valid(one)]

    def derivatives(self, one: Sequences) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
        """``scales -> (kernel [N, N], derivatives by their logarithms [P, N, N])``.

        Cost: about two kernels for every scale; compiled once for series of a shape.
        """

        def evaluate(scales: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            with jax.enable_x64(True):
                found = _program(self)(jnp.asarray(np.log(scales)), one.x, one.lengths)
                kernel, tangents = jax.device_get(found)
            slopes = [self._matrix(tangent, one, one) for tangent in tangents]
            return self._matrix(kernel, one, one), np.array(slopes)

        return evaluate

    def _call(self, arch: Architecture, one: Sequences, two: Sequences | None, **options: Any) -> Any:
        x2, lengths2 = (None, None) if two is None else two
        options |= sampling(arch, self.seed)
        return network(arch).kernel_fn(one.x, x2, self.get, one.lengths, lengths2, **options)

    def _matrix(self, kernel: np.ndarray, one: Sequences, two: Sequences) -> np.ndarray:
        if kernel.ndim == 2:
            return kernel
        rows, columns = valid(one), valid(two)
        n1, n2, t1, t2 = kernel.shape
        flat = kernel.transpose(0, 2, 1, 3).reshape(n1 * t1, n2 * t2)
        return flat[np.ix_(rows.ravel(), columns.ravel())]


@functools.lru_cache(maxsize=32)
def _program(scaled: Scaled) -> Callable[..., Any]:
    """The kernel and its tangents as one program of the logarithms of scales and the series."""

    def both(logs: Any, x: Any, lengths: Any) -> Any:
        def at(logs: Any) -> Any:
            return scaled._call(scaled.at(list(jnp.exp(logs))), Sequences(x, lengths), None)

        kernel, push = jax.linearize(at, logs)
        return kernel, jax.vmap(push)(jnp.eye(len(scaled.names)))

    return jax.jit(both)


def valid(sequences: Sequences) -> np.ndarray:
    """Boolean ``[N, T]``: steps that are not padding."""
    return np.arange(sequences.x.shape[1]) < sequences.counts()[:, None]
