"""Every row of the benchmark as a test for pytest-benchmark: ``make bench``.

pytest-benchmark times our program and keeps the history; the comparison with the peers, in alternation
in this process, is in ``extra_info`` and printed. Nothing fails for being slow: a row that misses its
target says so.
"""

import jax
import pytest
from rich.console import Console

from ntkrnn import bench

ROWS = {row.name: row for row in bench.rows()}
RESULTS = []


@pytest.fixture(scope="module", autouse=True)
def printed():
    yield
    if RESULTS:
        Console(width=160).print(bench.table(RESULTS))


@pytest.mark.parametrize("name", ROWS)
def test_row(name, benchmark):
    result = bench.measure(ROWS[name])
    RESULTS.append(result)
    benchmark.extra_info.update(
        {
            **result.row.sizes,
            "target": result.row.target,
            "figure": result.figure,
            "met": result.met,
            **{p.name: p.ratio for p in result.programs},
        }
    )
    ours = next(iter(result.row.build().values()))
    benchmark.pedantic(lambda: jax.block_until_ready(ours()), rounds=5, warmup_rounds=1)
