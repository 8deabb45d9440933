"""The one table of named nonlinearities: what each is, and everything that is known of it."""

from __future__ import annotations

import difflib
import functools
import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ntkrnn.dual import _erf, _gelu, _homogeneous, _threshold, _trigonometric
from ntkrnn.dual._result import PairFunction
from ntkrnn.dual._stepper import Stepper, generic

INF = math.inf
Scalar = Callable[[Any], Any]


class Facts(NamedTuple):
    """A scalar function, and what is known of it; None for what is computed or searched instead."""

    fn: Scalar
    """The function, elementwise on arrays."""
    dual: PairFunction | None = None
    """Its Gaussian expectations in closed form, in place of a series."""
    stepper: Stepper | None = None
    """How the kernel recursion passes it: a form of its own, or what its closed form makes."""
    lipschitz: tuple[float, float, float] | None = None
    """``(sup |phi|, sup |phi'|, sup |phi''|)``, infinite where there is none."""


def _piecewise_linear(fn: Scalar, left: float, right: float) -> Facts:
    """Slopes on either side of 0: any scale of the input is one of the output."""
    bend = 0.0 if left == right else INF
    lipschitz = (INF, max(abs(left), abs(right)), bend)
    pair = _homogeneous.piecewise_linear(left, right)
    return Facts(fn, pair, _homogeneous.stepper(left, right), lipschitz)


def _closed(fn: Scalar, pair: PairFunction, lipschitz: tuple[float, float, float] | None) -> Facts:
    return Facts(fn, pair, generic(pair), lipschitz)


def _step(x: Any) -> Any:
    return jnp.where(x > 0, jnp.ones_like(x), jnp.zeros_like(x))


def _gelu_function(x: Any) -> Any:
    # x Phi(x), the exact form, not the tanh approximation.
    return 0.5 * x * (1 + jax.lax.erf(x * math.sqrt(0.5)))


NAMED: dict[str, Facts] = {
    "identity": _piecewise_linear(lambda x: x, 1.0, 1.0),
    "relu": _piecewise_linear(jax.nn.relu, 0.0, 1.0),
    "leaky_relu": _piecewise_linear(jax.nn.leaky_relu, 0.01, 1.0),
    "abs": _piecewise_linear(jnp.abs, -1.0, 1.0),
    "erf": Facts(
        lambda x: jax.lax.erf(x),
        _erf.pair,
        _erf.stepper,
        (1.0, 2 / math.sqrt(math.pi), math.sqrt(8 / (math.pi * math.e))),
    ),
    "gelu": _closed(_gelu_function, _gelu.pair, None),
    "sin": _closed(jnp.sin, _trigonometric.sin, (1.0, 1.0, 1.0)),
    "cos": _closed(jnp.cos, _trigonometric.cos, (1.0, 1.0, 1.0)),
    "sign": _closed(jnp.sign, _threshold.threshold(2.0), (1.0, INF, INF)),
    "step": _closed(_step, _threshold.threshold(1.0), (1.0, INF, INF)),
    "tanh": Facts(jnp.tanh, lipschitz=(1.0, 1.0, 4 / (3 * math.sqrt(3)))),
    "sigmoid": Facts(jax.nn.sigmoid, lipschitz=(1.0, 0.25, 1 / (6 * math.sqrt(3)))),
    "softplus": Facts(jax.nn.softplus, lipschitz=(INF, 1.0, 0.25)),
    "silu": Facts(jax.nn.silu),
}
"""Every named function; ``leaky_relu`` also as ``leaky_relu(slope)``."""

_SLOPE = re.compile(r"leaky_relu\(\s*([^()]+?)\s*\)")


def leaky_slope(name: str) -> float | None:
    """Slope of ``leaky_relu(slope)``; None for any other name."""
    match = _SLOPE.fullmatch(name)
    if match is None:
        return None
    try:
        slope = float(match[1])
    except ValueError:
        slope = math.nan
    if not math.isfinite(slope):
        raise ValueError(
            f"nonlinearity: got {name!r}, whose slope {match[1]!r} is not a finite number; "
            "write for example 'leaky_relu(0.1)'."
        )
    return slope


@functools.lru_cache(maxsize=256)
def _leaky(slope: float) -> Facts:
    def leaky_relu(x: Any) -> Any:
        return jnp.where(x >= 0, x, jnp.asarray(slope, x.dtype) * x)

    return _piecewise_linear(leaky_relu, slope, 1.0)


def named(name: str) -> Facts:
    """What is known of a named function."""
    slope = leaky_slope(check_name(name))
    return NAMED[name] if slope is None else _leaky(slope)


def check_name(name: Any, field: str = "nonlinearity") -> str:
    """Return ``name`` if it is a known nonlinearity, and otherwise say what is known.

    Raises:
        TypeError: if it is no name.
        ValueError: for an unknown name, with the nearest known one.
    """
    if not isinstance(name, str):
        raise TypeError(
            f"{field}: got {name!r} of type {type(name).__name__}, expected a name such as 'erf' or "
            "the result of ntkrnn.dual.nonlinearity(fn); wrap a function of your own as "
            "ntkrnn.dual.nonlinearity(fn)."
        )
    if name in NAMED or leaky_slope(name) is not None:
        return name
    near = difflib.get_close_matches(name, NAMED, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(
        f"{field}: got {name!r}, expected one of {', '.join(sorted(NAMED))} or "
        f"'leaky_relu(slope)'.{hint} For any other smooth scalar function pass "
        "ntkrnn.dual.nonlinearity(fn)."
    )
