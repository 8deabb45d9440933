"""Sequences of tokens in the forms that the learning theories ask for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ntkrnn import _checks
from ntkrnn._memory import require
from ntkrnn._random import generator, unit_vectors

DISTRIBUTIONS = ("sphere", "orthogonal", "signs")


def unit_tokens(x: Any) -> np.ndarray:
    """Every token divided by its norm: ``x_t / ||x_t||``.

    Args:
        x: ``[N, T, d]``, no token of which is zero.

    Returns:
        ``[N, T, d]``, NumPy float64.

    Raises:
        TypeError, ValueError: for the wrong rank, dtype, NaN, or a zero token, which has no direction.

    Cost: O(N T d).

    Source: the inputs of AL19 (arXiv 1902.01028) have true tokens of unit norm; theory.

    Example:
        >>> unit_tokens([[[3.0, 4.0], [0.0, -2.0]]]).tolist()
        [[[0.6, 0.8], [0.0, -1.0]]]
    """
    x = _checks.host_sequences("x", x)
    # The largest entry goes first, so that squares neither overflow nor vanish.
    largest = np.abs(x).max(axis=2, keepdims=True)
    zero = np.argwhere(largest[:, :, 0] == 0)
    if zero.size:
        row, step = (int(i) for i in zero[0])
        raise ValueError(
            f"x: got a zero token at row {row}, step {step} ({len(zero)} in all), expected tokens "
            "with a direction; drop them, or append a channel that is never zero."
        )
    x = x / largest
    return x / np.linalg.norm(x, axis=2, keepdims=True)


def rescaled_tokens(x: Any, power: float = 1.5, first: bool = True) -> np.ndarray:
    r"""Unit tokens times ``T^{-power}``; the first one keeps norm 1 if ``first``.

    With ``power = 3/2`` the tokens after the first add ``1/T^2`` to the variance of the state in all,
    and the tangent kernel sees every position polynomially well in T.

    Args:
        x: ``[N, T, d]``, no token of which is zero.
        power: of the number of steps, finite and at least 0.
        first: whether the first token stays at norm 1.

    Returns:
        ``[N, T, d]``, NumPy float64.

    Raises:
        TypeError, ValueError: as :func:`unit_tokens`, or for a negative power.

    Cost: O(N T d).

    Source: WSHC21 (arXiv 2109.14142) compares the regimes, up to constants; see the paper. theory.

    Example:
        >>> np.linalg.norm(rescaled_tokens(np.ones((1, 4, 3))), axis=2).round(6).tolist()
        [[1.0, 0.125, 0.125, 0.125]]
    """
    power = _checks.nonnegative_float("power", power)
    first = _checks.boolean("first", first)
    x = unit_tokens(x)
    norms = np.full(x.shape[1], float(x.shape[1]) ** -power)
    if first:
        norms[0] = 1.0
    return x * norms[:, None]


def true_tokens(x: Any) -> np.ndarray:
    r"""AL19's true tokens: unit norm, last coordinate 1/2.

    ``x*_t = (sqrt(3)/2 x_t/||x_t||, 1/2)``, for any tokens with a direction. A target of AL19 is a
    function of these; :func:`al19_tokens` is what the network reads.

    Args:
        x: ``[N, T, k]``, no token of which is zero.

    Returns:
        ``[N, T, k + 1]``, NumPy float64.

    Raises:
        TypeError, ValueError: as :func:`unit_tokens`.

    Cost: O(N T k).

    Source: AL19 (arXiv 1902.01028), input sequences; theory.

    Example:
        >>> true_tokens([[[2.0]]]).round(4).tolist()
        [[[0.866, 0.5]]]
    """
    x = unit_tokens(x)
    half = np.full((*x.shape[:2], 1), 0.5)
    return np.concatenate([math.sqrt(0.75) * x, half], axis=2)


def al19_tokens(x: Any, eps_x: float) -> np.ndarray:
    r"""The input sequences of AL19: a marker, then true tokens made small.

    ``x_1 = (0, 1)`` and ``x_{t+1} = (eps_x x*_t, 0)`` with the true tokens ``x*_t`` of
    :func:`true_tokens`. The sequence is one step longer than that of the true tokens: what the
    network gives after true token ``t`` stands at step ``t + 1`` of its output, so that
    ``apply_fn(params, al19_tokens(x, eps_x))[:, 1:]`` compares with a
    :class:`~ntkrnn.theory.TokenTarget` at ``true_tokens(x)``.

    Args:
        x: ``[N, T, k]``, no token of which is zero.
        eps_x: norm of the true tokens inside the network, above 0; the theory wants it tiny.

    Returns:
        ``[N, T + 1, k + 2]``, NumPy float64.

    Raises:
        TypeError, ValueError: as :func:`unit_tokens`, or unless ``eps_x`` is above 0.

    Cost: O(N T k).

    Source: AL19 (arXiv 1902.01028), input sequences, up to details of the last token; see the paper.

    Example:
        >>> al19_tokens([[[2.0]]], eps_x=0.1).round(4).tolist()
        [[[0.0, 0.0, 1.0], [0.0866, 0.05, 0.0]]]
    """
    eps_x = _checks.positive_float("eps_x", eps_x)
    true = true_tokens(x)
    n, steps, size = true.shape
    tokens = np.zeros((n, steps + 1, size + 1))
    tokens[:, 0, -1] = 1.0
    tokens[:, 1:, :-1] = eps_x * true
    return tokens


def sample_tokens(key: Any, n: int, length: int, dim: int, distribution: str = "sphere") -> np.ndarray:
    r"""Sequences of independent tokens of unit norm.

    ``distribution`` is one of

    - "sphere": every token uniform on the unit sphere of R^dim;
    - "orthogonal": token t uniform on the unit sphere of its own block of ``dim/length`` coordinates,
      so that ``<x_t, x'_s> = 0`` for t != s, within a sequence and between any two;
    - "signs": every token uniform on ``{-1, 1}^dim / sqrt dim``.

    Args:
        key: a random key of JAX, or a whole number as a seed.
        n: number of sequences.
        length: number of tokens of each.
        dim: dimension of a token; a multiple of ``length`` for "orthogonal".
        distribution: as above.

    Returns:
        ``[n, length, dim]``, NumPy float64; the same numbers whatever JAX's precision.

    Raises:
        TypeError, ValueError: for sizes below 1, an unknown distribution, or blocks that do not fit.

    Cost: O(n length dim).

    Source: theory (the two token regimes of WSHC21, arXiv 2109.14142).

    Example:
        >>> x = sample_tokens(0, 2, 3, 6, "orthogonal")
        >>> abs((x[0] @ x[1].T)[~np.eye(3, dtype=bool)]).max().item()
        0.0
    """
    rng = generator(key)
    n = _checks.positive_integer("n", n)
    length = _checks.positive_integer("length", length)
    dim = _checks.positive_integer("dim", dim)
    _checks.choice("distribution", distribution, DISTRIBUTIONS)
    require("n", 32 * n * length * dim, f"n={n} sequences of {length} tokens [{dim}]", "draw fewer.")
    if distribution == "sphere":
        return unit_vectors(rng, n, length, dim)
    if distribution == "signs":
        return rng.choice([-1.0, 1.0], size=(n, length, dim)) / math.sqrt(dim)
    if dim % length:
        raise ValueError(
            f"dim: got {dim}, expected a multiple of length={length}: orthogonal tokens live each in "
            f"a block of dim/length coordinates; take dim={length * math.ceil(dim / length)}."
        )
    block = dim // length
    x = np.zeros((n, length, length, block))
    at = np.arange(length)
    x[:, at, at] = unit_vectors(rng, n, length, block)
    return x.reshape(n, length, dim)
