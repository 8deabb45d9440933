"""The kernel as a power series in token products: against exact series arithmetic and the kernels."""

import itertools

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
from reference import output_kernels

import ntkrnn
from ntkrnn.theory import monomial_coefficients

EPS = float(jnp.finfo(jnp.zeros(()).dtype).eps)
DIGITS = 40


def _product(a, b, degrees):
    out = {}
    for (i, u), (j, v) in itertools.product(a.items(), b.items()):
        k = tuple(p + q for p, q in zip(i, j, strict=True))
        if all(p <= q for p, q in zip(k, degrees, strict=True)):
            out[k] = out.get(k, 0) + u * v
    return out


def _sum(a, b):
    return {k: a.get(k, 0) + b.get(k, 0) for k in {**a, **b}}


def _composed(series, inner, degrees):
    zero = (0,) * len(degrees)
    out = {zero: series[-1]}
    for c in series[-2::-1]:
        out = _sum(_product(out, inner, degrees), {zero: c})
    return out


def exact(norms, degrees, positions, shared=(), products=None):
    """Truncated power series, carried through the recursion: no circles, no distances, no cancellation.

    With (1 - r^2) y'' = r y' the Taylor coefficients of arcsin follow each other, and
    kappa0 = 1/2 + arcsin/pi, kappa1' = kappa0.
    """
    with mp.workdps(DIGITS):
        zero, order = (0,) * len(degrees), sum(degrees)
        state, theta, total = {}, {}, mp.mpf(0)
        for step, norm in enumerate(norms):
            square = mp.mpf(float(norm)) ** 2
            total += square
            if not total:
                continue
            if step in positions:
                s = {tuple(int(step == p) for p in positions): mp.mpf(1)}
            else:
                s = {
                    zero: square
                    if step in shared
                    else mp.mpf(0 if products is None else products[step])
                }
            rho = {k: v / total for k, v in _sum(state, s).items()}
            r = rho.pop(zero, mp.mpf(0))
            k0 = k1 = {zero: mp.mpf(1)}
            if abs(r - 1) > mp.mpf(10) ** (5 - DIGITS):
                b = [1 / mp.sqrt(1 - r * r)]
                for k in range(order):
                    b.append((r * (2 * k + 1) * b[k] + k * b[k - 1]) / ((1 - r * r) * (k + 1)))
                c0 = [1 - mp.acos(r) / mp.pi] + [b[k] / ((k + 1) * mp.pi) for k in range(order)]
                c1 = [(mp.sqrt(1 - r * r) + r * mp.pi - r * mp.acos(r)) / mp.pi]
                c1 += [c0[k] / (k + 1) for k in range(order)]
                k0, k1 = _composed(c0, rho, degrees), _composed(c1, rho, degrees)
            theta = _product(k0, _sum(state, theta), degrees)
            state = {k: total * v for k, v in k1.items()}
        out = np.zeros([q + 1 for q in degrees])
        for k, v in theta.items():
            out[k] = float(v)
    return out


def unit(length):
    return np.ones(length)


def rescaled(length):
    return np.r_[1.0, np.full(length - 1, length**-1.5)]


CASES = {
    "unit-first": (unit(32), (4,), (0,), ()),
    "unit-last": (unit(64), (4,), (63,), ()),
    "unit-far-pair": (unit(64), (2, 2), (0, 62), ()),
    "unit-three": (unit(32), (2, 1, 1), (31, 29, 30), ()),
    "unit-four": (unit(32), (1, 1, 1, 1), (28, 29, 30, 31), ()),
    "rescaled-middle": (rescaled(64), (4,), (32,), (0,)),
    "rescaled-after-the-shared": (rescaled(128), (3,), (1,), (0,)),
    "rescaled-not-shared": (rescaled(64), (3,), (32,), ()),
    "rescaled-pair": (rescaled(32), (2, 2), (3, 31), (0,)),
    "uneven-with-zeros": (np.array([0, 0, 0.3, 2, 0, 1.1]), (3, 3), (3, 5), ()),
    "uneven-shared-later": (np.array([0.5, 2, 0.3, 1.1]), (3,), (3,), (1,)),
}


@pytest.mark.parametrize("case", CASES)
def test_coefficients_are_those_of_exact_series_within_their_error(case):
    norms, degrees, positions, shared = CASES[case]
    found = monomial_coefficients(norms, degrees, positions=positions, shared=shared)
    want = exact(norms, degrees, positions, shared)
    assert found.coefficients.shape == found.error.shape == want.shape
    assert (np.abs(found.coefficients - want) <= found.error).all()
    # And the error says something: even the smallest, 1e-8 of the largest, has its leading digits.
    assert (found.error <= 1e-2 * want).all()


def test_error_tells_when_a_coefficient_is_lost():
    """At L = 200 that of the first token, 1e-15 of the kernel, is below its rounding."""
    found = monomial_coefficients(unit(200), 1, positions=[0])
    want = exact(unit(200), (1,), (0,))[1]
    assert want < 1e-13 < found.error[1] < 1e-11
    assert abs(found.coefficients[1] - want) <= found.error[1]


# What un-normalised tokens do: a first token is forgotten as exp(-L^{2/3}).
FIRST = {32: 1.3e-3, 64: 5.6e-6, 128: 6.1e-10}
# The monomial of the last N tokens hardly depends on the length, for N = 2 as a small power.
RECENT = {
    2: {32: 0.125, 64: 0.169, 128: 0.225},
    3: {32: 0.0212, 64: 0.0237, 128: 0.0258},
    4: {32: 0.00513, 64: 0.00485, 128: 0.00445},
}


@pytest.mark.parametrize("length", FIRST)
def test_unit_tokens_two_digits(length):
    def monomial(positions):
        found = monomial_coefficients(unit(length), 1, positions=positions)
        return found.coefficients[(1,) * len(positions)]

    assert float(f"{monomial([0]):.1e}") == FIRST[length]
    for n, values in RECENT.items():
        assert monomial(range(length - n, length)) == pytest.approx(values[length], rel=0.01)


def test_a_pair_far_apart():
    found = monomial_coefficients(unit(64), 1, positions=[0, 62])
    assert found.coefficients[1, 1] == pytest.approx(1.3e-7, rel=0.02)


def test_early_coefficients_fall_as_the_two_thirds_power_of_the_length():
    """``a_1 ~ exp(-c L^{2/3})`` up to powers of L, with the constant that the recursion has.

    delta = 1 - rho settles where kappa1 forgets what a new token adds: with kappa1 = 1 - delta + g
    delta^{3/2}, g = 2 sqrt 2/(3 pi), that is g delta^{3/2} = 1/l; a_1 is a product of the
    kappa0 = 1 - sqrt(2 delta)/pi, whose sum over l is c L^{2/3}.
    """
    c = 1.5 * 2**0.5 / np.pi * (3 * np.pi / 2**1.5) ** (1 / 3)
    lengths = np.array([24, 32, 48, 64, 96, 128])
    logs = [np.log(monomial_coefficients(unit(n), 1, positions=[0]).coefficients[1]) for n in lengths]
    gaps = c + np.diff(logs) / np.diff(lengths ** (2 / 3))
    assert (gaps > 0).all() and gaps[-1] < 0.05 * c
    # A power of L in front adds L^{-2/3} to this slope, from the first to the last pair a factor 0.4.
    assert gaps[-1] < (28 / 112) ** (2 / 3) * gaps[0]


def test_rescaled_tokens_with_a_shared_first_token():
    """In unit vectors a_1 of the middle token does not depend on L, a_i falls as L^{-(i-1)}."""
    lengths = [32, 64, 128, 256]
    a = []
    for n in lengths:
        found = monomial_coefficients(rescaled(n), 3, positions=[n // 2], shared=[0])
        a.append(found.coefficients * float(n) ** (-3 * np.arange(4)))
    a = np.array(a)
    np.testing.assert_allclose(a[:, 1], 0.075, rtol=0.02)
    slopes = np.diff(np.log(a[:, 1:]), axis=0) / np.log(2)
    # Corrections of relative order 1/L.
    np.testing.assert_allclose(slopes, [[0, -1, -2]] * 3, atol=2 / 32)


@pytest.mark.parametrize("shared", [(), (0,)])
def test_the_polynomial_is_the_kernel_at_real_products(shared):
    """Against the recursion of the kernel in 50 digits, and ``kernel_fn``; t = s/||x||^2 up to 0.25.

    The coefficients are positive and sum to Theta at t = 1, so what degree q leaves out is at most
    Theta(1) t^(q+1).
    """
    norms, at, degree = np.array([1.0, 0.7, 1.5, 0.2, 0.9]), (2, 4), 15
    found = monomial_coefficients(norms, degree, positions=at, shared=shared)
    arch = ntkrnn.Elman(nonlinearity="relu", w_std=2**0.5, u_std=2.0, readout="last", trainable=("w",))
    kernel_fn = ntkrnn.network(arch).kernel_fn
    top = float(sum(norms**2)) * len(norms)
    for t in ((0.0, 0.0), (0.25, 0.1), (0.05, 0.25)):
        cosine = np.zeros(5)
        cosine[list(at)], cosine[list(shared)] = t, 1.0
        x1 = norms[:, None] * np.array([1.0, 0.0])
        x2 = norms[:, None] * np.stack([cosine, np.sqrt(1 - cosine**2)], axis=1)
        s = [float(x1[p] @ x2[p]) for p in at]
        powers = np.multiply.outer(*(u ** np.arange(degree + 1) for u in s))
        value = float(np.sum(found.coefficients * powers))
        with mp.workdps(50):
            want = float(output_kernels(arch, x1, x2)[1])
        left_out = 2 * top * max(t) ** (degree + 1)
        # w_std and u_std are square roots to rounding: some eps for each step.
        rounding = np.sum(found.error * powers) + 8 * len(norms) * 2.3e-16 * value
        assert abs(value - want) <= left_out + rounding
        got = float(kernel_fn(jnp.asarray(x1[None]), jnp.asarray(x2[None]), "ntk")[0, 0])
        assert got == pytest.approx(value, rel=8 * len(norms) * EPS, abs=left_out)


def test_products_of_other_positions():
    norms, products = np.array([1.0, 2.0, 1.5, 1.0]), np.array([0.2, 9.0, 1.0, 0.7])
    products[1] = 1.0
    found = monomial_coefficients(norms, 3, positions=[2], products=products)
    want = exact(norms, (3,), (2,), products=products)
    assert (np.abs(found.coefficients - want) <= found.error).all()
    same = monomial_coefficients(norms, 3, positions=[2], products=norms**2)
    other = monomial_coefficients(norms, 3, positions=[2], shared=[0, 1, 3])
    np.testing.assert_array_equal(same.coefficients, other.coefficients)


def test_scaling_the_tokens_scales_the_coefficients():
    """Theta is homogeneous of degree 2 in the tokens, and s_l of degree 2."""
    a = monomial_coefficients(rescaled(8), (2, 2), positions=[3, 6], shared=[0])
    b = monomial_coefficients(4 * rescaled(8), (2, 2), positions=[6, 3], shared=[0])
    order = np.indices((3, 3)).sum(axis=0)
    # A power of two: the same rounding, but the transform's.
    np.testing.assert_allclose(b.coefficients.T, a.coefficients * 16.0 ** (1 - order), rtol=1e-9)


def test_more_points_change_nothing_but_the_error():
    few = monomial_coefficients(unit(16), (1, 1), positions=[14, 15], points=8)
    many = monomial_coefficients(unit(16), (1, 1), positions=[14, 15], points=64)
    assert (few.points, many.points) == (8, 64)
    assert (np.abs(few.coefficients - many.coefficients) <= few.error + many.error).all()
    assert (few.error > many.error).all()


ONES = np.ones(4)
BAD = {
    "norms-rank": (
        lambda: monomial_coefficients(np.ones((2, 2)), 1, positions=[0]),
        "norms: got shape",
    ),
    "norms-nan": (lambda: monomial_coefficients([1, np.nan], 1, positions=[0]), "norms: got nan"),
    "norms-negative": (lambda: monomial_coefficients([1, -1], 1, positions=[0]), "norms: got -1"),
    "norms-zero": (lambda: monomial_coefficients([0, 0], 1, positions=[0]), "norms: got zeros"),
    "norms-complex": (lambda: monomial_coefficients([1j], 1, positions=[0]), "norms: got dtype"),
    "outside": (lambda: monomial_coefficients(ONES, 1, positions=[4]), "positions: got 4 for L=4"),
    "negative": (lambda: monomial_coefficients(ONES, 1, positions=[-1]), "positions: got -1"),
    "twice": (lambda: monomial_coefficients(ONES, 1, positions=[1, 1]), "positions: got .1, 1."),
    "none": (lambda: monomial_coefficients(ONES, 1, positions=[]), "positions: got"),
    "half": (
        lambda: monomial_coefficients(ONES, 1, positions=[0.5]),
        "positions: got dtype float64 for .0.5.",
    ),
    "shared-too": (
        lambda: monomial_coefficients(ONES, 1, positions=[0], shared=[0]),
        "positions: got 0, which is shared",
    ),
    "no-token": (
        lambda: monomial_coefficients([1, 0], 1, positions=[1]),
        "positions: got 1, which has norm 0",
    ),
    "degree": (lambda: monomial_coefficients(ONES, -1, positions=[0]), "degrees: got -1"),
    "degrees": (lambda: monomial_coefficients(ONES, (1, 2), positions=[0]), "degrees: got"),
    "degree-half": (
        lambda: monomial_coefficients(ONES, 1.5, positions=[0]),
        "degrees: got dtype float64 for 1.5",
    ),
    "too-few": (lambda: monomial_coefficients(ONES, 4, positions=[0], points=4), "points: got 4"),
    "too-many": (
        lambda: monomial_coefficients(np.ones(9), 9, positions=range(8)),
        "points: 32 points for each of 8 positions",
    ),
    "product": (
        lambda: monomial_coefficients(ONES, 1, positions=[0], products=-0.5),
        "products: got -0.5 at position 0",
    ),
    "products": (
        lambda: monomial_coefficients(ONES, 1, positions=[0], products=[0, 0, 2, 0]),
        "products: got 2 at position 2",
    ),
    "products-shape": (
        lambda: monomial_coefficients(ONES, 1, positions=[0], products=[0, 0]),
        "products: got shape",
    ),
    "traced": (
        lambda: jax.jit(lambda n: monomial_coefficients(n, 1, positions=[0]).coefficients)(ONES),
        "norms: got an array that is being traced",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_are_refused_by_name(case):
    call, message = BAD[case]
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        call()
