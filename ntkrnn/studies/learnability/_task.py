"""What experiments on marked sequences share: the sequences, their kernel, and the two who learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ntkrnn.studies.learnability._data import marked, split_tokens, token_norm
from ntkrnn.studies.learnability._kernels import learning_curve, ntk64
from ntkrnn.studies.learnability._train import Fitted, fit_networks, stable_rate
from ntkrnn.theory import wshc21_network


class MarkedTask(NamedTuple):
    """Sequences behind a shared marker, n of them to learn from, and the network of WSHC21."""

    settings: Any
    seed: int
    """Of the draw."""
    tokens: np.ndarray
    """``[n + M, L - 1, dim]``, of norm 1."""
    norm: float
    """That the tokens of the sequences have."""
    n: int
    x: np.ndarray
    """``[n + M, L, dim + 1]``"""
    arch: Any
    kernel: np.ndarray
    """``[n, n]``"""
    cross: np.ndarray
    """``[M, n]``"""

    @classmethod
    def draw(
        cls,
        settings: Any,
        seed: int,
        *,
        length: int,
        dim: int,
        samples: int,
        width: int,
        regime: str = "balanced",
    ) -> MarkedTask:
        """Sequences of repetition ``seed``, and the infinite-width NTK of the network on them.

        Args:
            settings: with ``seed``, ``test``, ``steps`` and ``batch_size``.
            seed: number of the repetition.
            length: L, the marker counted.
            dim: of a token.
            samples: n.
            width: of the network.
            regime: of :func:`token_norm`.
        """
        at, norm = 1000 * settings.seed + seed, token_norm(regime, length)
        tokens, n = split_tokens(at, samples, settings.test, length - 1, dim)
        x, arch = marked(tokens, norm), wshc21_network(width, dim + 1)
        kernel, cross = ntk64(arch, x[:n]), ntk64(arch, x[n:], x[:n])
        return cls(settings, at, tokens, norm, n, x, arch, kernel, cross)

    def regression(self, y: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
        """``[len(sizes)]``: test errors of kernel regression, over the variance of ``y [n + M]``."""
        return learning_curve(self.kernel, y[: self.n], self.cross, y[self.n :], sizes)

    def network(self, y: np.ndarray, size: int) -> Fitted:
        """Errors of one network that SGD has fitted to the first sequences, over the variance."""
        return fit_networks(
            self.arch,
            self.x[:size],
            y[:size],
            self.x[self.n :],
            y[self.n :],
            learning_rate=stable_rate(self.kernel[:size, :size]),
            steps=self.settings.steps,
            batch_size=self.settings.batch_size,
            seed=self.seed,
            seeds=1,
        )
