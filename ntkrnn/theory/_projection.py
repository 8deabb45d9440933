"""Projected descent: every neuron of a diagonal network stays near its start."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from ntkrnn import _checks
from ntkrnn._types import Array, Params


class MaxNormState(NamedTuple):
    """What the projection remembers."""

    start: Params
    """The parameters at initialisation, the centres of the balls."""


def max_norm_projection(rho_w: float, rho_u: float) -> optax.GradientTransformation:
    r"""Keep every neuron of a diagonal network within ``rho/sqrt m`` of its start.

    After the step of the optimiser before it, the parameters are the nearest ones, in the Euclidean
    norm of all of them, with::

        |w_i - w_i(0)| <= rho_w/sqrt m,   ||u_i - u_i(0)|| <= rho_u/sqrt m   for every neuron i

    Args:
        rho_w: radius for the recurrent weights, at least 0, which keeps them fixed.
        rho_u: radius for the input weights of a neuron, at least 0.

    Returns:
        An optax transformation for the end of a chain. It takes ``{"w": [m], "u": [m, d], ...}``, the
        parameters of :class:`ntkrnn.Diagonal`, of which only what is trained need be there; other
        entries pass. m is read off the shapes; the start is what ``init`` is given.

    Raises:
        TypeError, ValueError: for radii that are no finite numbers of at least 0; from ``init`` for
            parameters that are not those of a diagonal network; from ``update`` without parameters.

    Cost: O(m d) a step, and a copy of the parameters.

    Source: CE24 (arXiv 2402.12241), projected gradient descent; theory.

    Example:
        >>> import jax, optax, ntkrnn
        >>> from ntkrnn import dynamics, theory
        >>> arch = ntkrnn.Diagonal(width=64)
        >>> x = jax.random.normal(jax.random.key(0), (8, 5, 2)) / 2
        >>> _, params = ntkrnn.network(arch).init_fn(jax.random.key(1), x.shape)
        >>> near = optax.chain(optax.sgd(0.5), theory.max_norm_projection(0.1, 0.1))
        >>> run = dynamics.train(arch, params, x, x[..., :1], optimizer=near, steps=50)
        >>> bool(abs(run.params["w"] - params["w"]).max() * 8 < 0.1 + 1e-5)
        True
    """
    radii = {
        "w": _checks.nonnegative_float("rho_w", rho_w),
        "u": _checks.nonnegative_float("rho_u", rho_u),
    }

    def init(params: Params) -> MaxNormState:
        _check_blocks(params)
        return MaxNormState(params)

    def update(updates: Params, state: Any, params: Params = None) -> tuple[Params, Any]:
        if params is None:
            raise ValueError(
                "params: got None, expected the parameters; call update(updates, state, params), which "
                "a projection needs."
            )
        moved = dict(updates)
        for block, rho in radii.items():
            if updates.get(block) is not None:
                m = params[block].shape[0]
                inside = _nearest(
                    params[block] + updates[block], state.start[block], rho / math.sqrt(m)
                )
                moved[block] = inside - params[block]
        return moved, state

    return optax.GradientTransformation(init, update)


def _nearest(point: Array, centre: Array, radius: float) -> Array:
    """The nearest point of the balls about the rows of ``centre``: [m] or [m, d]."""
    shift = point - centre
    if shift.ndim == 1:
        return jnp.where(jnp.abs(shift) <= radius, point, centre + radius * jnp.sign(shift))
    # The largest entry goes first, so that squares neither overflow nor vanish.
    largest = jnp.max(jnp.abs(shift), axis=1, keepdims=True)
    direction = shift / jnp.where(largest > 0, largest, 1)
    size = jnp.sqrt(jnp.sum(jnp.square(direction), axis=1, keepdims=True))
    direction = direction / jnp.where(size > 0, size, 1)
    return jnp.where(largest * size <= radius, point, centre + radius * direction)


def _check_blocks(params: Params) -> None:
    blocks = {b: params[b] for b in ("w", "u") if params.get(b) is not None} if _is_dict(params) else {}
    if not blocks or any(jnp.ndim(a) != rank for (b, a) in blocks.items() for rank in [_RANK[b]]):
        shapes = jax.tree.map(jnp.shape, params)
        raise ValueError(
            f"params: got {shapes}, expected those of a diagonal network, {{'w': [m], 'u': [m, d]}} or "
            "one of them; ntkrnn.network(ntkrnn.Diagonal(...)).init_fn draws them."
        )


_RANK = {"w": 1, "u": 2}


def _is_dict(params: Params) -> bool:
    return hasattr(params, "get")
