"""Kernels of infinite width from random networks: against closed forms, and against orthants."""

import dataclasses
import functools

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest
from marking import marked
from scipy.stats import multivariate_normal

import ntkrnn
from ntkrnn.infinite import AccuracyWarning, features
from ntkrnn.infinite.sampling._weights import PROJECTIONS, draw

DTYPE = jnp.zeros(()).dtype
EPS = float(jnp.finfo(DTYPE).eps)
FEW = {"samples": 64, "replicates": 4}
"""Fixed networks, of which a kernel is a function of two sequences."""


def sampled_kernel_fn(arch):
    """The second route to kernels that have a closed form, and the only one to those that have none."""
    return ntkrnn.network(arch, ntkrnn.Sampling()).kernel_fn


def sequences(seed, n=3, steps=4, d=2):
    return np.random.default_rng(seed).normal(size=(n, steps, d)).astype(DTYPE)


# Weights


def whole(matrix, forward):
    """``[G, M, M]`` of a structured matrix, row by row: neuron (p, q) to neuron (p', q')."""
    first, second = (np.asarray(a, np.float64) for a in matrix)
    b = len(first)
    if forward:  # h_pq A_pqr B_rp(gs) goes to (r, s)
        return np.einsum("pqr,rpgs->gpqrs", first, second.reshape(b, b, -1, b)).reshape(
            -1, b * b, b * b
        )
    return np.einsum("pgqr,rps->gpqrs", first.reshape(b, -1, b, b), second).reshape(-1, b * b, b * b)


@pytest.mark.parametrize("arch", [ntkrnn.LSTM(bidirectional=True, depth=2), ntkrnn.GRU(reset="before")])
def test_matrices_between_neurons_are_orthogonal_and_drawn_anew_on_the_way_back(arch):
    network = draw(arch, 8, 3, [0], DTYPE, True)
    count = 0
    for layer in network:
        assert set(layer) == set(arch.directions)
        for weights in layer.values():
            for source, matrices in weights.forward.items():
                for one, other in zip(matrices, weights.backward[source], strict=True):
                    forth, back = whole(one, True), whole(other, False)
                    # A product of two rotations of 8 columns.
                    for matrix in (*forth, *back):
                        off = np.abs(matrix @ matrix.T - np.eye(64)).max()
                        assert off < 100 * EPS
                    # Independent, so that their inner products are of order 1/64 of 1.
                    ways = [*forth, *(b.T for b in back)]
                    for i, j in zip(*np.triu_indices(len(ways), 1), strict=True):
                        assert abs(np.vdot(ways[i], ways[j]) / 64) < 0.2
                    count += 1
    assert count == {"LSTM": 2 * 1 + 2 * 3, "GRU": 2}[arch.kind]


@pytest.mark.parametrize("d", [2, 3, 6])
def test_columns_of_inputs_are_orthogonal_normals_and_frames_see_every_direction(d):
    weights = draw(ntkrnn.GRU(), 16, d, [1], DTYPE, False)[0]["forward"]
    columns = np.concatenate([c.reshape(-1, 256) for c in weights.columns.values()]).astype(np.float64)
    if 16 * len(columns) <= 256:
        # Their condition is that of 16 columns out of 256 neurons, squared: below 10.
        np.testing.assert_allclose(columns @ columns.T / 256, np.eye(len(columns)), atol=1e3 * EPS)
        np.testing.assert_allclose(columns.mean(axis=1), 0, atol=100 * EPS)
    # Fourth moments of normals are 3, with an error of the root of 96 over the number of them.
    assert abs((columns**4).mean() - 3) < 4 * (96 / columns.size) ** 0.5
    frames = np.asarray(weights.frames, np.float64)
    assert frames.shape == (16, d, min(d, PROJECTIONS))
    seen = np.einsum("pck,pek->pce", frames, frames)
    np.testing.assert_allclose(np.trace(seen, axis1=1, axis2=2), d, rtol=100 * EPS)
    if d <= PROJECTIONS:
        np.testing.assert_array_equal(seen, np.broadcast_to(np.eye(d), seen.shape))
    else:
        # Two groups share a rotation of 6: 0 to 3, and 4, 5, 0, 1. Over all groups no more than noise.
        off = seen.mean(axis=0) - np.eye(d)
        assert np.abs(off).max() < 4 * (1 / len(frames)) ** 0.5


# Against the closed form of an Elman network

CLOSED = {
    "last": {},
    "relu-mean": {"nonlinearity": "relu", "readout": "mean"},
    "deep": {"depth": 2},
    "bidirectional": {"bidirectional": True},
    "deep-bidirectional-mean-some": {
        "depth": 2,
        "bidirectional": True,
        "readout": "mean",
        "trainable": ("u", "b"),
    },
    "sequence": {"readout": "sequence", "trainable": ("w", "v")},
    "bidirectional-sequence": {"readout": "sequence", "bidirectional": True},
}
LENGTHS = np.array([4, 2, 3], np.int32)


def z_scores(got, want):
    scores = []
    for name in ("nngp", "ntk"):
        error = np.asarray(getattr(got, f"{name}_error"), np.float64)
        off = np.asarray(getattr(got, name), np.float64) - np.asarray(getattr(want, name), np.float64)
        scores.append((off / np.where(error > 0, error, 1))[error > 0])
        assert not np.any(off[error == 0])
    return scores


# A compilation each; the quick ones have both directions, depth, lengths and two readouts.
LONG = ("relu-mean", "bidirectional", "sequence", "deep-bidirectional-mean-some")


@pytest.mark.parametrize("name", marked(CLOSED, slow=LONG))
def test_elman_reproduces_its_closed_form_within_the_errors(name):
    arch = ntkrnn.Elman(w_std=1.2, u_std=0.9, b_std=0.3, **CLOSED[name])
    x = sequences(1)
    want = ntkrnn.network(arch).kernel_fn(x, None, None, LENGTHS)
    got = sampled_kernel_fn(arch)(x, None, None, LENGTHS, samples=1024, replicates=24)
    assert got.ntk.shape == want.ntk.shape and got.ntk.dtype == DTYPE
    for scores in z_scores(got, want):
        # Scores follow Student's law with 23 degrees of freedom: 1 in 10^5 is beyond 5.5.
        assert np.abs(scores).max() < 5.5
    size = np.linalg.norm(want.ntk)
    assert np.linalg.norm(got.ntk - want.ntk) < 0.05 * size  # and the errors are no excuse
    np.testing.assert_array_equal(
        got.ntk,
        np.asarray(got.ntk).swapaxes(0, 1).swapaxes(-1, -2)
        if got.ntk.ndim == 4
        else np.asarray(got.ntk).T,
    )


def test_errors_are_calibrated_over_fifty_settings():
    """The scores' standard deviation is that of Student's law, 1.03 with 31 degrees of freedom."""
    rng = np.random.default_rng(3)
    scores = []
    for setting in range(50):
        stds = dict(zip(("w_std", "u_std", "b_std"), rng.uniform(0.3, 1.5, size=3), strict=True))
        arch = ntkrnn.Elman(**stds)
        x, lengths = sequences(100 + setting), rng.integers(1, 5, size=3).astype(np.int32)
        want = ntkrnn.network(arch).kernel_fn(x, None, None, lengths)
        got = sampled_kernel_fn(arch)(x, None, None, lengths, samples=256, replicates=32, key=setting)
        # Entries of one kernel are dependent: one of each.
        for name in ("nngp", "ntk"):
            i, j = rng.choice(3, size=2, replace=False)
            error = float(getattr(got, f"{name}_error")[i, j])
            scores.append(float(getattr(got, name)[i, j] - getattr(want, name)[i, j]) / error)
    assert 0.8 < np.std(scores) < 1.25, np.std(scores)
    assert abs(np.mean(scores)) < 4 / 50**0.5


@pytest.mark.slow
def test_the_bias_falls_as_the_neurons_grow():
    """A percent at 64 neurons, and nothing to be seen at 1024."""
    arch = ntkrnn.Elman(w_std=1.4, u_std=0.9, b_std=0.3)
    x, off, own = sequences(2), {}, {}
    want = ntkrnn.network(arch).kernel_fn(x)
    for samples, replicates in ((64, 2000), (1024, 125)):
        got = sampled_kernel_fn(arch)(x, samples=samples, replicates=replicates)
        for name in ("nngp", "ntk"):
            limit = np.asarray(getattr(want, name), np.float64)
            # Errors of entries that go together add up to this at most.
            off[samples, name], own[samples, name] = (
                (np.asarray(a, np.float64) * limit).sum() / (limit**2).sum()
                for a in (getattr(got, name) - limit, getattr(got, f"{name}_error"))
            )
    for name in ("nngp", "ntk"):
        assert abs(off[64, name]) < 0.02
        assert abs(off[1024, name]) < abs(off[64, name]) / 16 + 4 * own[1024, name]
        assert own[1024, name] < 0.005


# Against an independent evaluation for a GRU


def gate(a):
    return 0.5 * (1 + jax.lax.erf(a))


@functools.cache
def erf_gate():
    return ntkrnn.dual.nonlinearity(gate, name="erf gate")


def orthant(c):
    """``P(all u >= 0)`` of a Gaussian vector with covariance c."""
    if len(c) == 0:
        return 1.0
    if len(c) == 1:
        return 0.5
    if len(c) == 2:
        return 0.25 + np.arcsin(c[0, 1] / np.sqrt(c[0, 0] * c[1, 1])) / (2 * np.pi)
    law = multivariate_normal(cov=c, allow_singular=True)
    law.maxpts, law.abseps, law.releps = 10**6, 1e-6, 1e-6
    return law.cdf(np.zeros(len(c)), rng=np.random.default_rng(0))


def erf_gru_nngp(arch, x):
    """Covariance of the states, by orthant probabilities: E prod_j gate(s_j a_j) is P(all u_j >= 0)
    with u_j = sqrt(2) s_j a_j + a standard normal, and gates are independent of each other."""
    n, steps, d = x.shape
    w, u, b = arch.w_std**2, arch.u_std**2, arch.b_std**2
    inputs = u * np.einsum("itc,jsc->itjs", x, x) / d + b
    k = np.zeros((n, steps + 1, n, steps + 1))  # of the state after so many steps
    candidate = np.zeros((n, steps, n, steps))
    update = np.zeros((n, steps, n, steps))  # covariance of the update gate

    def weight(i, t, a, j, s, c):
        """E prod of update gates after a, times 1 - that at a, for both sequences."""
        places = [(i, a, -1)] + [(i, r, 1) for r in range(a + 1, t + 1)]
        places += [(j, c, -1)] + [(j, r, 1) for r in range(c + 1, s + 1)]
        rows = [(p, q) for p, q, _ in places]
        signs = np.array([sign for _, _, sign in places])
        cov = np.array([[update[p, q, r, v] for r, v in rows] for p, q in rows])
        return orthant(2 * cov * np.outer(signs, signs) + np.eye(len(rows)))

    for t in range(steps):
        for s in range(t + 1):
            for i in range(n):
                for j in range(n):
                    update[i, t, j, s] = w * k[i, t, j, s] + inputs[i, t, j, s]
                    update[j, s, i, t] = update[i, t, j, s]
        for s in range(t + 1):
            for i in range(n):
                for j in range(n):
                    both = np.array(
                        [[update[p, q, r, v] for r, v in ((i, t), (j, s))] for p, q in ((i, t), (j, s))]
                    )  # the reset gate has the same covariance
                    reset = orthant(2 * both + np.eye(2))
                    own = [w * k[p, q, p, q] for p, q in ((i, t), (j, s))]
                    of_reset = [
                        orthant(2 * update[p, q, p, q] * np.ones((2, 2)) + np.eye(2))
                        for p, q in ((i, t), (j, s))
                    ]
                    c = w * k[i, t, j, s] * reset + inputs[i, t, j, s]
                    v1, v2 = (
                        o * r + inputs[p, q, p, q]
                        for o, r, (p, q) in zip(own, of_reset, ((i, t), (j, s)), strict=True)
                    )
                    if (i, t) == (j, s):
                        c = v1
                    ratio = 2 * c / np.sqrt((1 + 2 * v1) * (1 + 2 * v2))
                    candidate[i, t, j, s] = candidate[j, s, i, t] = 2 / np.pi * np.arcsin(ratio)
        for s in range(t + 1):
            for i in range(n):
                for j in range(n):
                    total = sum(
                        weight(i, t, a, j, s, c) * candidate[i, a, j, c]
                        for a in range(t + 1)
                        for c in range(s + 1)
                    )
                    k[i, t + 1, j, s + 1] = k[j, s + 1, i, t + 1] = total
    return k[:, 1:, :, 1:]


@pytest.mark.parametrize("steps", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_erf_gru_against_orthant_probabilities(steps):
    arch = ntkrnn.GRU(
        reset="before",
        nonlinearity="erf",
        gate_nonlinearity=erf_gate(),
        w_std=1.3,
        u_std=1.1,
        b_std=0.4,
    )
    x = sequences(5, n=2, steps=steps)
    x[1] = 0.7 * x[0] + 0.3 * x[1]  # a kernel without small entries
    want = erf_gru_nngp(arch, x.astype(np.float64))[:, -1, :, -1]
    got = sampled_kernel_fn(arch)(x, get=("nngp", "nngp_error"), replicates=256)
    error = np.asarray(got.nngp_error) / want
    assert error.max() < 0.006
    assert np.abs((np.asarray(got.nngp) - want) / np.asarray(got.nngp_error)).max() < 5


# Properties

CELLS = {
    "lstm": ntkrnn.LSTM(b_std=0.2),
    "gru": ntkrnn.GRU(w_std=1.2),
    "gru-before-mean": ntkrnn.GRU(reset="before", readout="mean"),
    "minimal-deep": ntkrnn.MinimalGRU(depth=2),
    "lstm-per-gate-bidirectional": ntkrnn.LSTM(
        w_std=(1.0, 0.5, 1.5, 1.0), b_mean=(0.0, 1.0, 0.0, 0.5), bidirectional=True
    ),
    "gru-sequence-both-ways": ntkrnn.GRU(readout="sequence", bidirectional=True, trainable=("w", "u")),
    "lstm-readout-alone": ntkrnn.LSTM(trainable=("v",)),
    "minimal-sequence-readout-alone": ntkrnn.MinimalGRU(readout="sequence", trainable=("b",)),
}
QUICK = ("lstm", "gru-before-mean")
LENGTHS_5 = np.array([4, 3, 3, 4, 2], np.int32)


def assert_equal_to_rounding(got, want, factor=100):
    """In units of the largest entry: sums over steps, gates and neurons in another order."""
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    assert got.shape == want.shape
    off, size = (np.abs(a).max(initial=0) for a in (got - want, want))
    assert off <= factor * EPS * size


def swapped(kernel):
    kernel = np.asarray(kernel)
    return kernel.transpose((1, 0, 3, 2) if kernel.ndim == 4 else (1, 0))


def diagonal_of(kernel):
    return np.stack([kernel[i, i] for i in range(len(kernel))])


@pytest.fixture(scope="module", params=marked(CELLS, QUICK))
def cell(request):
    arch = CELLS[request.param]
    x = sequences(7, n=5)
    x[2] = x[1]
    x[4] = 0
    kernel_fn = ntkrnn.network(arch).kernel_fn
    return arch, kernel_fn, x, kernel_fn(x, None, None, LENGTHS_5, **FEW)


def test_symmetric_positive_and_equal_for_duplicates(cell):
    _, _, x, kernels = cell
    assert isinstance(kernels, ntkrnn.SampledKernels)
    for kernel in (kernels.nngp, kernels.ntk):
        kernel = np.asarray(kernel)
        assert np.isfinite(kernel).all()
        np.testing.assert_array_equal(kernel, swapped(kernel))
        flat = kernel if kernel.ndim == 2 else kernel.swapaxes(1, 2).reshape(len(x) * 4, -1)
        values = np.linalg.eigvalsh(flat.astype(np.float64))
        assert values[0] >= -100 * EPS * values[-1]  # a product of features, to rounding
        assert_equal_to_rounding(kernel[1], kernel[2])
    assert (np.asarray(kernels.ntk_error) >= 0).all()


def test_a_function_of_the_sequences_and_the_key(cell):
    _, kernel_fn, x, kernels = cell
    again = kernel_fn(x, None, None, LENGTHS_5, key=jax.random.key(0), **FEW)
    for one, two in zip(again, kernels, strict=True):
        np.testing.assert_array_equal(one, two)
    other = kernel_fn(x, None, "nngp", LENGTHS_5, key=1, **FEW)
    assert np.any(np.asarray(other) != np.asarray(kernels.nngp))
    filled = np.full((5, 6, 2), np.nan, x.dtype)
    for row, length in enumerate(LENGTHS_5):
        filled[row, :length] = x[row, :length]
    padded = np.asarray(kernel_fn(filled, None, "ntk", LENGTHS_5, **FEW))
    if padded.ndim == 4:
        assert not padded[..., 4:].any() and not padded[..., 4:, :].any()
        padded = padded[..., :4, :4]
    assert_equal_to_rounding(padded, kernels.ntk)


def test_parts_sides_order_and_diagonals_change_nothing(cell):
    _, kernel_fn, x, kernels = cell
    order, inverse = np.array([3, 1, 4, 0, 2]), np.array([3, 1, 4, 0, 2]).argsort()
    tiled = kernel_fn(x, None, None, LENGTHS_5, tile=2, **FEW)
    sides = kernel_fn(x, x[:2], None, LENGTHS_5, LENGTHS_5[:2], **FEW)
    turned = kernel_fn(x[:2], x, None, LENGTHS_5[:2], LENGTHS_5, **FEW)
    permuted = kernel_fn(x[order], None, None, LENGTHS_5[order], **FEW)
    alone = kernel_fn(x, None, None, LENGTHS_5, diagonal=True, **FEW)
    pairs = kernel_fn(x, x[order], None, LENGTHS_5, LENGTHS_5[order], diagonal=True, **FEW)
    size = max(np.abs(kernels.nngp).max(), np.abs(kernels.ntk).max())
    for name in kernels._fields:
        want = np.asarray(getattr(kernels, name))
        # Deviations from a mean are known to the rounding of the mean.
        factor = 100 if "error" not in name else 100 * size / max(want.max(), EPS)
        close = functools.partial(assert_equal_to_rounding, factor=factor)
        close(getattr(tiled, name), want)
        close(getattr(sides, name), want[:, :2])
        close(swapped(getattr(turned, name)), want[:, :2])
        close(np.asarray(getattr(permuted, name))[inverse][:, inverse], want)
        close(getattr(alone, name), diagonal_of(want))
        close(getattr(pairs, name), diagonal_of(want[:, order]))


def test_kernels_are_products_of_features_also_of_rows_that_come_later(cell):
    arch, _, x, kernels = cell
    kept = features(arch, x[:3], None, LENGTHS_5[:3], **FEW)
    later = features(arch, x[3:], None, LENGTHS_5[3:], tile=1, **FEW)
    for name in ("nngp", "ntk"):
        one, two = getattr(later, name), getattr(kept, name)
        formula = "itf,jsf->ijts" if one.ndim == 3 else "if,jf->ij"
        product = jnp.einsum(formula, one, two, precision="highest")
        assert_equal_to_rounding(product, getattr(kernels, name)[3:, :3])
        alone = features(arch, x[3:], name, LENGTHS_5[3:], **FEW)
        assert_equal_to_rounding(alone, one)


def test_the_same_under_jit(cell):
    arch, kernel_fn, x, kernels = cell
    found = jax.jit(lambda x, lengths: kernel_fn(x, None, None, lengths, tile=2, **FEW))(x, LENGTHS_5)
    for name in ("nngp", "ntk"):
        assert_equal_to_rounding(getattr(found, name), getattr(kernels, name))
    want = features(arch, x, "ntk", LENGTHS_5, **FEW)
    got = jax.jit(lambda x: features(arch, x, "ntk", LENGTHS_5, **FEW))(x)
    assert_equal_to_rounding(got, want)


GRADIENTS = {
    "lstm": {"w_std": (1.2, 0.9, 1.1, 1.0), "b_std": 0.3},
    "gru-before-mean": {"u_std": 1.3, "v_std": 0.8},
    "minimal-deep": {"w_std": 1.4, "b_std": 0.2},
    "gru-sequence-both-ways": {"w_std": 1.1},
}


@pytest.mark.parametrize("name", marked(GRADIENTS, ("gru-before-mean",)))
def test_derivatives_by_scales_and_sequences_against_differences(name):
    """Of kernels from fixed networks, common random numbers."""
    value, at = scaled(name)
    both = jax.jit(jax.value_and_grad(value))
    got = both(at)[1]
    # Third derivatives of order 1: the best step is the third root of the rounding.
    step = (10 * EPS) ** (1 / 3)
    for k, unit in enumerate(jnp.eye(len(at), dtype=DTYPE)):
        up, down = (float(both(at + sign * step * unit)[0]) for sign in (1, -1))
        want = (up - down) / (2 * step)
        error = abs(float(got[k]) - want) / max(abs(up), abs(want))
        assert error < 30 * (10 * EPS) ** (2 / 3), (k, got[k], want)


@pytest.mark.slow
def test_derivatives_forwards_are_those_backwards():
    value, at = scaled("lstm")
    forwards = jax.jit(jax.jacfwd(value))(at)
    np.testing.assert_allclose(forwards, jax.jit(jax.grad(value))(at), rtol=1e4 * EPS)


def scaled(name):
    """A sum over both kernels, as a function of scales and of a shift of the sequences; and where."""
    arch = CELLS[name]
    x, direction = jnp.asarray(sequences(3)), sequences(4)
    weights = np.random.default_rng(5).normal(size=(2, 3, 3)).astype(DTYPE)
    flat, unflatten = jax.flatten_util.ravel_pytree(GRADIENTS[name])

    def value(at):
        changed = type(arch)(**vars_of(arch) | unflatten(at[:-1]))
        shifted = x + at[-1] * direction
        kernels = ntkrnn.network(changed).kernel_fn(shifted, None, None, LENGTHS, **FEW)
        both = [k if k.ndim == 2 else k.sum(axis=(2, 3)) for k in (kernels.nngp, kernels.ntk)]
        return sum((w * k).sum() for w, k in zip(weights, both, strict=True))

    return value, jnp.append(flat.astype(DTYPE), jnp.zeros((), DTYPE))


def vars_of(arch):
    return {field.name: getattr(arch, field.name) for field in dataclasses.fields(arch)}


def norm_error(kernels, name):
    return np.linalg.norm(getattr(kernels, f"{name}_error")) / np.linalg.norm(getattr(kernels, name))


def test_a_tolerance_is_met_in_the_norm_with_eight_networks_at_least():
    """Also by default, and where networks stop going back while the NNGP kernel is not there yet."""
    kernel_fn, x = ntkrnn.network(ntkrnn.GRU()).kernel_fn, sequences(1)
    found = kernel_fn(x)
    assert 0.005 < norm_error(found, "nngp") <= 0.02 and norm_error(found, "ntk") <= 0.02
    rough = kernel_fn(x, samples=64, tolerance=10.0)
    for one, two in zip(rough, kernel_fn(x, samples=64, replicates=8), strict=True):
        np.testing.assert_array_equal(one, two)
    fine = kernel_fn(x, tolerance=0.05, replicates=12)
    for one, two in zip(fine, kernel_fn(x, replicates=12), strict=True):
        np.testing.assert_array_equal(one, two)


def test_networks_stop_going_back_when_the_tangent_kernel_is_known(monkeypatch):
    monkeypatch.setattr("ntkrnn.infinite.sampling._estimates.WORTH_A_PROGRAM", 0)
    arch, x = ntkrnn.LSTM(w_std=0.5), sequences(1)
    both = ntkrnn.network(arch).kernel_fn(x, tolerance=0.05, samples=64)
    assert norm_error(both, "nngp") <= 0.05 and norm_error(both, "ntk") <= 0.05
    # The tangent kernel is that of fewer networks, the NNGP kernel is that of the tolerance alone.
    alone = ntkrnn.network(arch).kernel_fn(x, get=("nngp", "nngp_error"), tolerance=0.05, samples=64)
    np.testing.assert_array_equal(both.nngp, alone.nngp)
    monkeypatch.setattr("ntkrnn.infinite.sampling._estimates.WORTH_A_PROGRAM", np.inf)
    more = ntkrnn.network(arch).kernel_fn(x, tolerance=0.05, samples=64)
    np.testing.assert_array_equal(both.nngp, more.nngp)
    assert norm_error(more, "ntk") < norm_error(both, "ntk")


def test_what_is_asked_for_is_what_comes():
    kernel_fn = ntkrnn.network(ntkrnn.GRU()).kernel_fn
    x = sequences(0)
    nngp = kernel_fn(x, get="nngp", **FEW)
    pair = kernel_fn(x, get=("nngp_error", "nngp"), **FEW)
    assert pair._fields == ("nngp_error", "nngp")
    np.testing.assert_array_equal(pair.nngp, nngp)
    assert_equal_to_rounding(kernel_fn(x, **FEW).nngp, nngp)


def test_more_replicates_than_a_tolerance_would_have():
    """As many as asked for; and a tolerance that cannot be met is told."""
    kernel_fn, x = ntkrnn.network(ntkrnn.GRU()).kernel_fn, sequences(0, n=2, steps=2)
    few = kernel_fn(x, samples=16, replicates=32)
    many = kernel_fn(x, samples=16, replicates=600)
    # The errors fall as the root: by 4.3; they are known to 1 in 8 with 32 replicates.
    assert np.linalg.norm(many.ntk_error) < np.linalg.norm(few.ntk_error) / 2
    with pytest.warns(AccuracyWarning, match="with 600 replicates, and tolerance=1e-09"):
        kernel_fn(x, samples=16, replicates=600, tolerance=1e-9)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"replicates": 1}, ValueError, "replicates: got 1"),
        ({"samples": 0}, ValueError, "samples: got 0"),
        ({"tolerance": 0.0}, ValueError, "tolerance: got 0.0"),
        ({"tile": -1}, ValueError, "tile: got -1"),
        ({"key": "a"}, TypeError, "key: got 'a'"),
        ({"get": "kernel"}, ValueError, "get: got 'kernel'"),
        ({"x2": sequences(0, n=2), "diagonal": True}, ValueError, "x2: got N=2 sequences"),
    ],
)
def test_bad_options_are_named(options, error, message):
    with pytest.raises(error, match=message):
        ntkrnn.network(ntkrnn.LSTM()).kernel_fn(sequences(0), **options)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"arch": ntkrnn.Diagonal()}, TypeError, "arch: got Diagonal"),
        ({"replicates": 0}, ValueError, "replicates: got 0"),
        ({"get": "nngp_error"}, ValueError, "get: got 'nngp_error'"),
        ({"lengths": [5, 1, 1]}, ValueError, "lengths: got"),
    ],
)
def test_bad_options_of_features_are_named(options, error, message):
    with pytest.raises(error, match=message):
        features(**{"arch": ntkrnn.LSTM(), "x": sequences(0)} | options)


def test_what_a_trace_cannot_have_is_refused():
    kernel_fn, x = ntkrnn.network(ntkrnn.LSTM()).kernel_fn, sequences(0)
    with pytest.raises(ValueError, match=r"tolerance: got 0\.1 while JAX is tracing"):
        jax.jit(lambda x: kernel_fn(x, get="nngp", tolerance=0.1))(x)
    with pytest.raises(TypeError, match="key: got a random key that is being traced"):
        jax.jit(lambda key: kernel_fn(x, get="nngp", key=key))(jax.random.key(0))
