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
