"""How far a sampled kernel is off: by chance, for networks of every width, and by its bias.

Errors are relative, in the Frobenius norm.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import numpy as np

from ntkrnn import GRU, LSTM, Elman, network
from ntkrnn.architectures import Dense
from ntkrnn.bench._run import median_seconds
from ntkrnn.infinite import KernelFn, Sampling

CHANNELS = 8
KEYS = 16
"""Independent means, whose spread is the error of what is said of all."""


def data(n: int, steps: int, channels: int = CHANNELS) -> jax.Array:
    """Sequences ``[N, T, d]`` of standard normals, the same for all comparisons of a size."""
    return jax.random.normal(jax.random.key(7), (n, steps, channels))


def error(kernels: Any, name: str, replicates: int) -> float:
    """The relative error of one replicate, from the standard errors of the mean of several."""
    norm = np.linalg.norm
    own = norm(getattr(kernels, f"{name}_error")) * replicates**0.5
    return float(own / norm(getattr(kernels, name)))


class Spread(NamedTuple):
    """The error of one network, and what it costs."""

    cell: str
    n: int
    steps: int
    channels: int
    samples: int
    nngp_error: float
    ntk_error: float
    seconds: float

    def line(self) -> str:
        """What is printed of it."""
        root = self.samples**0.5
        return (
            f"{self.cell}, N={self.n} T={self.steps} d={self.channels}, a network of "
            f"{self.samples} neurons: relative error {self.nngp_error:.2%} (NNGP) "
            f"{self.ntk_error:.2%} (NTK), which are {self.nngp_error * root:.1f} and "
            f"{self.ntk_error * root:.1f} over the root of the neurons, in {1e3 * self.seconds:.0f} ms"
        )


SETTINGS = {
    "LSTM": LSTM(),
    "LSTM, w_std=2": LSTM(w_std=2.0),
    "LSTM, forget bias 3": LSTM(b_mean=(0.0, 3.0, 0.0, 0.0)),
    "GRU": GRU(),
    "GRU, reset before": GRU(reset="before"),
}


def spreads(quick: bool = False) -> list[Spread]:
    """Of cells and scales, and of the LSTM by the number of neurons."""
    replicates, small = (8, (4, 4, 2)) if quick else (32, (16, 16, 8))
    sizes = (64,) if quick else (256, 4096)
    rows = [("LSTM", small, samples) for samples in sizes]
    rows += [
        (name, size, 1024)
        for name in SETTINGS
        for size in ((small,) if quick else (small, (50, 40, 2)))
    ]
    found = []
    for name, size, samples in rows:
        kernel_fn = functools.partial(network(SETTINGS[name]).kernel_fn, data(*size), samples=samples)
        kernels = kernel_fn(replicates=replicates)
        seconds = median_seconds(lambda f=kernel_fn: tuple(f(replicates=4)), 3) / 4
        nngp, ntk = (error(kernels, kernel, replicates) for kernel in ("nngp", "ntk"))
        found.append(Spread(name, *size, samples, nngp, ntk, seconds))
    return found


class Bias(NamedTuple):
    """By how much the mean of many networks is too large, each with the standard error of that."""

    cell: str
    samples: int
    replicates: int
    nngp: float
    nngp_error: float
    ntk: float
    ntk_error: float

    def line(self) -> str:
        """What is printed of it."""
        return (
            f"{self.cell}, {self.replicates} networks of {self.samples} neurons: their mean is larger "
            f"than the limit by {self.nngp:.2%} +- {self.nngp_error:.2%} (NNGP) {self.ntk:.2%} +- "
            f"{self.ntk_error:.2%} (NTK)"
        )


def _bias(name: str, arch: Dense, x: jax.Array, samples: int, replicates: int, want: Any) -> Bias:
    """``<K, K*>/<K*, K*> - 1`` of means K, with the noise of the limit K* itself."""
    each = [KernelFn(arch, Sampling(samples, replicates // KEYS, key=key))(x) for key in range(KEYS)]
    found = []
    for kernel in ("nngp", "ntk"):
        limit = np.asarray(getattr(want, kernel), np.float64)
        own = np.asarray(getattr(want, f"{kernel}_error", 0 * limit), np.float64)
        size = (limit**2).sum()
        ratios = [(np.asarray(getattr(one, kernel)) * limit).sum() / size for one in each]
        # As if its entries erred together, which is the worst that they can do.
        noise = (own * np.abs(limit)).sum() / size
        found += [np.mean(ratios) - 1, np.hypot(np.std(ratios, ddof=1) / KEYS**0.5, noise)]
    return Bias(name, samples, replicates, *map(float, found))


def biases(quick: bool = False) -> list[Bias]:
    """Against the closed form of an Elman network, and of gated ones against a million neurons."""
    neurons, sizes = (2**12, (64,)) if quick else (2**18, (64, 256, 1024))
    wide = Sampling(256, 32, key=KEYS) if quick else Sampling(1024, 1024, key=KEYS)
    x, found = data(3, 4, 2), []
    for name, arch in {
        "Elman": Elman(w_std=1.5),
        "LSTM": LSTM(w_std=1.5),
        "GRU": GRU(w_std=1.5),
    }.items():
        want = KernelFn(arch, None if name == "Elman" else wide)(x)
        found += [_bias(name, arch, x, m, max(2 * KEYS, neurons // m), want) for m in sizes]
    return found
