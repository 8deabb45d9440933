r"""What the recursion of leaky states needs to know of each sequence alone.

A state is a filter of what the nonlinearity makes of its pre-activations,
``s_t = (1 - g_t) s_{t-1} + g_t phi_t`` with the *gain* ``g_t = rate`` at valid steps and 0 elsewhere,
so that a state is held where there is no step. With ``F_{t,k}`` the weight of ``phi_k`` in ``s_t``, the
covariance of two states follows from the half squared distances ``D_{k,l}`` of what is filtered::

    weight_t = sum_k F_{t,k},   drive_t = sum_k F_{t,k} E phi_k^2/2
    G_{t,s}  = sum_{k,l} F_{t,k} F'_{s,l} D_{k,l}
    K_{t,s}  = weight'_s drive_t + weight_t drive'_s - G_{t,s}
    E (s_t - s'_s)^2/2 = G_{t,s} - spread_t - spread'_s + (weight_t - weight'_s)(drive_t - drive'_s)

where ``spread_t`` is ``G_{t,t}/2`` of a sequence with itself. At rate 1 the spread is 0 and the
distance of the states is that of ``phi``; below it, it is a difference of numbers of the size of the
spread.

All arrays are time-major, ``[T, N]``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ntkrnn._types import Array, add_up
from ntkrnn.architectures import Leaky, LeakyScales
from ntkrnn.dual import Features, Stepper

NOISE = 8
"""Distances of states below so many roundings of their spreads are taken as 0, see :func:`distance`."""


class Moments(NamedTuple):
    """What a state has from its own sequence."""

    weight: Array
    """Sum of the weights of the filter; 1 minus the weight of the state before the start."""
    drive: Array
    """Half the filtered second moment of ``phi``."""
    spread: Array
    """Half the filtered half squared distance between what is filtered, ``G_{t,t}/2``."""


def half_variance(own: Moments) -> Array:
    """``E s_t^2/2``."""
    half = own.weight * own.drive - own.spread
    return jnp.where(half < 0, 0, half)  # by rounding


def covariance(run: Array, one: Moments, two: Moments) -> Array:
    """``K`` of two states from the filtered distances ``G``."""
    return two.weight * one.drive + one.weight * two.drive - run


def distance(run: Array, one: Moments, two: Moments) -> Array:
    """``E (s - s')^2/2`` of two states from the filtered distances ``G``.

    The rounding of the spreads is all that is left of it for two equal states. It must not drive equal
    sequences apart (a kinked nonlinearity would turn it into its square root), so that what is within
    :data:`NOISE` roundings is 0.
    """
    spread = one.spread + two.spread
    apart = run - spread + (one.weight - two.weight) * (one.drive - two.drive)
    return jnp.where(apart < NOISE * float(jnp.finfo(run.dtype).eps) * spread, 0, apart)


def turned(a: Array, steps: Any, axis: int = 0) -> Array:
    """Its first ``steps`` steps in reverse order; the rest is padding before and after."""
    capacity = a.shape[axis]
    return jnp.take(a, (steps - 1 - jnp.arange(capacity)) % capacity, axis=axis)


class LayerTrack(NamedTuple):
    """One layer in one direction along a set of sequences, in the order of that direction."""

    features: Features
    """What the nonlinearity needs of the pre-activation variance q, the first; ``[T, N]`` each."""
    trained: Array
    """The part of q that comes through trainable blocks."""
    gain: Array
    """``[T, N]``"""
    moments: Moments
    """``[T + 1, N]`` each: after 0, 1, ..., T steps."""

    @property
    def half_variances(self) -> Array:
        """``E s_t^2/2`` after every step, ``[T, N]``."""
        return half_variance(Moments(*(a[1:] for a in self.moments)))


def filtered(gain: Array, values: Array) -> Array:
    """``y_t = (1 - gain_t) y_{t-1} + gain_t values_t`` along the first axis, from 0."""

    def step(state: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        state = (1 - now[0]) * state + now[0] * now[1]
        return state, state

    return jax.lax.scan(step, jnp.zeros_like(values[0]), (gain, values))[1]


class Fed(NamedTuple):
    """What feeds a layer, along each sequence."""

    variance: Array
    """``[T, N]``"""
    distance: Callable[[Array], Array]
    """``t -> [T, N]``: half squared distances of step t from every earlier step."""


def own_plane(
    form: Leaky, scale: LeakyScales, phi: Stepper, fed: Fed, gain: Array, keep: bool
) -> tuple[LayerTrack, Array | None]:
    """One layer and direction of the kernel of each sequence with itself, step by step.

    Args:
        form: the architecture, of which the scales are not looked at.
        scale: squares of the scales, and the rate.
        phi: the nonlinearity.
        fed: what feeds the layer, in the order of the direction.
        gain: ``[T, N]``.
        keep: whether the next layer wants the distances of the states.

    Returns:
        The track, and ``[T, T, N]`` distances between all pairs of states of a sequence, or None.

    Cost: O(N T^2) evaluations of the nonlinearity.
    """
    steps, n = gain.shape
    zeros = jnp.zeros((steps, n), gain.dtype)
    columns = jnp.arange(steps)[:, None]
    count = len(jax.eval_shape(phi.features, zeros[0]))
    longer = jnp.zeros((steps + 1, n), gain.dtype)

    def body(carry: Any, t: Array) -> tuple[Any, Any]:
        known, mixed, run, moments = carry
        own = Moments(*(a[t] for a in moments))
        recurrent = 2 * half_variance(own)
        q = scale.w * recurrent + scale.u * fed.variance[t] + scale.b
        features = phi.features(q)
        # Columns that are not known yet are computed as duplicates, which every derivative bears.
        earlier = columns < t
        facing = tuple(jnp.where(earlier, a, f[None]) for a, f in zip(known, features, strict=True))
        before = Moments(*(a[:-1] for a in moments))
        here = Moments(*(a[None] for a in own))
        apart = scale.w * distance(run[:-1], here, before) + scale.u * fed.distance(t)
        apart = jnp.where(earlier, apart, 0)
        new = jnp.where(earlier, phi.advance(apart, tuple(f[None] for f in features), facing)[0], 0)
        g = gain[t]
        # Where this row meets its own column: the row filtered up to there, by symmetry.
        mixed = (1 - g)[None] * mixed + g[None] * new
        both = filtered(gain[:, None], jnp.stack([new, mixed], axis=1))
        shifted = jnp.concatenate([jnp.zeros_like(both[:1]), both])
        corner = (1 - g) * shifted[t, 0]
        whole = (1 - g) * shifted[t, 1] + g * corner
        mixed, run = mixed.at[t].set(corner), shifted[:, 1].at[t + 1].set(whole)
        after = Moments(
            (1 - g) * own.weight + g,
            (1 - g) * own.drive + g * (0.5 * phi.second_moment(features)),
            0.5 * whole,
        )
        moments = Moments(*(a.at[t + 1].set(b) for a, b in zip(moments, after, strict=True)))
        known = tuple(a.at[t].set(f) for a, f in zip(known, features, strict=True))
        kept = None
        if keep:
            now, then = Moments(*(a[None] for a in after)), Moments(*(a[1:] for a in moments))
            kept = jnp.where(earlier, distance(run[1:], now, then), 0)
        return (known, mixed, run, moments), (recurrent, kept)

    start = ((zeros,) * count, zeros, longer, Moments(longer, longer, longer))
    (features, _, _, moments), (recurrent, kept) = jax.lax.scan(body, start, jnp.arange(steps))
    parts = {
        "w": scale.w * recurrent,
        "u": scale.u * fed.variance,
        "b": jnp.full_like(gain, scale.b),
    }
    trained = add_up([zeros, *(part for name, part in parts.items() if name in form.trainable)])
    if kept is not None:
        kept = kept + jnp.swapaxes(kept, 0, 1)  # the diagonal is 0
    return LayerTrack(features, trained, gain, moments), kept
