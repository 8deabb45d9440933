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
        # The series leaves out 3e-8 of a second moment; five steps of two layers, two roundings each.
        np.testing.assert_allclose(a, b, atol=20 * F32 * float(jnp.abs(b).max()))


def test_it_is_exact_where_the_series_is_not():
    x = 6 * X  # variances up to 100 or so
    own = kernels(nonlinearity(), x)
    with pytest.warns(UserWarning, match="max_variance"):
        kernels(ntkrnn.dual.nonlinearity(bump), x)
    arch = ntkrnn.Elman(nonlinearity=nonlinearity(), w_std=1.2, b_std=0.3)
    second = ntkrnn.network(arch, ntkrnn.Sampling(replicates=16)).kernel_fn(x)
    # Student's t of 15 degrees of freedom: beyond 6 once in 4e4, of ten entries; and the bias of 1024
    # neurons, of order 1/M.
    bound = 6 * second.ntk_error + 2 / 1024 * own.ntk.max()
    assert float(bound.max()) < 0.15 * float(own.ntk.max())
    assert (np.abs(second.ntk - own.ntk) < bound).all()


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


@pytest.mark.parametrize("name", ["relu", "abs", "leaky_relu(0.2)"])
def test_functions_with_kinks_have_no_series_and_may_have_a_closed_form(name):
    fn = {
        "relu": lambda x: jnp.maximum(x, 0),
        "abs": jnp.abs,
        "leaky_relu(0.2)": lambda x: jnp.where(x > 0, x, 0.2 * x),
    }[name]
    own = ntkrnn.dual.nonlinearity(fn, dual=ntkrnn.dual.pair_function(name))
    for a, b in zip(kernels(own, X), kernels(name, X), strict=True):
        # Two forms of the same expectations. Variances and distances are what is rounded, in each of
        # five steps, and a small kernel is their difference.
        np.testing.assert_allclose(a, b, atol=20 * F32 * float(jnp.abs(b).max()))


def test_derivatives_pass_through_it():
    series = ntkrnn.dual.nonlinearity(bump, max_variance=4.0)
    own, other = (
        jax.grad(lambda x, phi=phi: kernels(phi, x).ntk.sum())(X) for phi in (nonlinearity(), series)
    )
    np.testing.assert_allclose(own, other, atol=50 * F32 * np.abs(other).max())


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
