"""The triple (init_fn, apply_fn, kernel_fn) of an architecture."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

from ntkrnn import _checks
from ntkrnn._types import Outputs, Params
from ntkrnn.architectures import Architecture, check_architecture
from ntkrnn.cells import apply, checked_params, fitting_input, init_params
from ntkrnn.infinite import KernelFn, Limit


@dataclasses.dataclass(frozen=True, eq=False)
class InitFn:
    """Draws parameters: ``init_fn(key, input_shape) -> (output_shape, params)``.

    Attributes:
        arch: the architecture.
    """

    arch: Architecture

    def __call__(self, key: Any, input_shape: Any) -> tuple[tuple[int, ...], Params]:
        """Parameters as they are at the start, i.i.d. N(0, 1) (see :func:`network` for the pytree).

        Args:
            key: a JAX random key.
            input_shape: ``(N, T, d)``, of which N and T may be -1.

        Returns:
            The shape of the outputs, and the parameters.
        """
        n, t, channels = _checks.input_shape(input_shape)
        steps = (t,) if self.arch.reading.stepwise else ()
        params = init_params(self.arch, _checks.random_key(key), channels)
        return (n, *steps, self.arch.out_dim), params


@dataclasses.dataclass(frozen=True, eq=False)
class ApplyFn:
    """Outputs of the finite network: ``apply_fn(params, x, lengths=None) -> y``.

    Attributes:
        arch: the architecture.
    """

    arch: Architecture

    def __call__(self, params: Params, x: Any, lengths: Any = None, *, rng: Any = None) -> Outputs:
        """Outputs ``[N, O]``, or ``[N, T, O]`` for the readout "sequence", 0 at padded steps.

        Args:
            params: what ``init_fn`` returned, or the same after training.
            x: ``[N, T, d]``.
            lengths: ``[N]`` valid leading steps; what stands behind them never matters, NaN included.
            rng: not used; part of the calling convention of neural-tangents.
        """
        del rng  # these networks draw nothing
        params, channels = checked_params(self.arch, params)
        x, lengths = _checks.side("x", x, lengths)
        x = fitting_input(self.arch, params, channels, "x", x)
        outputs = apply(self.arch, params, x, lengths)
        _checks.finite_outputs(outputs, x.shape[1])
        return outputs


class Network(NamedTuple):
    """What :func:`network` returns; unpacks as ``init_fn, apply_fn, kernel_fn``. It pickles."""

    init_fn: InitFn
    apply_fn: ApplyFn
    kernel_fn: KernelFn

    def __repr__(self) -> str:
        """The call that makes it."""
        return f"network({self.kernel_fn.arch!r}, limit={self.kernel_fn.limit!r})"


def network(arch: Architecture, limit: Limit | None = None) -> Network:
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

    ``kernel_fn(x1, x2=None, get=None, lengths1=None, lengths2=None, *, lengths=None, diagonal=False,
    **settings)``
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

        integrated numerically: see :class:`ntkrnn.Quadrature`. :class:`ntkrnn.Leaky` has the recursion
        above, filtered over time: see :class:`ntkrnn.Recursion`. Cells with gates
        (:class:`ntkrnn.LSTM`, :class:`ntkrnn.GRU`, :class:`ntkrnn.MinimalGRU`, your own) have no closed
        form: their kernels are products of features of random networks, to 2% of their norms unless
        another accuracy is said: see :class:`ntkrnn.Sampling`, and ``ntkrnn.infinite.features`` for
        the features. Where kernels are estimated, ``get=None`` gives a :class:`ntkrnn.SampledKernels`
        with a standard error of every entry, which "nngp_error" and "ntk_error" name.

        The fields of the limit are keywords too, for one call: ``kernel_fn(x, tile=64)``,
        ``kernel_fn(x, tolerance=1e-3, key=1)``.

    Args:
        arch: an architecture such as :class:`ntkrnn.Elman` or :class:`ntkrnn.LSTM`.
        limit: how kernels of infinite width are computed: :class:`ntkrnn.Recursion`,
            :class:`ntkrnn.Sampling` or :class:`ntkrnn.Quadrature`, and None for what the architecture
            has of these, an exact one where there is one. ``Sampling()`` for an Elman or a leaky
            network is a second, independent route to its kernels.

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

    Cells of G gates: apply O(N T L G m^2); a diagonal network: apply O(N T m d). What their kernels and
    those of leaky networks take is told by :class:`ntkrnn.Sampling`, :class:`ntkrnn.Quadrature` and
    :class:`ntkrnn.Recursion`.

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
    return Network(InitFn(arch), ApplyFn(arch), KernelFn(arch, limit))
