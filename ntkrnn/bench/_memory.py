"""Peak memory: of a process for the infinite width, of compiled programs for the finite width."""

from __future__ import annotations

import functools
import subprocess
import sys
from typing import Any

import jax

from ntkrnn import Elman, empirical_ntk_fn
from ntkrnn.bench._finite import arguments, plain_network
from ntkrnn.bench._gradients import gradient_temporaries
from ntkrnn.bench._peers import peer_kernel

_PROBE = """
import jax, ntkrnn
def peak():  # not getrusage: that has the peak of the process that started this one
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
before = peak()
x = jax.random.normal(jax.random.key(0), ({n}, {t}, 4))
jax.block_until_ready(ntkrnn.network(ntkrnn.Elman(readout="mean")).kernel_fn(x).ntk)
print((peak() - before) / 1024)
"""


def mean_readout_megabytes(n: int, t: int) -> float:
    """Peak resident memory of a fresh process above its import, for readout "mean" (Linux)."""
    code = _PROBE.format(n=n, t=t)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


def finite_temporaries(n: int, t: int, m: int) -> dict[str, int]:
    """Bytes that compiled programs keep beside arguments and results."""
    params, x = arguments(n, t, m)
    arch = Elman(width=m, trainable=("w", "u", "v"))
    ours = empirical_ntk_fn(arch)
    programs: dict[str, Any] = {"ntkrnn": lambda params, x: ours(x, None, params)}
    for name in ("JACOBIAN_CONTRACTION", "NTK_VECTOR_PRODUCTS"):
        peer = peer_kernel(name, functools.partial(plain_network, unroll=False))
        programs[name.lower().replace("_", " ")] = peer
    found = {}
    for name, program in programs.items():
        analysis = jax.jit(program).lower(params, x).compile().memory_analysis()
        found[name] = int(getattr(analysis, "temp_size_in_bytes", 0))
    return found


def memory(quick: bool = False) -> dict[str, Any]:
    """All with their targets: below 200 MB and below 50, and a tenth of the leanest peer."""
    size, finite = ((48, 16), (4, 4, 64)) if quick else ((512, 100), (8, 10, 4096))
    gradient = (24, 16) if quick else (400, 80)
    temporaries = finite_temporaries(*finite)
    ours = temporaries["ntkrnn"]
    peer = min(value for name, value in temporaries.items() if name != "ntkrnn")
    return {
        "mean_readout": {
            "N": size[0],
            "T": size[1],
            "megabytes_above_import": mean_readout_megabytes(*size),
            "target": 200.0,
        },
        "gradient_temporaries": {
            "N": gradient[0],
            "T": gradient[1],
            "megabytes": gradient_temporaries(*gradient) / 1e6,
            "target": 50.0,
        },
        "finite_temporaries": {
            "N": finite[0],
            "T": finite[1],
            "m": finite[2],
            "bytes": temporaries,
            "leanest_peer_over_ours": peer / ours,
            "target": 10.0,
        },
    }
