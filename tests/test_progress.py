"""Long computations tell how far they are to whoever listens."""

from __future__ import annotations

import numpy as np
import pytest

import ntkrnn
from ntkrnn._progress import listening, tell
from ntkrnn.infinite.sampling._kernels import _expected
from ntkrnn.infinite.sampling._sides import FEWEST_REPLICATES
from ntkrnn.studies import CompareSettings, compare, ntkrnn_engine
from ntkrnn.studies.compare import LIMIT

X = np.random.default_rng(0).normal(size=(3, 4, 2)).astype("float32")


def heard(work):
    calls = []
    with listening(lambda *call: calls.append(call)):
        work()
    return calls


def test_only_who_listens_hears_and_only_inside():
    outer, inner = [], []
    tell(0, 1, "nobody")
    with listening(lambda *call: outer.append(call)):
        tell(1, 3, "a")
        with listening(lambda *call: inner.append(call)):
            tell(2, 3, "b")
        tell(3, 3, "c")
    tell(4, 3, "nobody")
    assert outer == [(1, 3, "a"), (3, 3, "c")] and inner == [(2, 3, "b")]


def test_a_sampled_limit_tells_of_each_network():
    sampling = ntkrnn.Sampling(samples=64, replicates=FEWEST_REPLICATES + 3)
    calls = heard(lambda: ntkrnn.network(ntkrnn.GRU(2), sampling).kernel_fn(X))
    done, total, what = zip(*calls, strict=True)
    # From the second network on there is a standard error, and something to tell.
    assert done == tuple(range(2, FEWEST_REPLICATES + 3))
    assert set(what) == {"networks of the limit"}
    assert set(total) == {FEWEST_REPLICATES + 3}


def test_with_a_tolerance_the_total_ends_where_it_is_met():
    sampling = ntkrnn.Sampling(samples=64, tolerance=0.02)
    calls = heard(lambda: ntkrnn.network(ntkrnn.LSTM(2), sampling).kernel_fn(X))
    assert calls[-1][0] == calls[-1][1] > FEWEST_REPLICATES
    assert all(done < total for done, total, _ in calls[:-1] if total)


@pytest.mark.parametrize(
    ("done", "error", "tolerance", "most", "total"),
    [
        (10, 0.04, 0.02, 1000, 40),  # the error falls as the root
        (10, 0.02, 0.02, 1000, 10),
        (10, 0.01, 0.02, 1000, 10),  # never fewer than there are
        (10, 1.0, 1e-9, 1000, 1000),  # nor more than there will be
        (10, float("nan"), 0.02, 1000, 0),  # what overflowed tells nothing
        (10, float("inf"), 0.02, 1000, 0),
        (10, 1e300, 1e-300, 1000, 0),
    ],
)
def test_how_many_it_will_be(done, error, tolerance, most, total):
    assert _expected(done, error, tolerance, most) == total


def test_studies_tell_of_the_limit_before_their_networks():
    dataset = ntkrnn.data.load("digits", n=3)
    calls = []
    compare(
        CompareSettings(ntkrnn.GRU(), widths=(4, 8), seeds=2),
        dataset,
        ntkrnn_engine(),
        progress=lambda *call: calls.append(call),
    )
    limit = [what.startswith(LIMIT) for _, _, what in calls]
    assert limit == sorted(limit, reverse=True) and sum(limit) > FEWEST_REPLICATES
    assert {total for _, total, what in calls if not what.startswith(LIMIT)} == {4}
