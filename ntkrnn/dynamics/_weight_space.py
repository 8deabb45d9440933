"""The linearised network as a network, and decay toward where it began."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax

from ntkrnn import _checks
from ntkrnn._types import Array, Outputs, Params
from ntkrnn.cells import checked_params, fitting_input, floating_params
from ntkrnn.dynamics._model import Model, joined, model_of


def linearize(arch: Any, params: Params) -> Callable[..., Outputs]:
    r"""The network's first-order expansion about ``params``, as a function of parameters and data.

    ``f_lin(theta, x) = f(theta_0, x) + J(x) (theta - theta_0)``, by one forward-mode derivative; only
    trainable blocks move it. :func:`train` takes it in the place of an architecture: its runs are the
    ones that :func:`linearized` follows without parameters.

    Args:
        arch: an architecture such as :class:`ntkrnn.Elman`, or ``apply_fn(params, x, lengths=None)``.
        params: theta_0.

    Returns:
        ``apply_fn(params, x, lengths=None)``.

    Raises:
        TypeError: if ``arch`` is neither.

    Cost: about three forward passes.

    Source: Lee et al. 2019 (arXiv 1902.06720), equation 4.

    Example:
        >>> import jax, ntkrnn
        >>> from ntkrnn.dynamics import linearize
        >>> arch = ntkrnn.Elman(width=8)
        >>> x = jax.random.normal(jax.random.key(0), (3, 4, 2))
        >>> _, params = ntkrnn.network(arch).init_fn(jax.random.key(1), x.shape)
        >>> linearize(arch, params)(params, x).shape
        (3, 1)
    """
    model, scales = model_of(arch)
    start, frozen = model.split(_fitting(arch, model, params)[0])

    def apply_fn(params: Params, x: Any, lengths: Any = None) -> Outputs:
        x, lengths = _checks.side("x", x, lengths)
        params, channels = _fitting(arch, model, params)
        if channels is not None:
            x = fitting_input(arch, params, channels, "x", x)
        shift = jax.tree.map(lambda a, b: a - b, model.split(params)[0], start)

        def outputs(trained: Params) -> Array:
            return model.outputs(scales, joined(trained, frozen), x, lengths)

        value, moved = jax.jvp(outputs, (start,), (shift,))
        _checks.finite_outputs(value + moved, x.shape[1])
        return value + moved

    return apply_fn


def _fitting(arch: Any, model: Model, params: Params) -> tuple[Params, int | None]:
    """Finite parameters that fit the architecture, and its channels; of a function, finite ones."""
    return (floating_params(params), None) if model.form is None else checked_params(arch, params)


class DecayToStartState(NamedTuple):
    """What :func:`decay_to_start` remembers."""

    start: Params


def decay_to_start(rate: float) -> optax.GradientTransformation:
    r"""Weight decay toward the initial parameters: adds ``rate (theta - theta_0)`` to the gradient.

    Args:
        rate: at least 0.

    Returns:
        An optax transformation, to be chained before a descent.

    Raises:
        TypeError, ValueError: if the rate is not such a number.

    Example:
        >>> import optax
        >>> from ntkrnn.dynamics import decay_to_start
        >>> optimizer = optax.chain(decay_to_start(1e-3), optax.sgd(0.1, momentum=0.9))
    """
    rate = _checks.nonnegative_float("rate", rate)

    def init(params: Params) -> DecayToStartState:
        return DecayToStartState(params)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        if params is None:
            raise ValueError("params: got None, expected the parameters; decay_to_start needs them.")
        pulled = jax.tree.map(lambda g, a, b: g + rate * (a - b), updates, params, state.start)
        return pulled, state

    return optax.GradientTransformation(init, update)
