"""Many runs in one program.

Runs of an ensemble are a batch: one program trains them all. Products of narrow networks leave all but
one core of a CPU idle, so that there the ensemble is cut into as many parts as there are cores, each a
call of the same program from a thread of its own.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn import _checks
from ntkrnn._compile import available_cores, compiled
from ntkrnn.dynamics._run import Seed, run_one

single = compiled("plan")(run_one)
"""One run."""


@compiled("plan")
def _together(plan: Any, scales: Any, data: Any, test: Any, at: Any, steps: Any, seeds: Seed) -> Any:
    def one(seed: Seed) -> Any:
        return run_one(plan, scales, data, test, at, steps, seed)

    return jax.vmap(one)(seeds)


def together(plan: Any, *arguments: Any) -> Any:
    """The runs of ``arguments[-1]``, a :class:`Seed` whose arrays have a leading axis of seeds."""
    *shared, seeds = arguments
    leaves = jax.tree.leaves(seeds)
    count = leaves[0].shape[0]
    cores = available_cores() if jax.default_backend() == "cpu" else 1
    if min(cores, count) == 1 or any(_checks.concrete_values(leaf) is None for leaf in leaves):
        return _together(plan, *shared, seeds)
    # Parts of one size: the last is filled up with runs that are not kept.
    size = -(-count // cores)
    rows = np.minimum(np.arange(-(-count // size) * size), count - 1).reshape(-1, size)
    parts = [jax.tree.map(lambda a, row=row: a[row], seeds) for row in rows]

    def compute(part: Seed) -> Any:
        return jax.block_until_ready(_together(plan, *shared, part))

    with ThreadPoolExecutor(len(parts)) as pool:
        results = list(pool.map(compute, parts))
    return jax.tree.map(lambda *a: jnp.concatenate(a)[:count], *results)


def keys_of(key: Any, count: int) -> list[Any]:
    """A key for every run: those that were passed, or split from one."""
    if getattr(key, "shape", None) == (count,):
        return list(key)
    return list(jax.random.split(_checks.random_key(key), count))
