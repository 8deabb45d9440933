"""Sampled kernels of LSTMs in a fresh process: to what is asked of their errors, and as they come."""

from __future__ import annotations

from ntkrnn.bench._fresh import Fresh

SIZES = (
    ("first-call-lstm", (16, 16, 8), None, 4.0),
    ("lstm-to-2-percent", (50, 40, 2), 0.02, 6.0),
    ("lstm-to-1-percent", (50, 40, 2), 0.01, 12.0),
)
"""Name, (N, T, d), tolerance, seconds that are wanted."""


def gated_first_call_rows(quick: bool = False) -> list[Fresh]:
    """The rows, none of them quick: each is measured once."""
    return [
        Fresh(
            name,
            "LSTM" if tolerance is None else f"LSTM to {100 * tolerance:g}%",
            "lstm",
            {"n": n, "t": t, "d": d, "tolerance": tolerance},
            target,
            repeats=1,
        )
        for name, (n, t, d), tolerance, target in (() if quick else SIZES)
    ]
