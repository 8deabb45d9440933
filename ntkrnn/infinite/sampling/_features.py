"""Features in the open: arrays whose products are the kernels of infinite width."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn import _checks
from ntkrnn._memory import require
from ntkrnn._random import key_words
from ntkrnn._types import Array
from ntkrnn.architectures import Dense
from ntkrnn.infinite._overflow import check_scales
from ntkrnn.infinite._request import canonical_get
from ntkrnn.infinite.sampling._network import outputs_of
from ntkrnn.infinite.sampling._sides import (
    FEWEST_REPLICATES,
    SAMPLES,
    Networks,
    Side,
    features_of,
    networks_of,
    side_of_traced,
    side_of_values,
    together_of,
    traced_features,
)


class Features(NamedTuple):
    """What :func:`features` returns when asked for both."""

    nngp: Array
    """``[N, D]``, or ``[N, T, D]`` for readout "sequence"."""
    ntk: Array
    """The same with a D of its own."""


def features(
    arch: Dense,
    x: Any,
    get: Any = None,
    lengths: Any = None,
    *,
    samples: int = SAMPLES,
    replicates: int = FEWEST_REPLICATES,
    key: Any = 0,
    tile: int | None = None,
) -> Any:
    r"""Features of sequences, whose products are sampled kernels of infinite width.

    ``nngp @ nngp.T`` and ``ntk @ ntk.T`` are, up to rounding, the kernels that
    a limit :class:`ntkrnn.Sampling` gives for the same ``samples``, ``replicates`` and
    ``key``. They belong to every sequence by itself: features of sequences that come later go with
    those that were kept, and linear methods on them take no matrix of N times N. For one network, M
    neurons, states h, derivatives delta of the output by pre-activations, and what their parameters
    multiply, z::

        nngp:  v_std r / sqrt M
        ntk:   [v] (nngp), and for every gate and z   std sum_t delta_t * z_t / sqrt M

    Args:
        arch: :class:`ntkrnn.LSTM`, :class:`ntkrnn.GRU`, or another one with matrices between neurons.
        x: ``[N, T, d]``.
        get: "nngp", "ntk", or None for a :class:`Features` of both.
        lengths: ``[N]`` valid leading steps.
        samples: neurons of a network, rounded up to the square of a multiple of 8.
        replicates: networks, whose features stand side by side.
        key: a JAX random key or a whole number.
        tile: sequences that pass a network at a time; chosen from their length by default.

    Returns:
        Arrays ``[N, D]``, or ``[N, T, D]`` for readout "sequence", 0 at padded steps. D is
        ``samples * replicates`` for the NNGP kernel, twice as much for two directions; for the tangent
        kernel as many times that as gates read vectors that matter: for an LSTM of d = 2 channels 13
        times, of 4 and more 21 times. ``jax.jit`` and ``jax.grad`` take it, by ``x`` and the scales.

    Raises:
        TypeError, ValueError: for arguments that do not fit, naming them, and for what memory does not
            hold.

    Cost: that of the networks in :class:`ntkrnn.Sampling`; memory for the result.

    Source: random features (Rahimi & Recht 2007) of the limit of TP1 (arXiv 1910.12478) and TP2
    (arXiv 2006.14548); ``docs/gated-kernels.md``.

    Example:
        >>> import jax, ntkrnn
        >>> x = jax.random.normal(jax.random.key(0), (5, 4, 2))
        >>> kept = features(ntkrnn.GRU(), x[:3], "ntk", samples=64)
        >>> later = features(ntkrnn.GRU(), x[3:], "ntk", samples=64)
        >>> (later @ kept.T).shape
        (2, 3)
    """
    if not isinstance(arch, Dense):
        raise TypeError(
            f"arch: got {arch!r}, expected an architecture with matrices between its neurons, such as "
            "ntkrnn.LSTM()."
        )
    names = Features._fields if get is None else canonical_get(get, Features._fields)
    x, lengths = _checks.side("x", x, lengths)
    check_scales(arch, x.dtype)
    samples = _checks.positive_integer("samples", samples)
    replicates = _checks.positive_integer("replicates", replicates)
    tile = None if tile is None else _checks.positive_integer("tile", tile)
    networks = networks_of(arch, samples, key_words(key), x.shape[2], x.dtype)
    given = [a for a in (x, lengths, *jax.tree.leaves(arch.scales)) if a is not None]
    tracing = _checks.inside_a_trace() or any(_checks.concrete_values(a) is None for a in given)
    tangent = "ntk" in names and networks.counts()[1] > 0
    together = together_of(networks, x.shape[1], tile, tangent)
    side = (side_of_traced if tracing else side_of_values)(x, lengths, together)
    _check_memory(networks, side, replicates, tangent)
    make = _traced if tracing else _computed
    nngp, *layers = (a * replicates**-0.5 for a in make(networks, side, replicates, tangent))
    value = nngp if "v" in arch.trainable else nngp[:, :, :0]
    found: dict[str, Any] = {"nngp": nngp, "ntk": jnp.concatenate([value, *layers], axis=2)}
    if arch.reading.stepwise:
        more = x.shape[1] - side.steps
        found = {k: jnp.pad(a[:, : side.steps], ((0, 0), (0, more), (0, 0))) for k, a in found.items()}
    else:
        found = {kind: a[:, 0] for kind, a in found.items()}
    if isinstance(get, str):
        return found[get]
    return Features(found["nngp"], found["ntk"])


def _computed(networks: Networks, side: Side, replicates: int, tangent: bool) -> list[Array]:
    """``[N, R, K F]`` of K networks."""
    found = []
    for k in range(replicates):
        weights = jax.tree.map(jnp.asarray, networks.weights(k, tangent))
        every = features_of(networks, weights, side, tangent)
        found.append([np.asarray(a)[: side.count] for a in every])
    return [jnp.asarray(np.concatenate(kind, axis=2)) for kind in zip(*found, strict=True)]


def _traced(networks: Networks, side: Side, replicates: int, tangent: bool) -> list[Array]:
    drawn = [networks.weights(k, tangent) for k in range(replicates)]
    stacked = jax.tree.map(lambda *arrays: np.stack(arrays), *drawn)
    found = jax.lax.map(lambda w: traced_features(networks, w, side, tangent), stacked)
    return [jnp.moveaxis(a, 0, 2).reshape(*a.shape[1:3], -1) for a in found]


def _check_memory(networks: Networks, side: Side, replicates: int, tangent: bool) -> None:
    rows = side.count * outputs_of(networks.form, side.steps)
    counts = networks.counts()
    entries = rows * replicates * (counts[0] + tangent * sum(counts))
    require(
        "samples",
        2 * (networks.dtype.itemsize * entries + networks.weight_bytes())
        + side.x.shape[1] * networks.kept(side.steps, tangent),
        f"features of N={side.count}, T={side.steps} in {networks.dtype}, readout "
        f"{networks.form.readout!r},",
        "pass fewer samples or replicates, or some sequences at a time.",
    )
