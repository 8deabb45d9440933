# pyright: basic
"""``RecurrentGPRegressor``."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_is_fitted

from ntkrnn import _checks
from ntkrnn.architectures import Elman, check_architecture
from ntkrnn.data import KINDS, standardize
from ntkrnn.estimators._gp_calibration import block_errors, blocks_of
from ntkrnn.estimators._gp_kernel import Scaled, valid
from ntkrnn.estimators._gp_likelihood import likelihood, maximise, posterior
from ntkrnn.estimators._gp_search import free_scales, limits, starts
from ntkrnn.estimators._kernel import KERNELS
from ntkrnn.estimators._sequences import Sequences, read
from ntkrnn.estimators._targets import numbers, per_step

START = 10.0
"""At the first step, in the channel that tells it: ten standard deviations of another channel."""


class RecurrentGPRegressor(RegressorMixin, BaseEstimator):
    r"""A Gaussian process on series, with the kernel of infinitely wide recurrent networks.

    With the NNGP or tangent kernel K of an architecture, whose scales are fitted too::

        y = mean + f(x) + e,    f ~ GP(0, s^2 K),    e ~ N(0, noise)

    Scales, output scale s and noise maximise the marginal likelihood, by L-BFGS with exact gradients.
    An architecture with the readout "sequence" has an output at every step: then a target belongs to
    every step, and what is predicted are whole records, for one or a few long ones (system
    identification, forecasts from known inputs).

    Args:
        architecture: None for an erf network with the readout "mean"; its scales are where the search
            begins.
        kernel: "nngp" or "ntk".
        fitted: names of the scales that are fitted; output scale and noise always are.
        bounds: ``{name: (low, high)}`` for scales, "output_scale" and "noise", where others than the
            default are meant. By default w_std stays below where networks turn chaotic.
        n_restarts: searches that begin at random within the bounds, after the first one.
        standardize: what shares a mean and a standard deviation: "series", "channel", "global" or
            "none".
        start: whether a further channel tells the first step of a series from all others: records that
            begin in an unknown state show how it fades. By default with the readout "sequence" alone.
        calibrate: whether standard deviations are multiplied by how much larger the errors of left-out
            blocks of steps are than they should be, if they are larger; for series, of left-out series.
            By default with the readout "sequence" alone: a system is no draw of a process.
        normalize_y: whether targets are standardised; predictions come back in their units.
        random_state: whole number, the seed of restarts and of sampled limits.

    Attributes:
        architecture_: the architecture with the scales that were found.
        output_scale_: s, in units of standardised targets.
        noise_: the variance of e, likewise.
        calibration_: what standard deviations are multiplied by, at least 1; 1 without ``calibrate``.
        log_marginal_likelihood_value_: of standardised targets, at these.
        theta_: logarithms of the scales, s^2 and noise, in that order; what
            :meth:`log_marginal_likelihood` takes.
        n_features_in_, n_channels_in_, feature_names_in_: see
            :class:`ntkrnn.estimators.RecurrentKernel`.

    Cost: an evaluation takes two kernels for every scale and N^3 multiply-adds, N the number of series,
    or of steps; some 20 to 60 evaluations for every search. Everything is in float64.

    Source: Rasmussen & Williams 2006, chapter 5; Lee et al. 2018 (arXiv 1711.00165).

    Example:
        >>> import numpy as np
        >>> from ntkrnn.estimators import RecurrentGPRegressor
        >>> rate = np.linspace(1, 2, 20)
        >>> x = np.sin(rate[:, None] * np.arange(25) / 3)
        >>> mean, std = RecurrentGPRegressor().fit(x[::2], rate[::2]).predict(x[1::2], return_std=True)
        >>> bool((np.abs(mean - rate[1::2]) < 0.1).all()), std.shape
        (True, (10,))
    """

    def __init__(
        self,
        architecture: Any = None,
        *,
        kernel: str = "nngp",
        fitted: Any = ("w_std", "u_std", "b_std"),
        bounds: Any = None,
        n_restarts: int = 0,
        standardize: str = "channel",
        start: bool | None = None,
        calibrate: bool | None = None,
        normalize_y: bool = True,
        random_state: int = 0,
    ):
        self.architecture = architecture
        self.kernel = kernel
        self.fitted = fitted
        self.bounds = bounds
        self.n_restarts = n_restarts
        self.standardize = standardize
        self.start = start
        self.calibrate = calibrate
        self.normalize_y = normalize_y
        self.random_state = random_state

    def fit(self, X: Any, y: Any, lengths: Any = None) -> RecurrentGPRegressor:
        """Find scales, output scale and noise, and solve.

        Args:
            X: series ``[N, T]`` or ``[N, T, d]``, or a list of ``[T_i]`` or ``[T_i, d]``; NaN at the
                end is padding.
            y: ``[N]`` or ``[N, O]`` real targets; for the readout "sequence" ``[N, T]``, of which
                padded steps are not looked at, or a list of ``[T_i]``.
            lengths: ``[N]`` valid leading steps.

        Raises:
            TypeError, ValueError: naming the argument, what came and what was expected.
        """
        scaled = self._scaled()
        sequences = read(self, X, lengths, reset=True)
        self._before = standardize(*sequences, self.standardize)[1]
        self._kept = self._prepared(sequences)
        targets = self._targets(y, sequences)
        self._mean = targets.mean(axis=0) if self.normalize_y else np.zeros(targets.shape[1])
        spread = targets.std(axis=0) if self.normalize_y else np.ones(targets.shape[1])
        self._spread = np.where(spread > 0, spread, 1.0)
        self._y = (targets - self._mean) / self._spread
        within, more = limits(scaled, self.bounds), _checks.whole_number("n_restarts", self.n_restarts)
        guesses = starts(scaled, self._kept, self._y, within, more)
        try:
            best, _ = maximise(scaled.derivatives(self._kept), self._y, guesses, within)
        except np.linalg.LinAlgError:
            raise ValueError(
                f"bounds: got noise of at least {within[-1, 0]:g}, with which the kernel of these "
                "series is not positive definite; raise it."
            ) from None
        self.theta_ = np.log(best)
        scales = best[:-2]
        self.architecture_ = scaled.at([float(scale) for scale in scales])
        self.output_scale_, self.noise_ = float(np.sqrt(best[-2])), float(best[-1])
        found = posterior(scaled.kernel(self._kept, None, scales), self._y, best[-2], best[-1])
        self._factor, self.dual_coef_ = found.factor, found.coefficients
        self.log_marginal_likelihood_value_ = found.likelihood
        self.calibration_ = 1.0
        if self._steps() if self.calibrate is None else _checks.boolean("calibrate", self.calibrate):
            counts = sequences.counts()
            blocks = blocks_of(counts) if self._by_step else list(np.arange(len(counts))[:, None])
            errors = block_errors(found.factor, found.coefficients, blocks)
            self.calibration_ = max(1.0, float(np.sqrt(np.mean(np.square(errors)))))
        return self

    def predict(
        self, X: Any, lengths: Any = None, return_std: bool = False, return_cov: bool = False
    ) -> Any:
        """The posterior mean, and what is not known of it.

        Args:
            X: as in ``fit``; series may be longer than any there.
            lengths: ``[M]`` valid leading steps.
            return_std: whether standard deviations of new observations, noise included, are wanted too.
            return_cov: whether their covariance is.

        Returns:
            ``[M]`` or ``[M, O]`` as y was, for the readout "sequence" ``[M, T]``, NaN in the padding;
            then standard deviations of the same shape, or the covariance ``[M, M]``, for "sequence" of
            all valid steps; with a last axis O for several outputs.
        """
        check_is_fitted(self)
        if return_std and return_cov:
            raise ValueError("return_cov: got True beside return_std=True, expected one of the two.")
        sequences = read(self, X, lengths, reset=False)
        new, scaled = self._prepared(sequences), self._scaled()
        scales, (amplitude, noise) = np.exp(self.theta_[:-2]), np.exp(self.theta_[-2:])
        cross = amplitude * scaled.kernel(new, self._kept, scales)
        mean = self._shaped(cross @ self.dual_coef_ * self._spread + self._mean, sequences)
        if not return_std and not return_cov:
            return mean
        half = scipy.linalg.solve_triangular(self._factor, cross.T, lower=True, check_finite=False)
        if return_std:
            prior = amplitude * scaled.variances(new, scales)
            variances = np.maximum(prior - np.einsum("nm,nm->m", half, half), 0.0) + noise
            deviations = self.calibration_ * np.sqrt(variances)
            return mean, self._shaped(deviations[:, None] * self._spread, sequences)
        covariance = amplitude * scaled.kernel(new, None, scales) - half.T @ half
        covariance.flat[:: len(covariance) + 1] += noise
        every = covariance[:, :, None] * np.square(self.calibration_ * self._spread)
        return mean, every[:, :, 0] if self._flat else every

    def sample_y(
        self, X: Any, n_samples: int = 1, random_state: int = 0, lengths: Any = None
    ) -> np.ndarray:
        """Draws of new observations from the posterior: ``[M, S]``, or ``[M, O, S]``.

        Args:
            X: as in ``predict``; for the readout "sequence" M counts all valid steps.
            n_samples: S.
            random_state: of the draws.
            lengths: ``[M]`` valid leading steps.
        """
        samples = _checks.positive_integer("n_samples", n_samples)
        rng = np.random.default_rng(_checks.whole_number("random_state", random_state))
        mean, covariance = self.predict(X, lengths, return_cov=True)
        mean = mean[~np.isnan(mean)] if self._flat else mean
        if self._flat:
            return rng.multivariate_normal(mean, covariance, samples, method="eigh").T
        draws = [
            rng.multivariate_normal(mean[:, o], covariance[:, :, o], samples, method="eigh").T
            for o in range(mean.shape[1])
        ]
        return np.stack(draws, axis=1)

    def log_marginal_likelihood(self, theta: Any = None, eval_gradient: bool = False) -> Any:
        """Of the standardised targets of ``fit``.

        Args:
            theta: logarithms of scales, s^2 and noise; None for those that were found.
            eval_gradient: whether the gradient by theta is wanted too.
        """
        check_is_fitted(self)
        at = np.exp(self.theta_ if theta is None else np.asarray(theta, np.float64))
        if at.shape != self.theta_.shape:
            raise ValueError(f"theta: got shape {at.shape}, expected {self.theta_.shape}.")
        scaled = self._scaled()
        if not eval_gradient:
            kernel = scaled.kernel(self._kept, None, at[:-2])
            return posterior(kernel, self._y, at[-2], at[-1]).likelihood
        return likelihood(*scaled.derivatives(self._kept)(at[:-2]), self._y, at[-2], at[-1])

    def score(self, X: Any, y: Any, lengths: Any = None, sample_weight: Any = None) -> float:
        """Coefficient of determination R^2 of the mean, over valid steps where there are several."""
        check_is_fitted(self)
        mean = self.predict(X, lengths)
        if not self._by_step:
            return float(r2_score(y, mean, sample_weight=sample_weight))
        truth = per_step(self, y, read(self, X, lengths, reset=False))
        return float(r2_score(truth, mean[~np.isnan(mean)]))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = not self._steps()
        return tags

    def _steps(self) -> bool:
        return getattr(self.architecture, "readout", None) == "sequence"

    def _scaled(self) -> Scaled:
        """The kernel and its free scales, checked."""
        arch = Elman(readout="mean", b_std=0.3) if self.architecture is None else self.architecture
        check_architecture(arch)
        return Scaled(
            arch,
            free_scales(arch, self.fitted),
            _checks.choice("kernel", self.kernel, KERNELS),
            _checks.whole_number("random_state", self.random_state),
        )

    def _prepared(self, sequences: Sequences) -> Sequences:
        _checks.choice("standardize", self.standardize, KINDS)
        x, _ = standardize(*sequences, self.standardize, like=self._before)
        if self._steps() if self.start is None else _checks.boolean("start", self.start):
            first = np.zeros((*x.shape[:2], 1))
            first[:, 0] = START
            x = np.concatenate([x, first], axis=2)
        return Sequences(x, sequences.lengths)

    def _targets(self, y: Any, sequences: Sequences) -> np.ndarray:
        """``[N, O]``, or ``[steps, 1]``."""
        self._by_step = self._steps()
        if self._by_step:
            self._flat = True
            return per_step(self, y, sequences)[:, None]
        targets = numbers(self, y, len(sequences.x))
        self._flat = targets.ndim == 1
        return targets.reshape(len(targets), -1)

    def _shaped(self, outputs: np.ndarray, sequences: Sequences) -> np.ndarray:
        """Outputs ``[M, O]`` as y was; of steps as ``[M, T]`` with NaN in the padding."""
        if not self._by_step:
            return outputs[:, 0] if self._flat else outputs
        every = np.full(sequences.x.shape[:2], np.nan)
        every[valid(sequences)] = outputs[:, 0]
        return every
