# pyright: basic
"""``RecurrentKernelRidge``."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score

from ntkrnn.estimators._machine import KernelMachine
from ntkrnn.estimators._sequences import read
from ntkrnn.estimators._targets import numbers


class RecurrentKernelRidge(RegressorMixin, KernelMachine):
    r"""Ridge regression on series with the kernels of infinitely wide recurrent networks.

    With the kernel K of :class:`ntkrnn.estimators.RecurrentKernel`::

        f(x) = mean(y) + K(x, X) (K + alpha I)^{-1} (y - mean(y))

    Standardisation, architecture and ridge are those with the least leave-one-out error.

    Args:
        architecture: "auto", for averages of relu and erf networks; an architecture; or a list of
            them.
        kernel: "nngp" or "ntk".
        combine: what a list means: "average" of the kernels, or "select" one of them.
        standardize: "series", "channel", "global" or "none"; "auto" chooses between the first two.
        differences: whether first and second differences are read as further channels.
        max_steps: the most steps that the longest series keeps, as means over blocks of time.
        normalize: whether kernels are scaled to unit diagonal.
        alphas: ridges to choose from, in units of the mean diagonal of the kernel.
        selection: what is minimised: "loo", "gcv" or "marginal_likelihood".
        random_state: whole number, the seed of sampled limits.

    Attributes:
        kernel_: the :class:`ntkrnn.estimators.RecurrentKernel` that was chosen, fitted.
        architecture_: tuple of the architectures whose kernels are averaged.
        alpha_: the ridge, in units of the kernel.
        loo_score_: mean squared error of left-out series with it, in the units of y.
        loo_predictions_: ``[N, O]``, of every series by the others; NaN for those that did not choose.
        loo_residuals_: y less these, of the shape of y.
        candidates_: a table of what was compared: arrays "candidate", "alpha", "loo_score" and
            "criterion", one entry each.
        dual_coef_: ``[N, O]``.
        n_features_in_, n_channels_in_, feature_names_in_: see
            :class:`ntkrnn.estimators.RecurrentKernel`.

    Cost: ``fit`` O(N^2 T^2) for every kernel and O(N^3) for every candidate; 32 N^2 bytes. Beyond
    N = 10,000 some 4,000 series choose, and the system of all is solved by conjugate gradients.

    Source: kernel ridge regression with the limits of :func:`ntkrnn.network`.

    Example:
        >>> import numpy as np
        >>> from ntkrnn.estimators import RecurrentKernelRidge
        >>> rate = np.linspace(1, 2, 20)
        >>> x = np.sin(rate[:, None] * np.arange(25) / 3)
        >>> model = RecurrentKernelRidge().fit(x[::2], rate[::2])
        >>> bool(np.abs(model.predict(x[1::2]) - rate[1::2]).max() < 0.05)
        True
    """

    def fit(self, X: Any, y: Any, lengths: Any = None) -> RecurrentKernelRidge:
        """Choose a kernel and a ridge, and solve.

        Args:
            X: series ``[N, T]`` or ``[N, T, d]``, or a list of ``[T_i]`` or ``[T_i, d]``; NaN at the
                end is padding.
            y: ``[N]`` or ``[N, O]`` real targets.
            lengths: ``[N]`` valid leading steps.

        Raises:
            TypeError, ValueError: naming the argument, what came and what was expected.
        """
        sequences = read(self, X, lengths, reset=True)
        targets = numbers(self, y, len(sequences.x))
        self._flat = targets.ndim == 1
        n = len(targets)
        self._learn(sequences, targets.reshape(n, -1), np.ones(n, bool))
        self.loo_residuals_ = targets - self.loo_predictions_.reshape(targets.shape)
        return self

    def predict(self, X: Any, lengths: Any = None) -> np.ndarray:
        """``[M]`` or ``[M, O]``, as y was.

        Args:
            X: as in ``fit``; series may be longer than any there.
            lengths: ``[M]`` valid leading steps.
        """
        outputs = self._outputs(X, lengths)
        return outputs[:, 0] if self._flat else outputs

    def score(self, X: Any, y: Any, lengths: Any = None, sample_weight: Any = None) -> float:
        """Coefficient of determination R^2, as scikit-learn defines it."""
        return float(r2_score(y, self.predict(X, lengths), sample_weight=sample_weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
