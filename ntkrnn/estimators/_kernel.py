# pyright: basic
"""``RecurrentKernel``: series in, kernel matrix out."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.gaussian_process.kernels import Kernel
from sklearn.utils.validation import check_is_fitted

from ntkrnn import _checks
from ntkrnn.architectures import Architecture, Elman, name_of
from ntkrnn.data import KINDS
from ntkrnn.estimators._members import Gram, Kind, Member, between, diagonal, members_of, own
from ntkrnn.estimators._preparation import learned
from ntkrnn.estimators._sequences import Sequences, read

KERNELS = ("nngp", "ntk")
DTYPES = ("float32", "float64")


class RecurrentKernel(TransformerMixin, BaseEstimator, Kernel):
    r"""The kernel of infinitely wide recurrent networks between series: a transformer and a callable.

    Series are standardised, averaged over blocks of time, joined with their differences, and compared
    by one kernel or by the average of several, each at unit diagonal::

        K(x, x') = 1/P sum_p K_p(x, x') / sqrt(K_p(x, x) K_p(x', x'))

    ``fit`` keeps the series, ``transform`` gives the kernel of others with them: for
    ``SVC(kernel="precomputed")``, ``KernelPCA``, ``SpectralClustering``. As a callable it has the form
    of the kernels in ``sklearn.gaussian_process``, without hyperparameters of its own, and can be added
    to them and multiplied with them.

    Args:
        architecture: "auto", for the average of relu and erf networks; an architecture such as
            ``ntkrnn.LSTM(readout="mean")``; or a list of them, averaged.
        kernel: "nngp" or "ntk".
        standardize: what shares a mean and a standard deviation: "series" (every series by itself),
            "channel", "global" or "none"; learned in ``fit`` where series share them.
        differences: whether every architecture is taken three times: as it reads the series, with first
            differences as further channels, and with second ones too.
        max_steps: the most steps that the longest series keeps, as means over blocks of time.
        normalize: whether every kernel is scaled to unit diagonal.
        random_state: whole number, the seed of sampled limits (LSTM, GRU, diagonal networks).
        dtype: "float32", or "float64", in which kernels take two to three times as long: for methods
            that read their small eigenvalues.

    Attributes:
        architecture_: tuple of the architectures that are averaged.
        kernel_error_: largest relative standard error of a sampled kernel, 0 for exact ones.
        n_features_in_: steps of a table ``[N, T]``, otherwise the number of channels.
        n_channels_in_: the number of channels d.
        feature_names_in_: names of the columns, where X came with names.

    Cost: ``fit`` O(N T), ``transform`` O(M N T^2) for readout "mean", where T is at most ``max_steps``.

    Source: the limits of :func:`ntkrnn.network`; which preparation helped was measured, see
    ``docs/tutorial-classify.md``.

    Example:
        >>> import numpy as np
        >>> from ntkrnn.estimators import RecurrentKernel
        >>> x = np.random.default_rng(0).normal(size=(5, 20))
        >>> RecurrentKernel().fit_transform(x).shape
        (5, 5)
    """

    def __init__(
        self,
        architecture: Any = "auto",
        *,
        kernel: str = "nngp",
        standardize: str = "series",
        differences: bool = True,
        max_steps: int = 40,
        normalize: bool = True,
        random_state: int = 0,
        dtype: str = "float32",
    ):
        self.architecture = architecture
        self.kernel = kernel
        self.standardize = standardize
        self.differences = differences
        self.max_steps = max_steps
        self.normalize = normalize
        self.random_state = random_state
        self.dtype = dtype

    def fit(self, X: Any, y: Any = None, lengths: Any = None) -> RecurrentKernel:
        """Learn the preparation, and keep the series.

        Args:
            X: series ``[N, T]`` or ``[N, T, d]``, or a list of ``[T_i]`` or ``[T_i, d]``; NaN at the
                end is padding.
            y: not looked at.
            lengths: ``[N]`` valid leading steps.

        Raises:
            TypeError, ValueError: naming the argument.
        """
        self.fit_gram(read(self, X, lengths, reset=True))
        return self

    def fit_gram(self, sequences: Sequences) -> np.ndarray:
        """Learn from series that were read, and return their kernel ``[N, N]``.

        Estimators that choose among several kernels read their input once.
        """
        members, kind = self._asked()
        steps = _checks.positive_integer("max_steps", self.max_steps)
        _checks.choice("standardize", self.standardize, KINDS)
        self._preparation, self._kept = learned(sequences, self.standardize, steps)
        gram: Gram = own(members, kind, self._kept)
        self._scales, self.kernel_error_ = gram.scales, gram.error
        self.architecture_ = tuple(member.architecture for member in members)
        return gram.kernel

    def fit_transform(self, X: Any, y: Any = None, lengths: Any = None) -> np.ndarray:
        """``[N, N]``: ``fit``, and the kernel of its series, of which every pair is computed once."""
        return self.fit_gram(read(self, X, lengths, reset=True))

    def transform(self, X: Any, lengths: Any = None) -> np.ndarray:
        """``[M, N]``: the kernel of series with those of ``fit``.

        Args:
            X: as in ``fit``; series may be longer than any there.
            lengths: ``[M]`` valid leading steps.
        """
        check_is_fitted(self)
        return self.rows(read(self, X, lengths, reset=False))

    def rows(self, sequences: Sequences) -> np.ndarray:
        """The same for series that were read."""
        members, kind = self._asked()
        return between(members, kind, self._preparation(sequences), self._kept, self._scales)

    def describe(self) -> str:
        """How series are prepared and whose kernels are averaged, in words.

        Example:
            >>> RecurrentKernel().describe()
            'series, relu b=0.3 + erf b=0.3, differences'
        """
        members, _ = self._asked()
        names = [_name(member.architecture) for member in members if member.order == 0]
        words = [self.standardize, " + ".join(names), *["differences"] * bool(self.differences)]
        return ", ".join(words)

    def __call__(self, X: Any, Y: Any = None, eval_gradient: bool = False) -> Any:
        """``[N1, N2]`` of two sets of series, as Gaussian processes of scikit-learn ask for it.

        The preparation is learned from ``Y``, which are the training series there, or from ``X`` alone.

        Args:
            X: series.
            Y: series, or None for ``X``.
            eval_gradient: whether the gradient by the hyperparameters is wanted too, ``[N1, N1, 0]``:
                there are none; :class:`ntkrnn.estimators.RecurrentGPRegressor` fits scales.
        """
        fitted: Any = clone(self)
        if Y is None:
            kernel = fitted.fit_transform(X)
            return (kernel, np.empty((*kernel.shape, 0))) if eval_gradient else kernel
        if eval_gradient:
            raise ValueError("eval_gradient: got True with Y, expected it for X alone.")
        return fitted.fit(Y).transform(X)

    def diag(self, X: Any) -> np.ndarray:
        """``[N]``: every series with itself."""
        members, kind = self._asked()
        sequences = read(clone(self), X, reset=True)
        return diagonal(members, kind, learned(sequences, self.standardize, self.max_steps)[1])

    def is_stationary(self) -> bool:
        """No: it depends on more than a difference of two series."""
        return False

    @property
    def requires_vector_input(self) -> bool:
        """No: lists of series are taken too."""
        return False

    @property
    def hyperparameters(self) -> list[Any]:
        """None of its own."""
        return []

    # A kernel of scikit-learn equals another one by its parameters, an estimator is itself alone.
    def __eq__(self, b: Any) -> bool:
        return self is b

    __hash__ = object.__hash__  # type: ignore[assignment]

    def _asked(self) -> tuple[tuple[Member, ...], Kind]:
        """The members and what is asked of them, checked."""
        return members_of(self.architecture, _checks.boolean("differences", self.differences)), Kind(
            _checks.choice("kernel", self.kernel, KERNELS),
            _checks.boolean("normalize", self.normalize),
            _checks.whole_number("random_state", self.random_state),
            _checks.choice("dtype", self.dtype, DTYPES),
        )


def _name(arch: Architecture) -> str:
    if isinstance(arch, Elman):
        return f"{name_of(arch.nonlinearity)} b={arch.b_std:g}"
    return type(arch).__name__
