"""The one ``kernel_fn`` of every architecture and every limit: checks, engine, answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax

from ntkrnn import _checks
from ntkrnn._types import Kernels, SampledKernels
from ntkrnn.architectures import Architecture, Dense, Diagonal
from ntkrnn.infinite._limits import Limit, Quadrature, Recursion, Sampling
from ntkrnn.infinite._overflow import check_scales
from ntkrnn.infinite._request import Request, canonical_get, result_type
from ntkrnn.infinite.neurons._kernels import neuron_kernels
from ntkrnn.infinite.sampling._kernels import sampled_kernels
from ntkrnn.infinite.tiles._exact import exact_kernels

ENGINES: dict[type, Callable[[Any], Callable[..., dict[str, Any]]]] = {
    Recursion: exact_kernels,
    Sampling: sampled_kernels,
    Quadrature: neuron_kernels,
}
"""What computes the kernels of a limit."""


def limits_of(arch: Architecture) -> tuple[type, ...]:
    """The limits that an architecture has, its own first.

    Example:
        >>> import ntkrnn
        >>> [limit.__name__ for limit in limits_of(ntkrnn.Elman())]
        ['Recursion', 'Sampling']
        >>> [limit.__name__ for limit in limits_of(ntkrnn.LSTM())]
        ['Sampling']
    """
    if isinstance(arch, Diagonal):
        return (Quadrature,)
    exact = (Recursion,) if arch.limit in ("recursion", "filter") else ()
    return (*exact, Sampling) if isinstance(arch, Dense) else exact


def checked_limit(arch: Architecture, limit: Any) -> Limit:
    """``limit`` if the architecture has it, and its own for None.

    Raises:
        TypeError: for what is no limit.
        ValueError: for a limit that the architecture does not have.
    """
    own = limits_of(arch)
    if limit is None:
        return own[0]()
    expected = " or ".join(f"ntkrnn.{kind.__name__}(...)" for kind in own)
    if not isinstance(limit, tuple(ENGINES)):
        raise TypeError(f"limit: got {limit!r}, expected {expected}, or None for the first.")
    if not isinstance(limit, own):
        raise ValueError(f"limit: got {limit!r} for {arch!r}, expected {expected}.")
    return limit


class KernelFn:
    """Kernels of infinitely wide networks as a function of sequences.

    ``kernel_fn(x1, x2=None, get=None, lengths1=None, lengths2=None, *, lengths=None, diagonal=False,
    **settings)``, see :meth:`__call__`; the formulas are those of :func:`ntkrnn.network` and of its
    limit. It pickles, as far as its architecture does.

    Attributes:
        arch: the architecture.
        limit: how it is computed, a :class:`ntkrnn.Recursion`, :class:`ntkrnn.Sampling` or
            :class:`ntkrnn.Quadrature`.
    """

    def __init__(self, arch: Architecture, limit: Limit | None = None) -> None:
        self.arch = arch
        self.limit = checked_limit(arch, limit)
        self._kernels = ENGINES[type(self.limit)](arch)

    def __repr__(self) -> str:
        """What it is of, and how it is computed."""
        return f"kernel_fn of {self.arch!r} by {self.limit!r}"

    def __reduce__(self) -> Any:
        return KernelFn, (self.arch, self.limit)

    @property
    def names(self) -> tuple[str, ...]:
        """What ``get`` can name: kernels, and standard errors where there are some."""
        return (Kernels if isinstance(self.limit, Recursion) else SampledKernels)._fields

    def __call__(
        self,
        x1: Any,
        x2: Any = None,
        get: str | tuple[str, ...] | None = None,
        lengths1: Any = None,
        lengths2: Any = None,
        *,
        lengths: Any = None,
        diagonal: bool = False,
        **settings: Any,
    ) -> Any:
        """Kernels of the outputs for every pair of sequences.

        Args:
            x1: ``[N1, T1, d]``.
            x2: ``[N2, T2, d]``, or None for x1, which gives exactly symmetric matrices.
            get: one of :attr:`names`, a tuple of them, or None for a named tuple of all.
            lengths1: ``[N1]`` valid leading steps; what stands behind them never matters.
            lengths2: ``[N2]``.
            lengths: another word for ``lengths1`` where x2 is None.
            diagonal: whether ``K(x1[i], x2[i])`` is wanted alone.
            settings: fields of :attr:`limit`, for this call.

        Returns:
            ``[N1, N2]``, or ``[N1, N2, T1, T2]`` for the readout "sequence", 0 at padded steps; one
            axis N in place of both for ``diagonal``. An array for a name, else a named tuple.

        Raises:
            TypeError, ValueError: naming the argument, see :func:`ntkrnn.network`.
        """
        limit = self._limit_with(settings) if settings else self.limit
        names = self.names if get is None else canonical_get(get, self.names)
        diagonal = _checks.boolean("diagonal", diagonal)
        sides = _checks.pair(x1, x2, lengths1, lengths2, lengths, diagonal)
        check_scales(self.arch, sides[0].dtype)
        for name, x in (("x1", sides[0]), ("x2", sides[1])):
            self.arch.reading.check_steps(name, x.shape[1])
        given = [*sides[:4], *jax.tree.leaves(self.arch.scales)]
        unknown = any(a is not None and _checks.concrete_values(a) is None for a in given)
        kernels = self._kernels(Request(*sides, diagonal, names, unknown), limit)
        if isinstance(get, str):
            return kernels[get]
        return result_type(names)(*(kernels[name] for name in names))

    def _limit_with(self, settings: dict[str, Any]) -> Limit:
        """The limit with some of its fields replaced."""
        fields = [field.name for field in dataclasses.fields(self.limit)]
        unknown = [name for name in settings if name not in fields]
        if unknown:
            kind = type(self.limit).__name__
            hint = " It is called 'key' now." if unknown[0] == "seed" and "key" in fields else ""
            raise TypeError(
                f"kernel_fn: got an unexpected keyword argument {unknown[0]!r}, expected get, lengths, "
                f"diagonal or a field of ntkrnn.{kind}: {', '.join(fields)}.{hint}"
            )
        return dataclasses.replace(self.limit, **settings)
