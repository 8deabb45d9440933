"""The same kernels computed by neural-tangents, as an independent check of every figure.

At infinite width neural-tangents composes our recurrent layer with its own readout layers; at
finite width it differentiates our forward pass with its own Jacobian contraction.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import jax.numpy as jnp
import numpy as np

import ntkrnn
from ntkrnn import _compat, cells
from ntkrnn._types import Lengths, Params, Sequences
from ntkrnn.architectures import Architecture, Elman
from ntkrnn.readouts import NAMED
from ntkrnn.studies.engines import Engine, Pair, StudyError


def neural_tangents_engine() -> Engine:
    """The engine that computes every kernel with neural-tangents.

    Infinite width: ``nt.stax.serial(Recurrent(arch), readout, nt.stax.Dense(1))``. Two readouts
    have no layer in neural-tangents. The last valid step of sequences of unequal lengths is read
    from the layer's kernel ``[N, N, T, T]``; an untrained readout scales the kernels by
    ``v_std**2`` and adds no term of its own to the NTK. Finite width: ``nt.empirical_ntk_fn`` of
    the network as a function of its trainable parameters, and ``nt.empirical_nngp_fn`` of its
    features.

    Returns:
        An :class:`Engine`. Its ``infinite`` raises StudyError for a bidirectional network of
        depth 2 or more with readout "last" and unequal lengths, which neural-tangents cannot
        express, and either function for what is not an Elman network.

    Raises:
        ImportError: if neural-tangents is not installed or is of another version.

    Cost: ``[N, N, T, T]`` arrays at infinite width; the whole Jacobian, ``[N, m, m]``, at finite
    width.

    Example:
        >>> neural_tangents_engine().name
        'neural-tangents'
    """
    nt = _compat.neural_tangents()
    return Engine("neural-tangents", partial(_infinite, nt), partial(_finite, nt))


def _elman(arch: Architecture) -> Elman:
    if not isinstance(arch, Elman):
        raise StudyError(
            f"engine: got neural-tangents for a {arch.title}, expected an Elman network, whose layer "
            "neural-tangents can compose; use the engine ntkrnn."
        )
    if not isinstance(arch.readout, str):
        raise StudyError(
            f"engine: got neural-tangents for the readout {arch.readout!r}, expected one of "
            f"{', '.join(map(repr, NAMED))}, which neural-tangents has; use the engine ntkrnn."
        )
    return arch


def _infinite(nt: ModuleType, arch: Architecture, x: Sequences, lengths: Lengths | None) -> Pair:
    arch = _elman(arch)
    if arch.reading.final and (arch.bidirectional or lengths is not None):
        return _read_out(arch, *_last_states(nt, arch, x, lengths))
    layers = [ntkrnn.stax.Recurrent(arch), *_pooling(nt, arch)]
    trained = "v" in arch.trainable
    if trained:
        layers.append(nt.stax.Dense(1, W_std=arch.v_std, b_std=None))
    nngp, ntk = _kernels(nt, layers, x, lengths)
    return (nngp, ntk) if trained else _read_out(arch, nngp, ntk)


def _pooling(nt: ModuleType, arch: Elman) -> list[Any]:
    if arch.reading.uniform:
        return [nt.stax.GlobalAvgPool()]
    if arch.reading.final:
        return [nt.stax.Index(nt.stax.Slice[:, -1])]
    return []


def _kernels(nt: ModuleType, layers: list[Any], x: Sequences, lengths: Lengths | None) -> Pair:
    _, _, kernel_fn = nt.stax.serial(*layers)
    if lengths is None:
        kernels = kernel_fn(x, None, ("nngp", "ntk"))
    else:
        # neural-tangents knows padding by its value; NaN is a value that no valid step has.
        padding = np.arange(x.shape[1]) >= np.asarray(lengths)[:, None]
        marked = jnp.where(padding[:, :, None], jnp.nan, x)
        kernels = kernel_fn(marked, None, ("nngp", "ntk"), mask_constant=jnp.nan)
    return kernels.nngp, kernels.ntk


def _last_states(nt: ModuleType, arch: Elman, x: Sequences, lengths: Lengths | None) -> Pair:
    """Kernels of the features of readout "last" where it is not one layer of neural-tangents.

    The backward direction of the top layer ends at the first step and the forward direction at the
    last, so that each is a layer of its own, and the kernels of their concatenation are averages.
    """
    if not arch.bidirectional and lengths is not None:
        return _at_last(_kernels(nt, [ntkrnn.stax.Recurrent(arch)], x, lengths), lengths)
    stax = nt.stax
    top = ntkrnn.stax.Recurrent(dataclasses.replace(arch, depth=1, bidirectional=False))
    if lengths is None:
        below = dataclasses.replace(arch, depth=max(arch.depth - 1, 1))
        lower = [ntkrnn.stax.Recurrent(below)] if arch.depth > 1 else []
        ending = [top, stax.Index(stax.Slice[:, -1])]
        reverse = stax.Index(stax.Slice[:, ::-1])
        forward = _kernels(nt, [*lower, *ending], x, None)
        backward = _kernels(nt, [*lower, reverse, *ending], x, None)
    elif arch.depth == 1:
        forward = _at_last(_kernels(nt, [top], x, lengths), lengths)
        backward = _at_last(_kernels(nt, [top], _reversed(x, lengths), lengths), lengths)
    else:
        raise StudyError(
            "engine: neural-tangents cannot reverse sequences of unequal lengths between layers, "
            f"so it has no kernel for bidirectional=True, depth={arch.depth}, readout='last' on "
            "them; use --engine ntkrnn, readout 'mean', or sequences of one length."
        )
    return (forward[0] + backward[0]) / 2, (forward[1] + backward[1]) / 2


def _at_last(kernels: Pair, lengths: Lengths) -> Pair:
    """``[N, N]`` at the last valid steps, out of ``[N, N, T, T]``."""
    rows, last = np.arange(len(lengths)), np.asarray(lengths) - 1
    index = (rows[:, None], rows[None, :], last[:, None], last[None, :])
    return kernels[0][index], kernels[1][index]


def _reversed(x: Sequences, lengths: Lengths) -> Sequences:
    """Each sequence reversed within its valid steps, so that it is again followed by padding."""
    last, step = np.asarray(lengths)[:, None] - 1, np.arange(x.shape[1])
    return x[np.arange(len(x))[:, None], np.where(step <= last, last - step, step)]


def _read_out(arch: Elman, nngp: Any, ntk: Any) -> Pair:
    """Kernels of the outputs from kernels of the features, without neural-tangents' Dense."""
    total = ntk + nngp if "v" in arch.trainable else ntk
    return arch.v_std**2 * nngp, arch.v_std**2 * total


def _finite(
    nt: ModuleType, arch: Architecture, params: Params, x: Sequences, lengths: Lengths | None
) -> Pair:
    arch = _elman(arch)
    _, apply_fn, _ = ntkrnn.network(arch)
    trained, merge = _split(params, arch.trainable)

    def outputs(trained: Params, x: Sequences, **kwargs: Any) -> Any:
        return apply_fn(merge(trained), x, **kwargs)

    def features(params: Params, x: Sequences, **kwargs: Any) -> Any:
        return arch.v_std * cells.features(arch, params, x, kwargs.get("lengths"))

    kwargs = {} if lengths is None else {"lengths": lengths}
    # One Jacobian a sequence: without this, each output is differentiated through every row.
    axes = (0, 0, dict.fromkeys(kwargs, 0))
    ntk_fn = nt.empirical_ntk_fn(
        outputs,
        trace_axes=(-1,),
        vmap_axes=axes,
        implementation=nt.NtkImplementation.JACOBIAN_CONTRACTION,
    )
    nngp_fn = nt.empirical_nngp_fn(features, trace_axes=(-1,))
    return nngp_fn(x, None, params, **kwargs), ntk_fn(x, None, trained, **kwargs)


def _split(params: Params, trainable: tuple[str, ...]) -> tuple[Params, Callable[[Params], Params]]:
    """The trainable part of the parameters, and a function that puts the rest back."""
    trained: dict[str, Any] = {
        "cells": [
            {
                direction: {name: block[name] for name in block if name in trainable}
                for direction, block in layer.items()
            }
            for layer in params["cells"]
        ]
    }
    if "v" in trainable:
        trained["v"] = params["v"]

    def merge(trained: Params) -> Params:
        layers = zip(params["cells"], trained["cells"], strict=True)
        whole = [{name: {**layer[name], **part[name]} for name in layer} for layer, part in layers]
        return {**params, **trained, "cells": whole}

    return trained, merge
