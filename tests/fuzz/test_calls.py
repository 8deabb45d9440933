"""Random calls of all that is public: a finite result, or an error that names an argument."""

import pytest
from calls import check_call
from ways import WAYS

ROUNDS = 4


@pytest.mark.parametrize("batch", range(ROUNDS))
def test_random_calls(batch):
    """Each way into the library once, most of the time with an argument spoiled."""
    ended = [check_call(seed) for seed in range(batch * len(WAYS), (batch + 1) * len(WAYS))]
    assert 0 < sum(ended) < len(ended)  # results and refusals both


@pytest.mark.parametrize(
    "seed", [1166, 1232, 1285, 1340, 1388, 1955, 2045, 2831, 3397, 3954, 4028, 4044]
)
def test_calls_that_the_long_fuzz_found(seed):
    """Each ended otherwise once: in JAX's own words, a NaN, or a refusal that names nothing."""
    check_call(seed)
