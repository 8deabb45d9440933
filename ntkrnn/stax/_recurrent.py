"""A recurrent layer with the calling convention of ``neural_tangents.stax``."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn import _checks
from ntkrnn._compat import neural_tangents
from ntkrnn._types import Array
from ntkrnn.architectures import Elman, Scales, check_architecture
from ntkrnn.cells import checked_params, features, fitting_input, init_params
from ntkrnn.infinite import GramInputs, Track, sequence_kernels, squared_scales, track


def Recurrent(arch: Elman) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    r"""The recurrent part of an Elman network as a layer ``[N, T, d] -> [N, T, width]``.

    It takes :class:`ntkrnn.Elman` of any nonlinearity, depth and direction, and no other cell: kernels
    of cells with gates are no function of the kernels below them, and those of :class:`ntkrnn.Leaky`
    are computed from sequences alone.

    The layer hands on the top states ``s_t`` at every step, without a readout: ``readout``,
    ``out_dim``, ``v_std`` and the block "v" of the architecture are not used, and what follows in
    ``nt.stax.serial`` reads the states. Its weights are shared over time, so that its kernels hold
    every pair of steps, ``[N1, N2, T1, T2]``. The tangent kernel sums over the trainable blocks among
    "w", "u" and "b", plus what comes from below.

    Args:
        arch: the architecture; with ``bidirectional`` the layer has ``2 * width`` channels.

    Returns:
        ``(init_fn, apply_fn, kernel_fn)`` built with ``nt.stax.layer``, ``requires`` and
        ``supports_masking``. Sequences of unequal length are given as in neural-tangents, by a
        ``mask_constant`` that fills the padding behind each one; masks must leave a leading run of
        steps.

    Raises:
        TypeError: if ``arch`` is not an :class:`ntkrnn.Elman`.
        ImportError: if neural-tangents is missing, with the remedy.
        ValueError: for inputs of the wrong rank, or a mask with a gap inside a sequence.

    Cost: O(L N1 N2 T1 T2) time and memory for the kernels: neural-tangents keeps all pairs of steps.
    :func:`ntkrnn.network` computes the readouts "last" and "mean" in O(N1 N2) memory, and is more
    accurate for nearly equal sequences, because it sees the sequences and not only their products.

    Source: the same recursion as :func:`ntkrnn.network`.

    Example:
        >>> import jax, ntkrnn
        >>> nt = ntkrnn.stax.neural_tangents()
        >>> layer = ntkrnn.stax.Recurrent(ntkrnn.Elman(width=64, nonlinearity="relu"))
        >>> init_fn, apply_fn, kernel_fn = nt.stax.serial(
        ...     layer, nt.stax.GlobalAvgPool(), nt.stax.Dense(1)
        ... )
        >>> kernel_fn(jax.random.normal(jax.random.key(0), (3, 5, 2)), None, "ntk").shape
        (3, 3)
    """
    check_architecture(arch)
    if not isinstance(arch, Elman):
        raise TypeError(
            f"arch: got {arch}, expected an ntkrnn.Elman, the one cell that is a layer of "
            "neural-tangents here: such a layer has to make kernels of the kernels below it. For all "
            "others use ntkrnn.network(arch).kernel_fn."
        )
    return _layer()(arch)


def _valid_steps(mask: Array | None, n: int, steps: int) -> Array:
    """Lengths ``[N]`` from a neural-tangents mask ``[N, T, d or 1]``, True where masked."""
    if mask is None:
        return jnp.full(n, steps, jnp.int32)
    inside = ~jnp.all(mask, axis=-1)
    known = _checks.concrete_values(inside)
    if known is not None and not (known[:, 0].all() and (np.diff(known.astype(int)) <= 0).all()):
        row = int(np.argmax(~known[:, 0] | (np.diff(known.astype(int)) > 0).any(1)))
        raise ValueError(
            f"mask: row {row} has valid steps {np.flatnonzero(known[row]).tolist()}, expected a "
            "leading run 0, 1, ..., with all padding behind it. Move the sequence to the front."
        )
    return jnp.sum(inside, axis=1)


@functools.cache
def _layer() -> Callable[[Elman], tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]]:
    """The layer constructor, decorated once neural-tangents is loaded."""
    stax = neural_tangents().stax

    @stax.layer
    @stax.supports_masking(remask_kernel=True)
    def recurrent(arch: Elman):
        states = dataclasses.replace(arch, readout="sequence", out_dim=1)
        form = dataclasses.replace(states.form, width=1)
        scale = squared_scales(arch)

        def init_fn(key: Any, input_shape: tuple[int, ...]) -> tuple[tuple[int, ...], Any]:
            n, t, channels = _checks.input_shape(input_shape)
            params = init_params(states, _checks.random_key(key), channels)
            return (n, t, arch.state_size), {"cells": params["cells"]}

        def apply_fn(params: Any, x: Any, *, mask: Array | None = None, **kwargs: Any) -> Array:
            del kwargs
            x = _checks.sequences("inputs", x)
            lengths = _valid_steps(mask, *x.shape[:2])
            cells = params.get("cells") if isinstance(params, dict) else params
            whole = {"cells": cells, "v": jnp.zeros((1, arch.state_size), x.dtype)}
            whole, channels = checked_params(states, whole)
            x = fitting_input(states, whole, channels, "inputs", x)
            return features(states, whole, x, lengths)

        @stax.requires(
            batch_axis=0,
            channel_axis=2,
            diagonal_spatial=stax.Diagonal(input=stax.Bool.NO, output=stax.Bool.NO),
        )
        def kernel_fn(k: Any, **kwargs: Any) -> Any:
            del kwargs
            return _propagate(form, scale, k)

        def mask_fn(mask: Array, input_shape: tuple[int, ...]) -> Array:
            del input_shape
            return jnp.all(mask, axis=-1, keepdims=True)

        return init_fn, apply_fn, kernel_fn, mask_fn

    return recurrent


def _track(form: Elman, scale: Scales, cov: Array, mask: Array | None) -> Track:
    """Variances along every sequence, from its covariances ``[N, T, T]`` over time."""
    n, steps = cov.shape[:2]
    valid = jnp.arange(steps)[:, None] < _valid_steps(mask, n, steps)[None, :]
    return track(form, scale, jnp.diagonal(cov, axis1=1, axis2=2).T, valid)


def _inputs(nngp: Array, ntk: Array, variance1: Array, variance2: Array) -> GramInputs:
    """Time-major inputs of the recursion from kernels ``[N1, N2, T1, T2]``."""
    distance = 0.5 * (variance1[:, None, :, None] + variance2[None, :, None, :]) - nngp
    return GramInputs(*(jnp.transpose(a, (2, 3, 0, 1)) for a in (distance, ntk)))


@functools.partial(jax.jit, static_argnames="form")
def _cross(
    form: Elman,
    scale: Scales,
    nngp: Array,
    ntk: Array,
    cov1: Array,
    cov2: Array,
    track1: Track,
    track2: Track,
) -> tuple[Array, Array]:
    """Kernels of the states between both sides, ``[N1, N2, T1, T2]``."""
    variances = [jnp.diagonal(c, axis1=1, axis2=2) for c in (cov1, cov2)]
    state = sequence_kernels(form, scale, _inputs(nngp, ntk, *variances), track1, track2)
    return jnp.transpose(state.cov, (2, 3, 0, 1)), jnp.transpose(state.ntk, (2, 3, 0, 1))


@functools.partial(jax.jit, static_argnames="form")
def _own(form: Elman, scale: Scales, cov: Array, tracks: Track) -> Array:
    """Covariances of the states of each sequence with itself, ``[N, T, T]``."""

    def one(c: Array, t: Track) -> Array:
        t = jax.tree.map(lambda a: a[:, None], t)
        own = jnp.diagonal(c)[None]
        inputs = _inputs(c[None, None], jnp.zeros_like(c)[None, None], own, own)
        return sequence_kernels(form, scale, inputs, t, t).cov[:, :, 0, 0]

    return jax.vmap(one, in_axes=(0, 1))(cov, tracks)


def _propagate(form: Elman, scale: Scales, k: Any) -> Any:
    """From the kernels of the layer's inputs to those of its states."""
    cov2 = k.cov1 if k.cov2 is None else k.cov2
    mask2 = k.mask1 if k.cov2 is None else k.mask2
    track1, track2 = _track(form, scale, k.cov1, k.mask1), _track(form, scale, cov2, mask2)
    below = jnp.zeros_like(k.nngp) if k.ntk is None else jnp.broadcast_to(k.ntk, k.nngp.shape)
    nngp, ntk = _cross(form, scale, k.nngp, below, k.cov1, cov2, track1, track2)
    return k.replace(
        nngp=nngp,
        ntk=None if k.ntk is None else ntk,
        cov1=_own(form, scale, k.cov1, track1),
        cov2=None if k.cov2 is None else _own(form, scale, cov2, track2),
        is_gaussian=False,
        is_input=False,
    )
