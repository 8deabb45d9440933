"""What the analysis of CE24 guarantees before a run: deviations, linearisation, training risk."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ntkrnn import _checks
from ntkrnn.architectures import Diagonal
from ntkrnn.dual._value import Nonlinearity
from ntkrnn.theory._lipschitz import lipschitz_constants

BELOW, AT, ABOVE = "below", "at", "above"


class Cutoff(NamedTuple):
    """Whether the memory of a neuron fades."""

    alpha_m: float
    """``alpha + rho_w/sqrt m``, the largest recurrent weight that training can reach."""
    r1: float
    """``sup |sigma'|``"""
    a: float
    """``alpha_m r1``, by which what a neuron remembers is multiplied at every step, at most."""
    side: str
    """"below" (a < 1), "at" (a = 1) or "above" (a > 1)."""
    limit: float
    """``lim p_t = 1/(1 - a)`` below, infinite otherwise."""
    largest_alpha: float
    """Below this alpha, at this rho_w and width, one is below the cutoff; negative if never."""


def cutoff(alpha: float, rho_w: float, width: int, nonlinearity: str | Nonlinearity) -> Cutoff:
    r"""On which side of the cutoff ``alpha_m r1 = 1`` a diagonal network stands.

    With ``alpha_m = alpha + rho_w/sqrt m`` the bounds of :func:`certificate` stay bounded in the length
    of the sequences below the cutoff and grow geometrically above it. For tanh it is at 1, for the
    sigmoid at 4.

    Args:
        alpha: size of the recurrent weights at the start, at least 0.
        rho_w: radius of the projection of :func:`max_norm_projection`, at least 0.
        width: m.
        nonlinearity: a name, or what :func:`ntkrnn.dual.nonlinearity` returns.

    Returns:
        :class:`Cutoff`.

    Raises:
        TypeError, ValueError: naming the argument, what came and what was expected.

    Cost: that of :func:`lipschitz_constants`.

    Source: CE24 (arXiv 2402.12241); theory.

    Example:
        >>> cutoff(0.9, 1.0, 400, "tanh").side, cutoff(0.9, 4.0, 400, "tanh").side
        ('below', 'above')
        >>> cutoff(3.0, 1.0, 400, "sigmoid").side
        'below'
    """
    alpha = float(_checks.nonnegative_float("alpha", alpha))
    rho_w = float(_checks.nonnegative_float("rho_w", rho_w))
    width = _checks.positive_integer("width", width)
    r1 = lipschitz_constants(nonlinearity).r1
    alpha_m = alpha + rho_w / math.sqrt(width)
    a = _times(alpha_m, r1)
    side = BELOW if a < 1 else AT if a == 1 else ABOVE
    limit = 1 / (1 - a) if a < 1 else math.inf
    return Cutoff(alpha_m, r1, a, side, limit, 1 / r1 - rho_w / math.sqrt(width))


class Certificate(NamedTuple):
    """Bounds at a width m; arrays ``[T]`` are for the steps t = 1..T."""

    cutoff: Cutoff
    p: np.ndarray
    """``p_t = sum_{k<t} a^k``"""
    gamma: np.ndarray
    """``gamma_t``: m times a bound on the second derivative of a state along a move."""
    B: np.ndarray
    """``B_t = gamma_t/2``"""
    hidden: np.ndarray
    """``r1 V p_t/sqrt m >= |h_t(theta) - h_t(theta_0)|`` of every neuron."""
    linearisation: np.ndarray
    """``B_t/sqrt m >= |F_t - F_t^lin|``."""
    approximation: float
    """``2 r1 V p_T sqrt(log(2 n T/delta)/m) >= |F^lin(theta_v) - F*|``, all sequences and steps at
    once, with probability ``1 - delta``."""
    E: float
    """``5 B_T/sqrt m + approximation``"""
    G: float
    """``r1 sqrt(1 + r0^2) p_T``, bounds the gradient of an output."""
    largest_eta: float
    """``1/(4 T G^2)``"""
    eta: float
    """The step of the bound on the risk."""
    risk: float
    """``(rho_w^2 + rho_u^2)/(eta tau) + 2 T E^2``, bounds the mean risk of the iterates."""


def certificate(
    arch: Diagonal,
    rho_w: float,
    rho_u: float,
    n: int,
    T: int,
    delta: float,
    eta: float | None,
    steps: int,
    *,
    state_bound: float | None = None,
) -> Certificate:
    r"""What projected gradient descent on a diagonal network is guaranteed, before it is run.

    For tokens of norm at most 1 and parameters within ``rho/sqrt m`` of the start, with r0, r1, r2 from
    :func:`lipschitz_constants`, ``a = (alpha + rho_w/sqrt m) r1``, ``V = r0 rho_w + rho_u``::

        p_t     = 1 + a p_{t-1}
        gamma_t = r2 V^2 p_t^2 + 2 r1^2 rho_w V p_{t-1} + a gamma_{t-1},     B_t = gamma_t/2
        |h_t(theta) - h_t(theta_0)| <= r1 V p_t/sqrt m
        |F_t - F_t^lin| <= B_t/sqrt m
        |F_t^lin(theta_v) - F*_t| <= 2 r1 V p_T sqrt(log(2 n T/delta)/m)     with probability 1 - delta
        mean_k risk(theta_k) <= (rho_w^2 + rho_u^2)/(eta tau) + 2 T E^2      if eta <= 1/(4 T G^2)

    with ``E = (5 B_T + 2 r1 V p_T sqrt(log(2 n T/delta)))/sqrt m`` and ``G = r1 sqrt(1 + r0^2) p_T``.
    F* is a :class:`TransportTarget` within the radii, theta_v its ``realised`` parameters. The risk is
    the mean over n sequences of ``sum_t (F_t - F*_t)^2``, averaged over the iterates ``theta_0 ...
    theta_{tau - 1}`` of descent with step eta **on that risk**. It is twice the loss of
    :func:`ntkrnn.dynamics.train`, whose optimiser thus has the rate ``2 eta``::

        optax.chain(optax.sgd(2 * eta), max_norm_projection(rho_w, rho_u))

    Args:
        arch: a :class:`ntkrnn.Diagonal` with ``symmetric=True``, readout "sequence" and one output.
        rho_w: radius for the recurrent weights, at least 0; 0 if they are not trained.
        rho_u: radius for the input weights, at least 0; 0 if they are not trained.
        n: number of training sequences.
        T: steps of a sequence.
        delta: probability of failure, between 0 and 1.
        eta: step of descent, at most ``1/(4 T G^2)``; None for that.
        steps: tau, the number of descent steps.
        state_bound: stands for r0, in the place of ``sup |sigma|``: for a nonlinearity without a
            bound there is none, and everything here holds on the event that no state exceeds
            ``state_bound`` for any parameters within the radii. Gaussian input weights make no such
            number sure; it is the caller's to justify.

    Returns:
        :class:`Certificate`, NumPy float64. Above the cutoff it may overflow, to infinity.

    Raises:
        TypeError, ValueError: naming the argument, what came and what was expected; for a step above
            the largest one, and for an unbounded nonlinearity without ``state_bound``.

    Cost: O(T).

    Source: CE24 (arXiv 2402.12241); recursions and constants as derived in theory, up to constants; see
    the paper.

    Example:
        >>> import ntkrnn
        >>> arch = ntkrnn.Diagonal(width=4096, nonlinearity="sin", alpha=0.5)
        >>> found = certificate(arch, 1.0, 1.0, n=100, T=10, delta=0.05, eta=None, steps=1000)
        >>> found.cutoff.side, found.hidden[:2].round(4).tolist(), found.largest_eta < 0.01
        ('below', [0.0312, 0.0474], True)
    """
    arch = _fitting(arch)
    radii = {
        "w": float(_checks.nonnegative_float("rho_w", rho_w)),
        "u": float(_checks.nonnegative_float("rho_u", rho_u)),
    }
    for block, rho in radii.items():
        if rho and block not in arch.trainable:
            raise ValueError(
                f"rho_{block}: got {rho} with trainable={arch.trainable}, expected 0: {block} is fixed."
            )
    rho_w, rho_u = radii["w"], radii["u"]
    n, length = _checks.positive_integer("n", n), _checks.positive_integer("T", T)
    steps = _checks.positive_integer("steps", steps)
    delta = _checks.positive_float("delta", delta)
    if delta >= 1:
        raise ValueError(f"delta: got {delta}, expected a probability between 0 and 1, such as 0.05.")
    r0, r1, r2 = _constants(arch, state_bound)
    side = cutoff(float(arch.alpha), rho_w, arch.width, arch.nonlinearity)
    root, v = math.sqrt(arch.width), _times(r0, rho_w) + rho_u
    p, gamma = [0.0], [0.0]
    for _ in range(length):
        p.append(1 + _times(side.a, p[-1]))
        bent = _times(r2, v, v, p[-1], p[-1]) + _times(2, r1, r1, rho_w, v, p[-2])
        gamma.append(bent + _times(side.a, gamma[-1]))
    ps, gammas = np.array(p[1:]), np.array(gamma[1:])
    hidden = np.array([_times(r1, v, one) / root for one in p[1:]])
    log = math.sqrt(math.log(2) + math.log(n) + math.log(length) - math.log(delta))
    approximation = _times(2, r1, v, p[-1]) * log / root
    error = 2.5 * gamma[-1] / root + approximation
    slope = _times(r1, math.hypot(1, r0), p[-1])
    curvature = _times(4, length, slope, slope)
    largest = 1 / curvature if curvature else math.inf
    step = largest if eta is None else _checks.positive_float("eta", eta)
    if step > largest * (1 + 4 * np.finfo(float).eps):
        raise ValueError(
            f"eta: got {step:g}, expected at most 1/(4 T G^2) = {largest:.6g} with T={length} and "
            f"G={slope:.4g}; pass eta=None for the largest step."
        )
    travelled = rho_w * rho_w + rho_u * rho_u
    descent = 0.0 if not travelled else travelled / (step * steps) if step else math.inf
    risk = descent + _times(2, length, error, error)
    return Certificate(
        cutoff=side,
        p=ps,
        gamma=gammas,
        B=0.5 * gammas,
        hidden=hidden,
        linearisation=0.5 * gammas / root,
        approximation=approximation,
        E=error,
        G=slope,
        largest_eta=largest,
        eta=step,
        risk=risk,
    )


def _times(*factors: float) -> float:
    """A product in which 0 times infinity is 0: a part that is not there does not count."""
    return 0.0 if 0.0 in factors else math.prod(factors)


def _constants(arch: Diagonal, state_bound: Any) -> tuple[float, float, float]:
    r0, r1, r2 = lipschitz_constants(arch.nonlinearity)
    if math.isinf(r1) or math.isinf(r2):
        raise ValueError(
            f"arch: got nonlinearity={arch.nonlinearity!r} with sup |sigma'| = {r1:g} and "
            f"sup |sigma''| = {r2:g}, expected a function with two bounded derivatives such as 'tanh'."
        )
    if state_bound is not None:
        return float(_checks.nonnegative_float("state_bound", state_bound)), r1, r2
    if math.isinf(r0):
        raise ValueError(
            f"arch: got nonlinearity={arch.nonlinearity!r}, whose states have no bound; expected a "
            "bounded one such as 'sin', or pass state_bound=, a bound on all states within the radii."
        )
    return r0, r1, r2


def _fitting(arch: Any) -> Diagonal:
    if not isinstance(arch, Diagonal):
        raise TypeError(f"arch: got {arch!r}, expected an ntkrnn.Diagonal.")
    for field, wanted in (("readout", "sequence"), ("symmetric", True), ("out_dim", 1)):
        if getattr(arch, field) != wanted:
            raise ValueError(
                f"arch: got {field}={getattr(arch, field)!r}, expected {field}={wanted!r}, the network "
                f"of the analysis; pass dataclasses.replace(arch, {field}={wanted!r})."
            )
    return arch
