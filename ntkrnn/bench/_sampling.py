"""Everything about the cost of sampled kernels."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ntkrnn.bench._sampling_costs import ERROR, Cost, costs, seconds_to_error
from ntkrnn.bench._sampling_errors import Bias, Way, biases, ways


class Sampling(NamedTuple):
    """Everything about the cost of sampled kernels."""

    ways: list[Way]
    biases: list[Bias]
    costs: list[Cost]
    to_error: dict[str, float]

    def lines(self) -> list[str]:
        """A line for each finding."""
        found = [
            f"{way.cell}, {way.name}: relative error of a replicate {way.nngp_error:.4f} (NNGP) "
            f"{way.ntk_error:.4f} (NTK) in {way.seconds:.3f} s; {way.nngp_gain:.1f} and "
            f"{way.ntk_gain:.1f} times as cheap as plain samples"
            for way in self.ways
        ]
        found += [
            f"{b.cell}, N={b.n} T={b.steps}, {b.samples} samples: bias {b.nngp:.2%} +- "
            f"{b.nngp_error:.2%} (NNGP) {b.ntk:.2%} +- {b.ntk_error:.2%} (NTK)"
            for b in self.biases
        ]
        for cost in self.costs:
            (nngp, ntk), networks = cost.sampled, cost.networks
            found.append(
                f"LSTM, N={cost.n} T={cost.steps}, error {ERROR:.0%}: sampled in {nngp:.2f} s (NNGP) "
                f"{ntk:.2f} s (NTK), averages of networks (width {cost.width} for the NTK) take "
                f"{networks[0] / nngp:.1f} and {networks[1] / ntk:.1f} times as long"
            )
        one = self.to_error
        found.append(
            f"LSTM, N={one['N']} T={one['T']} d={one['d']}: errors {one['nngp_error']:.2%} (NNGP) "
            f"{one['ntk_error']:.2%} (NTK) in {one['seconds']:.1f} s, compilation and search for the "
            f"number of replicates included (target: {ERROR:.0%} below {one['target']:.0f} s)"
        )
        return found

    def record(self) -> dict[str, Any]:
        """What the JSON file holds."""
        return {
            "ways": [way._asdict() for way in self.ways],
            "biases": [bias._asdict() for bias in self.biases],
            "costs": [
                {**c._asdict(), "networks": [t if np.isfinite(t) else None for t in c.networks]}
                for c in self.costs
            ],
            "to_error": self.to_error,
        }


def sampling(quick: bool = False) -> Sampling:
    """Measure all of it."""
    return Sampling(ways(quick), biases(quick), costs(quick), seconds_to_error(quick))
