"""What a comparison is about."""

from __future__ import annotations

import dataclasses

from ntkrnn.architectures import Architecture
from ntkrnn.studies.checks import check_resamples, check_runs, check_seed, check_widths
from ntkrnn.studies.fingerprint import axis


@dataclasses.dataclass(frozen=True)
class CompareSettings:
    """What to compare.

    Args:
        architecture: the network; its width is replaced by each of ``widths``.
        widths: at least two different ones; kept in increasing order.
        seeds: number of networks drawn at each width, at least 2.
        seed: from which the keys of all networks derive.
        resamples: number of bootstrap resamples behind the slopes' intervals.

    Raises:
        ValueError, TypeError: naming the field, what came and what was expected.

    Example:
        >>> from ntkrnn.architectures import Elman
        >>> CompareSettings(Elman(), widths=(128, 64)).widths
        (64, 128)
    """

    architecture: Architecture
    widths: tuple[int, ...] = axis((64, 128, 256, 512, 1024, 2048))
    seeds: int = axis(10)
    seed: int = 0
    resamples: int = axis(2000)

    def __post_init__(self) -> None:
        """Normalise and validate."""
        object.__setattr__(self, "widths", check_widths(self.architecture, self.widths))
        check_runs(self.seeds)
        check_seed(self.seed)
        check_resamples(self.resamples)
        if self.architecture.out_dim != 1:
            raise ValueError(
                f"architecture: got out_dim={self.architecture.out_dim}, expected 1; the kernels "
                "of further outputs are the same in the infinite limit."
            )
