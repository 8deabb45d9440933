"""Finite-width against infinite-width kernels over widths and seeds."""

from __future__ import annotations

import dataclasses
import operator
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

import ntkrnn
from ntkrnn.architectures import Architecture
from ntkrnn.data import Dataset
from ntkrnn.report import Slope, loglog_slope
from ntkrnn.studies.engines import Engine, StudyError

PREDICTED_SLOPE = -0.5
"""Finite-width kernels fluctuate about their limit as ``1/sqrt(width)``."""

Progress: TypeAlias = Callable[[int, int, str], None]
"""``progress(done, total, what)``, called after each network and before the first."""


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
        ValueError: naming the field, what came and what was expected.

    Example:
        >>> from ntkrnn.architectures import Elman
        >>> CompareSettings(Elman(), widths=(128, 64)).widths
        (64, 128)
    """

    architecture: Architecture
    widths: tuple[int, ...] = (64, 128, 256, 512, 1024, 2048)
    seeds: int = 10
    seed: int = 0
    resamples: int = 2000

    def __post_init__(self) -> None:
        """Normalise and validate."""
        widths = tuple(_whole("widths", width, 1) for width in self.widths)
        if len(set(widths)) < 2:
            raise ValueError(
                f"widths: got {list(widths)}, expected at least two different widths; the slope "
                "of error against width needs two."
            )
        if len(set(widths)) < len(widths):
            raise ValueError(f"widths: got {list(widths)}, expected every width once.")
        object.__setattr__(self, "widths", tuple(sorted(widths)))
        for width in widths:  # not every architecture takes every width
            dataclasses.replace(self.architecture, width=width)
        if _whole("seeds", self.seeds, 1) < 2:
            raise ValueError("seeds: got 1, expected at least 2; the interval over seeds needs two.")
        _whole("seed", self.seed, 0)
        _whole("resamples", self.resamples, 100)
        if self.architecture.out_dim != 1:
            raise ValueError(
                f"architecture: got out_dim={self.architecture.out_dim}, expected 1; the kernels "
                "of further outputs are the same in the infinite limit."
            )


class KernelPair(NamedTuple):
    """Both kernels of all pairs of sequences, float arrays ``[N, N]`` or ``[N, N, T, T]``."""

    nngp: np.ndarray
    ntk: np.ndarray


class CompareResult(NamedTuple):
    """Everything that a comparison measured. ``W`` widths, ``S`` seeds."""

    settings: CompareSettings
    dataset: Dataset
    engine: str
    ntk_errors: np.ndarray
    """``[W, S]``: ``||NTK_m - NTK||_F / ||NTK||_F``."""
    nngp_errors: np.ndarray
    """``[W, S]``, the same for the NNGP kernel."""
    ntk_fit: Slope
    nngp_fit: Slope
    infinite: KernelPair
    limit_errors: tuple[float, float]
    """``||standard error||_F / ||K||_F`` of the NNGP kernel and of the NTK at infinite width: 0 in
    closed form. A part of every error above, added to it in squares."""
    narrowest: KernelPair
    """Finite kernels at the smallest width, first seed."""
    widest: KernelPair
    """Finite kernels at the largest width, first seed."""
    seconds: float
    """Wall time of the comparison, compilation included."""
    seconds_per_width: tuple[float, ...]


def compare(
    settings: CompareSettings,
    dataset: Dataset,
    engine: Engine,
    progress: Progress | None = None,
) -> CompareResult:
    r"""Measure how far finite-width kernels are from their infinite-width limit.

    For every width ``m`` and seed a network is drawn, its empirical NTK and NNGP kernel over the
    whole data set are computed, and compared as ``||K_m - K||_F / ||K||_F``. A line is fitted to
    log mean error against log width. A limit that is sampled has a standard error of its own. The
    key of the network at ``(m, s)`` is ``fold_in(fold_in(key(seed), m), s)``, so that neither the
    list of widths nor the number of seeds changes a network.

    Args:
        settings: what to compare.
        dataset: the sequences.
        engine: what computes the kernels.
        progress: called as ``progress(done, total, what)``.

    Returns:
        A :class:`CompareResult`.

    Raises:
        StudyError: if a kernel is zero or not finite, so that there is no relative error.

    Cost: ``W S`` empirical kernels one after the other; one compilation a width; the memory of
    one kernel computation at the largest width.

    Example:
        >>> from ntkrnn.architectures import Elman
        >>> from ntkrnn.data import load
        >>> from ntkrnn.studies import ntkrnn_engine
        >>> settings = CompareSettings(Elman(), widths=(16, 64), seeds=4)
        >>> result = compare(settings, load("digits", n=6), ntkrnn_engine())
        >>> result.ntk_errors.shape, bool(result.ntk_fit.slope < 0)
        ((2, 4), True)
    """
    start = time.perf_counter()
    report = progress or (lambda done, total, what: None)
    total = len(settings.widths) * settings.seeds
    # The default float: float32, and float64 under JAX_ENABLE_X64.
    x = jnp.asarray(dataset.x, jnp.result_type(float))
    lengths = None if dataset.lengths is None else jnp.asarray(dataset.lengths)

    report(0, total, "infinite width")
    limit = engine.infinite(settings.architecture, x, lengths)
    infinite = _to_host(limit[:2])
    _check_infinite(infinite, settings.architecture)
    limit_errors = _limit_errors(infinite, limit[2:])

    errors = np.empty((2, len(settings.widths), settings.seeds))
    first: list[KernelPair] = []
    seconds = []
    for i, width in enumerate(settings.widths):
        before = time.perf_counter()
        draw = _kernels_of_a_draw(engine, dataclasses.replace(settings.architecture, width=width))
        width_key = jax.random.fold_in(jax.random.key(settings.seed), width)
        for s in range(settings.seeds):
            report(i * settings.seeds + s, total, f"width {width}, seed {s + 1}/{settings.seeds}")
            finite = _to_host(draw(jax.random.fold_in(width_key, s), x, lengths))
            errors[:, i, s] = [_relative_error(a, b) for a, b in zip(finite, infinite, strict=True)]
            if not np.isfinite(errors[:, i, s]).all():
                raise StudyError(
                    f"the empirical kernels at width {width}, seed {s} are not finite; the states "
                    "overflow. Lower w_std, u_std or v_std, or standardise the data."
                )
            if s == 0 and i in (0, len(settings.widths) - 1):
                first.append(finite)
        seconds.append(time.perf_counter() - before)
    report(total, total, "done")

    nngp_errors, ntk_errors = errors
    return CompareResult(
        settings=settings,
        dataset=dataset,
        engine=engine.name,
        ntk_errors=ntk_errors,
        nngp_errors=nngp_errors,
        ntk_fit=_fit("NTK", settings, ntk_errors),
        nngp_fit=_fit("NNGP", settings, nngp_errors),
        infinite=infinite,
        limit_errors=limit_errors,
        narrowest=first[0],
        widest=first[1],
        seconds=time.perf_counter() - start,
        seconds_per_width=tuple(seconds),
    )


def _kernels_of_a_draw(engine: Engine, arch: Architecture) -> Callable[..., tuple[Any, Any]]:
    """``draw(key, x, lengths) -> (nngp, ntk)`` of a random network, compiled once for its width."""
    init_fn, _, _ = ntkrnn.network(arch)

    @jax.jit
    def draw(key: Any, x: Any, lengths: Any) -> tuple[Any, Any]:
        _, params = init_fn(key, (-1, *x.shape[1:]))
        return engine.finite(arch, params, x, lengths)

    return draw


def _to_host(kernels: tuple[Any, Any]) -> KernelPair:
    return KernelPair(*(np.asarray(kernel) for kernel in kernels))


def _relative_error(kernel: np.ndarray, limit: np.ndarray) -> float:
    # In float64, so that rounding of the sums plays no part.
    limit = limit.astype(np.float64)
    return float(np.linalg.norm(kernel - limit) / np.linalg.norm(limit))


def _limit_errors(infinite: KernelPair, errors: Sequence[Any]) -> tuple[float, float]:
    if not errors:
        return 0.0, 0.0
    norm = np.linalg.norm
    nngp, ntk = (float(norm(e) / norm(k)) for e, k in zip(errors, infinite, strict=True))
    return nngp, ntk


def _check_infinite(infinite: KernelPair, arch: Architecture) -> None:
    for name, kernel in zip(("NNGP kernel", "NTK"), infinite, strict=True):
        if not np.isfinite(kernel).all():
            raise StudyError(
                f"the infinite-width {name} is not finite; the states overflow. Lower w_std, u_std "
                "or v_std, or standardise the data."
            )
        if not kernel.any():
            raise StudyError(
                f"the infinite-width {name} is zero, so there is no relative error; check that the "
                f"data are not all zero and that the trainable blocks {arch.trainable} and the "
                "scales leave something to compare."
            )


def _fit(name: str, settings: CompareSettings, errors: np.ndarray) -> Slope:
    if not (errors > 0).all():
        raise StudyError(
            f"a finite-width {name} equals its limit exactly, so its error has no logarithm; the "
            "architecture leaves nothing random to compare."
        )
    return loglog_slope(np.array(settings.widths), errors, resamples=settings.resamples, seed=0)


def _whole(name: str, value: Any, least: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or number < least:
        raise ValueError(f"{name}: got {value!r}, expected a whole number of at least {least}.")
    return number
