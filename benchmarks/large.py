"""A Gram matrix that memory need not hold: two workers of which one is killed, a check, two solves.

    python benchmarks/large.py --n 30000 --out out/large

The sequences are simulated, and so are the targets, a function of the last steps with noise. Everything
that is printed is measured in this run; the figure shows the tiles over time, with the kill marked.
"""

import argparse
import os
import resource
import shutil
import signal
import time
from pathlib import Path

import distributed
import matplotlib
import numpy as np

import ntkrnn
from ntkrnn.gram._engine import local_cluster

matplotlib.use("Agg")
import matplotlib.pyplot as plt

ARCH = ntkrnn.Elman(nonlinearity="relu", w_std=2**0.5, b_std=0.3)
RIDGE, RANK = 1.0, 500


def said(what, since, more=""):
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{what:<34}{time.time() - since:8.1f} s   peak of this process {peak:5.2f} GiB   {more}",
        flush=True,
    )


def filled(x, store):
    """The store, by two workers, one of which is killed at a third; times of all tiles and the kill."""
    times, kill = [], []
    with local_cluster(2) as cluster, distributed.Client(cluster) as client:
        begun = time.time()

        def report(done, total):
            times.append((time.time() - begun, done))
            if done >= total // 3 and not kill:
                os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
                kill.append(time.time() - begun)

        ntkrnn.gram.compute(ARCH, x, store=store, get="ntk", client=client, progress=report)
    return np.array(times), kill


def drawn(times, kill, path):
    figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
    axes.plot(times[:, 0], times[:, 1], label="tiles in the store")
    for at in kill:
        axes.axvline(at, color="tab:red", linestyle="--", label="a worker is killed")
    axes.set(xlabel="seconds", ylabel="tiles", title="Two workers, one killed and replaced")
    axes.legend()
    figure.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=30_000)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path("out/large"))
    given = parser.parse_args()
    shutil.rmtree(given.out, ignore_errors=True)
    given.out.mkdir(parents=True)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(given.n, given.steps, 1)).astype(np.float32)
    y = np.tanh(x[:, -3:, 0].sum(axis=1)) + 0.1 * rng.normal(size=given.n)
    store = given.out / "gram"

    since = time.time()
    times, kill = filled(x, store)
    state = ntkrnn.gram.status(store)
    rate = given.n * (given.n + state.tile) / 2 / times[-1, 0] / 1e6
    said("two workers, one killed", since, f"{state.tiles} tiles, {rate:.1f} million kernels a second")
    drawn(times, kill, given.out / "throughput.png")
    since = time.time()
    found = ntkrnn.gram.verify(store)
    said("verify", since, f"{found.missing} missing, {len(found.damaged)} damaged")
    kernel = ntkrnn.gram.open(store, "ntk")
    since = time.time()
    precondition = ntkrnn.solvers.nystrom(kernel, RIDGE, RANK)
    said(f"preconditioner of rank {RANK}", since)
    since = time.time()
    by_pcg = ntkrnn.solvers.pcg(kernel, y, RIDGE, preconditioner=precondition)
    said(
        "conjugate gradients", since, f"{by_pcg.iterations} iterations, residual {by_pcg.residual:.1e}"
    )
    since = time.time()
    direct = ntkrnn.solvers.cholesky(kernel, y, RIDGE, store=given.out / "factor")
    said("Cholesky factor in a store", since, f"residual {direct.residual:.1e}")
    gap = np.abs(direct.coefficients - by_pcg.coefficients).max() / np.abs(direct.coefficients).max()
    print(f"the two solutions differ by {gap:.1e}; log det(K + ridge I) = {direct.log_determinant:.2f}")


if __name__ == "__main__":
    main()
