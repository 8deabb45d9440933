"""Rows for ensembles of training runs, against the loop that one writes with optax.

The peer trains one network after the other: a jitted step of optax on JAX's own derivative of the
network, called from Python with the rows of each batch, the data being constants of the step.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ntkrnn import Elman, dynamics, network
from ntkrnn.bench._row import Program, Row

RUNS, SEQUENCES, TIME, CHANNELS, BATCH = 10, 64, 8, 8, 16
ENSEMBLE = "ensemble, SGD"
SIZES = ((64, 1000, 5.0), (512, 100, 1.0))
"""Width, steps, and the wanted ratio."""


def operations(sizes: Any) -> float:
    """Floating operations of the matrix products with W: forwards, backwards and for its derivative."""
    return 3 * 2.0 * sizes["runs"] * sizes["steps"] * sizes["B"] * sizes["T"] * sizes["m"] ** 2


def _build(m: int, steps: int) -> dict[str, Program]:
    arch = Elman(width=m)
    init_fn, apply_fn, _ = network(arch)
    x = jax.random.normal(jax.random.key(0), (SEQUENCES, TIME, CHANNELS))
    y = jnp.sign(x[:, 0, :1])
    keys = jax.random.split(jax.random.key(1), RUNS)
    params = jax.vmap(lambda key: init_fn(key, x.shape)[1])(keys)
    optimizer = optax.sgd(0.05)
    options: dict[str, Any] = {"optimizer": optimizer, "steps": steps, "batch_size": BATCH, "key": keys}
    options |= {"record": ("loss",), "at": [steps], "ensemble": True}
    batches = np.asarray(dynamics.train(arch, params, x, y, **options).batches)
    starts = [jax.tree.map(lambda a, s=s: a[s], params) for s in range(RUNS)]

    def ours() -> Any:
        return dynamics.train(arch, params, x, y, **options).params["v"]

    @jax.jit
    def step(params: Any, state: Any, rows: Any) -> Any:
        def loss(params: Any) -> Any:
            return 0.5 * jnp.mean(jnp.sum((apply_fn(params, x[rows]) - y[rows]) ** 2, axis=-1))

        updates, state = optimizer.update(jax.grad(loss)(params), state, params)
        return optax.apply_updates(params, updates), state

    def loop() -> Any:
        ends = []
        for one, rows in zip(starts, batches, strict=True):
            state = optimizer.init(one)
            for batch in rows:
                one, state = step(one, state, batch)
            ends.append(one["v"])
        return jnp.stack(ends)

    return {"ntkrnn": ours, "Python loop of jitted optax steps": loop}


def training_rows(quick: bool = False) -> list[Row]:
    """The rows: an ensemble of narrow networks, and one of wide ones."""
    rows = []
    for m, steps, target in ((16, 20, None),) if quick else SIZES:
        sizes = {"runs": RUNS, "N": SEQUENCES, "T": TIME, "B": BATCH, "m": m, "steps": steps}
        build = functools.partial(_build, m, steps)
        # A thousand steps apart, rounding of either adds up.
        rows.append(Row(f"train-{m}", ENSEMBLE, sizes, build, target, tolerance=1e-2, repeats=5))
    return rows
