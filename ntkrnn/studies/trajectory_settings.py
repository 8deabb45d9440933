"""What a trajectory study trains, and for how long."""

from __future__ import annotations

import dataclasses

from ntkrnn import _checks
from ntkrnn.architectures import Architecture
from ntkrnn.studies.pieces import axis
from ntkrnn.studies.targets import TARGETS


@dataclasses.dataclass(frozen=True)
class TrajectorySettings:
    """What to train and for how long.

    Args:
        architecture: the network; width and number of outputs are replaced.
        widths: at least two different ones; kept in increasing order.
        seeds: runs at each width, at least 2.
        seed: from which all keys derive.
        target: "auto", "one-vs-rest" or "regression", see :func:`ntkrnn.studies.targets.targets_of`.
        learning_rate: of plain SGD, None to choose, see
            :func:`ntkrnn.studies.trajectory_run.automatic_step`.
        momentum: heavy-ball.
        batch_size: None for all sequences at every step.
        steps: number of them.
        train_share: the part of the sequences that is trained on; the rest is the test set.
        resamples: bootstrap resamples behind the slopes' intervals.
        contrast: also run the cases of :mod:`ntkrnn.studies.contrast`.

    Raises:
        ValueError, TypeError: naming the field, what came and what was expected.

    Example:
        >>> from ntkrnn.architectures import Elman
        >>> TrajectorySettings(Elman(), widths=(128, 64)).widths
        (64, 128)
    """

    architecture: Architecture
    widths: tuple[int, ...] = axis((64, 128, 256, 512, 1024))
    seeds: int = axis(5)
    seed: int = 0
    target: str = "auto"
    learning_rate: float | None = None
    momentum: float = 0.0
    batch_size: int | None = 16
    steps: int = 300
    train_share: float = 0.75
    resamples: int = axis(2000)
    contrast: bool = axis(True)

    def __post_init__(self) -> None:
        """Normalise and validate."""
        widths = tuple(sorted(_checks.positive_integer("widths", width) for width in self.widths))
        if len(widths) < 2 or len(set(widths)) < len(widths):
            raise ValueError(
                f"widths: got {list(widths)}, expected at least two widths, every one once; a slope "
                "needs two."
            )
        object.__setattr__(self, "widths", widths)
        for width in widths:  # not every architecture takes every width
            dataclasses.replace(self.architecture, width=width)
        if _checks.positive_integer("seeds", self.seeds) < 2:
            raise ValueError("seeds: got 1, expected at least 2; the interval over seeds needs two.")
        if set(self.architecture.trainable) == {"v"}:
            raise ValueError(
                "architecture: got trainable=('v',), expected a recurrent block too; with the readout "
                "alone a network is linear in what is trained, and its kernel never moves."
            )
        _checks.choice("target", self.target, TARGETS)
        _checks.positive_integer("steps", self.steps)
        if self.batch_size is not None:
            _checks.positive_integer("batch_size", self.batch_size)
        if self.learning_rate is not None and not self.learning_rate > 0:
            raise ValueError(f"learning_rate: got {self.learning_rate}, expected a number above 0.")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum: got {self.momentum}, expected at least 0 and below 1.")
        if not 0 < self.train_share < 1:
            raise ValueError(f"train_share: got {self.train_share}, expected a number between 0 and 1.")
