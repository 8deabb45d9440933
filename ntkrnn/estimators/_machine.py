"""What the classifier and the regressor share: candidates, the choice, and scores of later series."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from ntkrnn import _checks
from ntkrnn.data import KINDS
from ntkrnn.estimators._choice import ALPHAS, CRITERIA, Choice, choose
from ntkrnn.estimators._kernel import RecurrentKernel
from ntkrnn.estimators._members import TABLES
from ntkrnn.estimators._sequences import Sequences, read
from ntkrnn.solvers import EXACT, auto

COMBINATIONS = ("average", "select")
CHOOSING = 4_000
"""Series by which the choice is made where there are too many for an eigendecomposition."""


class KernelMachine(BaseEstimator):
    """Ridge regression on recurrent kernels, with everything that has to be chosen chosen."""

    def __init__(
        self,
        architecture: Any = "auto",
        *,
        kernel: str = "nngp",
        combine: str = "average",
        standardize: str = "auto",
        differences: bool = True,
        max_steps: int = 40,
        normalize: bool = True,
        alphas: Any = None,
        selection: str = "loo",
        random_state: int = 0,
    ):
        super().__init__()  # of aeon's base classes, where this is mixed into one
        self.architecture = architecture
        self.kernel = kernel
        self.combine = combine
        self.standardize = standardize
        self.differences = differences
        self.max_steps = max_steps
        self.normalize = normalize
        self.alphas = alphas
        self.selection = selection
        self.random_state = random_state

    def _learn(self, sequences: Sequences, targets: np.ndarray, counted: np.ndarray) -> Choice:
        """Choose and solve for targets ``[N, O]``; the fitted attributes are set.

        Of more than 10,000 series some 4,000 choose, and the system of all is solved with that choice.
        """
        selection = _checks.choice("selection", self.selection, tuple(CRITERIA))
        self._means = targets.mean(axis=0)
        centred, alphas = targets - self._means, self._alphas()
        rows = np.arange(len(targets))
        if len(rows) > EXACT:
            rng = np.random.default_rng(_checks.whole_number("random_state", self.random_state))
            rows = np.sort(rng.choice(rows, CHOOSING, replace=False))
        choice = self._chosen(sequences.rows(rows), centred[rows], counted[rows], alphas, selection)
        if len(rows) < len(targets):
            solution = auto(choice.kernel.fit_gram(sequences), centred, choice.alpha)
            choice = dataclasses.replace(choice, coefficients=solution.coefficients, rows=rows)
        self.kernel_, self.alpha_ = choice.kernel, choice.alpha
        self.architecture_ = self.kernel_.architecture_
        self.dual_coef_ = choice.coefficients
        self.candidates_ = choice.table
        self.loo_predictions_ = np.full(targets.shape, np.nan)
        self.loo_predictions_[choice.rows] = choice.left_out + self._means
        self.loo_score_ = float(choice.table["loo_score"][choice.chosen])
        return choice

    def _chosen(self, *task: Any) -> Choice:
        """A kernel and a ridge.

        Kernels of float32 have eigenvalues that are right to their rounding. Where the ridge is less,
        that of the chosen kernel is chosen again in float64.
        """
        choice = choose(self._candidates(), *task)
        if choice.alpha >= choice.rounding:
            return choice
        kernel: Any = clone(choice.kernel)
        precise = choose([kernel.set_params(dtype="float64")], *task)
        for column, values in precise.table.items():
            choice.table[column][choice.chosen] = values[0]
        return dataclasses.replace(precise, table=choice.table, chosen=choice.chosen)

    def kernel_with(self, X: Any, lengths: Any = None) -> np.ndarray:
        """``[M, N]``: the chosen kernel of series with those of ``fit``.

        Args:
            X: as in ``fit``; series may be longer than any there.
            lengths: ``[M]`` valid leading steps.
        """
        check_is_fitted(self)
        return self.kernel_.rows(read(self, X, lengths, reset=False))

    def _outputs(self, X: Any, lengths: Any) -> np.ndarray:
        """``[M, O]``: the ridge regression at other series."""
        return self.kernel_with(X, lengths) @ self.dual_coef_ + self._means

    def _alphas(self) -> np.ndarray:
        if self.alphas is None:
            return ALPHAS
        alphas = np.atleast_1d(np.asarray(_checks.real_array("alphas", self.alphas), np.float64))
        if alphas.ndim != 1 or not alphas.size or not (np.isfinite(alphas) & (alphas > 0)).all():
            raise ValueError(
                f"alphas: got {self.alphas!r}, expected positive ridges, in units of the mean diagonal "
                "of the kernel."
            )
        return np.sort(alphas)

    def _candidates(self) -> list[RecurrentKernel]:
        """Every standardisation with every architecture, or with the average of all."""
        standardize = _checks.choice("standardize", self.standardize, ("auto", *KINDS))
        kinds = ("series", "channel") if standardize == "auto" else (standardize,)
        _checks.choice("combine", self.combine, COMBINATIONS)
        several = isinstance(self.architecture, (list, tuple))
        apart = self.architecture if several and self.combine == "select" else [self.architecture]
        asked = [(architecture, self.differences) for architecture in apart]
        if isinstance(self.architecture, str) and self.architecture == "auto":
            asked.append((TABLES, False))
        return [
            RecurrentKernel(
                architecture,
                kernel=self.kernel,
                standardize=kind,
                differences=differences,
                max_steps=self.max_steps,
                normalize=self.normalize,
                random_state=self.random_state,
            )
            for kind in kinds
            for architecture, differences in asked
        ]
