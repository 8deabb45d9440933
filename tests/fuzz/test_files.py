"""Random files: each is read as it was written, or refused by a message that names it."""

import pytest
from files import check_file

SEEDS, BATCHES = 20, 8


@pytest.mark.parametrize("batch", range(BATCHES))
def test_random_files(tmp_path, batch):
    read = [check_file(seed, tmp_path) for seed in range(batch * SEEDS, (batch + 1) * SEEDS)]
    assert 0 < sum(read) < SEEDS  # the generator makes both kinds
