"""Seconds to an error of an LSTM's kernels at infinite width, from the start of a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import NamedTuple

_PROBE = """
import json, resource
import numpy as np, ntkrnn
x = np.random.default_rng(0).standard_normal(({n}, {t}, {d})).astype(np.float32)
kernels = ntkrnn.network(ntkrnn.LSTM()).kernel_fn(x, tolerance={tolerance})
used = resource.getrusage(resource.RUSAGE_SELF)
norm = lambda name: float(np.linalg.norm(getattr(kernels, name)))
errors = [norm(kind + "_error") / norm(kind) for kind in ("nngp", "ntk")]
with open("/proc/self/status") as status:
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
print(json.dumps([used.ru_utime + used.ru_stime, *errors, peak / 1024]))
"""
ROWS = (
    (16, 16, 8, 0.02, 4.0),
    (50, 40, 2, 0.02, 6.0),
    (50, 40, 2, 0.01, 12.0),
    (300, 40, 2, 0.02, 18.0),
    (1000, 30, 2, 0.02, 40.0),
)
"""N, T, d, the relative error of both kernels, and the wanted seconds."""


class Run(NamedTuple):
    """One process, its imports and compilations included."""

    n: int
    steps: int
    channels: int
    tolerance: float
    target: float
    seconds: float
    cpu_seconds: float
    """Of all threads."""
    nngp_error: float
    ntk_error: float
    megabytes: float
    """At the peak."""

    def line(self) -> str:
        """What is printed of it."""
        return (
            f"LSTM, both kernels, N={self.n} T={self.steps} d={self.channels}, to "
            f"{self.tolerance:.0%}: {self.seconds:.1f} s from the start of a process, "
            f"{self.cpu_seconds:.1f} s of CPU (target: {self.target:.0f} s); errors "
            f"{self.nngp_error:.2%} (NNGP) {self.ntk_error:.2%} (NTK), peak {self.megabytes:.0f} MB"
        )


def runs(quick: bool = False) -> list[Run]:
    """Measure all rows, on Linux."""
    found = []
    # Nothing that was compiled before.
    without = {**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "0"}
    for n, t, d, tolerance, target in ((4, 4, 2, 0.1, 4.0),) if quick else ROWS:
        code = _PROBE.format(n=n, t=t, d=d, tolerance=tolerance)
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=without
        )
        seconds = time.perf_counter() - start
        cpu, nngp, ntk, megabytes = json.loads(done.stdout)
        found.append(Run(n, t, d, tolerance, target, seconds, cpu, nngp, ntk, megabytes))
    return found
