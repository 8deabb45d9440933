"""The polynomials for inverse trigonometric functions against 40 digits and against the library."""

import functools

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from ntkrnn.dual import _polynomials

pytestmark = pytest.mark.optimised
X64 = jax.config.jax_enable_x64
DTYPE = jnp.zeros(()).dtype
MOST_ULPS = 1.1 if X64 else 1.2  # as the module states


def _arcsine(m):
    root = mpmath.sqrt(m)
    return mpmath.asin(root) / root if m else mpmath.mpf(1)


def _cap(m):
    theta = 2 * mpmath.asin(mpmath.sqrt(m))
    # The difference cancels three orders of theta: 60 of the digits at m = 1e-20.
    return (mpmath.sin(theta) - theta * mpmath.cos(theta)) / m**1.5 if m else mpmath.mpf(8) / 3


def _arctangent(u):
    root = mpmath.sqrt(u)
    return mpmath.atan(root) / root if u else mpmath.mpf(1)


FACTORS = {
    "arcsine": (_polynomials.arcsine_factor, 0.5, _arcsine),
    "cap": (_polynomials.cap_factor, 0.5, _cap),
    "arctangent": (_polynomials.arctangent_factor, 1.0, _arctangent),
}


def points(end):
    """Both ends and their neighbours, small numbers, and the interval between."""
    below = np.nextafter(np.asarray(end, DTYPE), np.asarray(0, DTYPE))
    spread = [np.geomspace(1e-12, end, 300), np.linspace(0, end, 1700)]
    return np.concatenate([[0, 1e-20, below, end], *spread]).astype(DTYPE)


def exact(fn, x):
    """40 digits of fn, after what cancels inside it."""
    with mpmath.workdps(100):
        values = [fn(mpmath.mpf(float(v))) for v in x]
    with mpmath.workdps(40):
        return [+v for v in values]


def ulps(got, want):
    """Errors in units of the last place of the exact values."""
    unit = np.spacing(np.abs(np.array([float(w) for w in want]).astype(DTYPE))).astype(np.float64)
    with mpmath.workdps(40):
        error = [abs(float(mpmath.mpf(float(g)) - w)) for g, w in zip(got, want, strict=True)]
    return np.array(error) / unit


@pytest.mark.parametrize("name", FACTORS)
def test_factors_are_right_to_about_the_last_bit(name):
    factor, end, fn = FACTORS[name]
    x = points(end)
    errors = ulps(np.asarray(jax.jit(factor)(x)), exact(fn, x))
    assert errors.max() <= MOST_ULPS, (errors.max(), x[errors.argmax()])
    assert errors[:2].max() <= 0.5  # at 0 and next to it the constant is the rounded one


@pytest.mark.parametrize("name", FACTORS)
def test_scale_and_unit_are_part_of_the_coefficients(name):
    factor, end, _ = FACTORS[name]
    x = points(end)
    plain = np.asarray(factor(x), np.float64)
    np.testing.assert_allclose(factor(x, 0.3), 0.3 * plain, rtol=4 * float(jnp.finfo(DTYPE).eps))
    if name == "arctangent":
        scaled = factor((x / 0.6).astype(DTYPE), unit=0.6)
        np.testing.assert_allclose(scaled, plain, rtol=4 * float(jnp.finfo(DTYPE).eps))


def arcsine(x):
    """arcsin on [-1, 1] as the closed forms use the factor: past 1/2 from the other end."""
    far = jnp.abs(x) > 0.5
    m = jnp.minimum(x * x, 0.5 * (1 - jnp.abs(x)))
    factor = _polynomials.arcsine_factor(m)
    return jnp.where(far, jnp.sign(x) * (np.pi / 2 - 2 * jnp.sqrt(m) * factor), x * factor)


@functools.cache
def signed():
    small = np.geomspace(1e-20, 1, 200)
    x = np.concatenate([np.linspace(-1, 1, 1601), small, -small]).astype(DTYPE)
    return x, exact(mpmath.asin, x)


def test_an_arcsine_of_it_is_as_good_as_the_librarys():
    """Two ulps more than the library's largest error: of the square root, a product, a difference."""
    x, want = signed()
    own, library = (ulps(np.asarray(jax.jit(fn)(x)), want).max() for fn in (arcsine, jnp.arcsin))
    assert own <= library + 2, (own, library)


def test_an_arcsine_of_it_is_exact_at_the_ends_and_at_zero():
    got = np.asarray(jax.jit(arcsine)(jnp.array([-1, 0, 1], DTYPE)))
    half = np.asarray(np.pi / 2, DTYPE)
    np.testing.assert_array_equal(got, [-half, 0, half])
