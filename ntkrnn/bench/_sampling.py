"""Everything about the cost of sampled kernels."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ntkrnn.bench._sampling_costs import ERROR, Cost, costs
from ntkrnn.bench._sampling_errors import Bias, Spread, biases, spreads
from ntkrnn.bench._sampling_runs import Run, runs


class Sampling(NamedTuple):
    """Everything about the cost of sampled kernels."""

    runs: list[Run]
    spreads: list[Spread]
    biases: list[Bias]
    costs: list[Cost]

    def lines(self) -> list[str]:
        """A line for each finding."""
        found = [one.line() for part in (self.runs, self.spreads, self.biases) for one in part]
        for cost in self.costs:
            (nngp, ntk), networks = cost.sampled, cost.networks
            found.append(
                f"LSTM, N={cost.n} T={cost.steps}, error {ERROR:.0%}: sampled in {nngp:.2f} s (NNGP) "
                f"{ntk:.2f} s (NTK), averages of networks (width {cost.width} for the NTK) take "
                f"{networks[0] / nngp:.1f} and {networks[1] / ntk:.1f} times as long"
            )
        return found

    def record(self) -> dict[str, Any]:
        """What the JSON file holds."""
        plain = {"runs": self.runs, "spreads": self.spreads, "biases": self.biases}
        found: dict[str, Any] = {k: [one._asdict() for one in part] for k, part in plain.items()}
        found["costs"] = [
            {**c._asdict(), "networks": [t if np.isfinite(t) else None for t in c.networks]}
            for c in self.costs
        ]
        return found


def sampling(quick: bool = False) -> Sampling:
    """Measure all of it."""
    return Sampling(runs(quick), spreads(quick), biases(quick), costs(quick))
