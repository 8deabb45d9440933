"""Loads neural-tangents 0.6.5 on versions of JAX and SciPy newer than it knows.

The last release of neural-tangents uses names that JAX and SciPy have since moved or removed, and
its package import pulls in TensorFlow for an experimental module. `neural_tangents` supplies what
is missing and returns the module; the installed package is not edited.

What is missing is found by looking for it, never by comparing versions. Names needed by the import
are on JAX's modules for its length only (`_KEPT` has the exceptions and the reason), and names
needed later are laid over the modules that neural-tangents' own modules hold.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

import jax.core

__all__ = ["is_traced", "neural_tangents"]

_VERSION = "0.6.5"
_REMEDY = (
    "run `pip install 'ntkrnn[neural-tangents]'`, or, without the TensorFlow that its metadata asks "
    f"for and nothing here needs, `pip install --no-deps neural-tangents=={_VERSION} frozendict`"
)
_NAME = "neural_tangents"
_EXPERIMENTAL = f"{_NAME}.experimental"

# Code written against this release, its own test suite first, reads these from JAX while it runs
# and not only while it imports, so they stay. Nothing that JAX has is replaced.
_KEPT = {("jax", "tree_map"), ("jax.core", "Primitive"), ("jax.interpreters.ad", "zeros_like_p")}

_lock = threading.RLock()
_loaded: types.ModuleType | None = None


def neural_tangents() -> types.ModuleType:
    """Return the neural-tangents module, loading and mending it on first use.

    TensorFlow is not imported: `neural_tangents.experimental`, which needs it, is imported when
    one of its names is first read. A neural-tangents that was imported before is mended in place.
    Afterwards a plain `import neural_tangents` gives the same module.

    Returns:
      The module `neural_tangents`, version 0.6.5.

    Raises:
      ImportError: neural-tangents is not installed, is of another version, or does not import;
        the message says what to run.

    Example:
      >>> nt = neural_tangents()
      >>> init_fn, apply_fn, kernel_fn = nt.stax.serial(nt.stax.Dense(8), nt.stax.Relu())
    """
    global _loaded
    with _lock:
        if _loaded is None or sys.modules.get(_NAME) is not _loaded:
            _check_version()
            nt = _import()
            _mend_empirical()
            _mend_predict()
            _loaded = nt
        return _loaded


def _check_version() -> None:
    try:
        found = importlib.metadata.version("neural-tangents")
    except importlib.metadata.PackageNotFoundError:
        raise ImportError(f"neural-tangents is not installed; {_REMEDY}.") from None
    if found != _VERSION:
        raise ImportError(
            f"neural-tangents {found} is installed, but only {_VERSION} is supported; {_REMEDY}."
        )


def _import() -> types.ModuleType:
    if _NAME not in sys.modules:
        # An import that failed earlier leaves some submodules behind; start from none of them.
        for name in [n for n in sys.modules if n.startswith(f"{_NAME}.")]:
            del sys.modules[name]
        sys.modules[_EXPERIMENTAL] = _Experimental(_EXPERIMENTAL)
    try:
        with _names_while_importing():
            nt = importlib.import_module(_NAME)
    except ImportError as error:
        sys.modules.pop(_EXPERIMENTAL, None)
        raise ImportError(
            f"neural-tangents did not import ({error}); if a package is missing, {_REMEDY}."
        ) from error
    if isinstance(placeholder := sys.modules.get(_EXPERIMENTAL), _Experimental):
        # So that `import neural_tangents.experimental.empirical_tf` finds the real submodule.
        placeholder.__path__ = [f"{path}/experimental" for path in nt.__path__]
    return nt


class _Experimental(types.ModuleType):
    """Stands for `neural_tangents.experimental` until one of its names is read."""

    def __getattr__(self, name: str) -> Any:
        # Tools ask every module in `sys.modules` for `__file__` and the like: not a request.
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        with _lock:
            if sys.modules.get(_EXPERIMENTAL) is self:
                del sys.modules[_EXPERIMENTAL]
            try:
                with _names_while_importing():
                    return getattr(importlib.import_module(_EXPERIMENTAL), name)
            except ImportError as error:
                sys.modules[_EXPERIMENTAL] = self
                raise ImportError(
                    f"{_EXPERIMENTAL} needs TensorFlow and tf2jax, and did not import ({error}); "
                    "the rest of neural-tangents works without it."
                ) from error


@contextlib.contextmanager
def _names_while_importing() -> Iterator[None]:
    """Supply the names that neural-tangents imports from JAX, and take them away afterwards."""
    import jax.core
    import jax.extend.core as extend
    import jax.interpreters.ad as ad

    wanted: list[tuple[types.ModuleType, str, Any]] = [
        (jax.core, name, getattr(extend, name))
        for name in ("Jaxpr", "JaxprEqn", "Literal", "Primitive", "Var")
    ]
    wanted.append((jax, "tree_map", jax.tree_util.tree_map))
    # Only a key in tables of rules. JAX no longer emits it, so any primitive will serve.
    wanted.append((ad, "zeros_like_p", extend.Primitive("zeros_like")))
    # Not `hasattr`: where JAX still gives a name out, asking for it may warn.
    missing = [entry for entry in wanted if entry[1] not in vars(entry[0])]
    util: Any = types.ModuleType("jax.util")  # Gone from JAX; two helpers of it are wanted.
    util.safe_zip = lambda *xs: list(zip(*xs, strict=True))
    util.safe_map = lambda f, *xs: [f(*x) for x in zip(*xs, strict=True)]
    own_util = sys.modules.setdefault("jax.util", util) is util
    try:
        for module, name, value in missing:
            setattr(module, name, value)
        yield
    finally:
        for module, name, _ in missing:
            if (module.__name__, name) not in _KEPT:
                delattr(module, name)
        if own_util:
            del sys.modules["jax.util"]


class _Overlay(types.ModuleType):
    """A module with some names laid over it, for one module of neural-tangents to look up."""

    def __init__(self, base: types.ModuleType, **names: Any) -> None:
        super().__init__(base.__name__, base.__doc__)
        vars(self).update(names, _base=base)

    def __getattr__(self, name: str) -> Any:
        return getattr(vars(self)["_base"], name)


def _mend_empirical() -> None:
    empirical: Any = importlib.import_module(f"{_NAME}._src.empirical")
    if isinstance(empirical.ad, _Overlay):
        return
    import jax
    import numpy as np
    from jax.extend.core import Var

    empirical.ad = _Overlay(
        empirical.ad,
        # JAX keeps its own to itself. It only labels equations for profilers: do without.
        source_info_util=types.SimpleNamespace(transform_name_stack=contextlib.nullcontext),
        # The check behind this flag calls `core.lattice_join`, which is gone.
        config=types.SimpleNamespace(jax_enable_checks=False),
    )
    # JAX's own is about to refuse abstract arrays, which have a shape and no entries.
    empirical.jnp = _Overlay(empirical.jnp, size=np.size)
    # Dynamic shapes are gone from JAX: nothing is of this type.
    empirical.core = _Overlay(empirical.core, DShapedArray=type("DShapedArray", (), {}), Var=Var)

    def get_primals_out_and_pullback(
        fn: Callable[..., Any], mode: Any, j: bool, s: bool, fwd: bool | None, *primals: Any
    ) -> tuple[Any, Callable[..., Any]]:
        # The original calls JAX's internal `ad.linearize` as it was; public functions do the same.
        with jax.disable_jit():  # The rules do not look inside calls.
            primals_out, tangents_out = jax.linearize(fn, *primals)
            jaxpr = jax.make_jaxpr(tangents_out)(*primals)
        inputs = [empirical.UndefinedPrimal(aval) for aval in jaxpr.in_avals]

        def pullback(*cotangents: Any) -> Any:
            cts = tuple(jax.tree.leaves(cotangents))
            out = empirical._backward_pass(jaxpr.jaxpr, mode, jaxpr.consts, inputs, cts, j, s, fwd)
            return jax.tree.unflatten(jax.tree.structure(primals), out)

        return primals_out, pullback

    def eqn_vjp_fn(eqn: Any, cotangent: Any, *invals: Any) -> Any:
        # The original asks for `map_primitive`, which is gone, and for rules in a table that JAX is
        # emptying (`slice` went first); `jax.linear_transpose` has what the table lacks.
        if eqn is None:  # The identity.
            return (cotangent,)
        rule = empirical.ad.primitive_transposes.get(eqn.primitive)
        if rule is not None and not eqn.primitive.multiple_results:
            return rule(cotangent, *invals, **eqn.params)
        is_linear = empirical.ad.is_undefined_primal
        linear = {i: x.aval for i, x in enumerate(invals) if is_linear(x)}

        def apply(xs: dict[int, Any]) -> Any:
            args = [xs.get(i, x) for i, x in enumerate(invals)]
            y = eqn.primitive.bind(*args, **eqn.params)
            return y[0] if eqn.primitive.multiple_results else y

        (cts,) = jax.linear_transpose(apply, linear)(empirical.ad.instantiate_zeros(cotangent))
        return [cts.get(i) for i in range(len(invals))]

    def get_flops(f: Callable[..., Any], optimize: bool, *args: Any, **kwargs: Any) -> float:
        lowered = jax.jit(f).lower(*args, **kwargs)
        costs = (lowered.compile() if optimize else lowered).cost_analysis()
        # JAX no longer wraps the compiled analysis in a list, and leaves out what is zero.
        return ((costs[0] if isinstance(costs, list) else costs) or {}).get("flops", 0.0)

    empirical._get_primals_out_and_pullback = get_primals_out_and_pullback
    empirical._eqn_vjp_fn = eqn_vjp_fn
    empirical._get_flops = get_flops


def _mend_predict() -> None:
    predict: Any = importlib.import_module(f"{_NAME}._src.predict")
    if isinstance(predict.sp, _Overlay):
        return
    import jax.core
    import scipy.linalg

    # Within `eval_context` JAX now refuses traced kernels; its public successor computes at once
    # what is concrete, which is what is wanted, and traces the rest.
    core = _Overlay(jax.core, eval_context=jax.ensure_compile_time_eval)
    predict.jax = _Overlay(jax, core=core)

    def eigvalsh(a: Any, *args: Any, eigvals: Any = None, **kwargs: Any) -> Any:
        # SciPy took away `eigvals`, the old name of `subset_by_index`.
        if eigvals is not None:
            kwargs["subset_by_index"] = eigvals
        return scipy.linalg.eigvalsh(a, *args, **kwargs)

    predict.sp = _Overlay(predict.sp, linalg=_Overlay(scipy.linalg, eigvalsh=eigvalsh))


def is_traced(x: Any) -> bool:
    """Whether ``x`` stands for an array while a program is being traced.

    Asked of its class: the error that JAX raises when a traced array is used as a concrete one says
    where it comes from, which takes a sixth of the time of tracing a kernel.
    """
    return isinstance(x, jax.core.Tracer)
