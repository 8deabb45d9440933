"""Diagonal networks by the book: projection, transport targets, constants, certificate."""

import dataclasses
import itertools
import math

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import optax
import pytest
import scipy.special
from scipy.integrate import quad

import ntkrnn
from ntkrnn import dynamics, theory
from ntkrnn.infinite import AccuracyWarning
from ntkrnn.report import loglog_slope

DTYPE = jnp.zeros(()).dtype
EPS = float(jnp.finfo(DTYPE).eps)
EPS64 = float(np.finfo(np.float64).eps)


def tokens(n, steps, d, seed=0):
    """Tokens in the unit ball, many of them on the sphere."""
    x = np.random.default_rng(seed).normal(size=(n, steps, d))
    return (x / np.maximum(np.linalg.norm(x, axis=2, keepdims=True), 1)).astype(DTYPE)


def start(arch, key, d):
    return ntkrnn.network(arch).init_fn(jax.random.key(key), (1, 1, d))[1]


# Projection


def test_the_projection_is_the_nearest_point_and_idempotent():
    m, d, rho_w, rho_u = 40, 3, 0.7, 1.3
    rng = np.random.default_rng(0)
    draw = lambda scale: {  # noqa: E731
        "w": jnp.asarray(scale * rng.normal(size=m), DTYPE),
        "u": jnp.asarray(scale * rng.normal(size=(m, d)), DTYPE),
    }
    centre, moves = draw(1.0), draw(0.4)
    transform = theory.max_norm_projection(rho_w, rho_u)
    state = transform.init(centre)
    updates, state = transform.update(moves, state, centre)
    found = {k: np.asarray(v, float) for k, v in optax.apply_updates(centre, updates).items()}
    at = {k: np.asarray(v, float) for k, v in centre.items()}
    point = {k: at[k] + np.asarray(moves[k], float) for k in at}
    norm = lambda a: np.abs(a) if a.ndim == 1 else np.linalg.norm(a, axis=1)  # noqa: E731
    outside = 0
    for block, rho in (("w", rho_w), ("u", rho_u)):
        radius = rho / math.sqrt(m)
        far = norm(point[block] - at[block]) > radius
        outside += far.sum()
        # A sum and a difference of numbers of size below 4, rounded.
        rounding = 8 * EPS * 4
        assert norm(found[block] - at[block]).max() <= radius + rounding
        assert np.abs(found[block] - point[block])[~far].max() <= rounding
        # The nearest point of a convex set: every other point of it lies behind the tangent plane.
        for _ in range(50):
            inner = rng.normal(size=at[block].shape)
            size = norm(inner).reshape(-1, *[1] * (inner.ndim - 1))
            z = at[block] + radius * inner / np.maximum(size, 1)
            product = (point[block] - found[block]) * (z - found[block])
            assert (product.reshape(m, -1).sum(axis=1) <= 4 * rounding).all()
    assert 10 < outside < 2 * m
    once = optax.apply_updates(centre, updates)
    again, _ = transform.update(jax.tree.map(jnp.zeros_like, once), state, once)
    assert max(float(jnp.abs(a).max()) for a in jax.tree.leaves(again)) <= 8 * EPS * 4


def test_projected_descent_is_the_loop_written_by_hand():
    """One run and an ensemble; radii of which the runs reach both; the average is that of the loop."""
    m, d, rho_w, rho_u, eta, steps = 16, 2, 0.3, 0.5, 0.8, 12
    arch = ntkrnn.Diagonal(width=m, alpha=0.6)
    x = tokens(5, 4, d)
    y = np.sin(3 * np.cumsum(x, axis=1)[..., :1])
    init_fn, apply_fn, _ = ntkrnn.network(arch)
    seeds = jax.vmap(lambda key: init_fn(key, x.shape)[1])(jax.random.split(jax.random.key(0), 3))
    optimizer = optax.chain(optax.sgd(eta), theory.max_norm_projection(rho_w, rho_u))
    options = {"optimizer": optimizer, "steps": steps, "record": ("loss", "average"), "at": (0, steps)}
    together = dynamics.train(arch, seeds, x, y, ensemble=True, **options)
    gradient = jax.jit(
        jax.grad(lambda p: 0.5 * jnp.mean(jnp.sum((apply_fn(p, x) - y) ** 2, axis=(1, 2))))
    )
    for s in (0, 2):
        first = {k: np.asarray(v[s], float) for k, v in seeds.items()}
        now, sums, reached = dict(first), {"w": 0.0, "u": 0.0}, set()
        for _ in range(steps):
            slope = gradient({k: jnp.asarray(v, DTYPE) for k, v in now.items()})
            for block, rho in (("w", rho_w), ("u", rho_u)):
                sums[block] = sums[block] + now[block] / steps
                shift = now[block] - eta * np.asarray(slope[block], float) - first[block]
                size = np.abs(shift) if block == "w" else np.linalg.norm(shift, axis=1, keepdims=True)
                reached |= {block} if (size > rho / math.sqrt(m)).any() else set()
                shift = shift * np.minimum(1, rho / math.sqrt(m) / np.maximum(size, 1e-30))
                now[block] = first[block] + shift
        assert reached == {"w", "u"}
        # Rounding of each step, amplified by at most 1 + eta ||H|| < 4 for as long as it lasts.
        tolerance = 64 * EPS * steps
        for block in ("w", "u"):
            assert np.abs(np.asarray(together.params[block][s]) - now[block]).max() <= tolerance
            assert np.abs(np.asarray(together.average[block][s]) - sums[block]).max() <= tolerance
        assert np.array_equal(together.params["c"][s], first["c"])
    assert (together.loss[:, 1] < together.loss[:, 0]).all()


def test_a_projection_of_one_block_alone_and_bad_input():
    arch = ntkrnn.Diagonal(width=8, trainable=("u",))
    x = tokens(4, 3, 2)
    params = start(arch, 0, 2)
    optimizer = optax.chain(optax.sgd(50.0), theory.max_norm_projection(1.0, 0.0))
    run = dynamics.train(arch, params, x, x[..., :1], optimizer=optimizer, steps=3, record=())
    assert np.array_equal(run.params["w"], params["w"])
    assert np.abs(run.params["u"] - params["u"]).max() <= 8 * EPS * np.abs(params["u"]).max()
    transform = theory.max_norm_projection(1.0, 1.0)
    with pytest.raises(ValueError, match="rho_u: got -1"):
        theory.max_norm_projection(1.0, -1.0)
    with pytest.raises(ValueError, match=r"params: got .*\(3, 3\).* diagonal network"):
        transform.init({"w": jnp.zeros((3, 3))})
    with pytest.raises(ValueError, match="params: got"):
        transform.init([jnp.zeros(3)])
    with pytest.raises(ValueError, match=r"update\(updates, state, params\)"):
        transform.update(params, transform.init(params))


# Transport targets


@pytest.mark.parametrize("d", [2, 3])
def test_identity_has_a_closed_form(d):
    """``E sin(<b, u>) <u, x> = exp(-|b|^2/2) <b, x>`` by Stein; E w^k is alpha^k for even k, else 0."""
    alpha, rng = 0.8, np.random.default_rng(3)
    b, v = 0.6 * rng.normal(size=d), 0.3 * rng.normal(size=d)
    target = theory.TransportTarget(
        lambda w, u: jnp.sin(jnp.matmul(u, jnp.asarray(b, u.dtype), precision="highest")),
        lambda w, u: jnp.broadcast_to(jnp.asarray(v, u.dtype), u.shape),
        alpha=alpha,
        nonlinearity="identity",
    )
    x = tokens(70, 6, d)  # more than pass at a time
    found = target.estimate(x)
    x = x.astype(float)
    want = np.zeros((*x.shape[:2], 1))
    for t, k in itertools.product(range(6), range(6)):
        even = alpha**k if k % 2 == 0 else 0.0
        if k <= t:
            want[:, t, 0] += even * (x[:, t - k] @ v)
        for j in range(t - k):  # w^k w^j <u, x_{t-k-1-j}>
            power = alpha ** (k + j) if (k + j) % 2 == 0 else 0.0
            want[:, t, 0] += power * math.exp(-b @ b / 2) * (x[:, t - k - 1 - j] @ b)
    rounding = 64 * EPS * np.abs(want).max()
    error = np.asarray(found.standard_error, float)
    assert error.max() < 0.02 * np.abs(want).max()
    assert (np.abs(found.value - want) <= 7 * error + rounding).all()


def test_the_sum_of_the_paper_by_adaptive_quadrature():
    """The double sum with its product of slopes, three steps, d = 1, tanh, SciPy's quad over u."""
    alpha, x = 0.7, (0.9, -0.5, 0.7)
    v_w, v_u = (lambda w, u: np.cos(u + w)), (lambda w, u: np.exp(-((u - w) ** 2)))

    def integrand(u, t):
        total = 0.0
        for w in (alpha, -alpha):
            h, slope = [0.0], [0.0]
            for token in x:
                h.append(math.tanh(w * h[-1] + u * token))
                slope.append(1 - h[-1] ** 2)
            for k in range(t):
                product = math.prod(slope[t - j] for j in range(k + 1))
                total += w**k * (v_w(w, u) * h[t - k - 1] + v_u(w, u) * x[t - k - 1]) * product
        return 0.5 * total * math.exp(-(u**2) / 2) / math.sqrt(2 * math.pi)

    target = theory.TransportTarget(
        lambda w, u: jnp.cos(u[:, 0] + w), lambda w, u: jnp.exp(-((u - w[:, None]) ** 2)), alpha=alpha
    )
    got = np.asarray(target(np.asarray(x, DTYPE)[None, :, None]), float).ravel()
    want = [quad(integrand, -12, 12, args=(t,), epsabs=1e-13)[0] for t in (1, 2, 3)]
    # Each value is a sum of 32,768 terms in blocks; quad holds 1e-13.
    np.testing.assert_allclose(got, want, rtol=0, atol=64 * EPS + 1e-12)


@pytest.mark.slow
def test_realised_parameters_come_to_the_target_at_the_rate_of_a_mean():
    target = theory.TransportTarget.sample(0, 2, 0.8, 1.2, alpha=0.7, nonlinearity="erf")
    x = tokens(6, 5, 2)
    want = target(x)
    widths, seeds, errors = (64, 512, 4096), 24, []
    for m in widths:
        arch = ntkrnn.Diagonal(width=m, alpha=0.7, nonlinearity="erf")
        init_fn, apply_fn, _ = ntkrnn.network(arch)
        keys = jax.random.split(jax.random.key(m), seeds)
        params = jax.jit(jax.vmap(lambda key, init_fn=init_fn: init_fn(key, x.shape)[1]))(keys)
        moved = jax.vmap(target.realised)(params)

        def linear(p, q, apply_fn=apply_fn):
            value, slope = jax.jvp(lambda p: apply_fn(p, x), (p,), (jax.tree.map(jnp.subtract, q, p),))
            return value + slope

        off = np.asarray(jax.jit(jax.vmap(linear))(params, moved) - want[None])
        # Differences of numbers of size below 5.
        moves = {k: np.asarray(moved[k] - params[k]) for k in params}
        assert np.abs(moves["w"]).max() <= 0.8 / math.sqrt(m) + 5 * EPS
        assert np.linalg.norm(moves["u"], axis=2).max() <= 1.2 / math.sqrt(m) + 10 * EPS
        assert not moves["c"].any()
        # The mean over networks is the target: m/2 distinct neurons in each of them.
        mean, error = off.mean(axis=0), off.std(axis=0, ddof=1) / math.sqrt(seeds)
        assert (np.abs(mean) <= 5 * error).all()
        errors.append(np.sqrt((off**2).mean(axis=(1, 2, 3))))
        bound = theory.certificate(arch, 0.8, 1.2, 6, 5, 0.01, None, 1).approximation
        assert np.abs(off).max() <= bound
    one = target.realised({k: v[0] for k, v in params.items()})
    assert all(np.abs(one[k] - moved[k][0]).max() <= 10 * EPS for k in one)
    fit = loglog_slope(np.array(widths), np.array(errors))
    assert fit.interval[0] <= -0.5 <= fit.interval[1] and fit.interval[1] - fit.interval[0] < 0.2


@pytest.mark.slow
def test_tolerance_doubles_the_points():
    target = theory.TransportTarget.sample(1, 3, alpha=0.9, samples=256, replicates=4)
    x = tokens(3, 4, 3)
    rough = target.estimate(x)
    fine = dataclasses.replace(target, tolerance=1e-3).estimate(x)
    share = lambda e: float(e.standard_error.max() / jnp.abs(e.value).max())  # noqa: E731
    assert share(fine) <= 1e-3 < share(rough)
    with pytest.warns(AccuracyWarning, match=r"tolerance=1e-30.* method='qmc'"):
        theory.TransportTarget.sample(1, 1, tolerance=1e-30).estimate(x[..., :1])


def test_targets_refuse_what_does_not_fit():
    zero = lambda w, u: 0 * u  # noqa: E731
    x = tokens(2, 3, 2)
    Target = theory.TransportTarget
    with pytest.raises(TypeError, match="v_w: got 3, expected a function"):
        Target(3, zero)
    with pytest.raises(ValueError, match=r"v_w: got shape \(\d+, 2\) .* expected \(\d+,\)"):
        Target(zero, zero)(x)
    with pytest.raises(ValueError, match=r"v_u: got size .* expected at most rho_u=1; pass a larger"):
        Target(lambda w, u: 0 * w, lambda w, u: u)(x)
    with pytest.raises(ValueError, match="v_w: got size nan"):
        Target(lambda w, u: jnp.nan * w, zero)(x)
    with pytest.raises(ValueError, match="replicates: got 1"):
        Target(zero, zero, replicates=1)
    good = Target.sample(jax.random.key(0), 2, alpha=0.5)
    with pytest.raises(ValueError, match="x: got a traced array"):
        jax.jit(good)(x)
    with pytest.raises(ValueError, match="x: got rank 2"):
        good(x[0])
    with pytest.raises(ValueError, match="method: got 'quadrature' for sequences of d=3"):
        dataclasses.replace(good, method="quadrature")(tokens(1, 2, 3))
    with pytest.raises(ValueError, match=r"params: got recurrent weights .* alpha=0.5"):
        good.realised(start(ntkrnn.Diagonal(width=4, alpha=0.6), 0, 2))
    with pytest.raises(ValueError, match=r"got c of shape \(2, 4\)"):
        good.realised(start(ntkrnn.Diagonal(width=4, out_dim=2), 0, 2))
    with pytest.raises(ValueError, match=r"expected \{'w'"):
        good.realised(start(ntkrnn.Elman(width=4), 0, 2))


# Constants


SLOW_NAMES = [pytest.param(n, marks=pytest.mark.slow) for n in ("erf", "sin", "cos", "softplus")]


@pytest.mark.parametrize("name", ["tanh", "sigmoid", *SLOW_NAMES])
def test_known_constants_are_those_of_a_search(name):
    fn = ntkrnn.dual.nonlinearity(lambda x: NAMED[name](x), name="other")
    known, found = theory.lipschitz_constants(name), theory.lipschitz_constants(fn)
    # The search ends at steps of 1e-10 about the maximum, where the function is flat.
    np.testing.assert_allclose(found, known, rtol=1e-9)


NAMED = {
    "tanh": jnp.tanh,
    "erf": jax.lax.erf,
    "sigmoid": jax.nn.sigmoid,
    "sin": jnp.sin,
    "cos": jnp.cos,
    "softplus": jax.nn.softplus,
}


def test_constants_without_a_bound():
    inf = math.inf
    of = theory.lipschitz_constants
    assert of("identity") == (inf, 1, 0)
    assert of("relu") == (inf, 1, inf) and of("leaky_relu(-3)") == (inf, 3, inf)
    assert of("sign") == (1, inf, inf)
    with mpmath.workdps(30):  # gelu'(x) = Phi + x phi, largest at sqrt 2; gelu'' = (2 - x^2) phi at 0
        largest = float(mpmath.ncdf(mpmath.sqrt(2)) + mpmath.sqrt(2) * mpmath.npdf(mpmath.sqrt(2)))
        bend = float(2 * mpmath.npdf(0))
    assert of("gelu") == (inf, pytest.approx(largest, rel=1e-9), pytest.approx(bend, rel=1e-9))
    make = lambda fn: ntkrnn.dual.Nonlinearity("own", fn)  # noqa: E731
    assert of(make(jax.nn.relu)) == (inf, 1, inf)
    assert of(make(jnp.sign)) == (1, inf, inf)
    assert of(make(jnp.square)) == (inf, inf, inf)
    arctan = of(make(jnp.arctan))  # |sigma''| = 2x/(1 + x^2)^2, largest at 1/sqrt 3
    assert arctan == (pytest.approx(math.pi / 2, rel=1e-4), 1, pytest.approx(3 * math.sqrt(3) / 8))
    with pytest.raises(ValueError, match=r"nonlinearity: the value at .* is inf"):
        of(make(lambda x: jnp.exp(x**2)))
    with pytest.raises(TypeError, match="nonlinearity: got 3"):
        theory.lipschitz_constants(3)


# Certificate


def test_the_recursions_summed_by_brute_force():
    for nonlinearity, alpha, rho_w, rho_u in (
        ("tanh", 0.4, 1.0, 2.0),
        ("sin", 1.1, 0.5, 0.1),
        ("sigmoid", 3.0, 2.0, 1.0),
    ):
        m, n, length, delta, eta, tau = 900, 20, 9, 0.1, 1e-9, 70
        arch = ntkrnn.Diagonal(width=m, nonlinearity=nonlinearity, alpha=alpha)
        found = theory.certificate(arch, rho_w, rho_u, n, length, delta, eta, tau)
        with mpmath.workdps(40):
            r0, r1, r2 = map(mpmath.mpf, theory.lipschitz_constants(nonlinearity))
            a = (mpmath.mpf(alpha) + rho_w / mpmath.sqrt(m)) * r1
            v = r0 * rho_w + rho_u
            p = [sum(a**k for k in range(t)) for t in range(length + 1)]
            gamma = [
                sum(
                    a ** (t - s) * (r2 * v**2 * p[s] ** 2 + 2 * r1**2 * rho_w * v * p[s - 1])
                    for s in range(1, t + 1)
                )
                for t in range(1, length + 1)
            ]
            close = 2 * r1 * v * p[-1] * mpmath.sqrt(mpmath.log(2 * n * length / delta))
            error = (5 * gamma[-1] / 2 + close) / mpmath.sqrt(m)
            slope = r1 * mpmath.sqrt(1 + r0**2) * p[-1]
            risk = (rho_w**2 + rho_u**2) / (eta * mpmath.mpf(tau)) + 2 * length * error**2
            want = {
                "p": p[1:],
                "gamma": gamma,
                "B": [g / 2 for g in gamma],
                "hidden": [r1 * v * q / mpmath.sqrt(m) for q in p[1:]],
                "linearisation": [g / 2 / mpmath.sqrt(m) for g in gamma],
                "approximation": close / mpmath.sqrt(m),
                "E": error,
                "G": slope,
                "largest_eta": 1 / (4 * length * slope**2),
                "risk": risk,
            }
            want = {k: np.array(w, float) if isinstance(w, list) else float(w) for k, w in want.items()}
        for key, value in want.items():
            # Positive terms: some ten roundings for every step, twice for squares.
            rtol = 40 * length * EPS64
            np.testing.assert_allclose(getattr(found, key), value, rtol=rtol, err_msg=key)


SIGMA = {
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "sin": (np.sin, np.cos),
    "erf": (scipy.special.erf, lambda z: 2 / math.sqrt(math.pi) * np.exp(-(z**2))),
    "sigmoid": (scipy.special.expit, lambda z: scipy.special.expit(z) * scipy.special.expit(-z)),
}


def states(sigma, slope, w, u, x, v=None):
    """``(h, D h . v)`` for draws ``w [R, m]``, ``u [R, m, d]``, ``x [R, T, d]``, a list over steps."""
    h, moved, found = np.zeros_like(w), np.zeros_like(w), []
    for t in range(x.shape[1]):
        push = np.einsum("rmd,rd->rm", u, x[:, t])
        pre = w * h + push
        if v is not None:
            moved = slope(pre) * (v[0] * h + np.einsum("rmd,rd->rm", v[1], x[:, t]) + w * moved)
        h = sigma(pre)
        found.append((h, moved))
    return found


@pytest.mark.parametrize("nonlinearity", list(SIGMA))
def test_deviations_never_exceed_their_bounds(nonlinearity):
    """50 draws each: alpha on both sides of the cutoff, moves at random and along the derivatives."""
    sigma, slope = SIGMA[nonlinearity]
    rng = np.random.default_rng(1)
    draws, m, d, length = 50, 24, 2, 8
    limit = theory.cutoff(0.0, 0.0, m, nonlinearity).largest_alpha
    half = rng.normal(size=(draws, m // 2, d)) * rng.choice([0.3, 1.0], (draws, 1, 1))
    u = np.concatenate([half, half], axis=1)
    alpha, rhos = limit * rng.uniform(0.0, 1.5, draws), rng.uniform(0, 3, (draws, 2))
    sign = rng.choice([-1.0, 1.0], (draws, m // 2))
    w = alpha[:, None] * np.concatenate([sign, sign], axis=1)
    c = rng.choice([-1.0, 1.0], (draws, m // 2))
    c = np.concatenate([c, -c], axis=1)
    x = rng.normal(size=(draws, length, d))
    x /= np.linalg.norm(x, axis=2, keepdims=True)
    x[: draws // 2] = x[: draws // 2, :1]  # one token over and over: what is remembered adds up
    dw = rng.uniform(-1, 1, (draws, m))
    dw[::2] = np.sign(w[::2])
    du = rng.normal(size=(draws, m, d))
    du[::2] = np.broadcast_to(x[::2, -1][:, None], (draws // 2, m, d))
    du /= np.maximum(np.linalg.norm(du, axis=2, keepdims=True), 1)
    aligned = np.where(np.arange(draws)[:, None] % 4 == 0, c, 1.0)  # moves that the output adds up
    dw, du = aligned * dw, aligned[:, :, None] * du
    dw, du = (rho.reshape(-1, *[1] * (v.ndim - 1)) * v / math.sqrt(m)
              for rho, v in zip(rhos.T, (dw, du), strict=True))  # fmt: skip
    before = states(sigma, slope, w, u, x, (dw, du))
    after = states(sigma, slope, w + dw, u + du, x)
    tightest = 0.0
    for r in range(draws):
        arch = ntkrnn.Diagonal(width=m, nonlinearity=nonlinearity, alpha=float(alpha[r]))
        bound = theory.certificate(arch, *rhos[r], 1, length, 0.1, None, 1)
        for t in range(length):
            h, moved = before[t][0][r], before[t][1][r]
            hidden = np.abs(after[t][0][r] - h).max()
            remainder = abs((c[r] * (after[t][0][r] - h - moved)).sum()) / math.sqrt(m)
            assert hidden <= bound.hidden[t] * (1 + 1e-12)
            assert remainder <= bound.linearisation[t] * (1 + 1e-12)
            tightest = max(tightest, hidden / bound.hidden[t])
    # The bounds are of the right size: some draw comes near.
    assert tightest > 0.1


@pytest.mark.slow
def test_projected_descent_keeps_below_the_certificate():
    n, length, d, steps = 8, 4, 2, 60
    for seed, (nonlinearity, alpha, m) in enumerate(
        [("sin", 0.5, 64), ("tanh", 0.2, 256), ("sigmoid", 2.0, 1024)]
    ):
        rho_w, rho_u = 0.5, 1.0
        target = theory.TransportTarget.sample(
            seed, d, rho_w, rho_u, alpha=alpha, nonlinearity=nonlinearity
        )
        x = tokens(n, length, d, seed)
        arch = ntkrnn.Diagonal(width=m, nonlinearity=nonlinearity, alpha=alpha)
        bound = theory.certificate(arch, rho_w, rho_u, n, length, 0.05, None, steps)
        optimizer = optax.chain(optax.sgd(2 * bound.eta), theory.max_norm_projection(rho_w, rho_u))
        run = dynamics.train(
            arch, start(arch, seed, d), x, target(x), optimizer=optimizer, steps=steps, at=1,
            record=("loss", "average"),
        )  # fmt: skip
        risks = 2 * np.asarray(run.loss, float)
        assert risks[:-1].mean() <= bound.risk
        assert risks[-1] < risks[0]
        average = ntkrnn.network(arch).apply_fn(run.average, x)
        assert float(((average - target(x)) ** 2).sum() / n) < risks[0]


def test_above_the_cutoff_bounds_overflow_and_are_no_nan():
    """Every number of the certificate, for lengths at which its powers leave the range."""
    for nonlinearity, alpha, rhos in itertools.product(
        ("sin", "tanh", "identity"), (0.0, 4.0), ((0.0, 0.0), (0.0, 1.0), (2.0, 0.0))
    ):
        arch = ntkrnn.Diagonal(width=64, nonlinearity=nonlinearity, alpha=alpha)
        bounded = {"state_bound": 3.0} if nonlinearity == "identity" else {}
        found = theory.certificate(arch, *rhos, 10, 1000, 0.1, None, 5, **bounded)
        numbers = np.concatenate([np.ravel(v) for v in found[1:]])
        assert not np.isnan(numbers).any() and (numbers >= 0).all()
        if alpha == 4.0 and any(rhos):
            assert found.risk == math.inf and found.cutoff.side == "above"
            assert (np.diff(found.p[:100]) > 0).all()
        if nonlinearity == "identity" and not rhos[0]:
            assert not found.B.any()  # linear in u alone: nothing is left out
    # Below, nothing grows with T any more.
    below = theory.certificate(ntkrnn.Diagonal(alpha=0.5), 1.0, 1.0, 1, 400, 0.1, None, 1)
    assert below.B[-1] == pytest.approx(below.B[199], rel=1e-12)
    assert below.p[-1] == pytest.approx(below.cutoff.limit, rel=1e-12)


def test_sides_of_the_cutoff():
    assert theory.cutoff(1.0, 0.0, 4, "tanh").side == "at"
    found = theory.cutoff(3.5, 1.0, 16, "sigmoid")
    assert found == (3.75, 0.25, 0.9375, "below", 16.0, 3.75)
    assert theory.cutoff(3.5, 3.0, 16, "sigmoid").side == "above"
    assert theory.cutoff(0.1, 0.0, 4, "sign").side == "above"
    assert theory.cutoff(0.0, 0.0, 4, "sign").side == "below"
    with pytest.raises(ValueError, match="width: got 0"):
        theory.cutoff(1.0, 1.0, 0, "tanh")


@pytest.mark.parametrize(
    ("changes", "call", "message"),
    [
        ({"readout": "last"}, {}, r"readout='last'.*dataclasses.replace\(arch, readout='sequence'\)"),
        ({"symmetric": False}, {}, "symmetric=False"),
        ({"out_dim": 2}, {}, "out_dim=2"),
        ({"nonlinearity": "identity"}, {}, "states have no bound.*state_bound="),
        ({"nonlinearity": "relu"}, {}, "two bounded derivatives"),
        ({"trainable": ("u",)}, {}, r"rho_w: got 1.0 with trainable=\('u',\), expected 0"),
        ({}, {"delta": 1.0}, "delta: got 1.0, expected a probability"),
        ({}, {"eta": 1.0}, r"eta: got 1, expected at most 1/\(4 T G\^2\) = .* eta=None"),
        ({}, {"T": 0}, "T: got 0"),
        ({}, {"rho_w": math.nan}, "rho_w: got nan"),
    ],
)
def test_certificates_refuse_what_they_do_not_cover(changes, call, message):
    arch = ntkrnn.Diagonal(width=64, **changes)
    arguments = {"rho_w": 1.0, "rho_u": 1.0, "n": 4, "T": 5, "delta": 0.1, "eta": None, "steps": 3}
    with pytest.raises(ValueError, match=message):
        theory.certificate(arch, **arguments | call)
    with pytest.raises(TypeError, match=r"expected an ntkrnn.Diagonal"):
        theory.certificate(ntkrnn.Elman(), **arguments)
