"""The triple (init_fn, apply_fn, kernel_fn) of an architecture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ntkrnn import _checks
from ntkrnn._types import Outputs, Params
from ntkrnn.architectures import Architecture, check_architecture
from ntkrnn.cells import apply, checked_params, fitting_input, init_params
from ntkrnn.infinite import kernel_fn_of


class Network(NamedTuple):
    """What :func:`network` returns; unpacks as ``init_fn, apply_fn, kernel_fn``."""

    init_fn: Callable[..., tuple[tuple[int, ...], Params]]
    apply_fn: Callable[..., Outputs]
    kernel_fn: Callable[..., Any]


def network(arch: Architecture) -> Network:
    r"""Bind a finite network and its infinite-width kernels to an architecture.

    ``init_fn(key, input_shape) -> (output_shape, params)``
        ``input_shape`` is (N, T, d), N and T may be -1. Raw weights i.i.d. N(0, 1) in a plain pytree
        ``{"cells": [{"forward": {"w": [m, m], "u": [m, d], "b": [m]}, ...}, ...], "v": [O, m]}``. A
        block that several gates have is stacked, w [G, m, m], u [G, m, d], b [G, m], in the order that
        :class:`ntkrnn.LSTM`, :class:`ntkrnn.GRU` and :class:`ntkrnn.MinimalGRU` say. For
        :class:`ntkrnn.Diagonal` ``{"w": [m], "u": [m, d], "c": [O, m]}``, drawn as it says.

    ``apply_fn(params, x, lengths=None) -> y``
        ``[N, T, d] -> [N, O]``, or ``[N, T, O]`` for readout "sequence" (0 at padded steps). The
        recursion is that of the architecture. Pure; composes with jit, grad and vmap. ``lengths`` [N]
        are the valid leading steps; what stands behind them never matters, NaN included.

    ``kernel_fn(x1, x2=None, get=None, lengths1=None, lengths2=None, *, lengths=None, tile=None,
    devices=None, diagonal=False)``
        Kernels of infinitely wide networks, per output: ``get`` is "nngp", "ntk", a tuple of them, or
        None for a NamedTuple of both. ``[N1, N2]`` for "last" and "mean", ``[N1, N2, T1, T2]`` for
        "sequence" (0 at padded steps). With K the covariance and Theta the tangent kernel of the
        states::

            H_{t,t'}     = w_std^2 K_{t-1,t'-1} + (u_std^2/d) <x_t, x'_t'> + b_std^2
            K_{t,t'}     = E phi(a) phi(b),   (a, b) Gaussian with covariance H
            Theta_{t,t'} = E phi'(a) phi'(b) * ([w] w_std^2 K_{t-1,t'-1} + [u] (u_std^2/d) <x_t, x'_t'>
                           + [b] b_std^2 + w_std^2 Theta_{t-1,t'-1})
            nngp = v_std^2 K,   ntk = v_std^2 (Theta + [v] K)

        at (T, T') for "last", averaged over all pairs (t, t') for "mean"; [.] is 1 for a trainable
        block. ``x2=None`` stands for x1 and returns exactly symmetric matrices; ``lengths`` is another
        word for ``lengths1`` there. Nearly equal
        sequences keep full relative accuracy: their distance is carried through the recursion.
        The matrix is computed in tiles of ``tile`` by ``tile`` sequences, by default chosen from the
        sizes and the device, spread over ``devices``, by default all of the kind that x1 is on;
        neither changes the numbers beyond rounding.

        ``diagonal=True`` takes the sequences in pairs and returns ``K(x1[i], x2[i])`` alone, [N] or
        [N, T1, T2], in time and memory for N of them: what a scaling to unit diagonal and predictive
        variances need. x1 and x2 must have equally many sequences; ``tile`` is then the number of pairs
        that are computed together.

        The kernels of :class:`ntkrnn.Diagonal` are expectations over one neuron::

            nngp_{t,t'} = E h_t h'_t',   ntk_{t,t'} = E [w] D_w h_t D_w h'_t' + [u] <D_u h_t, D_u h'_t'>

        integrated numerically. There ``get=None`` gives a :class:`ntkrnn.SampledKernels` with a
        standard error of every entry, which "nngp_error" and "ntk_error" name, and the keywords are
        ``samples=2048, replicates=8, tolerance=None, seed=0, method=None, diagonal=False``:
        ``replicates`` independently scrambled Sobol sets (``method="qmc"``) of ``samples`` points
        each, doubled until no error exceeds ``tolerance`` times the largest entry, or for d <= 2 a
        trapezoidal rule of about as many nodes (``method="quadrature"``). Every entry is a
        deterministic function of its two sequences, d and ``seed``.

        :class:`ntkrnn.Leaky` has the recursion above, filtered over time. Cells with gates
        (:class:`ntkrnn.LSTM`, :class:`ntkrnn.GRU`, :class:`ntkrnn.MinimalGRU`) have no closed form:
        their kernels are products of features of random networks, to 2% of their norms unless
        another ``tolerance`` or a number of ``replicates`` is said; ``get=None`` gives a
        :class:`ntkrnn.SampledKernels` too, and the keywords are ``samples=1024, replicates=None,
        tolerance=None, key=0, tile=None, diagonal=False``; see ``ntkrnn.infinite.sampled_kernel_fn``,
        and ``ntkrnn.infinite.features`` for the features.

    Args:
        arch: an architecture such as :class:`ntkrnn.Elman` or :class:`ntkrnn.LSTM`.

    Returns:
        :class:`Network`.

    Raises:
        TypeError, ValueError: for inputs of the wrong rank, dtype or channels, for lengths out of
            range, for NaN or infinity in a valid step: naming the argument and the first offender; for
            results that memory does not hold, before any work; for kernels and outputs that leave the
            range of their floats, naming what drove them there.

    Cost: apply O(N T L m^2). Kernels: time O(N1 N2 L T) for "last", O(N1 N2 L T1 T2) for "mean" and
    "sequence", half of it for x2=None, and N in the place of N1 N2 for ``diagonal``; beside the result,
    memory for the sequences and one block of tiles, whatever N (times T for deep bidirectional
    networks). Programs are compiled for sizes in steps of a quarter octave in N and T (an octave for
    small ones), in about a second; the 128 that were used last are kept.

    A leaky network takes O(N1 N2 L T1 T2) for every readout. Cells of G gates: apply O(N T L G m^2);
    for sampled kernels see there. A diagonal network: apply O(N T m d), kernels as
    :func:`ntkrnn.empirical_ntk_fn` at width ``2 samples replicates``; the error falls about as
    1/samples for smooth functions of few channels.

    Source: TP2 (arXiv 2006.14548), RNTK (arXiv 2006.10246), CE24 (arXiv 2402.12241), in the scalings of
    ``docs/conventions.md``.

    Example:
        >>> import jax, ntkrnn
        >>> x = jax.random.normal(jax.random.key(0), (5, 7, 3))
        >>> init_fn, apply_fn, kernel_fn = ntkrnn.network(ntkrnn.Elman(width=64))
        >>> _, params = init_fn(jax.random.key(1), x.shape)
        >>> apply_fn(params, x).shape, kernel_fn(x).ntk.shape
        ((5, 1), (5, 5))
    """
    check_architecture(arch)

    def init_fn(key: Any, input_shape: Any) -> tuple[tuple[int, ...], Params]:
        n, t, channels = _checks.input_shape(input_shape)
        steps = (t,) if arch.readout == "sequence" else ()
        params = init_params(arch, _checks.random_key(key), channels)
        return (n, *steps, arch.out_dim), params

    def apply_fn(params: Params, x: Any, lengths: Any = None, *, rng: Any = None) -> Outputs:
        del rng  # part of neural-tangents' calling convention; these networks draw nothing
        params, channels = checked_params(arch, params)
        x, lengths = _checks.side("x", x, lengths)
        x = fitting_input(params, channels, "x", x)
        outputs = apply(arch, params, x, lengths)
        _checks.finite_outputs(outputs, x.shape[1])
        return outputs

    return Network(init_fn, apply_fn, kernel_fn_of(arch))
