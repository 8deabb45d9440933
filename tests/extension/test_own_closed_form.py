"""A nonlinearity with a closed form of one's own, outside of the package: a Gaussian bump.

For ``phi(x) = exp(-x^2/2)`` the expectations are Gaussian integrals: with (a, b) of covariance S and
``D = det(I + S) = (1 + q1)(1 + q2) - c^2``::

    E phi(a) phi(b)   = 1/sqrt D
    E phi'(a) phi'(b) = E a b phi(a) phi(b) = c/D^{3/2}
"""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ntkrnn
from ntkrnn.dual import PairExpectation

F32 = float(jnp.finfo(jnp.float32).eps)


def bump(x):
    return jnp.exp(-0.5 * x**2)


def bump_dual(c, distance, q1, q2):
    """The new distance from the given one, so that neighbours keep what they differ by.

    ``E (phi(a) - phi(b))^2/2 = (m - 1/sqrt D) + ((1/r1 + 1/r2)/2 - m)`` with ``r^2 = 1 + 2 q`` of
    either side and ``m = 1/sqrt(1 + q1 + q2)``; a bracket is written as the difference that drives it.
    """
    det = (1 + q1) * (1 + q2) - c**2
    mean, r1, r2 = jnp.sqrt(1 + q1 + q2), jnp.sqrt(1 + 2 * q1), jnp.sqrt(1 + 2 * q2)
    # det - mean^2, of c = (q1 + q2)/2 - distance.
    excess = distance * (q1 + q2 - distance) - 0.25 * (q1 - q2) ** 2
    apart = excess / (mean * jnp.sqrt(det) * (mean + jnp.sqrt(det)))
    bend = (q1 - q2) ** 2 * (mean + r1 + r2)
    bend = bend / (mean * r1 * r2 * (mean + r1) * (mean + r2) * (r1 + r2))
    return PairExpectation(1 / jnp.sqrt(det), apart + bend, c / det**1.5)


def nonlinearity(dual=bump_dual):
    return ntkrnn.dual.nonlinearity(bump, dual=dual, lipschitz=(1.0, float(np.exp(-0.5)), 1.0))


def kernels(phi, x, **options):
    arch = ntkrnn.Elman(nonlinearity=phi, w_std=1.2, b_std=0.3, **options)
    return ntkrnn.network(arch).kernel_fn(x)


X = np.random.default_rng(0).standard_normal((4, 5, 3)).astype(np.float32)


@pytest.mark.parametrize("readout", ["last", "mean", "sequence"])
@pytest.mark.parametrize("depth", [1, 2])
def test_the_kernels_are_those_of_the_series(readout, depth):
    own = kernels(nonlinearity(), X, readout=readout, depth=depth)
    series = kernels(ntkrnn.dual.nonlinearity(bump, max_variance=4.0), X, readout=readout, depth=depth)
    for a, b in zip(own, series, strict=True):
        # The series leaves out 3e-8 of a second moment; sums over ten steps of two layers round.
        np.testing.assert_allclose(a, b, rtol=100 * F32, atol=100 * F32 * float(jnp.abs(b).max()))


def test_it_is_exact_where_the_series_is_not():
    x = 6 * X  # variances up to 100 or so
    own = kernels(nonlinearity(), x)
    with pytest.warns(UserWarning, match="max_variance"):
        kernels(ntkrnn.dual.nonlinearity(bump), x)
    wide = ntkrnn.Elman(width=2048, nonlinearity=nonlinearity(), w_std=1.2, b_std=0.3)
    init_fn, _, _ = ntkrnn.network(wide)
    finite = np.stack(
        [
            ntkrnn.empirical_ntk_fn(wide)(x, None, init_fn(jax.random.key(s), x.shape)[1])
            for s in range(12)
        ]
    )
    error = finite.std(0, ddof=1) / np.sqrt(len(finite))
    # Student's t of 11 degrees of freedom, ten entries; and a bias of order 1/width of the kernel.
    bound = 6 * error + 10 / wide.width * np.abs(own.ntk).max()
    assert (np.abs(finite.mean(0) - own.ntk) < bound).all()


@pytest.mark.parametrize("gap", [1e-2, 1e-4, 1e-6])
def test_neighbours_keep_what_they_differ_by(gap):
    q1, q2 = np.float32(0.8), np.float32(0.8 * (1 + gap))
    distance = np.float32(0.5 * gap**2 + 0.3 * gap)
    got = nonlinearity().dual(0.5 * (q1 + q2) - distance, distance, q1, q2).distance
    q1, q2, d = (np.longdouble(a) for a in (q1, q2, distance))
    c = 0.5 * (q1 + q2) - d
    det = (1 + q1) * (1 + q2) - c**2
    want = 0.5 / np.sqrt(1 + 2 * q1) + 0.5 / np.sqrt(1 + 2 * q2) - 1 / np.sqrt(det)
    # Some twenty roundings of a float32; the reference, of 64 bits, is off by 1e-19 of 0.6 in 1e-7.
    np.testing.assert_allclose(float(got), float(want), rtol=20 * F32)


def test_derivatives_pass_through_it():
    def total(scale):
        return kernels(nonlinearity(), scale * X).ntk.sum()

    step = 1e-2
    numeric = (total(1 + step) - total(1 - step)) / (2 * step)
    # A central difference: its own error is of order step^2 of the third derivative.
    np.testing.assert_allclose(jax.grad(total)(1.0), numeric, rtol=5e-3)


def test_it_hashes_pickles_and_keeps_what_it_was_told():
    phi = nonlinearity()
    assert phi == nonlinearity() and hash(phi) == hash(nonlinearity())
    assert pickle.loads(pickle.dumps(phi)) == phi
    assert ntkrnn.theory.lipschitz_constants(phi).r1 == float(np.exp(-0.5))
    arch = ntkrnn.Elman(nonlinearity=phi)
    assert pickle.loads(pickle.dumps(arch)) == arch


def wrong_slope(c, distance, q1, q2):
    return bump_dual(c, distance, q1, q2)._replace(kdot=c / ((1 + q1) * (1 + q2) - c**2))


def test_a_closed_form_of_another_function_is_refused_where_it_is_made():
    with pytest.raises(ValueError, match=r"dual: got kdot = .* where a quadrature of bump gives"):
        nonlinearity(wrong_slope)
    with pytest.raises(TypeError, match=r"dual: got .* from it, expected a"):
        nonlinearity(lambda c, distance, q1, q2: c)
    with pytest.raises(ValueError, match="dual: got one for the named function 'tanh'"):
        ntkrnn.dual.nonlinearity("tanh", dual=bump_dual)
    with pytest.raises(ValueError, match="lipschitz: got"):
        ntkrnn.dual.nonlinearity(bump, lipschitz=(1.0,))
