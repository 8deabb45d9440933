"""Finite-width against infinite-width kernels over widths and seeds."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import ntkrnn
from ntkrnn._progress import Progress, listening
from ntkrnn.architectures import Architecture
from ntkrnn.data import Dataset
from ntkrnn.report import Slope, finite_slope
from ntkrnn.studies.compare_settings import CompareSettings
from ntkrnn.studies.engines import Engine, StudyError, as_study_errors
from ntkrnn.studies.memory import check_memory
from ntkrnn.studies.piece_form import Piece
from ntkrnn.studies.pieces import Store, kept

PREDICTED_SLOPE = -0.5
"""Finite-width kernels fluctuate about their limit as ``1/sqrt(width)``."""

LIMIT = "infinite width"
"""What studies are at while they compute the limit."""


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
    """``[W, S]``: ``||NTK_m - NTK||_F / ||NTK||_F``; not finite where the network's kernel is not."""
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
    """Wall time of the comparison, compilation included; networks that were kept cost nothing."""
    seconds_per_width: tuple[float, ...]


def compare(
    settings: CompareSettings,
    dataset: Dataset,
    engine: Engine,
    store: Store | None = None,
    progress: Progress | None = None,
) -> CompareResult:
    r"""Measure how far finite-width kernels are from their infinite-width limit.

    For every width ``m`` and seed a network is drawn, its empirical NTK and NNGP kernel over the
    whole data set are computed, and compared as ``||K_m - K||_F / ||K||_F``. A line is fitted to
    log mean error against log width. A limit that is sampled has a standard error of its own. The
    key of the network at ``(m, s)`` is ``fold_in(fold_in(key(seed), m), s)``, so that neither the
    list of widths nor the number of seeds changes a network. Widths where a kernel is not finite, or
    equal to its limit, are left out of the line.

    Args:
        settings: what to compare.
        dataset: the sequences.
        engine: what computes the kernels.
        store: finished networks are loaded from it and saved to it.
        progress: called as ``progress(done, total, what)``: while the limit is computed with its parts,
            with a total of 0 where they are not known, then before and after each network.

    Returns:
        A :class:`CompareResult`.

    Raises:
        StudyError: if a kernel of infinite width is zero or not finite, so that there is no relative
            error, or a kernel or the widest network does not fit into memory.

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
    # The default float: float32, and float64 under JAX_ENABLE_X64.
    x = jnp.asarray(dataset.x, jnp.result_type(float))
    lengths = None if dataset.lengths is None else jnp.asarray(dataset.lengths)
    check_memory(settings.architecture, settings.widths, x.shape)
    total = len(settings.widths) * settings.seeds
    report(0, 0, LIMIT)
    with listening(lambda done, total, what: report(done, total, f"{LIMIT}: {what}")):
        measure = functools.partial(_limit, engine, settings.architecture, x, lengths)
        limit = kept(store, "infinite", ("nngp", "ntk"), measure)
    study = _Study(settings, engine, x, lengths, KernelPair(limit["nngp"], limit["ntk"]), store)

    rows, shown, seconds = [], [], []
    for i, width in enumerate(settings.widths):
        before = time.perf_counter()

        def told(s: int, error: float | None, i: int = i, width: int = width) -> None:
            done, what = i * settings.seeds + s, f"width {width}, seed {s + 1}/{settings.seeds}"
            if error is None:
                report(done, total, what)
            else:
                report(done + 1, total, f"{what}: NTK error {error:.2%}")

        row, first = _at_width(study, width, told)
        rows.append(row)
        shown.append(first)
        seconds.append(time.perf_counter() - before)
    report(total, total, "done")

    narrowest, widest = shown[0], shown[-1]
    assert narrowest is not None and widest is not None
    nngp_errors, ntk_errors = np.moveaxis(np.array(rows), 2, 0)
    nngp_fit, ntk_fit = (
        finite_slope(np.array(settings.widths), errors, resamples=settings.resamples)
        for errors in (nngp_errors, ntk_errors)
    )
    return CompareResult(
        settings=settings,
        dataset=dataset,
        engine=engine.name,
        ntk_errors=ntk_errors,
        nngp_errors=nngp_errors,
        ntk_fit=ntk_fit,
        nngp_fit=nngp_fit,
        infinite=study.infinite,
        limit_errors=_limit_errors(limit),
        narrowest=narrowest,
        widest=widest,
        seconds=time.perf_counter() - start,
        seconds_per_width=tuple(seconds),
    )


class _Study(NamedTuple):
    """What all networks share."""

    settings: CompareSettings
    engine: Engine
    x: Any
    lengths: Any
    infinite: KernelPair
    store: Store | None


def _at_width(
    study: _Study, width: int, told: Callable[[int, float | None], None]
) -> tuple[np.ndarray, KernelPair | None]:
    """Errors ``[S, 2]`` of the networks of a width, and the first one's kernels at either end."""
    settings, store = study.settings, study.store
    draw = _kernels_of_a_draw(study.engine, dataclasses.replace(settings.architecture, width=width))
    key = jax.random.fold_in(jax.random.key(settings.seed), width)

    def kernels(s: int) -> KernelPair:
        with as_study_errors():
            return _to_host(draw(jax.random.fold_in(key, s), study.x, study.lengths))

    first, errors = None, []
    for s in range(settings.seeds):
        told(s, None)
        if s == 0 and width in (settings.widths[0], settings.widths[-1]):
            # Kept apart: among other widths others stand at the ends.
            name = f"width-{width}-kernels"
            pair = kept(store, name, KernelPair._fields, lambda: kernels(0)._asdict())
            first = KernelPair(pair["nngp"], pair["ntk"])

        def measure(s: int = s, known: KernelPair | None = first if s == 0 else None) -> Piece:
            pair = kernels(s) if known is None else known
            return {
                "errors": [_relative_error(a, b) for a, b in zip(pair, study.infinite, strict=True)]
            }

        errors.append(kept(store, f"width-{width}-seed-{s}", ("errors",), measure)["errors"])
        told(s, float(errors[-1][1]))
    return np.array(errors), first


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


def _limit(engine: Engine, arch: Architecture, x: Any, lengths: Any) -> Piece:
    """Both kernels of infinite width, and their standard errors if they are sampled."""
    names = ("nngp", "ntk", "nngp_error", "ntk_error")
    with as_study_errors():
        kernels = [np.asarray(kernel) for kernel in engine.infinite(arch, x, lengths)]
    for name, kernel in zip(("NNGP kernel", "NTK"), kernels, strict=False):
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
    return dict(zip(names, kernels, strict=False))


def _relative_error(kernel: np.ndarray, limit: np.ndarray) -> float:
    # In float64, so that rounding of the sums plays no part.
    limit = limit.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):  # a kernel that overflowed
        return float(np.linalg.norm(kernel - limit) / np.linalg.norm(limit))


def _limit_errors(limit: Piece) -> tuple[float, float]:
    if "ntk_error" not in limit:
        return 0.0, 0.0
    norm = np.linalg.norm
    nngp, ntk = (float(norm(limit[f"{k}_error"]) / norm(limit[k])) for k in ("nngp", "ntk"))
    return nngp, ntk
