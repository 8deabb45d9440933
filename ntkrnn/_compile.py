"""Compiled programs, how many are kept, and what the machine offers them: compiler options, cores."""

from __future__ import annotations

import functools
import inspect
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn._compat import is_traced

_WIDE = {"xla_cpu_prefer_vector_width": 512}


@functools.cache
def wide_registers() -> dict[str, Any] | None:
    """Options that use the whole of 512-bit registers on a CPU that has them, or None.

    XLA uses half of them unless told otherwise; long loops of multiply-adds gain a third from the
    whole. Only for programs of plain arithmetic, square roots and quotients: with this option XLA
    (JAX 0.10) returns wrong numbers for ``arctan`` of 32 entries, and other library functions are not
    to be trusted with it either. Where the option is unknown or a trial fails, it is not used.
    """
    x = np.linspace(0.1, 4, 4096, dtype=np.float32)

    def trial(x: Any, xp: Any = jnp) -> Any:
        y = 0.5 * xp.sqrt(4 * xp.abs(x - 2))
        return xp.where(x > 1, y, 1 / (x + y)) * x + xp.minimum(x, y)

    try:
        wide = jax.jit(trial, compiler_options=_WIDE)(x)
    except Exception:  # whatever the compiler says of an option that it does not have
        return None
    return _WIDE if np.allclose(wide, trial(x, np), rtol=1e-6, atol=0) else None


SMALL = {"xla_backend_optimization_level": 2}
"""Options for programs that are over in a moment, whose loops are still worth optimising."""
QUICK = {
    "xla_backend_optimization_level": 1,
    "xla_cpu_parallel_codegen_split_count": 1,
    "xla_cpu_use_fusion_emitters": False,
}
"""Options by which a program for a CPU is compiled in a third of the time: loops over a few thousand
numbers run as fast as without, longer ones do not."""
_UNKNOWN = re.compile(r"No such compile option: '(\w+)'")
_unknown: set[str] = set()
"""Options that this version of the compiler turned out not to have."""


def available_cores() -> int:
    """The number of CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


MOST_PROGRAMS = 128
"""Programs of this library that a process keeps; one takes two to four megabytes."""
_kept: OrderedDict[Any, Any] = OrderedDict()
_lock = threading.Lock()
Options = Callable[..., dict[str, Any] | None]


class Compiled:
    """A function that is compiled as by ``jax.jit``, with a bound on the programs that are kept.

    ``jax.jit`` keeps a program for every combination of sizes as long as the process lives: a hundred
    batches of different sizes hold half a gigabyte. Here each combination has a ``jax.jit`` of its own,
    and of all of them, over all functions, the :data:`MOST_PROGRAMS` used last are kept.
    ``jax.clear_caches()`` lets go of those as well.
    """

    def __init__(
        self, fn: Callable[..., Any], static: tuple[str, ...], options: Options | None
    ) -> None:
        functools.update_wrapper(self, fn)
        self._fn, self._static, self._options = fn, static, options
        self._signature = inspect.signature(fn)
        self._inside = jax.jit(fn, static_argnames=static)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The value, by a program of its own, or as part of the one that is being traced."""
        program, moving = self._program(args, kwargs)
        if program is None:
            return self._inside(*args, **kwargs)
        try:
            return program(**moving)
        except jax.errors.JaxRuntimeError as error:
            option = _UNKNOWN.search(str(error))
            if option is None or option[1] in _unknown:
                raise
        with _lock:
            _unknown.add(option[1])
            _kept.clear()
        return self(*args, **kwargs)

    def lower(self, *args: Any, **kwargs: Any) -> Any:
        """The program before it is compiled, as of ``jax.jit(...).lower``."""
        program, moving = self._program(args, kwargs)
        return program.lower(**moving)

    def _program(self, args: Any, kwargs: Any) -> tuple[Any, dict[str, Any]]:
        """The program for these arguments, None inside of another one, and what it takes."""
        named = self._signature.bind(*args, **kwargs).arguments
        moving = {k: v for k, v in named.items() if k not in self._static}
        leaves, structure = jax.tree.flatten(moving)
        if any(is_traced(leaf) for leaf in leaves):
            return None, moving
        fixed = {k: v for k, v in named.items() if k in self._static}
        kinds = tuple((np.shape(leaf), getattr(leaf, "dtype", type(leaf))) for leaf in leaves)
        # Plain numbers become floats of the default precision.
        precision = jax.dtypes.canonicalize_dtype(np.float64)
        key = (self, tuple(fixed.items()), structure, kinds, precision)
        with _lock:
            program = _kept.pop(key, None)
            if program is None:
                options = (None if self._options is None else self._options(**named)) or {}
                options = {k: v for k, v in options.items() if k not in _unknown}
                bound: Any = functools.partial(self._fn, **fixed)
                bound.__name__ = self._fn.__name__  # what profiles and dumps call it
                program = jax.jit(bound, compiler_options=options or None)
            _kept[key] = program
            while len(_kept) > MOST_PROGRAMS:
                _kept.popitem(last=False)
        return program, moving


def compiled(*static: str, options: Options | None = None) -> Callable[[Callable[..., Any]], Compiled]:
    """Decorate a function to be a :class:`Compiled` one.

    Args:
        static: names of the arguments that a program is made for; hashable.
        options: from the arguments, by name, to options of the compiler; of those that are not
            static it may look at shapes alone. Only for programs of our own, since JAX refuses them
            inside of somebody else's.
    """
    return lambda fn: Compiled(fn, static, options)
