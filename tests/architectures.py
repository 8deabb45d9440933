"""The one table of architectures that the conformance suite runs over."""

import math

import ntkrnn

ROOT2 = math.sqrt(2)
UNEVEN = ntkrnn.readouts.weights([1.0, -0.5, 0.25, 2.0, 0.5, 1.5, 0.0, 1.0])

TABLE = {
    "erf": ntkrnn.Elman(width=24),
    "relu-bias": ntkrnn.Elman(width=24, nonlinearity="relu", w_std=ROOT2, b_std=0.3),
    "tanh": ntkrnn.Elman(width=24, nonlinearity="tanh", w_std=1.2, u_std=0.8),
    "erf-mean": ntkrnn.Elman(width=24, readout="mean", b_std=0.2),
    "erf-exponential-bidirectional": ntkrnn.Elman(
        width=24, bidirectional=True, readout=ntkrnn.readouts.exponential(0.6), b_std=0.3
    ),
    "relu-weights-deep-bidirectional": ntkrnn.Elman(
        width=24, nonlinearity="relu", depth=2, bidirectional=True, b_std=0.3, readout=UNEVEN
    ),
    "erf-sequence": ntkrnn.Elman(width=24, readout="sequence", v_std=0.7),
    "relu-deep": ntkrnn.Elman(width=24, nonlinearity="relu", depth=3, b_std=0.1),
    "erf-bidirectional": ntkrnn.Elman(width=24, bidirectional=True),
    "gelu-deep-bidirectional-mean": ntkrnn.Elman(
        width=24, nonlinearity="gelu", depth=2, bidirectional=True, readout="mean", w_std=1.1
    ),
    "sin-bidirectional-sequence": ntkrnn.Elman(
        width=24, nonlinearity="sin", bidirectional=True, readout="sequence", b_std=0.4
    ),
    "leaky-only-w": ntkrnn.Elman(width=24, nonlinearity="leaky_relu(0.2)", trainable=("w",)),
    "abs-u-b-mean-deep": ntkrnn.Elman(
        width=24, nonlinearity="abs", readout="mean", depth=2, b_std=0.5, trainable=("u", "b")
    ),
    "erf-three-outputs": ntkrnn.Elman(width=24, out_dim=3, v_std=1.3),
    "diagonal-tanh-sequence": ntkrnn.Diagonal(width=24),
    "diagonal-sin-last": ntkrnn.Diagonal(width=24, nonlinearity="sin", alpha=0.9, readout="last"),
    "diagonal-identity-mean-unpaired": ntkrnn.Diagonal(
        width=23, nonlinearity="identity", alpha=0.8, readout="mean", symmetric=False
    ),
    "diagonal-erf-weights": ntkrnn.Diagonal(width=16, nonlinearity="erf", readout=UNEVEN),
    "diagonal-erf-sequence-only-u": ntkrnn.Diagonal(
        width=16, nonlinearity="erf", trainable=("u",), out_dim=2
    ),
    "lstm": ntkrnn.LSTM(width=24),
    "lstm-deep-mean-bias": ntkrnn.LSTM(width=24, depth=2, readout="mean", b_std=0.3, w_std=1.2),
    "lstm-per-gate-bidirectional": ntkrnn.LSTM(
        width=24,
        bidirectional=True,
        w_std={"i": 1.2, "f": 0.6, "g": 0.9, "o": 1.5},
        u_std=(0.7, 1.1, 1.3, 0.8),
        b_std=(0.2, 0.4, 0.1, 0.3),
        trainable=("w", "b", "v"),
    ),
    "lstm-exponential": ntkrnn.LSTM(width=24, readout=ntkrnn.readouts.exponential(0.6)),
    "gru-after-sequence": ntkrnn.GRU(width=24, readout="sequence", b_std=0.2, v_std=0.8),
    "gru-before": ntkrnn.GRU(
        width=24, reset="before", nonlinearity="erf", depth=2, b_std=0.2, out_dim=2
    ),
    "leaky-integrator-mean": ntkrnn.Leaky(
        width=24, rate=0.3, nonlinearity="relu", b_std=0.2, readout="mean"
    ),
    "leaky-integrator-exponential-bidirectional": ntkrnn.Leaky(
        width=24, rate=0.5, bidirectional=True, readout=ntkrnn.readouts.exponential(0.6)
    ),
    "minimal-gru": ntkrnn.MinimalGRU(width=24, b_std=0.3, trainable=("w", "u")),
}

DENSE = {name: arch for name, arch in TABLE.items() if arch.family == "dense"}
"""Those whose neurons meet in matrices."""

WITH_LIMIT = {name for name, arch in TABLE.items() if arch.limit in ("recursion", "filter", "neurons")}
"""Those that ``kernel_fn`` has kernels of infinite width of."""

SAMPLED = {name for name, arch in TABLE.items() if arch.limit in ("neurons", "sampled")}
"""Those whose kernels of infinite width come with standard errors."""
