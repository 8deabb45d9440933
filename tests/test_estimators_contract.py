"""The contracts of scikit-learn and of aeon, by their own checks, none of them patched or left out."""

from aeon.testing.estimator_checking import parametrize_with_checks as parametrize_with_aeon_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from ntkrnn import Elman
from ntkrnn.estimators import (
    RecurrentGPRegressor,
    RecurrentKernel,
    RecurrentKernelClassifier,
    RecurrentKernelRidge,
    aeon,
)

# One quick kernel: the checks are about what surrounds it.
QUICK = Elman(nonlinearity="relu", w_std=2**0.5, b_std=0.3)


@parametrize_with_checks(
    [
        RecurrentKernelClassifier(QUICK),
        RecurrentKernelRidge(QUICK),
        RecurrentKernel(QUICK),
        RecurrentGPRegressor(QUICK, fitted=()),
    ]
)
def test_contract_of_scikit_learn(estimator, check):
    check(estimator)


@parametrize_with_aeon_checks([aeon.RecurrentKernelClassifier, aeon.RecurrentKernelRidge])
def test_contract_of_aeon(check):
    check()
