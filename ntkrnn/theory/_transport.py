"""Dynamical systems given by transport maps: what CE24 shows diagonal networks to learn."""

from __future__ import annotations

import dataclasses
import math
import warnings
from typing import Any

import jax.numpy as jnp

from ntkrnn import _checks
from ntkrnn._random import generator
from ntkrnn._types import Array, Params
from ntkrnn.architectures import Diagonal
from ntkrnn.dual._value import Nonlinearity
from ntkrnn.quadrature import (
    METHODS,
    MOST_SAMPLES,
    REPLICATES,
    SAMPLES,
    AccuracyWarning,
    Rule,
    rule_of,
)
from ntkrnn.theory._transport_integral import TransportValues, integrated
from ntkrnn.theory._transport_maps import Map, checked_maps, neurons_of, smooth_maps


@dataclasses.dataclass(frozen=True)
class TransportTarget:
    r"""A dynamical system in the tangent space of infinitely wide diagonal networks.

    With one neuron's state ``h_t = sigma(w h_{t-1} + <u, x_t>)``, w = +-alpha, u ~ N(0, I)::

        F*_t = E sum_{k<t} w^k (v_w(w,u) h_{t-k-1} + <v_u(w,u), x_{t-k}>) prod_{j<=k} sigma'(pre_{t-j})
             = E [v_w D_w h_t + <v_u, D_u h_t>]

    where ``pre_t`` is the argument of sigma at step t. It is evaluated as the second line, by the
    recursion ``D_t = sigma'(pre_t) (v_w h_{t-1} + <v_u, x_t> + w D_{t-1})``.

    Args:
        v_w: ``(w [S], u [S, d]) -> [S]``, at most ``rho_w`` in size; jax.numpy functions.
        v_u: ``(w [S], u [S, d]) -> [S, d]``, of norm at most ``rho_u``.
        rho_w: bound on ``|v_w|``, at least 0.
        rho_u: bound on ``||v_u||``, at least 0.
        alpha: size of the recurrent weights, at least 0.
        nonlinearity: sigma, a name or what :func:`ntkrnn.dual.nonlinearity` returns.
        samples: points of a replicate, see :class:`ntkrnn.Diagonal`'s ``kernel_fn``.
        replicates: independent ones.
        tolerance: double the points until no standard error exceeds this times the largest value.
        seed: of the points.
        method: "qmc", "quadrature" (d <= 2) or None for quadrature where it can be had.

    Raises:
        TypeError, ValueError: naming the field; from a call, for sequences that do not fit, under a
            trace of JAX, or for maps of other shapes or beyond their bounds at a sample.

    Cost: of a call O(N T d samples replicates).

    Source: CE24 (arXiv 2402.12241), the class of target systems; theory.

    Example:
        >>> import jax
        >>> x = jax.random.normal(jax.random.key(0), (3, 4, 2)) / 2
        >>> target = TransportTarget.sample(0, dim=2, rho_w=1.0, rho_u=1.0, alpha=0.5)
        >>> target(x).shape, bool(target.estimate(x).standard_error.max() < 1e-3)
        ((3, 4, 1), True)
    """

    v_w: Map
    v_u: Map
    rho_w: float = 1.0
    rho_u: float = 1.0
    alpha: float = 0.5
    nonlinearity: str | Nonlinearity = "tanh"
    samples: int = SAMPLES
    replicates: int = REPLICATES
    tolerance: float | None = None
    seed: int = 0
    method: str | None = None

    def __post_init__(self) -> None:
        """Normalise and validate every field."""
        put = lambda name, value: object.__setattr__(self, name, value)  # noqa: E731
        for name in ("v_w", "v_u"):
            if not callable(getattr(self, name)):
                raise TypeError(
                    f"{name}: got {getattr(self, name)!r}, expected a function (w, u) -> v."
                )
        for name in ("rho_w", "rho_u", "alpha"):
            put(name, float(_checks.nonnegative_float(name, getattr(self, name))))
        put("nonlinearity", Diagonal(2, self.nonlinearity).nonlinearity)
        for name in ("samples", "replicates"):
            put(name, _checks.positive_integer(name, getattr(self, name)))
        if self.replicates < 2:
            raise ValueError("replicates: got 1, expected at least 2, for a standard error.")
        if self.tolerance is not None:
            put("tolerance", _checks.positive_float("tolerance", self.tolerance))
        put("seed", _checks.whole_number("seed", self.seed))
        if self.method is not None:
            _checks.choice("method", self.method, METHODS)

    @classmethod
    def sample(
        cls,
        key: Any,
        dim: int,
        rho_w: float = 1.0,
        rho_u: float = 1.0,
        *,
        features: int = 16,
        frequency: float = 0.5,
        **fields: Any,
    ) -> TransportTarget:
        r"""Draw smooth transport maps at random.

        With g(w, u) = A cos(Omega (w, u) + b), of 1 + d components and ``features`` terms, entries of
        Omega from N(0, frequency^2), phases uniform, A from N(0, 2/features)::

            v_w = rho_w g_0/sqrt(1 + g_0^2),   v_u = rho_u g_{1..d}/sqrt(1 + ||g_{1..d}||^2)

        Args:
            key: a random key of JAX, or a whole number as a seed.
            dim: d, channels of a token.
            rho_w: bound on ``|v_w|``.
            rho_u: bound on ``||v_u||``.
            features: terms of g.
            frequency: how fast the maps vary.
            **fields: further fields of the target, such as ``alpha`` and ``nonlinearity``.

        Returns:
            A :class:`TransportTarget`.

        Raises:
            TypeError, ValueError: naming the argument.

        Source: theory.

        Example:
            >>> TransportTarget.sample(0, 3, alpha=0.7, nonlinearity="sin").alpha
            0.7
        """
        dim = _checks.positive_integer("dim", dim)
        features = _checks.positive_integer("features", features)
        frequency = _checks.nonnegative_float("frequency", frequency)
        maps = smooth_maps(generator(key), dim, rho_w, rho_u, features, frequency)
        return cls(*maps, rho_w, rho_u, **fields)

    def __call__(self, x: Any) -> Array:
        """``F* [N, T, 1]`` at sequences ``[N, T, d]``: targets of :func:`ntkrnn.dynamics.train`."""
        return self.estimate(x).value

    def estimate(self, x: Any) -> TransportValues:
        """F* and one standard error of every value, rounding not counted.

        Args:
            x: ``[N, T, d]``.

        Returns:
            :class:`TransportValues`.

        Raises:
            TypeError, ValueError: see the class.

        Warns:
            AccuracyWarning: if the tolerance is not met with 2^18 points in a replicate.
        """
        x, _ = _checks.side("x", x, None)
        if _checks.inside_a_trace() or _checks.concrete_values(x) is None:
            raise ValueError("x: got a traced array, expected a concrete one; call the target outside "
                             "of jax.jit and jax.grad, and pass its values in.")  # fmt: skip
        samples = self.samples
        rule = self._rule(x.shape[2], samples)
        while True:
            found = integrated(
                rule, x, alpha=self.alpha, nonlinearity=self.nonlinearity, maps=self._maps
            )
            largest = float(jnp.abs(found.value).max())
            if self.tolerance is None or largest == 0:
                return found
            error = float(found.standard_error.max()) / largest
            if error <= self.tolerance:
                return found
            samples *= 2
            finer = self._rule(x.shape[2], samples)
            if samples > MOST_SAMPLES or finer == rule:
                warnings.warn(
                    f"a standard error of the target is {error:.1e} of its largest value with "
                    f"{rule.samples} points in each of {rule.replicates} replicates, and tolerance="
                    f"{self.tolerance:g}; ask for less, or for more replicates with method='qmc'.",
                    AccuracyWarning,
                    stacklevel=2,
                )
                return found
            rule = finer

    def realised(self, params: Params) -> Params:
        r"""The parameters ``theta_v = theta_0 + c_i v(w_i, u_i)/sqrt m`` of a finite network.

        Every neuron moves by at most ``rho/sqrt m``, and the network linearised at ``theta_0`` becomes
        ``F^lin(theta_v) = F_0 + (1/m) sum_i [v_w D_w h^i + <v_u, D_u h^i>]``, a sample mean of F*.

        Args:
            params: of a :class:`ntkrnn.Diagonal` with one output, as ``init_fn`` draws them, at this
                target's alpha.

        Returns:
            Parameters of the same shapes.

        Raises:
            ValueError: for parameters of another network, of several outputs, or of another alpha.

        Cost: that of the maps at m neurons.

        Source: CE24 (arXiv 2402.12241), up to constants; theory.
        """
        w, u, signs = neurons_of(params, self.alpha)
        v_w, v_u = self._maps(w, u)
        signs = signs / math.sqrt(len(w))
        return {**params, "w": w + signs * v_w, "u": u + signs[:, None] * v_u}

    def _rule(self, d: int, samples: int) -> Rule:
        method = self.method
        if method == "quadrature" and d > 2:
            raise ValueError(f"method: got 'quadrature' for sequences of d={d} channels, expected d of "
                             "at most 2; pass method='qmc' or leave it out.")  # fmt: skip
        return rule_of(method, d, samples, self.replicates, (self.seed,))

    def _maps(self, w: Array, u: Array) -> tuple[Array, Array]:
        return checked_maps((self.v_w, self.v_u), (self.rho_w, self.rho_u), w, u)
