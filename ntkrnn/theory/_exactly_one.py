"""A target outside the additive class: exactly one token of class 1."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn import _checks
from ntkrnn._random import generator, unit_vectors
from ntkrnn.theory._target import Target, like, tokens_for, vector_table


@dataclasses.dataclass(frozen=True, eq=False)
class ExactlyOneTarget(Target):
    r"""``F(x) = +1`` if exactly one token has ``<direction, x_t> > 0``, and -1 otherwise.

    It jumps, so that no power series gives it: its complexities are infinite.

    Args:
        direction: ``[d]``, not zero.
        length: tokens L of a sequence.

    Raises:
        TypeError, ValueError: naming the argument.

    Cost: a value is O(N L d).

    Source: theory; not a class of AL19 or WSHC21.

    Example:
        >>> target = ExactlyOneTarget([1.0], length=3)
        >>> target([[[-1.0], [2.0], [-1.0]], [[1.0], [2.0], [-1.0]]]).tolist()
        [1.0, -1.0]
    """

    direction: np.ndarray
    length: int

    def __post_init__(self) -> None:
        """Normalise and validate."""
        given = np.asarray(_checks.real_array("direction", self.direction, "one vector [d]"))
        if given.ndim != 1:
            raise ValueError(f"direction: got shape {given.shape}, expected one vector [d].")
        direction = vector_table("direction", given[None], "[d]")[0]
        if not direction.any():
            raise ValueError("direction: got the zero vector, expected one that tells tokens apart.")
        object.__setattr__(self, "direction", direction)
        object.__setattr__(self, "length", _checks.positive_integer("length", self.length))

    @property
    def dim(self) -> int:
        """Channels d of a token."""
        return len(self.direction)

    def __call__(self, x: Any) -> Any:
        """``[N, L, d] -> [N]``, entries +-1."""
        x = tokens_for(self, x)
        count = ((x * like(x, self.direction)[None, None]).sum(axis=2) > 0).sum(axis=1)
        one = jnp.ones((), x.dtype) if isinstance(x, jax.Array) else 1.0
        where = jnp.where if isinstance(x, jax.Array) else np.where
        return where(count == 1, one, -one)

    def complexity(self, eps: Any, c_star: float = 1.0) -> Any:
        """Infinity: no power series gives a jump."""
        del c_star
        return np.full(np.shape(eps), math.inf) if np.ndim(eps) else math.inf

    def sample_complexity(self, c_star: float = 1.0) -> Any:
        """Infinity: no power series gives a jump."""
        del c_star
        return math.inf

    def exact_additive_error(self, class_probability: float = 0.5) -> float:
        r"""The distance to the additive functions in closed form, for independent tokens.

        With p the probability of class 1 and ``g = L p (1-p)^{L-1}`` that of exactly one, the variance
        is ``4 g (1-g)``; the best function of one token explains ``4 p (1-p)^{2L-3} (1 - L p)^2`` of
        it, and the squared distance is what L of them leave. At p = 1/L they explain nothing.

        Args:
            class_probability: p, between 0 and 1; 1/2 for tokens that are symmetric about 0.

        Returns:
            The root of the mean squared distance; 0 for one token.

        Raises:
            ValueError: if p is not a probability.

        Source: theory.

        Example:
            >>> ExactlyOneTarget([1.0], length=2).exact_additive_error()  # exclusive or
            1.0
        """
        p, steps = float(class_probability), self.length
        if not 0 <= p <= 1:
            raise ValueError(f"class_probability: got {p}, expected a number between 0 and 1.")
        if steps == 1:
            return 0.0
        g = steps * p * (1 - p) ** (steps - 1)
        explained = steps * p * (1 - p) ** (2 * steps - 3) * (1 - steps * p) ** 2
        return 2 * math.sqrt(max(g * (1 - g) - explained, 0.0))

    @classmethod
    def sample(cls, key: Any, length: int, dim: int) -> ExactlyOneTarget:
        """One with a direction uniform on the unit sphere.

        Args:
            key: a random key of JAX, or a whole number as a seed.
            length: tokens L of a sequence.
            dim: channels d of a token.

        Raises:
            TypeError, ValueError: naming the argument.

        Example:
            >>> ExactlyOneTarget.sample(0, 4, 3).direction.shape
            (3,)
        """
        return cls(unit_vectors(generator(key), _checks.positive_integer("dim", dim)), length)
