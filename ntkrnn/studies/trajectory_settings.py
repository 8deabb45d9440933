"""What a trajectory study trains, and for how long."""

from __future__ import annotations

import dataclasses
from typing import Literal

from ntkrnn import _checks
from ntkrnn.architectures import Architecture
from ntkrnn.studies.checks import check_resamples, check_runs, check_seed, check_widths
from ntkrnn.studies.engines import StudyError
from ntkrnn.studies.fingerprint import axis
from ntkrnn.studies.targets import TARGETS

BATCH_SIZE = 16


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
        batch_size: "auto" for 16, or all training sequences if they are fewer; None for full batches.
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
    batch_size: int | Literal["auto"] | None = "auto"
    steps: int = 300
    train_share: float = 0.75
    resamples: int = axis(2000)
    contrast: bool = axis(True)

    def __post_init__(self) -> None:
        """Normalise and validate."""
        object.__setattr__(self, "widths", check_widths(self.architecture, self.widths))
        check_runs(self.seeds)
        check_seed(self.seed)
        check_resamples(self.resamples)
        _checks.boolean("contrast", self.contrast)
        if set(self.architecture.trainable) == {"v"}:
            raise ValueError(
                "architecture: got trainable=('v',), expected a recurrent block too; with the readout "
                "alone a network is linear in what is trained, and its kernel never moves."
            )
        _checks.choice("target", self.target, TARGETS)
        _checks.positive_integer("steps", self.steps)
        if self.batch_size is not None and self.batch_size != "auto":
            _checks.positive_integer("batch_size", self.batch_size)
        if self.learning_rate is not None:
            _checks.positive_float("learning_rate", self.learning_rate)
        if _checks.nonnegative_float("momentum", self.momentum) >= 1:
            raise ValueError(f"momentum: got {self.momentum}, expected at least 0 and below 1.")
        if _checks.positive_float("train_share", self.train_share) >= 1:
            raise ValueError(f"train_share: got {self.train_share}, expected a number between 0 and 1.")

    def for_sequences(self, count: int) -> TrajectorySettings:
        """The same for so many sequences, with the batch size in numbers.

        Raises:
            StudyError: if they leave nothing to train on or to test with, or a batch is larger.

        Example:
            >>> from ntkrnn.architectures import Elman
            >>> TrajectorySettings(Elman()).for_sequences(16).batch_size
            12
        """
        n = self.training(count)
        if not 0 < n < count:
            raise StudyError(
                f"train_share: {self.train_share:g} of {count} sequences leaves nothing to train on or "
                "to test with; take more sequences."
            )
        if self.batch_size == "auto":
            return dataclasses.replace(self, batch_size=min(BATCH_SIZE, n))
        if self.batch_size is not None and self.batch_size > n:
            raise StudyError(
                f"batch_size: got {self.batch_size}, expected at most the {n} training sequences."
            )
        return self

    def training(self, count: int) -> int:
        """How many of so many sequences are trained on."""
        return round(self.train_share * count)
