"""How kernels of infinite width are computed, as values: which engine, and with what accuracy."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, TypeAlias

import jax
import numpy as np

from ntkrnn import _checks
from ntkrnn._random import key_words
from ntkrnn.infinite.sampling._sides import SAMPLES as NEURONS
from ntkrnn.quadrature import METHODS, REPLICATES, SAMPLES, check_tolerance, checked_replicates

LARGEST_NET = 2**30


def _key(key: Any) -> Any:
    """A whole number as it is, a random key as its words, so that a limit hashes and prints."""
    if isinstance(key, (int, np.integer)):
        return _checks.whole_number("key", key)
    return key_words(key)


def _devices(devices: Any) -> tuple[Any, ...]:
    listed = tuple(devices) if isinstance(devices, Iterable) else ()
    if not listed or any(not isinstance(d, jax.Device) for d in listed):
        raise TypeError(
            f"devices: got {devices!r}, expected a sequence of at least one device, such as "
            "jax.devices()."
        )
    return listed


def _put(limit: Any, name: str, check: Any) -> None:
    value = getattr(limit, name)
    object.__setattr__(limit, name, None if value is None else check(value))


@dataclasses.dataclass(frozen=True)
class Recursion:
    r"""Exact kernels by a recursion over pairs of steps: :class:`ntkrnn.Elman`, :class:`ntkrnn.Leaky`.

    The formulas are those of :func:`ntkrnn.network`; for a leaky network they are filtered over both
    times. With ``F_{t,k} = a (1 - a)^{t-k}`` for ``k <= t``, a the rate, at steps t and s::

        H_{t,s}     = w_std^2 K_{t-1,s-1} + u_std^2 <x_t, x'_s>/d + b_std^2
        P, P'       = E phi(a) phi(b), E phi'(a) phi'(b),   (a, b) Gaussian with covariance H
        Psi_{t,s}   = [w] w_std^2 K_{t-1,s-1} + [u] u_std^2 <x_t, x'_s>/d + [b] b_std^2
                      + w_std^2 Theta_{t-1,s-1}
        K_{t,s}     = sum_{k,l} F_{t,k} F_{s,l} P_{k,l}
        Theta_{t,s} = sum_{k,l} F_{t,k} F_{s,l} P'_{k,l} Psi_{k,l}
        nngp = v_std^2 K,   ntk = v_std^2 (Theta + [v] K)

    [.] is 1 for a trainable block. A layer above reads K of the layer below in place of the product of
    the inputs, and adds ``u_std^2 Theta`` of it to Psi; two directions are averaged. At rate 1 these
    are the kernels of :class:`ntkrnn.Elman`, at rate 0 they are 0.

    Args:
        tile: sequences per side of a tile of the matrix, or pairs computed together for a diagonal;
            None to choose from the sizes and the device. It changes no number beyond rounding.
        devices: where the tiles are computed; None for all devices of the kind that x1 is on.

    Cost: see :func:`ntkrnn.network`. A leaky network takes O(N1 N2 L T1 T2) for every readout, half of
    it for x2=None, after O((N1 T1^2 + N2 T2^2) L) for each sequence with itself; beside the result,
    memory for a few rows ``[T2, tile, tile]``, and for deep networks of two directions and the readout
    "sequence" planes ``[T1, T2, tile, tile]``.

    Accuracy: nearly equal sequences keep their distance to full relative accuracy in an Elman network.
    In a leaky one half the squared distance of two states is a difference of numbers of the size of
    the mean squared change of ``phi(h)`` over the reach of the filter, and is accurate to some
    roundings of that number; equal sequences stay equal. In float32, for relu with ``w_std = sqrt 2``
    over 100 steps, that costs up to 1e-4 of the NTK of sequences 1e-2 to 1e-6 apart; smooth
    nonlinearities are hardly affected.

    Source: TP2 (arXiv 2006.14548), RNTK (arXiv 2006.10246); with a linear filter after the
    nonlinearity for the leaky network.

    Example:
        >>> import jax, ntkrnn
        >>> x = jax.random.normal(jax.random.key(0), (5, 7, 3))
        >>> kernel_fn = ntkrnn.network(ntkrnn.Leaky(rate=0.3), limit=ntkrnn.Recursion(tile=4)).kernel_fn
        >>> kernel_fn(x).ntk.shape
        (5, 5)
    """

    tile: int | None = None
    devices: tuple[Any, ...] | None = None

    def __post_init__(self) -> None:
        """Normalise and validate every field."""
        _put(self, "tile", lambda value: _checks.positive_integer("tile", value))
        _put(self, "devices", _devices)


@dataclasses.dataclass(frozen=True)
class Sampling:
    r"""Kernels that are products of features of random networks: any cell with matrices.

    The limit of cells with gates, which have no closed form, and for :class:`ntkrnn.Elman` and
    :class:`ntkrnn.Leaky` a second route to their kernels. With z what the recurrent matrix of a gate
    multiplies and delta the derivative of an output by its pre-activation a::

        Cov(a_{t,i}, a_{s,j}) = w_std^2 E z_{t,i} z_{s,j} + u_std^2 <x_{t,i}, x_{s,j}>/d + b_std^2
        nngp_{ij} = v_std^2 E r_i r_j
        ntk_{ij}  = [v] nngp_{ij} + sum_{gates,t,s} E delta_{t,i} delta_{s,j} * Cov(a_{t,i}, a_{s,j})

    the last factor restricted to trainable blocks, r what the readout reads. Expectations are over
    the neurons of networks with random orthogonal weights, which are drawn anew on the way back; so
    every kernel is a product of features, see :func:`ntkrnn.infinite.features`.

    Args:
        samples: neurons M of a network, rounded up to the square of a multiple of 8. Gaussian laws
            that are estimated from M neurons leave a bias of order 1/M, which the errors do not
            contain: up to 2% for 64, and not to be seen for 1024 (``docs/gated-kernels.md``).
        replicates: the number of networks, at least 2; with a tolerance the least number, 8 if left
            out. Where JAX is tracing no error is known, and 8 are taken unless it is said.
        tolerance: networks are added until the errors of a wanted kernel have at most this part of its
            Frobenius norm, ``|error| <= tolerance |kernel|``; 2% if neither this nor ``replicates``
            is said.
        key: a JAX random key or a whole number. Networks are a function of it, of d, of the
            architecture and of the dtype, and with a number of them every entry is one of its two
            sequences alone, which ``jax.grad`` and ``jax.jit`` take, by the sequences and the scales.
        tile: sequences that pass a network at a time; chosen from their length by default. It changes
            nothing beyond rounding.

    Warns:
        AccuracyWarning: if the tolerance is not met with 512 networks, or ``replicates`` if more.

    Cost: for every network ``N T M`` steps of neurons, each ``sqrt(M) (G + 1)`` multiply-adds forwards
    and as many backwards for G gates, and the product of the features, ``N1 N2 M`` times some 3 G;
    readout "sequence" goes back T times. Memory for the kernels and for the features of one network.

    Source: TP1 (arXiv 1910.12478) and TP2 (arXiv 2006.14548) for the limit; ``docs/gated-kernels.md``.

    Example:
        >>> import jax, ntkrnn
        >>> x = jax.random.normal(jax.random.key(0), (3, 4, 2))
        >>> kernels = ntkrnn.network(ntkrnn.GRU()).kernel_fn(x)
        >>> kernels.ntk.shape, bool((kernels.ntk_error < 0.05 * kernels.ntk.max()).all())
        ((3, 3), True)
        >>> second = ntkrnn.network(ntkrnn.Elman(), limit=Sampling(replicates=16)).kernel_fn(x)
        >>> exact = ntkrnn.network(ntkrnn.Elman()).kernel_fn(x)
        >>> bool((abs(second.ntk - exact.ntk) < 6 * second.ntk_error + 1e-3).all())
        True
    """

    samples: int = NEURONS
    replicates: int | None = None
    tolerance: float | None = None
    key: Any = 0
    tile: int | None = None

    def __post_init__(self) -> None:
        """Normalise and validate every field."""
        _put(self, "samples", lambda value: _checks.positive_integer("samples", value))
        _put(self, "replicates", checked_replicates)
        _put(self, "tolerance", check_tolerance)
        object.__setattr__(self, "key", _key(self.key))
        _put(self, "tile", lambda value: _checks.positive_integer("tile", value))


@dataclasses.dataclass(frozen=True)
class Quadrature:
    r"""Kernels of :class:`ntkrnn.Diagonal`: expectations over one neuron, integrated numerically.

    A neuron keeps its recurrent weight through time, w = +-alpha, and u ~ N(0, I)::

        nngp_{t,t'} = E h_t h'_t'
        ntk_{t,t'}  = E [w] D_w h_t D_w h'_t' + [u] <D_u h_t, D_u h'_t'>

    [.] being 1 for a trainable block. "nngp" is the covariance of the outputs with independent signs c;
    a symmetric network starts at 0, and that covariance is that of its features. Every entry depends
    on its own two sequences, d and ``key``, and is a smooth function of them and of alpha, which JAX
    can differentiate.

    Args:
        samples: points of a replicate, rounded up to a power of 2.
        replicates: at least 2, whose spread is the standard error.
        tolerance: double the points until no standard error of a wanted kernel exceeds this times the
            largest entry of the kernel. How many points there are then depends on all sequences, and
            so the last digits.
        key: a JAX random key or a whole number. The points depend on it, on d and on their number
            alone.
        method: "qmc", Sobol points in as many independent scrambles as ``replicates``, or
            "quadrature", a trapezoidal rule in d <= 2 dimensions with about ``samples * replicates``
            nodes, whose error is the spread of the rules of every other node; None takes quadrature
            where it can be had.

    Warns:
        AccuracyWarning: if the tolerance is not met with 2^18 points in a replicate.

    Cost: with S = 2 samples replicates neurons that of :func:`ntkrnn.empirical_ntk_fn` at width S;
    memory for a few kernels, or for a few diagonals. The error falls about as 1/samples for smooth
    functions of few channels.

    Source: CE24 (arXiv 2402.12241); ``docs/conventions.md``, diagonal networks.

    Example:
        >>> import jax, ntkrnn
        >>> x = jax.random.normal(jax.random.key(0), (3, 4, 2))
        >>> kernels = ntkrnn.network(ntkrnn.Diagonal(readout="last")).kernel_fn(x)
        >>> kernels.ntk.shape, bool((kernels.ntk_error < 1e-4).all())
        ((3, 3), True)
    """

    samples: int = SAMPLES
    replicates: int = REPLICATES
    tolerance: float | None = None
    key: Any = 0
    method: str | None = None

    def __post_init__(self) -> None:
        """Normalise and validate every field."""
        samples = _checks.positive_integer("samples", self.samples)
        if samples > LARGEST_NET:
            raise ValueError(
                f"samples: got {samples}, expected at most 2^30, beyond which a Sobol sequence has no "
                "points; pass more replicates."
            )
        object.__setattr__(self, "samples", samples)
        object.__setattr__(self, "replicates", checked_replicates(self.replicates))
        _put(self, "tolerance", check_tolerance)
        object.__setattr__(self, "key", _key(self.key))
        _put(self, "method", lambda value: _checks.choice("method", value, METHODS))


Limit: TypeAlias = Recursion | Sampling | Quadrature
"""How kernels of infinite width are computed."""
