"""How a Gram matrix is cut up never shows: tiles of any size, any order, any number of devices."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from marking import marked

import ntkrnn
from ntkrnn import _tiling

DTYPE = jnp.zeros(()).dtype
EPS = float(jnp.finfo(DTYPE).eps)
N, N2, T, T2, D = 21, 13, 5, 4, 2
TILES = (3, 8, 32, None)


def side(seed, n, t):
    """Sequences, the last a duplicate of the first, and their lengths."""
    rng = np.random.default_rng(seed)
    x = 0.7 * rng.normal(size=(n, t, D))
    lengths = rng.integers(1, t + 1, size=n).astype(np.int32)
    x[-1], lengths[-1] = x[0], lengths[0]
    return x.astype(DTYPE), lengths


X, LENGTHS = side(0, N, T)
X2, LENGTHS2 = side(1, N2, T2)

# One for each readout, each with something else: unequal lengths, depth, two directions.
CASES = {
    "erf-last-ragged": (ntkrnn.Elman(width=4, b_std=0.2), LENGTHS, LENGTHS2),
    "relu-last-deep": (ntkrnn.Elman(width=4, nonlinearity="relu", depth=2, w_std=1.2), None, None),
    "erf-last-bidirectional-ragged": (ntkrnn.Elman(width=4, bidirectional=True), LENGTHS, LENGTHS2),
    "tanh-mean-ragged": (
        ntkrnn.Elman(width=4, nonlinearity="tanh", readout="mean"),
        LENGTHS,
        LENGTHS2,
    ),
    "relu-sequence": (ntkrnn.Elman(width=4, nonlinearity="relu", readout="sequence"), None, None),
    "erf-mean-deep-bidirectional": (
        ntkrnn.Elman(width=4, readout="mean", depth=2, bidirectional=True),
        None,
        None,
    ),
    "tanh-sequence-bidirectional-ragged": (
        ntkrnn.Elman(width=4, nonlinearity="tanh", readout="sequence", bidirectional=True),
        LENGTHS,
        LENGTHS2,
    ),
}
ONE_SIDE = ("erf-last-ragged", "relu-sequence")
TWO_SIDES = ("relu-last-deep",)


def rounding(arch):
    """Some 16 roundings for each step and layer, in units of the largest entry.

    The sums are the same whatever the tile; what may differ is which products the compiler fuses with
    a sum. No scale is so far above critical that the recursion amplifies it beyond that.
    """
    return 16 * EPS * T * arch.depth


def assert_close(got, want, tolerance):
    for one, other in zip(got, want, strict=True):
        one, other = np.asarray(one), np.asarray(other)
        assert one.shape == other.shape
        error = np.abs(one - other).max() / np.abs(other).max()
        assert error <= tolerance, (error, tolerance)


def turned(kernel):
    kernel = np.asarray(kernel)
    return kernel.transpose((1, 0, 3, 2) if kernel.ndim == 4 else (1, 0))


@pytest.mark.parametrize("name", marked(CASES, ONE_SIDE))
def test_the_tile_does_not_show_on_one_side(name):
    arch, lengths, _ = CASES[name]
    kernel_fn = ntkrnn.network(arch).kernel_fn
    found = [kernel_fn(X, None, None, lengths, tile=tile) for tile in TILES]
    for kernels in found:
        assert_close(kernels, found[-1], rounding(arch))
        for kernel in kernels:
            np.testing.assert_array_equal(kernel, turned(kernel))
    order = np.random.default_rng(3).permutation(N)
    moved = kernel_fn(X[order], None, None, None if lengths is None else lengths[order], tile=8)
    assert_close(moved, [np.asarray(k)[order][:, order] for k in found[1]], rounding(arch))


@pytest.mark.parametrize("name", marked(CASES, TWO_SIDES))
def test_the_tile_does_not_show_on_two_sides(name):
    arch, lengths, lengths2 = CASES[name]
    kernel_fn = ntkrnn.network(arch).kernel_fn
    sides = (X, X2, None, lengths, lengths2)
    found = [kernel_fn(*sides, tile=tile) for tile in (3, 8, None)]
    for kernels in found[:-1]:
        assert_close(kernels, found[-1], rounding(arch))
    # The other way round, and a part of the rows: the same pairs in other tiles.
    back = kernel_fn(X2[4:], X, None, None if lengths is None else lengths2[4:], lengths, tile=8)
    assert_close([turned(k) for k in back], [np.asarray(k)[:, 4:] for k in found[-1]], rounding(arch))


@pytest.mark.parametrize("name", marked(CASES, ("erf-last-ragged",)))
def test_two_sides_equal_one_side(name):
    """The triangle, mirrored, against the whole square."""
    arch, lengths, _ = CASES[name]
    kernel_fn = ntkrnn.network(arch).kernel_fn
    square = kernel_fn(X, X.copy(), None, lengths, lengths, tile=8)
    assert_close(square, kernel_fn(X, None, None, lengths, tile=8), rounding(arch))


@pytest.mark.parametrize("readout", marked(("mean", "last", "sequence"), ("mean",)))
def test_sequences_that_fill_up_a_tile_have_no_derivative(readout):
    """Three sequences in tiles of two, by themselves in tiles of one: the same derivative by w_std."""

    def total(w_std, tile):
        arch = ntkrnn.Elman(width=4, w_std=w_std, readout=readout)
        return sum(k.sum() for k in ntkrnn.network(arch).kernel_fn(X[:3], None, None, tile=tile))

    gradient = jax.jit(jax.grad(total), static_argnums=1)
    got, want = (gradient(1.1, tile) for tile in (2, 1))
    # Sums of positive numbers, T steps each.
    assert abs(got - want) <= 16 * EPS * T * abs(want)


# Sizes


def test_buckets_grow_and_waste_little():
    sizes = np.arange(1, 3000)
    buckets = np.array([_tiling.bucket(int(n)) for n in sizes])
    assert (buckets >= sizes).all()
    assert (np.diff(buckets) >= 0).all()
    np.testing.assert_array_equal(buckets[:8], sizes[:8])
    assert (buckets[7:] <= 1.25 * sizes[7:]).all()
    assert all(_tiling.bucket(int(b)) == b for b in np.unique(buckets))
    # Four to the octave: that is how many programs there are at most.
    assert len(np.unique(buckets[(sizes > 128) & (sizes <= 256)])) == 4


@pytest.mark.parametrize(
    ("n1", "n2", "triangle"),
    [(1, 1, True), (33, 33, True), (130, 130, True), (21, 21, False), (40, 7, False), (7, 130, False)],
)
def test_every_tile_is_scheduled_exactly_once(n1, n2, triangle):
    for tile in (1, 8, 32, None):
        tiling = _tiling.choose(n1, n2, None, 4, "cpu", triangle, tile)
        down, across = -(-n1 // tiling.rows), -(-n2 // tiling.columns)
        want = {(i, j) for i in range(down) for j in range(across) if not triangle or i <= j}
        for lanes in (1, 3, tiling.lanes):
            pairs, groups = _tiling.schedule(n1, n2, tiling, lanes, triangle)
            assert pairs.shape == (_tiling.bucket(groups), lanes, 2)
            listed = [tuple(int(v) for v in pair) for pair in pairs.reshape(-1, 2)]
            assert len(set(listed[: len(want)])) == len(want)
            assert set(listed[: len(want)]) == want
            assert set(listed[len(want) :]) <= {listed[len(want) - 1]}  # padding repeats the last
            assert (groups - 1) * lanes < len(want) <= groups * lanes


def test_tiles_fit_the_platform():
    """A block of pairs is no larger than it may be, unless a single tile is."""
    for platform, size in _tiling.BLOCK_BYTES.items():
        for n in (1, 20, 150, 5000):
            for shifts in (None, 7, 300):
                tiling = _tiling.choose(n, n, shifts, 4, platform)
                assert 4 * tiling.rows * tiling.columns * tiling.lanes <= size
                least = _tiling.SMALLEST_TILE if shifts is None else 1
                assert tiling.rows <= max(least, _tiling.bucket(n, coarse=32)) and tiling.lanes >= 1


# Arguments


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"tile": 0}, ValueError, "tile: got 0"),
        ({"tile": -4}, ValueError, "tile: got -4"),
        ({"tile": 2.5}, TypeError, "tile: got 2.5"),
        ({"tile": True}, TypeError, "tile: got True"),
        ({"tile": "8"}, TypeError, "tile: got '8'"),
        ({"devices": []}, TypeError, r"devices: got \[\]"),
        ({"devices": "cpu"}, TypeError, "devices: got 'cpu'"),
        ({"devices": [0]}, TypeError, r"devices: got \[0\]"),
    ],
    ids=str,
)
def test_bad_arguments_are_named(arguments, error, message):
    kernel_fn = ntkrnn.network(ntkrnn.Elman(width=4)).kernel_fn
    with pytest.raises(error, match=message):
        kernel_fn(X, **arguments)


# Devices

SEVERAL = """
import jax, numpy as np, ntkrnn
assert len(jax.devices()) == 4
x = 0.7 * np.random.default_rng(0).normal(size=(21, 5, 2)).astype(jax.numpy.zeros(()).dtype)
lengths = np.random.default_rng(1).integers(1, 6, size=21).astype(np.int32)
for arch, lengths in (
    (ntkrnn.Elman(width=4), lengths),
    (ntkrnn.Elman(width=4, nonlinearity="relu", readout="mean"), lengths),
    (ntkrnn.Elman(width=4, readout="sequence"), None),
):
    kernel_fn = ntkrnn.network(arch).kernel_fn
    one, *others = (
        kernel_fn(x, None, None, lengths, tile=8, devices=jax.devices()[:k]) for k in (1, 3, 4)
    )
    for other in others:
        for a, b in zip(one, other):
            assert np.any(np.asarray(a))
            np.testing.assert_array_equal(a, b, err_msg=f"{arch.readout} {np.abs(a - b).max()}")
np.testing.assert_array_equal(kernel_fn(x, tile=8).ntk, one.ntk)  # on all of them, unasked
print("equal")
"""


def test_the_number_of_devices_does_not_show():
    """Every entry comes from one device, and the others add an exact 0."""
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SEVERAL],
        env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "equal"
