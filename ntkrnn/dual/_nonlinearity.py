"""From a nonlinearity to its Gaussian expectations: the public side of :mod:`ntkrnn.dual`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn import _checks
from ntkrnn.dual import _hermite, _mehler, _mehler_stepper
from ntkrnn.dual._own import check_dual
from ntkrnn.dual._result import PairExpectation, PairFunction
from ntkrnn.dual._stepper import Stepper
from ntkrnn.dual._table import NAMED, check_name
from ntkrnn.dual._value import DEFAULT_MAX_VARIANCE, Nonlinearity, facts_of


def nonlinearity(
    fn: str | Nonlinearity | Callable[[Any], Any],
    *,
    name: str | None = None,
    max_variance: float = DEFAULT_MAX_VARIANCE,
    dual: PairFunction | None = None,
    lipschitz: tuple[float, float, float] | None = None,
) -> Nonlinearity:
    r"""Make a scalar function usable as the nonlinearity of an architecture.

    Its expectations under a Gaussian pair are summed as
    ``E phi(a) phi(b) = sum_k c_k(q1) c_k(q2) rho^k`` (Mehler's formula), with
    ``c_k(q) = E phi(sqrt q z) he_k(z)``. The series is cut where it leaves out at most 3e-8
    (float32) or 1e-13 (float64) of ``E phi^2`` and of ``E phi'^2`` at variance ``max_variance``;
    this bounds the error at every correlation, +-1 included, and at every smaller variance. At
    larger variances the error grows; :func:`truncation_error` states it.

    Args:
        fn: a smooth scalar function, elementwise on arrays and differentiable by JAX; or a name.
        name: what it is called when printed; by default the function's own name.
        max_variance: the largest pre-activation variance expected,
            ``w_std^2 E phi^2 + u_std^2 |x_t|^2/d + b_std^2``. Larger values need more terms.
        dual: the expectations in closed form, where you know it, which replaces the series: a function
            ``(c, distance, q1, q2) -> PairExpectation(k, distance, kdot)``, elementwise, broadcasting
            and differentiable by JAX, with ``k = E phi(a) phi(b)``, ``kdot = E phi'(a) phi'(b)`` and
            the new distance ``E (phi(a) - phi(b))^2/2``, which is best computed from the given one,
            ``(q1 + q2)/2 - c``, and not as a difference of expectations. It is compared with a
            quadrature at a few points.
        lipschitz: ``(sup |phi|, sup |phi'|, sup |phi''|)`` where you know them, infinite where there is
            none; what the theories need. By default they are searched for numerically.

    Returns:
        A :class:`Nonlinearity`, hashable, equal to another one with the same function and settings.

    Raises:
        TypeError: if ``fn`` is neither callable nor a name.
        ValueError: if it is not smooth enough, not finite, or not elementwise; if ``dual`` is not what
            a quadrature gives for ``fn``.

    Cost: about a second for the first use of a function, then nothing.

    Source: Mehler (1866); Price (1958) for kdot.

    Example:
        >>> import jax.numpy as jnp
        >>> import ntkrnn
        >>> softsign_like = ntkrnn.dual.nonlinearity(lambda x: x / jnp.sqrt(1 + x**2), name="algebraic")
        >>> ntkrnn.Elman(width=8, nonlinearity=softsign_like).nonlinearity
        dual.nonlinearity(algebraic, max_variance=4)
    """
    limit = _in_range("max_variance", _checks.positive_float("max_variance", max_variance))
    if name is not None and not isinstance(name, str):
        raise TypeError(f"name: got {name!r} of type {type(name).__name__}, expected a string or None.")
    if isinstance(fn, Nonlinearity):
        dual, lipschitz = dual or fn.dual, lipschitz or fn.lipschitz
        fn, name = (fn.fn or fn.name), fn.name
    if isinstance(fn, str):
        named = Nonlinearity(check_name(fn, "fn"), None, limit, dual, lipschitz)
        if not has_closed_form(named):
            _hermite.expansion(named, jnp.zeros(()).dtype.name)
        return named
    if not callable(fn):
        raise TypeError(
            f"fn: got {fn!r} of type {type(fn).__name__}, expected a scalar function such as "
            "jnp.arctan, or a name such as 'tanh'."
        )
    made = Nonlinearity(name or getattr(fn, "__name__", "function"), fn, limit, dual, lipschitz)
    _check_elementwise(fn, made.name)
    if made.dual is not None:
        check_dual(made)
        return made
    _hermite.expansion(made, jnp.zeros(()).dtype.name)
    return made


def _check_elementwise(fn: Callable[[Any], Any], name: str) -> None:
    """Raise unless JAX can trace and differentiate the function, and it keeps shape and dtype."""
    probe = jnp.linspace(-1.0, 1.0, 6).reshape(2, 3)
    try:
        value, _ = jax.jvp(fn, (probe,), (jnp.ones_like(probe),))
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"fn: calling {name} on an array of shape (2, 3) raised {type(error).__name__}: {reason} "
            "Expected an elementwise function that JAX differentiates, made of jax.numpy, not of numpy "
            "or math."
        ) from error
    shape, dtype = jnp.shape(value), getattr(value, "dtype", None)
    if shape != probe.shape:
        raise ValueError(
            f"fn: {name} maps an array of shape (2, 3) to shape {shape}, expected an "
            "elementwise function; wrap it with jax.vmap if it takes scalars."
        )
    if dtype != probe.dtype:
        raise ValueError(
            f"fn: {name} maps {probe.dtype} to {dtype}, expected a function that keeps the dtype."
        )


def _in_range(name: str, variance: float) -> float:
    """The variance, if the squares of all nodes of the quadrature are numbers."""
    dtype = jnp.zeros(()).dtype
    most = float(jnp.finfo(dtype).max) / _hermite.RANGE**2
    if variance > most:
        raise ValueError(f"{name}: got {variance:g}, expected at most {most:.2g}, as {dtype} has it.")
    return variance


def _known(fn: Any, field: str = "fn") -> str | Nonlinearity:
    """``fn`` if it is a nonlinearity or the name of one."""
    return fn if isinstance(fn, Nonlinearity) else check_name(fn, field)


def has_closed_form(spec: str | Nonlinearity) -> bool:
    """Whether the expectations are exact at every variance, and not the sum of a series.

    Example:
        >>> has_closed_form("erf"), has_closed_form("tanh")
        (True, False)
    """
    return facts_of(_known(spec, "spec")).dual is not None


def pair_function(spec: str | Nonlinearity) -> PairFunction:
    """The Gaussian expectations of a nonlinearity: closed form where there is one.

    Returns:
        A function ``(c, distance, q1, q2) -> PairExpectation``.
    """
    return facts_of(spec).dual or _mehler.smooth(spec)


def stepper(spec: str | Nonlinearity) -> Stepper:
    """What the kernel recursion passes a nonlinearity with, see :mod:`ntkrnn.dual._stepper`."""
    return _stepper(_known(spec, "spec"))


@functools.lru_cache(maxsize=256)
def _stepper(spec: str | Nonlinearity) -> Stepper:
    """Made once, so that what is traced of it is found again."""
    return facts_of(spec).stepper or _mehler_stepper.stepper(spec)


def leaky_relu(slope: float = 0.01) -> Nonlinearity:
    """``max(x, 0) + slope min(x, 0)``, also by its name: ``"leaky_relu(0.1)"``.

    Args:
        slope: on the left, any finite number: 0 is relu, 1 the identity, -1 the absolute value.

    Returns:
        A :class:`Nonlinearity` with closed forms at every variance.

    Raises:
        TypeError, ValueError: unless the slope is a finite number.

    Source: Cho & Saul (2009) for its parts.

    Example:
        >>> import ntkrnn
        >>> ntkrnn.Elman(nonlinearity=leaky_relu(0.1)).nonlinearity
        'leaky_relu(0.1)'
    """
    slope = _checks.finite_float("slope", slope)
    return Nonlinearity(f"leaky_relu({slope!r})")


def dual_activation(
    fn: str | Nonlinearity,
    c: Any,
    q1: Any,
    q2: Any,
    *,
    distance: Any | None = None,
) -> PairExpectation:
    r"""Expectations ``E phi(a) phi(b)`` and ``E phi'(a) phi'(b)``, (a,b) ~ N(0, [[q1, c], [c, q2]]).

    Args:
        fn: name or :class:`Nonlinearity`.
        c: covariance, any shape that broadcasts with the others.
        q1: variance of a. Give it the shape of one side only (for example [N1, 1]), so that what
            depends on one sequence alone is computed once per sequence.
        q2: variance of b, likewise [1, N2].
        distance: ``(q1 + q2)/2 - c`` where it is known more accurately than from that difference;
            it decides the accuracy near correlation 1.

    Returns:
        :class:`PairExpectation` ``(k, distance, kdot)`` of the broadcast shape. Step and sign have
        ``kdot = 0``, the limit of finite networks, through which no gradient passes.

    Raises:
        TypeError, ValueError: for an unknown name, for what is no array of finite real numbers, for
            shapes that do not broadcast, negative variances, and covariances beyond ``sqrt(q1 q2)``.

    Cost: closed forms some tens of operations per pair; others some eight per term and pair.

    Source: Cho & Saul (2009) for relu, Williams (1997) for erf, Mehler and Price otherwise.

    Example:
        >>> k, _, kdot = dual_activation("relu", 1.0, 1.0, 1.0)
        >>> float(k), float(kdot)
        (0.5, 0.5)
    """
    fn = _known(fn)
    given = {"c": c, "q1": q1, "q2": q2} | ({} if distance is None else {"distance": distance})
    arrays = {name: _checks.real_array(name, value) for name, value in given.items()}
    dtype = _checks.float_dtype(*(arrays[k] for k, a in given.items() if hasattr(a, "dtype")))
    for name, array in arrays.items():
        _checks.finite_array(name, array)
        if name != "c" and (host := _checks.concrete_values(array)) is not None and (host < 0).any():
            raise ValueError(f"{name}: got {host.min()}, expected numbers of at least 0.")
    try:
        shape = jnp.broadcast_shapes(*(array.shape for array in arrays.values()))
    except ValueError:
        shapes = ", ".join(f"{name} {tuple(array.shape)}" for name, array in arrays.items())
        raise ValueError(f"c: got shapes {shapes}, expected shapes that broadcast.") from None
    _check_covariance(arrays)
    c, q1, q2, *rest = (_checks.in_dtype(name, array, dtype) for name, array in arrays.items())
    d = rest[0] if rest else 0.5 * (q1 + q2) - c
    result = pair_function(fn)(c, d, q1, q2)
    if not all(_checks.all_finite(a) for a in result if _checks.concrete_values(a) is not None):
        name = max(("q1", "q2"), key=lambda name: float(np.abs(np.asarray(arrays[name])).max()))
        raise ValueError(
            f"{name}: got variances up to {float(np.asarray(arrays[name]).max()):g}, with which an "
            f"expectation leaves the range of {dtype}; lower them, or enable 64-bit types with "
            "JAX_ENABLE_X64=1."
        )
    return PairExpectation(*(jnp.broadcast_to(a, shape) for a in result))


_SLACK = 1e-3
"""Relative error that a covariance may have: of a float32 product of ten thousand terms."""


def _check_covariance(arrays: dict[str, Any]) -> None:
    """Raise if a covariance is larger than the variances allow, where all are known."""
    c, q1, q2 = (_checks.concrete_values(arrays[name]) for name in ("c", "q1", "q2"))
    if c is None or q1 is None or q2 is None:
        return
    most = np.sqrt(q1.astype(np.float64)) * np.sqrt(q2.astype(np.float64))
    excess = np.abs(c.astype(np.float64)) - (1 + _SLACK) * most
    if (excess > 0).any():
        at = np.unravel_index(np.argmax(excess), excess.shape)
        raise ValueError(
            f"c: got {np.broadcast_to(c, excess.shape)[at]:g} where sqrt(q1 q2) is "
            f"{np.broadcast_to(most, excess.shape)[at]:g}, expected a covariance of at most that."
        )


def truncation_error(fn: str | Nonlinearity, variance: float) -> float:
    """Largest relative error of ``k`` over all correlations at a variance; 0 for closed forms.

    It is the part of ``E phi(sqrt q z)^2`` that the truncated expansion leaves out, in the default
    floating dtype (float64 under ``JAX_ENABLE_X64=1``).

    Args:
        fn: name or :class:`Nonlinearity`.
        variance: pre-activation variance q.

    Returns:
        The relative error, a float.

    Raises:
        ValueError: for an unknown name or a negative variance.

    Example:
        >>> truncation_error("erf", 10.0)
        0.0
        >>> truncation_error("tanh", 4.0) < 3e-8
        True
        >>> truncation_error("tanh", 64.0) > 3e-8
        True
    """
    fn, q = _known(fn), _in_range("variance", _checks.nonnegative_float("variance", variance))
    if has_closed_form(fn):
        return 0.0
    return _hermite.tail(fn, q, jnp.zeros(()).dtype)


def names() -> tuple[str, ...]:
    """The named nonlinearities (``leaky_relu`` also takes a slope: ``"leaky_relu(0.1)"``)."""
    return tuple(NAMED)
