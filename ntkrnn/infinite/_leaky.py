"""The ``kernel_fn`` of leaky networks, exact by a double filter over the time-time plane."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ntkrnn.architectures import Leaky, LeakyScales
from ntkrnn.infinite._kernel_fn import exact_kernel_fn


def leaky_kernel_fn(arch: Leaky) -> Callable[..., Any]:
    r"""Build ``kernel_fn(x1, x2=None, get=None, lengths1=None, lengths2=None, *, tile, devices)``.

    The states ``s_t = (1 - a) s_{t-1} + a phi(h_t)``, a the rate, are a filter of what the nonlinearity
    makes of their pre-activations, and so are their kernels, along both times. With
    ``F_{t,k} = a (1 - a)^{t-k}`` for ``k <= t``, at the steps t and s of two sequences::

        H_{t,s}     = w_std^2 K_{t-1,s-1} + u_std^2 <x_t, x'_s>/d + b_std^2
        P, P'       = E phi(a) phi(b), E phi'(a) phi'(b),   (a, b) Gaussian with covariance H
        Psi_{t,s}   = [w] w_std^2 K_{t-1,s-1} + [u] u_std^2 <x_t, x'_s>/d + [b] b_std^2
                      + w_std^2 Theta_{t-1,s-1}
        K_{t,s}     = sum_{k,l} F_{t,k} F_{s,l} P_{k,l}
        Theta_{t,s} = sum_{k,l} F_{t,k} F_{s,l} P'_{k,l} Psi_{k,l}
        nngp = v_std^2 K,   ntk = v_std^2 (Theta + [v] K)

    [.] is 1 for a trainable block. A layer above reads K of the layer below in place of the product of
    the inputs, and adds ``u_std^2 Theta`` of it to Psi; two directions are averaged. Read at the last
    steps, averaged over all pairs of steps, or kept whole. At rate 1 the kernels are those of
    :class:`ntkrnn.Elman`, at rate 0 they are 0.

    Args:
        arch: the architecture; its scales and its rate may be traced.

    Returns:
        ``kernel_fn``, whose arguments are documented at :func:`ntkrnn.network`.

    Raises:
        TypeError, ValueError: the returned function, as :func:`ntkrnn.network` says.

    Cost: O(N1 N2 L T1 T2) time for every readout, since a state depends on all pairs of steps before
    it, half of it for x2=None, after O((N1 T1^2 + N2 T2^2) L) for each sequence with itself; beside
    the result, memory for a few rows ``[T2, tile, tile]``, and for deep networks of two directions and
    the readout "sequence" planes ``[T1, T2, tile, tile]``.

    Accuracy: half the squared distance of two states is a difference of numbers of the size of the
    mean squared change of ``phi(h)`` over the reach of the filter. Nearly equal sequences therefore
    keep their distance to some roundings of that number, and not to full relative accuracy as at rate
    1; equal ones stay equal. In float32, for relu with ``w_std = sqrt 2`` over 100 steps, that costs up
    to 1e-4 of the NTK of sequences 1e-2 to 1e-6 apart; smooth nonlinearities are hardly affected.

    Source: theory; the recursion of TP2 (arXiv 2006.14548) with a linear filter after the nonlinearity.

    Example:
        >>> import jax, ntkrnn
        >>> x = jax.random.normal(jax.random.key(0), (5, 7, 3))
        >>> leaky_kernel_fn(ntkrnn.Leaky(rate=0.3))(x).ntk.shape
        (5, 5)
    """
    w, u, b, v, rate = arch.scales
    return exact_kernel_fn(arch, LeakyScales(w**2, u**2, b**2, v**2, rate))
