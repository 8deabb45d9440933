"""What is computed for a tile: the kernels of two blocks of sequences, by one function of them."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from ntkrnn import _checks
from ntkrnn._version import __version__
from ntkrnn.architectures import ARCHITECTURES
from ntkrnn.infinite import KernelFn, Recursion, Sampling
from ntkrnn.infinite._request import canonical_get

REPLICATES = 16
"""Networks of a sampled limit: as many for every tile, and for every call of an estimator, so that all
are entries of one positive semidefinite kernel."""
DTYPES = ("float32", "float64")


class Block(NamedTuple):
    """Some sequences of one side."""

    x: np.ndarray
    """``[n, T, d]``"""
    lengths: np.ndarray | None
    """``[n]``"""


@dataclasses.dataclass(frozen=True)
class Kernel:
    """Kernels of two blocks of sequences, as NumPy arrays. It pickles as far as ``function`` does."""

    function: Callable[..., Any]
    names: tuple[str, ...]
    dtype: str
    params: Any = None

    def __call__(self, one: Block, two: Block | None = None, **options: Any) -> tuple[np.ndarray, ...]:
        """``[n1, n2, ...]`` for each name; ``two`` is None for the same sequences."""
        x2, lengths2 = (None, None) if two is None else two
        with jax.enable_x64(self.dtype == "float64"):
            known = {"lengths1": one.lengths, "lengths2": lengths2}
            options |= {name: lengths for name, lengths in known.items() if lengths is not None}
            if isinstance(self.function, KernelFn):
                found = self.function(one.x, x2, self.names, **options)
            else:
                params = () if self.params is None else (self.params,)
                found = (self.function(one.x, x2, *params, **options),)
                _checks.finite_array("arch_or_kernel_fn", np.asarray(found[0]))
            return tuple(np.asarray(kernel, self.dtype) for kernel in found)

    def marks(self) -> dict[str, str]:
        """What it is, in words."""
        function = self.function
        if isinstance(function, KernelFn):
            name = repr(function)
        else:
            kind = getattr(function, "__qualname__", type(function).__qualname__)
            name = f"{getattr(function, '__module__', '')}.{kind}"
        words = {"kernel": name, "get": ", ".join(self.names), "dtype": self.dtype}
        if self.params is not None:
            words["params"] = _digest(self.params)
        return {**words, "ntkrnn": __version__, "jax": jax.__version__}

    def probed(self, few: Block) -> str:
        """What it makes of a few sequences: two functions may have one name.

        To four digits, since other machines round otherwise.
        """
        return ", ".join(f"{value:.4g}" for value in np.ravel(self(few)[0])[:4])


def _digest(params: Any) -> str:
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(params):
        digest.update(np.ascontiguousarray(np.asarray(leaf)).data)
    return digest.hexdigest()[:16]


def kernel_of(given: Any, get: Any, params: Any, dtype: str) -> Kernel:
    """The kernel of an architecture or a function, checked.

    Raises:
        TypeError, ValueError: naming the argument.
    """
    if isinstance(given, tuple(ARCHITECTURES.values())):
        given = KernelFn(given)
    if isinstance(given, KernelFn):
        if params is not None:
            raise ValueError(
                "params: got some with a kernel of infinite width, which has none; pass "
                "ntkrnn.empirical_ntk_fn(arch) for the kernel of a network with these parameters."
            )
        return Kernel(_settled(given), _with_errors(given, get), dtype)
    if not callable(given):
        raise TypeError(
            f"arch_or_kernel_fn: got {type(given).__name__}, expected an architecture, a kernel_fn, or "
            "a function of (x1, x2, params) such as ntkrnn.empirical_ntk_fn(arch)."
        )
    name = get if isinstance(get, str) else "ntk"
    if not name.isidentifier():
        raise ValueError(f"get: got {get!r} with a function, expected one name for its matrix.")
    return Kernel(given, (name,), dtype, params)


def _settled(kernel_fn: KernelFn) -> KernelFn:
    """With a number of networks that does not depend on what else is in a tile."""
    limit = kernel_fn.limit
    if isinstance(limit, Recursion):
        return kernel_fn
    if limit.tolerance is not None:
        raise ValueError(
            f"arch_or_kernel_fn: got tolerance={limit.tolerance:g}, by which every tile would have its "
            f"own networks; pass a limit with replicates, {type(limit).__name__}(replicates=32); "
            "the errors are stored beside the kernels."
        )
    if isinstance(limit, Sampling) and limit.replicates is None:
        limit = dataclasses.replace(limit, replicates=REPLICATES)
    return KernelFn(kernel_fn.arch, limit)


def _with_errors(kernel_fn: KernelFn, get: Any) -> tuple[str, ...]:
    """The names that are wanted, and those of their errors where there are some."""
    wanted = canonical_get(get, kernel_fn.names)
    errors = [f"{name}_error" for name in wanted]
    return (*wanted, *(name for name in errors if name in kernel_fn.names and name not in wanted))


def real_type(dtype: Any, x: Any) -> str:
    """The dtype of kernels: that of the sequences with 64-bit types enabled, otherwise float32.

    Raises:
        ValueError: for another one.
    """
    if dtype is None:
        return str(_checks.float_dtype(np.empty(0, x.dtype)))
    with contextlib.suppress(TypeError):  # for what is no dtype
        dtype = str(np.dtype(dtype))
    return _checks.choice("dtype", dtype, DTYPES)
