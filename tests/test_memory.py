"""What memory does not hold is refused before it is begun, and programs are let go of."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from refusals import refused

import ntkrnn
from ntkrnn import _compile, _memory, dynamics

DTYPE = jnp.zeros(()).dtype
X = np.random.default_rng(0).normal(size=(4, 6, 2)).astype(DTYPE)


@pytest.fixture
def little(monkeypatch):
    """A machine with a megabyte."""
    monkeypatch.setenv(_memory.LIMIT_VARIABLE, "1M")


@pytest.mark.parametrize(
    ("said", "expected"),
    [("1000", 1000), ("2K", 2048), ("1.5G", 3 * 2**29), ("10 MiB", 10 * 2**20), ("1gb", 2**30)],
)
def test_the_environment_says_how_much_there_is(monkeypatch, said, expected):
    monkeypatch.setenv(_memory.LIMIT_VARIABLE, said)
    assert _memory.available_bytes() == expected


def test_what_is_no_size_is_refused(monkeypatch):
    monkeypatch.setenv(_memory.LIMIT_VARIABLE, "lots")
    refused(_memory.available_bytes, _memory.LIMIT_VARIABLE, "'lots'", "12G", error=ValueError)


def test_the_machine_is_asked_otherwise(monkeypatch):
    monkeypatch.delenv(_memory.LIMIT_VARIABLE, raising=False)
    assert 2**26 < _memory.available_bytes() < 2**50


def many(n, steps=1):
    return np.zeros((n, steps, 1), DTYPE)


# Results that grow with the square of N, or of N T: (call, argument, what the message says).
TOO_LARGE = {
    "kernel": (lambda: ntkrnn.network(ntkrnn.Elman()).kernel_fn(many(2000)), "x1", "N=2000, T=1"),
    "two-sides": (
        lambda: ntkrnn.network(ntkrnn.Elman()).kernel_fn(many(3000), many(40)),
        "x1",
        "N1=3000, N2=40",
    ),
    "sequence": (
        lambda: ntkrnn.network(ntkrnn.Elman(readout="sequence")).kernel_fn(many(10, 100)),
        "x1",
        "readout 'last' or 'mean'",
    ),
    "leaky": (lambda: ntkrnn.network(ntkrnn.Leaky()).kernel_fn(many(2000)), "x1", "N=2000"),
    "diagonal": (lambda: ntkrnn.network(ntkrnn.Diagonal()).kernel_fn(many(10, 100)), "x1", "N1=10"),
    "sampled": (lambda: ntkrnn.network(ntkrnn.GRU()).kernel_fn(many(500)), "x1", "smaller tile"),
    "empirical": (
        lambda: _empirical(ntkrnn.empirical_ntk_fn, ntkrnn.Elman(width=4), many(2000)),
        "x1",
        "empirical_ntk_matvec",
    ),
    "empirical-nngp": (
        lambda: _empirical(ntkrnn.empirical_nngp_fn, ntkrnn.Elman(width=4), many(2000)),
        "x1",
        "N1=2000",
    ),
    "function": (
        lambda: ntkrnn.empirical_ntk_fn(_mean)(many(2000), None, jnp.ones((1, 1))),
        "x1",
        "N1=2000",
    ),
    "records": (lambda: _train(5000, steps=100, at=1, record="outputs"), "record", "101 records"),
    "linearized": (
        lambda: dynamics.linearized(
            np.eye(50), np.zeros(50), np.ones(50), learning_rate=0.1, steps=8000, at=1
        ),
        "at",
        "8001 records",
    ),
    "flow": (
        lambda: dynamics.gradient_flow(np.eye(50), np.zeros(50), np.ones(50), np.arange(5000.0)),
        "times",
        "5000 times",
    ),
    "ensemble": (
        lambda: dynamics.trained_ensemble(
            ntkrnn.Kernels(np.eye(50), np.eye(50)), np.ones(50), np.arange(100.0)
        ),
        "times",
        "diagonal=True",
    ),
}


def _mean(params, x):
    return x.mean(1) @ params


def _empirical(build, arch, x):
    return build(arch)(x, None, ntkrnn.network(arch).init_fn(jax.random.key(0), x.shape)[1])


def _train(n, **settings):
    arch = ntkrnn.Elman(width=2)
    params = ntkrnn.network(arch).init_fn(jax.random.key(0), (n, 1, 1))[1]
    return dynamics.train(arch, params, many(n), np.zeros(n), optimizer=optax.sgd(0.1), **settings)


@pytest.mark.usefixtures("little")
@pytest.mark.parametrize("case", TOO_LARGE)
def test_what_memory_does_not_hold_is_refused(case):
    call, argument, pattern = TOO_LARGE[case]
    refused(call, argument, pattern, r"[KMG]iB of memory, and 1 MiB are available", "G\\.$")


def test_two_hundred_thousand_sequences_are_refused_and_end_no_process():
    kernel_fn = ntkrnn.network(ntkrnn.Elman()).kernel_fn
    x = np.zeros((200_000, 1, 1), np.float32)
    refused(lambda: kernel_fn(x), "x1", "N=200000, T=1", "GiB of memory", "blocks of rows")


@pytest.mark.parametrize("tile", [10**5, 2**70])
@pytest.mark.parametrize("readout", ["last", "mean"])
def test_a_tile_is_no_larger_than_there_are_sequences(tile, readout):
    kernel_fn = ntkrnn.network(ntkrnn.Elman(readout=readout)).kernel_fn
    np.testing.assert_array_equal(kernel_fn(X[:2], tile=tile).ntk, kernel_fn(X[:2]).ntk)
    gru = ntkrnn.network(ntkrnn.GRU(readout=readout)).kernel_fn
    assert gru(X[:2], samples=64, replicates=2, tile=tile).ntk.shape == (2, 2)


def test_programs_are_let_go_of(monkeypatch):
    """As many are kept as are allowed, the last ones, and what was let go of is made again."""
    monkeypatch.setattr(_compile, "MOST_PROGRAMS", 3)
    monkeypatch.setattr(_compile, "_kept", type(_compile._kept)())
    calls = []

    @_compile.compiled("k")
    def scaled(k, x):
        calls.append((k, x.shape))  # while it is traced
        return k * x

    for n in (1, 2, 3, 1, 4, 2):
        assert scaled(2, np.ones(n)).shape == (n,)
    assert len(_compile._kept) == 3
    assert [shape[0] for _, (*shape,) in calls] == [1, 2, 3, 4, 2]  # 2 was the oldest when 4 came
    assert float(scaled(3, np.ones(2))[0]) == 3.0


MANY_SIZES = """
import resource, sys
import numpy as np
import ntkrnn
kernel_fn = ntkrnn.network(ntkrnn.Elman()).kernel_fn
rng = np.random.default_rng(0)
size = lambda: int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() / 2**20
sizes = []
for k in range(300):
    kernel_fn(rng.normal(size=(rng.integers(1, 25), rng.integers(1, 25), 1)).astype(np.float32))
    if k in (99, 299):
        sizes.append(size())
print(*sizes)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_of_a_process_stays_where_it_is_over_random_sizes():
    """300 calls of random N and T; 100 took half a gigabyte when each size had programs of its own."""
    done = subprocess.run(
        [sys.executable, "-c", MANY_SIZES], capture_output=True, text=True, check=True, timeout=600
    )
    after_100, after_300 = map(float, done.stdout.split())
    assert after_300 - after_100 < 64
