r"""The recursion along one diagonal of the time-time plane.

The state at (t, t') depends on the state at (t-1, t'-1), so that every diagonal is a scan of its own::

    H     = w_std^2 K_{t-1,t'-1} + u_std^2 <input> + b_std^2
    K     = E phi phi,   Theta = kdot * Psi
    Psi   = [w] w_std^2 K_{t-1,t'-1} + [u] u_std^2 <input> + [b] b_std^2
            + w_std^2 Theta_{t-1,t'-1} + u_std^2 Theta_below

With several layers in one direction all of them advance together and nothing is stored. With two
directions a layer must be known along the whole diagonal before the next can start, so that the
layers below the last are stored for one diagonal at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ntkrnn._types import Array
from ntkrnn.architectures import Elman, Scales
from ntkrnn.dual import PairFunction, pair_function
from ntkrnn.infinite._inputs import GramInputs, Pair, PairInputs
from ntkrnn.infinite._variances import LayerTrack, Track


class Steps(NamedTuple):
    """The pairs of time steps on a diagonal, in order; each ``[S]``."""

    t1: Array
    t2: Array


Fold = Callable[[Any, Pair, Array], Any]
"""``(accumulator, top state, pair valid) -> accumulator``, applied at every pair of steps."""

Below = Callable[[Any], Pair]
"""``(t1, t2, position on the diagonal) -> what feeds a layer there``."""


def _advance(
    arch: Elman,
    scale: Scales,
    pair: PairFunction,
    before: Pair,
    below: Pair,
    one: LayerTrack,
    two: LayerTrack,
) -> Pair:
    """One step of one layer: ``one`` and ``two`` are the tracks of both sides at these steps."""
    w, u, b, _ = scale
    # A state before the start of either sequence is 0: covariance 0, distance half the other's
    # variance. The tracks say where; this also restarts the scan where a cyclic diagonal wraps.
    alive = one.alive[:, None] & two.alive[None, :]
    apart = 0.5 * (one.previous[:, None] + two.previous[None, :])
    cov = jnp.where(alive, before.cov, 0)
    distance = jnp.where(alive, before.distance, apart)
    ntk = jnp.where(alive, before.ntk, 0)

    state = pair(
        w * cov + u * below.cov + b,
        w * distance + u * below.distance,  # the bias cancels
        one.variance[:, None],
        two.variance[None, :],
    )
    psi = w * ntk + u * below.ntk
    if "w" in arch.trainable:
        psi = psi + w * cov
    if "u" in arch.trainable:
        psi = psi + u * below.cov
    if "b" in arch.trainable:
        psi = psi + b
    return Pair(state.k, state.distance, state.kdot * psi)


def _at(track: LayerTrack, t: Array) -> LayerTrack:
    return LayerTrack(*(entry[t] for entry in track))


def fold_diagonal(
    arch: Elman,
    scale: Scales,
    inputs: PairInputs | GramInputs,
    track1: Track,
    track2: Track,
    steps: Steps,
    fold: Fold,
    initial: Any,
) -> dict[str, tuple[Pair, Any]]:
    """Run all layers along one diagonal and fold the top layer's states.

    Args:
        arch: the architecture, of which the scales are not looked at.
        scale: the squares of the scales.
        inputs: what feeds the first layer.
        track1: variances along the sequences of the first side.
        track2: those of the second side.
        steps: the pairs of time steps; consecutive ones differ by (1, 1), or wrap to the start of
            a sequence.
        fold: applied to the top state at every pair of steps.
        initial: its initial value.

    Returns:
        For each direction, the final state of the top layer and the folded value.

    Cost: O(S L N1 N2) time; memory O(N1 N2), or O(S N1 N2) for depth above 1 with two directions.
    """
    pair = pair_function(arch.nonlinearity)
    shape = (track1.valid.shape[1], track2.valid.shape[1])
    dtype = track1.layers[0]["forward"].variance.dtype
    zero = Pair(*(jnp.zeros(shape, dtype),) * 3)

    def sweep(layers: range, direction: str, below: Below, store: bool = False) -> Any:
        """One direction of some layers; also every top state ``[S, N1, N2]`` if they are stored."""

        def step(carry: Any, index: Any) -> tuple[Any, Pair | None]:
            states, value = carry
            t1, t2, _ = index
            state, new = below(index), []
            for layer, before in zip(layers, states, strict=True):
                one = _at(track1.layers[layer][direction], t1)
                two = _at(track2.layers[layer][direction], t2)
                state = _advance(arch, scale, pair, before, state, one, two)
                new.append(state)
            if not store:
                inside = track1.valid[t1][:, None] & track2.valid[t2][None, :]
                value = fold(value, state, inside)
            return (tuple(new), value), state if store else None

        index = (steps.t1, steps.t2, jnp.arange(steps.t1.shape[0]))
        start = ((zero,) * len(layers), initial)
        (states, value), stored = jax.lax.scan(step, start, index, reverse=direction == "backward")
        return stored if store else (states[-1], value)

    below: Below = lambda index: inputs.at(index[0], index[1])  # noqa: E731
    if not arch.bidirectional:
        return {"forward": sweep(range(arch.depth), "forward", below)}

    for layer in range(arch.depth - 1):
        both = [sweep(range(layer, layer + 1), d, below, store=True) for d in arch.directions]
        states = jax.tree.map(lambda forward, backward: 0.5 * (forward + backward), *both)
        below = _look_up(states)
    top = range(arch.depth - 1, arch.depth)
    return {direction: sweep(top, direction, below) for direction in arch.directions}


def _look_up(states: Pair) -> Below:
    """Read a stored diagonal at the current position."""
    return lambda index: jax.tree.map(lambda a: a[index[2]], states)
