"""Functions whose derivative is JAX's own in forward mode and written by hand in reverse mode.

``jax.custom_vjp`` takes forward mode away, and with it Hessians. Here the derivative along a tangent is
a linear operation of its own: JAX's forward mode evaluates it, and its transpose, which reverse mode
asks for, is a function that is handed in. Both are programs like any other under ``jax.jit``,
``jax.vmap`` and a further derivative.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Hashable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

Value = Callable[..., tuple[jax.Array, ...]]
"""``(static, *args) -> arrays``, by operations that have a forward mode."""
Pullback = Callable[..., Any]
"""``(static, args, cotangents of the arrays) -> cotangents of args``, anything for whole numbers."""


@dataclasses.dataclass(frozen=True)
class _Call:
    """One call, but for its arrays."""

    value: Value
    pullback: Pullback
    static: Hashable
    structure: Any
    """Of the arguments."""
    moving: tuple[bool, ...] = ()
    """Which of the arrays have a tangent."""

    def evaluate(self, *leaves: Any) -> tuple[jax.Array, ...]:
        return tuple(self.value(self.static, *jax.tree.unflatten(self.structure, leaves)))

    def push(self, *leaves: Any) -> tuple[jax.Array, ...]:
        """Tangents of the results; the arrays come first, then the tangents of those that move."""
        at, along = leaves[: len(self.moving)], leaves[len(self.moving) :]
        moved = [a for a, moves in zip(at, self.moving, strict=True) if moves]

        def along_line(*moved: Any) -> tuple[jax.Array, ...]:
            rest = iter(moved)
            return self.evaluate(
                *(next(rest) if moves else a for a, moves in zip(at, self.moving, strict=True))
            )

        return jax.jvp(along_line, tuple(moved), along)[1]

    def pull(self, *leaves: Any) -> tuple[jax.Array, ...]:
        """Cotangents of the arrays that move; the arrays come first, then those of the results."""
        at, cotangents = leaves[: len(self.moving)], leaves[len(self.moving) :]
        args = jax.tree.unflatten(self.structure, at)
        back = self.structure.flatten_up_to(self.pullback(self.static, args, cotangents))
        return tuple(g for g, moves in zip(back, self.moving, strict=True) if moves)


def _primitive(name: str, run: Callable[..., tuple[jax.Array, ...]]) -> Primitive:
    """``run(call, *leaves)`` as a primitive with the parameter ``call``."""
    primitive = Primitive(name)
    primitive.multiple_results = True

    @functools.lru_cache(maxsize=256)
    def bound(call: _Call) -> Callable[..., Any]:
        return functools.partial(run, call)

    @functools.lru_cache(maxsize=64)
    def compiled(call: _Call) -> Callable[..., Any]:
        return jax.jit(bound(call))

    def shapes(*leaves: Any, call: _Call) -> Any:
        return list(jax.make_jaxpr(bound(call))(*leaves).out_avals)

    def batched(leaves: Any, axes: Any, call: _Call) -> tuple[Any, Any]:
        out = jax.vmap(bound(call), in_axes=tuple(axes))(*leaves)
        return out, (0,) * len(out)

    primitive.def_impl(lambda *leaves, call: compiled(call)(*leaves))
    primitive.def_abstract_eval(shapes)
    batching.primitive_batchers[primitive] = batched
    lowered = mlir.lower_fun(lambda *leaves, call: bound(call)(*leaves), multiple_results=True)
    mlir.register_lowering(primitive, lowered)
    return primitive


_value = _primitive("value", _Call.evaluate)
_push = _primitive("pushforward", _Call.push)
_pull = _primitive("pullback", _Call.pull)


def _value_jvp(leaves: Any, tangents: Any, call: _Call) -> tuple[Any, Any]:
    moving = tuple(not isinstance(t, ad.Zero) for t in tangents)
    along = [t for t, moves in zip(tangents, moving, strict=True) if moves]
    call = dataclasses.replace(call, moving=moving)
    still = dataclasses.replace(call, moving=())
    return _value.bind(*leaves, call=still), _push.bind(*leaves, *along, call=call)


def _linear(primitive: Primitive, transpose: Primitive, run: Callable[..., Any]) -> None:
    """Derivatives of a primitive that is linear in all leaves after the arrays of the call."""

    def jvp(leaves: Any, tangents: Any, call: _Call) -> tuple[Any, Any]:
        count = len(call.moving)
        if all(isinstance(t, ad.Zero) for t in tangents[:count]):
            out = primitive.bind(*leaves, call=call)
            along = [ad.instantiate_zeros(t) for t in tangents[count:]]
            return out, primitive.bind(*leaves[:count], *along, call=call)
        moving = [k for k, t in enumerate(tangents) if not isinstance(t, ad.Zero)]

        def along_line(*moved: Any) -> Any:
            every = list(leaves)
            for k, leaf in zip(moving, moved, strict=True):
                every[k] = leaf
            return run(call, *every)

        return jax.jvp(along_line, tuple(leaves[k] for k in moving), tuple(tangents[k] for k in moving))

    def transposed(cotangents: Any, *leaves: Any, call: _Call) -> list[Any]:
        count = len(call.moving)
        given = [ad.instantiate_zeros(c) for c in cotangents]
        back = transpose.bind(*leaves[:count], *given, call=call)
        return [None] * count + list(back)

    ad.primitive_jvps[primitive] = jvp
    ad.primitive_transposes[primitive] = transposed


ad.primitive_jvps[_value] = _value_jvp
_linear(_push, _pull, _Call.push)
_linear(_pull, _push, _Call.pull)


def transposable(value: Value, pullback: Pullback) -> Callable[..., tuple[jax.Array, ...]]:
    """``f(static, *args)`` that is ``value`` and is transposed by ``pullback``.

    Args:
        value: :data:`Value`; ``static`` is hashable, ``args`` are pytrees of arrays.
        pullback: :data:`Pullback`. It is differentiated by JAX where a second derivative is wanted,
            forward mode over reverse mode.

    Example:
        >>> import jax
        >>> cube = transposable(lambda n, x: (x**n,), lambda n, args, ct: (n * args[0]**(n - 1) * ct[0],))
        >>> float(jax.grad(lambda x: cube(3, x)[0])(2.0)), float(jax.hessian(lambda x: cube(3, x)[0])(2.0))
        (12.0, 12.0)
    """

    def f(static: Hashable, *args: Any) -> tuple[jax.Array, ...]:
        leaves, structure = jax.tree.flatten(args)
        call = _Call(value, pullback, static, structure)
        return tuple(_value.bind(*map(jnp.asarray, leaves), call=call))

    return f
