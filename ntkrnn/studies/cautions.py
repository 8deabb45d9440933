"""Where the result of a study means little, said in a sentence with what helps.

A study that runs to its end prints numbers whatever they are worth. These are the cases in which they
are worth little: networks so narrow that their kernels are nothing like the limit, intervals from two
runs, and a recurrence that, over a long sequence, forgets or blows up what it read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ntkrnn.architectures import Architecture, Elman
from ntkrnn.data import Dataset
from ntkrnn.dual import dual_activation
from ntkrnn.report import mean_and_std

LONG = 32
"""Steps from which on a sequence is long."""
FACTOR = 1e3
"""By which a difference between two sequences shrinks or grows before it is said."""
FEWEST = 3
"""Runs behind an interval that is not said to be one of few."""
_OVERFLOW = 1e30


def cautions(
    architecture: Architecture,
    dataset: Dataset,
    widths: Sequence[int],
    seeds: int,
    errors: np.ndarray,
) -> list[str]:
    """What to know before the result of a study over widths is believed.

    Args:
        architecture: of the networks.
        dataset: the sequences.
        widths: ``[W]``, increasing.
        seeds: S.
        errors: ``[W, S]``, relative errors or drifts of kernels.

    Returns:
        Sentences; none if all is well.

    Example:
        >>> from ntkrnn.data import load
        >>> cautions(Elman(), load("digits", n=4), (64, 128), 5, np.full((2, 5), 0.2))
        []
    """
    return [*_of_errors(widths, errors), *_of_seeds(seeds), *_of_gain(architecture, dataset)]


def _of_errors(widths: Sequence[int], errors: np.ndarray) -> list[str]:
    large = [w for w, mean in zip(widths, mean_and_std(errors)[0], strict=True) if mean > 1]
    if not large:
        return []
    if len(large) == 1:
        which = f"width {large[0]}"
    else:
        which = f"widths {', '.join(map(str, large[:-1]))} and {large[-1]}"
    return [
        f"relative errors above 1 at {which}: those kernels are further from what they are held "
        "against than zero is, and a slope through them says little. Take wider networks."
    ]


def _of_seeds(seeds: int) -> list[str]:
    if seeds >= FEWEST:
        return []
    return [
        f"intervals from {seeds} seeds a width: the spread of {seeds} numbers is hardly known, and so "
        "is the interval. Take five or more."
    ]


def _of_gain(arch: Architecture, dataset: Dataset) -> list[str]:
    steps = dataset.x.shape[1]
    if not isinstance(arch, Elman) or steps < LONG:
        return []
    gain = recurrent_gain(arch, dataset)
    if not gain > 0 or (gain < 1 and not arch.reading.final):
        return []  # a mean over steps reads what the last state has forgotten
    change = steps * math.log(gain)
    if abs(change) < math.log(FACTOR):
        return []
    what = (
        f"differences between sequences grow by {gain:.3g} a step, and decide the kernel"
        if gain > 1
        else f"what was read shrinks by {gain:.3g} a step, and only about the last "
        f"{math.ceil(-math.log(FACTOR) / math.log(gain))} of {steps} steps matter to the kernel"
    )
    return [
        f"w_std^2 E phi'^2 is {gain:.3g} over {steps} steps: {what}. A w_std of about "
        f"{float(arch.w_std) / math.sqrt(gain):.3g} brings it nearer to 1."
    ]


def recurrent_gain(arch: Elman, dataset: Dataset) -> float:
    r"""``w_std^2 E phi'(h_T)^2`` in the first layer, for tokens of the mean square of the data's.

    The derivative of a state by the one before has this mean square in infinite width; its power T is
    what is left of a squared difference after T steps, to first order. The pre-activation has variance
    ``q_t = w_std^2 E phi(h_{t-1})^2 + u_std^2 |x|^2/d + b_std^2``.

    Args:
        arch: scales and nonlinearity.
        dataset: the sequences, padding not counted.

    Returns:
        A number above or at 0; 1 is where nothing is forgotten and nothing grows.

    Cost: O(T) scalar steps.

    Source: Poole et al. 2016 (arXiv 1606.05340), Chen, Pennington & Schoenholz 2018 (arXiv 1806.05394).

    Example:
        >>> from ntkrnn.data import load
        >>> round(recurrent_gain(Elman(nonlinearity="relu", w_std=2**0.5), load("digits", n=4)), 6)
        1.0
    """
    x, lengths = np.asarray(dataset.x, float), dataset.lengths
    steps = x.shape[1]
    valid = np.arange(steps) < (steps if lengths is None else np.asarray(lengths)[:, None])
    square = (x**2).mean(axis=2)[np.broadcast_to(valid, x.shape[:2])].mean()
    w, u, b = (float(scale) ** 2 for scale in (arch.w_std, arch.u_std, arch.b_std))
    drive = u * square + b
    q, slope = drive, 0.0
    for _ in range(steps):
        k, _, kdot = dual_activation(arch.nonlinearity, q, q, q)
        q, slope = w * float(k) + drive, float(kdot)
        if q > _OVERFLOW:
            break
    return w * slope
