"""What computes the kernels of a study."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

from ntkrnn._types import Gram, Lengths, Params, SampledKernels, Sequences
from ntkrnn.architectures import Architecture

ENGINES = ("ntkrnn", "neural-tangents")

Pair: TypeAlias = tuple[Gram, Gram]
"""``(nngp, ntk)``."""


class Engine(NamedTuple):
    """Two functions that compute the kernels of all pairs of rows of ``x``."""

    name: str
    infinite: Callable[[Architecture, Sequences, Lengths | None], Pair | SampledKernels]
    """``infinite(arch, x, lengths) -> (nngp, ntk)``, called once, not under ``jax.jit``; with the
    standard errors of both behind them if they are sampled."""
    finite: Callable[[Architecture, Params, Sequences, Lengths | None], Pair]
    """``finite(arch, params, x, lengths) -> (nngp, ntk)``, called under ``jax.jit``."""


class StudyError(ValueError):
    """A study cannot be done as asked; the message says why and what to do."""


@contextlib.contextmanager
def as_study_errors() -> Iterator[None]:
    """Show what the library says about data and sizes that the user chose as errors of the study."""
    try:
        yield
    except StudyError:
        raise
    except ValueError as error:
        raise StudyError(str(error)) from error
