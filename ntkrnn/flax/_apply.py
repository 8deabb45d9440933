"""One entrance for both kinds of modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
from flax import nnx

from ntkrnn import _checks
from ntkrnn._types import Outputs
from ntkrnn.flax._linen import LinenApply
from ntkrnn.flax._nnx import NnxApply
from ntkrnn.readouts import Readout, normalised_readout


def apply_fn_from_module(
    module: Any, readout: str | Readout | None = None, *, tokens: bool = False
) -> Callable[..., Outputs]:
    r"""Make ``apply_fn(params, x, lengths=None)`` of a flax module that maps sequences.

    The function is pure, composes with jit, grad and vmap, and is what
    :func:`ntkrnn.empirical_ntk_fn` takes in the place of an architecture. Its tangent kernel is that
    in the module's own parameters: flax keeps weights with their scales folded in, so that a kernel
    grows with the width unless the module divides by its root.

    Args:
        module: a ``flax.linen.Module`` or a ``flax.nnx.Module`` that maps [N, T, d] to [N, T, O] or
            [N, O], such as ``nn.RNN(nn.GRUCell(64))`` or a module of yours with an ``nn.RNN`` in it;
            deterministic, with parameters as its only variables, and with the sequences on the first
            axis all through.
        readout: "last" takes the output at the last valid step, "mean" averages over the valid
            steps, "sequence" takes every step, with 0 at padded ones, a value of ntkrnn.readouts a
            weighted sum (step t in the order of time); all of a module with outputs [N, T, O]. None
            leaves the outputs as they are.
        tokens: whether the module maps whole numbers [N, T], as one with an ``Embed`` in front does.
            ``x`` then is [N, T, 1], as everywhere else, and the module gets it as int32 [N, T].

    Returns:
        ``apply_fn(params, x, lengths=None)`` with ``x`` [N, T, d], ``lengths`` [N] (the valid leading
        steps, handed to the module as ``lengths`` or ``seq_lengths``, whichever it takes) and
        ``params`` ``module.init(key, x)["params"]`` of a linen module, or
        ``nnx.state(module, nnx.Param)`` of an nnx module. The outputs are [N, O] or [N, T, O]. What
        stands in the padding never matters, NaN included. Functions made of equal modules are equal,
        so that programs compiled for one serve the other.

    Raises:
        TypeError: if ``module`` is not a module.
        ValueError: for an unknown readout, a module that draws random numbers, for the initial state of
            its cells too, has other variables or takes the time first (``time_major``), parameters that
            do not fit, lengths that the module cannot take, tokens that are none, and outputs of
            another rank.

    Cost: that of the module.

    Source: flax.linen and flax.nnx; ``flax.linen.RNN`` for ``seq_lengths``.

    Example:
        >>> import flax.linen as nn, jax, ntkrnn
        >>> module = nn.RNN(nn.GRUCell(16))
        >>> x = jax.random.normal(jax.random.key(0), (4, 6, 3))
        >>> params = module.init(jax.random.key(1), x)["params"]
        >>> apply_fn = ntkrnn.flax.apply_fn_from_module(module, readout="last")
        >>> ntkrnn.empirical_ntk_fn(apply_fn)(x, None, params, jax.numpy.array([6, 2, 5, 1])).shape
        (4, 4)
    """
    if readout is not None:
        readout = normalised_readout(readout)
    tokens = _checks.boolean("tokens", tokens)
    if isinstance(module, nn.Module):
        return LinenApply(module, readout, tokens)
    if isinstance(module, nnx.Module):
        return NnxApply(module, readout, tokens)
    raise TypeError(
        f"module: got {module!r} of type {type(module).__name__}, expected a flax.linen.Module or a "
        "flax.nnx.Module, built and not only its class, such as nn.RNN(nn.GRUCell(64))."
    )
