"""How far a sampled kernel is off: by chance, for each way that samples are drawn, and by its bias.

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
from ntkrnn.infinite import Exact, SampleOptions, sampled_kernel_fn

CHANNELS = 8
ALL = Exact(factor=True, memory=True)
NONE = Exact(factor=False, memory=False)
WAYS = {
    "plain": SampleOptions(kind="plain", exact=NONE),
    "pairs": SampleOptions(kind="pairs", exact=NONE),
    "white": SampleOptions(kind="white", exact=NONE),
    "white pairs": SampleOptions(kind="white pairs", exact=NONE),
    "Sobol": SampleOptions(kind="sobol", exact=NONE),
    "white pairs, output gate integrated": SampleOptions(
        kind="white pairs", exact=ALL._replace(memory=False)
    ),
    "white pairs, output gate integrated, memory corrected": SampleOptions(
        kind="white pairs", exact=ALL
    ),
}


class Way(NamedTuple):
    """One way of drawing samples; errors are those of one replicate."""

    cell: str
    name: str
    nngp_error: float
    ntk_error: float
    seconds: float
    nngp_gain: float
    """Seconds to an error with plain samples, in units of those of this way."""
    ntk_gain: float


def data(n: int, steps: int) -> jax.Array:
    """Sequences ``[N, T, d]`` of standard normals, the same for all comparisons of a size."""
    return jax.random.normal(jax.random.key(7), (n, steps, CHANNELS))


def error(kernels: Any, name: str, replicates: int) -> float:
    """The relative error of one replicate, from the standard errors of the mean of several."""
    norm = np.linalg.norm
    own = norm(getattr(kernels, f"{name}_error")) * replicates**0.5
    return float(own / norm(getattr(kernels, name)))


def ways(quick: bool = False) -> list[Way]:
    """Measure every way of drawing samples."""
    n, steps, samples, replicates = (4, 4, 256, 8) if quick else (16, 8, 2048, 24)
    x, found = data(n, steps), []
    for arch in (LSTM(), GRU()):
        plain: Way | None = None
        for name, options in WAYS.items():
            if any(options.exact) and arch.cell.factor is None:
                continue
            kernel_fn = functools.partial(sampled_kernel_fn(arch, options), x, samples=samples)
            kernels = kernel_fn(replicates=replicates)
            seconds = median_seconds(lambda f=kernel_fn: tuple(f(replicates=4)), 3) / 4
            nngp, ntk = (error(kernels, kernel, replicates) for kernel in ("nngp", "ntk"))
            way = Way(arch.kind, name, nngp, ntk, seconds, 1.0, 1.0)
            plain = way if plain is None else plain
            gains = [
                (getattr(plain, field) / getattr(way, field)) ** 2 * plain.seconds / seconds
                for field in ("nngp_error", "ntk_error")
            ]
            found.append(way._replace(nngp_gain=gains[0], ntk_gain=gains[1]))
    return found


class Bias(NamedTuple):
    """How far the mean of many replicates is off, with the standard error of that."""

    cell: str
    n: int
    steps: int
    samples: int
    nngp: float
    nngp_error: float
    ntk: float
    ntk_error: float


def _bias(arch: Dense, x: jax.Array, samples: int, replicates: int, want: Any) -> Bias:
    """The noise of the mean, and that of what it is compared with, is taken out of its distance."""
    got = sampled_kernel_fn(arch)(x, samples=samples, replicates=replicates)
    sizes = []
    for name in ("nngp", "ntk"):
        limit = np.asarray(getattr(want, name), np.float64)
        own = np.asarray(getattr(got, f"{name}_error"), np.float64)
        noise = np.hypot(own, np.asarray(getattr(want, f"{name}_error", 0.0)))
        off = ((np.asarray(getattr(got, name)) - limit) ** 2).sum() - (noise**2).sum()
        size = np.linalg.norm(limit)
        sizes += [max(off, 0.0) ** 0.5 / size, np.linalg.norm(noise) / size]
    n, steps, _ = x.shape
    nngp, nngp_error, ntk, ntk_error = (float(a) for a in sizes)
    return Bias(arch.kind, n, steps, samples, nngp, nngp_error, ntk, ntk_error)


def biases(quick: bool = False) -> list[Bias]:
    """Against the closed form of an Elman network, and for LSTMs against many more samples.

    For few steps by the number of samples, and for many with 4 samples and more for each of them.
    """
    counts, fewest, most = ((64,), 8, 512) if quick else ((64, 256, 1024, 4096), 400, 32768)
    x, found = data(3, 4), []
    elman = network(Elman()).kernel_fn(x)
    lstm = network(LSTM()).kernel_fn(x, samples=most, replicates=fewest, key=1)
    for arch, want in ((Elman(), elman), (LSTM(), lstm)):
        for samples in counts:
            replicates = fewest * max(1, 1024 // samples)
            found.append(_bias(arch, x, samples, replicates, want))
    n, steps = (4, 4) if quick else (32, 16)
    x = data(n, steps)
    want = network(LSTM()).kernel_fn(x, samples=most, replicates=8 if quick else 24, key=1)
    for factor, replicates in ((4, 8),) if quick else ((4, 96), (16, 24)):
        found.append(_bias(LSTM(), x, factor * n * steps, replicates, want))
    return found
