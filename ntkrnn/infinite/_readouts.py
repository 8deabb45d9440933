r"""From diagonals to the kernels of each readout.

"last" needs the single diagonal that ends at the last steps (T, T'); "mean" needs every pair of steps
but only their sum; "sequence" keeps them all. The T1 T2 pairs fall into T2 *cyclic* diagonals
``(t, (t + shift) mod T2)`` of T1 pairs each, on which the recursion restarts where t' wraps to 0, so
that no step is wasted on pairs outside the plane.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from ntkrnn._types import Array, Kernels, add_up
from ntkrnn.architectures import Elman, Scales
from ntkrnn.infinite._diagonal import Steps, fold_diagonal
from ntkrnn.infinite._inputs import GramInputs, Pair, PairInputs
from ntkrnn.infinite._variances import Track, track


def side(x: Array, lengths: Array | None) -> tuple[Array, Array]:
    """Time-major copy of ``[N, T, d]`` with the padding set to 0, and its valid steps ``[T, N]``."""
    steps = x.shape[1]
    count = jnp.full(x.shape[0], steps, jnp.int32) if lengths is None else lengths
    valid = jnp.arange(steps, dtype=jnp.int32)[:, None] < count[None, :]
    return jnp.where(valid[:, :, None], jnp.swapaxes(x, 0, 1), 0), valid


def align_ends(x: Array, valid: Array, steps: int) -> tuple[Array, Array]:
    """Shift every sequence so that its last valid step is the last of ``steps``."""
    count = jnp.sum(valid, axis=0)
    source = jnp.arange(steps)[:, None] - (steps - count[None, :])
    inside = source >= 0
    moved = jnp.take_along_axis(x, jnp.maximum(source, 0)[:, :, None], axis=0)
    return jnp.where(inside[:, :, None], moved, 0), inside


def _track(arch: Elman, scale: Scales, x: Array, valid: Array) -> Track:
    return track(arch, scale, jnp.mean(jnp.square(x), axis=-1), valid)


def _ignore(value: None, state: Pair, inside: Array) -> None:
    return value


def _on_main_diagonal(
    arch: Elman, scale: Scales, x1: Array, valid1: Array, x2: Array, valid2: Array
) -> dict[str, Pair]:
    """Final states of each direction on the diagonal t = t' of equally long arrays."""
    time = jnp.arange(x1.shape[0])
    result = fold_diagonal(
        arch,
        scale,
        PairInputs(x1, x2),
        _track(arch, scale, x1, valid1),
        _track(arch, scale, x2, valid2),
        Steps(time, time),
        _ignore,
        None,
    )
    return {direction: final for direction, (final, _) in result.items()}


def _last(
    arch: Elman, scale: Scales, x1: Array, valid1: Array, x2: Array, valid2: Array, same_lengths: bool
) -> list[Pair]:
    """Forward states meet at the ends of both sequences, backward states at their starts."""
    steps = max(x1.shape[0], x2.shape[0])
    ends = _on_main_diagonal(
        arch, scale, *align_ends(x1, valid1, steps), *align_ends(x2, valid2, steps)
    )
    if not arch.bidirectional:
        return [ends["forward"]]
    if same_lengths:  # one diagonal is both
        return list(ends.values())
    pad = lambda a: jnp.pad(a, ((0, steps - a.shape[0]),) + ((0, 0),) * (a.ndim - 1))  # noqa: E731
    starts = _on_main_diagonal(arch, scale, pad(x1), pad(valid1), pad(x2), pad(valid2))
    return [ends["forward"], starts["backward"]]


def _mean(
    arch: Elman, scale: Scales, x1: Array, valid1: Array, x2: Array, valid2: Array
) -> list[tuple[Array, Array]]:
    """Sum of the covariances and tangent kernels over all pairs of valid steps, each direction."""
    inputs, track1, track2 = (
        PairInputs(x1, x2),
        _track(arch, scale, x1, valid1),
        _track(arch, scale, x2, valid2),
    )
    time, period = jnp.arange(x1.shape[0]), x2.shape[0]
    zero = jnp.zeros((x1.shape[1], x2.shape[1]), x1.dtype)

    def add(total: tuple[Array, Array], state: Pair, inside: Array) -> tuple[Array, Array]:
        return total[0] + jnp.where(inside, state.cov, 0), total[1] + jnp.where(inside, state.ntk, 0)

    def one_diagonal(totals: dict, shift: Array) -> tuple[dict, None]:
        steps = Steps(time, (time + shift) % period)
        result = fold_diagonal(arch, scale, inputs, track1, track2, steps, add, (zero, zero))
        return {d: jax.tree.map(jnp.add, totals[d], result[d][1]) for d in result}, None

    start = dict.fromkeys(arch.directions, (zero, zero))
    totals, _ = jax.lax.scan(one_diagonal, start, jnp.arange(period))
    return list(totals.values())


def sequence_kernels(
    arch: Elman, scale: Scales, inputs: PairInputs | GramInputs, track1: Track, track2: Track
) -> Pair:
    """Kernels of the top states at every pair of steps, averaged over directions.

    Args:
        arch: the architecture; its readout and scales are not looked at.
        scale: the squares of the scales.
        inputs: what feeds the first layer.
        track1: variances along the first side.
        track2: variances along the second side.

    Returns:
        A :class:`Pair` of ``[T1, T2, N1, N2]``, zero where either step is padding. These are the
        kernels of the states themselves, without the readout.

    Cost: O(L N1 N2 T1 T2) time and memory.
    """
    t1, t2 = track1.valid.shape[0], track2.valid.shape[0]
    time = jnp.arange(t1)
    zero = jnp.zeros((t1, track1.valid.shape[1], track2.valid.shape[1]))
    zero = zero.astype(track1.layers[0]["forward"].variance.dtype)

    def one_diagonal(shift: Array) -> Pair:
        def put(value: tuple[Pair, Array], state: Pair, inside: Array) -> tuple[Pair, Array]:
            kept, position = value
            masked = jax.tree.map(lambda a: jnp.where(inside, a, 0), state)
            return jax.tree.map(lambda k, a: k.at[position].set(a), kept, masked), position + move

        results = []
        for direction in arch.directions:
            move = 1 if direction == "forward" else -1
            first = 0 if direction == "forward" else t1 - 1
            steps = Steps(time, (time + shift) % t2)
            start = (Pair(zero, zero, zero), jnp.asarray(first))
            folded = fold_diagonal(arch, scale, inputs, track1, track2, steps, put, start)
            results.append(folded[direction][1][0])
        return jax.tree.map(lambda *a: add_up(a) / len(a), *results)

    rows = jax.lax.map(one_diagonal, jnp.arange(t2))  # [shift, t1, N1, N2]
    shift = (jnp.arange(t2)[None, :] - time[:, None]) % t2
    return jax.tree.map(lambda a: a[shift, time[:, None]], rows)


def readout_kernels(
    arch: Elman, scale: Scales, x1: Array, x2: Array, lengths1: Array | None, lengths2: Array | None
) -> Kernels:
    """NNGP and NTK of the outputs, for the readout of the architecture.

    Args:
        arch: the architecture; its width and scales are not looked at.
        scale: the squares of the scales.
        x1: ``[N1, T1, d]``.
        x2: ``[N2, T2, d]``.
        lengths1: ``[N1]`` or None.
        lengths2: ``[N2]`` or None.
    """
    (a, valid1), (b, valid2) = side(x1, lengths1), side(x2, lengths2)
    if arch.readout == "sequence":
        state = sequence_kernels(
            arch,
            scale,
            PairInputs(a, b),
            _track(arch, scale, a, valid1),
            _track(arch, scale, b, valid2),
        )
        cov, ntk = (jnp.transpose(k, (2, 3, 0, 1)) for k in (state.cov, state.ntk))
    elif arch.readout == "mean":
        totals = _mean(arch, scale, a, valid1, b, valid2)
        pairs = jnp.sum(valid1, 0)[:, None] * jnp.sum(valid2, 0)[None, :] * len(totals)
        cov, ntk = (add_up(t) / pairs.astype(a.dtype) for t in zip(*totals, strict=True))
    else:
        same = lengths1 is None and lengths2 is None and a.shape[0] == b.shape[0]
        finals = _last(arch, scale, a, valid1, b, valid2, same)
        cov, ntk = (add_up([getattr(f, k) for f in finals]) / len(finals) for k in ("cov", "ntk"))
    if "v" in arch.trainable:
        ntk = ntk + cov
    return Kernels(nngp=scale.v * cov, ntk=scale.v * ntk)
