# pyright: basic
"""``RecurrentKernelClassifier``."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import softmax
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score

from ntkrnn.estimators._machine import KernelMachine
from ntkrnn.estimators._sequences import read
from ntkrnn.estimators._targets import labels
from ntkrnn.estimators._temperature import temperature


class RecurrentKernelClassifier(ClassifierMixin, KernelMachine):
    r"""Ridge classification of series by the kernels of infinitely wide recurrent networks.

    For every class c a ridge regression on targets +1 and -1, less their mean, with the kernel K of
    :class:`ntkrnn.estimators.RecurrentKernel`::

        f(x) = mean + K(x, X) (K + alpha I)^{-1} (Y - mean)

    The largest score says the class. Standardisation, architecture and ridge are those with the least
    leave-one-out error, which one eigendecomposition of a kernel gives for all ridges.

    Args:
        architecture: "auto", for averages of relu and erf networks; an architecture such as
            ``ntkrnn.LSTM(readout="mean")``; or a list of them.
        kernel: "nngp" or "ntk".
        combine: what a list means: "average" of the kernels, or "select" one of them.
        standardize: "series", "channel", "global" or "none"; "auto" chooses between the first two.
        differences: whether first and second differences are read as further channels.
        max_steps: the most steps that the longest series keeps, as means over blocks of time.
        normalize: whether kernels are scaled to unit diagonal.
        alphas: ridges to choose from, in units of the mean diagonal of the kernel; 29 from 1e-6 to 10
            by default.
        selection: what is minimised: "loo" (squared error of left-out series), "gcv" (generalised
            cross-validation) or "marginal_likelihood" (its negative logarithm).
        random_state: whole number, the seed of sampled limits.

    Attributes:
        classes_: the classes, sorted.
        kernel_: the :class:`ntkrnn.estimators.RecurrentKernel` that was chosen, fitted.
        architecture_: tuple of the architectures whose kernels are averaged.
        alpha_: the ridge, in units of the kernel.
        loo_score_: mean squared error of left-out series with it; targets are +1 and -1.
        loo_predictions_: ``[N, C]``, the scores of every series by the others; NaN for those that
            did not choose.
        loo_accuracy_: share of left-out series whose class is predicted right.
        candidates_: a table of what was compared: arrays "candidate", "alpha", "loo_score" and
            "criterion", one entry each.
        dual_coef_: ``[N, C]``.
        temperature_: of the softmax of :meth:`predict_proba`.
        n_features_in_, n_channels_in_, feature_names_in_: see
            :class:`ntkrnn.estimators.RecurrentKernel`.

    Cost: ``fit`` O(N^2 T^2) for every kernel and O(N^3) for every candidate; 32 N^2 bytes. Beyond
    N = 10,000 some 4,000 series choose, and the system of all is solved by conjugate gradients.

    Source: kernel ridge regression with the limits of :func:`ntkrnn.network`;
    ``docs/tutorial-classify.md`` says how its defaults were chosen.

    Example:
        >>> import numpy as np
        >>> from ntkrnn.estimators import RecurrentKernelClassifier
        >>> t = np.arange(30)
        >>> x = np.array([np.sin(t / (2 + i % 2) + i) for i in range(12)])
        >>> y = np.array(["slow" if i % 2 else "fast" for i in range(12)])
        >>> model = RecurrentKernelClassifier().fit(x[:8], y[:8])
        >>> model.predict(x[8:]).tolist()
        ['fast', 'slow', 'fast', 'slow']
    """

    def fit(self, X: Any, y: Any, lengths: Any = None) -> RecurrentKernelClassifier:
        """Choose a kernel and a ridge, and solve.

        Args:
            X: series ``[N, T]`` or ``[N, T, d]``, or a list of ``[T_i]`` or ``[T_i, d]``; NaN at the
                end is padding.
            y: ``[N]`` classes, of whatever type; at least two.
            lengths: ``[N]`` valid leading steps.

        Raises:
            TypeError, ValueError: naming the argument, what came and what was expected.
        """
        sequences = read(self, X, lengths, reset=True)
        classes, columns = labels(self, y, len(sequences.x))
        if len(classes) < 2:
            raise ValueError(
                f"y: got one class, {classes[0]!r}, expected at least two classes to tell apart."
            )
        self.classes_ = classes
        signs = np.where(columns[:, None] == np.arange(len(classes)), 1.0, -1.0)
        # A series that is the only one of its class is never predicted right by the others.
        counted = np.bincount(columns)[columns] > 1
        choice = self._learn(sequences, signs, counted)
        scores, left_out = self.loo_predictions_[choice.rows], columns[choice.rows]
        self.loo_accuracy_ = float(np.mean(np.argmax(scores, axis=1) == left_out))
        self.temperature_ = temperature(scores, left_out)
        return self

    def decision_function(self, X: Any, lengths: Any = None) -> np.ndarray:
        """Scores ``[M, C]``, of order -1 to 1; for two classes ``[M]``, that of the second.

        Args:
            X: as in ``fit``; series may be longer than any there.
            lengths: ``[M]`` valid leading steps.
        """
        scores = self._outputs(X, lengths)
        return scores[:, 1] if len(self.classes_) == 2 else scores

    def predict(self, X: Any, lengths: Any = None) -> np.ndarray:
        """``[M]``: the class with the largest score."""
        best = np.argmax(self._outputs(X, lengths), axis=1)
        return self.classes_[best]

    def predict_proba(self, X: Any, lengths: Any = None) -> np.ndarray:
        """``[M, C]``: softmax of the scores, at the temperature that left-out series were likeliest."""
        scores = self._outputs(X, lengths)
        return softmax(scores / self.temperature_, axis=1)

    def score(self, X: Any, y: Any, lengths: Any = None, sample_weight: Any = None) -> float:
        """Share of series whose class is predicted right."""
        return float(accuracy_score(y, self.predict(X, lengths), sample_weight=sample_weight))
