r"""One step of one layer, for a block of pairs at once.

With ``D`` half the squared distance of two states and ``Theta`` their tangent kernel::

    D^h    = w_std^2 D_before + u_std^2 D^below          (the bias cancels)
    D, kdot = stepper(D^h; q, q')
    Psi    = a + a' - D^trained + w_std^2 Theta_before + u_std^2 Theta^below
    Theta  = kdot Psi

where ``a`` is half the part of the variance q that comes through trainable blocks and ``D^trained`` the
part of ``D^h`` that does. A state before the start of a sequence is 0: the distance to it is half the
variance of the other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from ntkrnn._types import Array
from ntkrnn.architectures import Elman, Leaky, LeakyScales, Scales
from ntkrnn.dual import Stepper
from ntkrnn.infinite.pairs._rows import LayerRows, Layout


class Pair(NamedTuple):
    """The kernels of a pair of states."""

    distance: Array
    """``E (s - s')^2/2``"""
    ntk: Array
    """Tangent kernel."""


class Below(NamedTuple):
    """What feeds a layer, times ``u_std^2``."""

    distance: Array
    ntk: Array | None
    """None for inputs, which have no tangent kernel."""


class Plan(NamedTuple):
    """What to compute, apart from the data."""

    form: Elman | Leaky
    scale: Scales | LeakyScales
    """Squares of the scales."""
    stepper: Stepper
    layout: Layout
    sweep: Callable[..., Any] | None = None
    """How layers advance along a diagonal (``recursion/_sweep.py``); None elsewhere."""


class Met(NamedTuple):
    """What the nonlinearity is handed for each pair."""

    before: Pair
    """The states of the step before, once a sequence that starts here has its start."""
    recurrent: Array
    """The part of the distance that comes through the recurrent matrix."""
    distance: Array
    """``D^h``"""
    covariance: Array
    """``Psi``"""


def close(pair: Pair) -> Array:
    """One array of a pair of kernels."""
    return jax.lax.complex(pair.distance, pair.ntk)


def open_(state: Array) -> Pair:
    """The kernels in one array."""
    return Pair(state.real, state.imag)


def meet(plan: Plan, below: Below, state: Pair, one: LayerRows, two: LayerRows) -> Met:
    """From the states of the step before to the pre-activations."""
    w, trainable = plan.scale.w, plan.form.trainable
    distance, ntk = state
    if one.alive is not None:
        assert one.previous is not None and two.alive is not None and two.previous is not None
        # 1 or 0: products instead of a choice keep the loop one loop.
        on = one.alive * two.alive
        distance = on * distance + (1 - on) * (one.previous + two.previous)
        ntk = on * ntk
    recurrent = w * distance
    pre_activation = recurrent + below.distance
    psi = one.trained + two.trained + w * ntk
    if "w" in trainable and "u" in trainable:
        psi = psi - pre_activation
    elif "w" in trainable:
        psi = psi - recurrent
    elif "u" in trainable:
        psi = psi - below.distance
    if below.ntk is not None:
        psi = psi + below.ntk
    return Met(Pair(distance, ntk), recurrent, pre_activation, psi)


def advance(plan: Plan, below: Below, state: Pair, one: LayerRows, two: LayerRows) -> Array:
    """The states after the step, in one array."""
    met = meet(plan, below, state, one, two)
    distance, kdot = plan.stepper.advance(met.distance, one.features, two.features)
    return close(Pair(distance, kdot * met.covariance))


def scaled(plan: Plan, pair: Pair) -> Below:
    """States as they feed the layer above."""
    u = plan.scale.u
    return Below(u * pair.distance, u * pair.ntk)
