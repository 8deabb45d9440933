"""Functions with derivatives of their own, under every composition of JAX's transformations.

:func:`opaque` is for derivatives in forward mode. ``jax.custom_jvp`` is dropped where a program is
split for reverse mode within a loop: what is computed once and kept is, from then on, differentiated
as it stands, and forward over reverse mode (``jax.hessian``) is silently wrong. A primitive is kept.

:func:`transposable` is for functions whose derivative is JAX's own in forward mode and written by hand
in reverse mode. ``jax.custom_vjp`` takes forward mode away, and with it Hessians. Here the derivative
along a tangent is a linear operation of its own: JAX's forward mode evaluates it, and its transpose,
which reverse mode asks for, is a function that is handed in.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Hashable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive, jaxpr_as_fun
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
    ahead: Value
    static: Hashable
    structure: Any
    """Of the arguments."""
    moving: tuple[bool, ...] = ()
    """Which of the arrays have a tangent."""
    batches: tuple[Any, ...] = ()
    """Axes of the arrays for each ``jax.vmap`` that the call is under, the innermost first."""

    def evaluate(self, *leaves: Any) -> tuple[jax.Array, ...]:
        return self._over_batches(self.value, leaves)

    def _over_batches(self, value: Value, leaves: Any) -> tuple[jax.Array, ...]:
        def single(*leaves: Any) -> tuple[jax.Array, ...]:
            return tuple(value(self.static, *jax.tree.unflatten(self.structure, leaves)))

        return _over(single, self.batches)(*leaves)

    def push(self, *leaves: Any) -> tuple[jax.Array, ...]:
        """Tangents of the results; the arrays come first, then the tangents of those that move."""
        at, along = leaves[: len(self.moving)], leaves[len(self.moving) :]
        moved = [a for a, moves in zip(at, self.moving, strict=True) if moves]

        def along_line(*moved: Any) -> tuple[jax.Array, ...]:
            rest = iter(moved)
            every = [next(rest) if moves else a for a, moves in zip(at, self.moving, strict=True)]
            return self._over_batches(self.ahead, every)

        return jax.jvp(along_line, tuple(moved), along)[1]

    def pull(self, *leaves: Any) -> tuple[jax.Array, ...]:
        """Cotangents of the arrays that move; the arrays come first, then those of the results."""

        def single(at: Any, cotangents: Any) -> list[Any]:
            args = jax.tree.unflatten(self.structure, at)
            back = self.structure.flatten_up_to(self.pullback(self.static, args, cotangents))
            return [g for g, moves in zip(back, self.moving, strict=True) if moves]

        run = single
        for axes in self.batches:
            run = _summed(jax.vmap(run, in_axes=(list(axes), 0)), axes, self.moving)
        count = len(self.moving)
        return tuple(run(list(leaves[:count]), tuple(leaves[count:])))


def _over(run: Callable[..., Any], batches: tuple[Any, ...]) -> Callable[..., Any]:
    for axes in batches:
        run = jax.vmap(run, in_axes=axes)
    return run


def _summed(run: Callable[..., Any], axes: Any, moving: tuple[bool, ...]) -> Callable[..., Any]:
    """Cotangents of a batch: summed for what all members share, and along its axis otherwise."""
    kept = [axis for axis, moves in zip(axes, moving, strict=True) if moves]

    def f(at: Any, cotangents: Any) -> list[Any]:
        back = zip(run(at, cotangents), kept, strict=True)
        return [jnp.sum(g, axis=0) if axis is None else jnp.moveaxis(g, 0, axis) for g, axis in back]

    return f


def _primitive(name: str, run: Callable[..., tuple[jax.Array, ...]], whole: bool = False) -> Primitive:
    """``run(call, *leaves)`` as a primitive with the parameter ``call``.

    If it is ``whole``, a call stays one call under ``jax.vmap``, with the derivative that it has.
    """
    primitive = Primitive(name)
    primitive.multiple_results = True

    @functools.lru_cache(maxsize=256)
    def traced(call: Any, kinds: tuple[Any, ...]) -> Any:
        shapes = [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in kinds]
        return jax.make_jaxpr(functools.partial(run, call))(*shapes)

    def evaluate(*leaves: Any, call: Any) -> Any:
        return jaxpr_as_fun(traced(call, _kinds(leaves)))(*leaves)

    @functools.lru_cache(maxsize=64)
    def compiled(call: Any) -> Callable[..., Any]:
        return jax.jit(functools.partial(evaluate, call=call))

    def batched(leaves: Any, axes: Any, call: Any) -> tuple[Any, Any]:
        if whole:
            call = dataclasses.replace(call, batches=(*call.batches, tuple(axes)))
            out = primitive.bind(*leaves, call=call)
        else:
            out = jax.vmap(functools.partial(evaluate, call=call), in_axes=tuple(axes))(*leaves)
        return out, (0,) * len(out)

    primitive.def_impl(lambda *leaves, call: compiled(call)(*leaves))
    primitive.def_abstract_eval(lambda *leaves, call: list(traced(call, _kinds(leaves)).out_avals))
    batching.primitive_batchers[primitive] = batched
    mlir.register_lowering(primitive, mlir.lower_fun(evaluate, multiple_results=True))
    return primitive


def _kinds(leaves: Any) -> tuple[Any, ...]:
    return tuple((leaf.shape, leaf.dtype) for leaf in leaves)


_value = _primitive("value", _Call.evaluate, whole=True)
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


def transposable(
    value: Value, pullback: Pullback, ahead: Value | None = None
) -> Callable[..., tuple[jax.Array, ...]]:
    """``f(static, *args)`` that is ``value`` and is transposed by ``pullback``.

    Args:
        value: :data:`Value`; ``static`` is hashable, ``args`` are pytrees of arrays.
        pullback: :data:`Pullback`. It is differentiated by JAX where a second derivative is wanted,
            forward mode over reverse mode.
        ahead: the same values, in the way that forward mode differentiates; None for ``value``.

    Example:
        >>> import jax
        >>> power = transposable(lambda n, x: (x**n,), lambda n, x, ct: (n * x[0] ** (n - 1) * ct[0],))
        >>> cube = lambda x: power(3, x)[0]
        >>> float(jax.grad(cube)(2.0)), float(jax.hessian(cube)(2.0))
        (12.0, 12.0)
    """

    def f(static: Hashable, *args: Any) -> tuple[jax.Array, ...]:
        leaves, structure = jax.tree.flatten(args)
        call = _Call(value, pullback, ahead or value, static, structure)
        return tuple(_value.bind(*map(jnp.asarray, leaves), call=call))

    return f


@dataclasses.dataclass(frozen=True)
class _Opaque:
    """A function of leaves, but for the arrays."""

    value: Callable[..., Any]
    rule: Callable[..., Any]
    structure: Any
    batches: tuple[Any, ...] = ()

    def evaluate(self, *leaves: Any) -> tuple[jax.Array, ...]:
        def single(*leaves: Any) -> tuple[jax.Array, ...]:
            return tuple(jax.tree.leaves(self.value(*jax.tree.unflatten(self.structure, leaves))))

        return _over(single, self.batches)(*leaves)

    def push(self, leaves: Any, tangents: Any) -> list[list[jax.Array]]:
        def single(leaves: Any, tangents: Any) -> list[list[jax.Array]]:
            at, along = (jax.tree.unflatten(self.structure, a) for a in (leaves, tangents))
            return [jax.tree.leaves(part) for part in self.rule(at, along)]

        twice = tuple((list(axes), list(axes)) for axes in self.batches)
        return _over(single, twice)(list(leaves), list(tangents))


_opaque = _primitive("opaque", _Opaque.evaluate, whole=True)


def _opaque_jvp(leaves: Any, tangents: Any, call: _Opaque) -> tuple[Any, Any]:
    value, along = call.push(leaves, [ad.instantiate_zeros(t) for t in tangents])
    return value, along


ad.primitive_jvps[_opaque] = _opaque_jvp


def opaque(value: Callable[..., Any], rule: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """``value`` with a derivative of its own.

    Args:
        value: ``(*args) -> pytree of arrays``.
        rule: ``(args, tangents) -> (result, tangents of the result)``, as of ``jax.custom_jvp``; None
            for JAX's derivative of ``value``, with the rules of ``jax.custom_jvp`` within it heeded.

    Example:
        >>> import jax
        >>> square = opaque(lambda x: x * x, lambda x, along: (square(*x), 2 * x[0] * along[0]))
        >>> float(jax.grad(square)(3.0)), float(jax.hessian(square)(3.0))
        (6.0, 2.0)
    """

    def own(args: Any, tangents: Any) -> Any:
        return f(*args), jax.jvp(value, args, tangents)[1]

    @functools.lru_cache(maxsize=64)
    def shape_of(structure: Any, shapes: Any) -> Any:
        args = jax.tree.unflatten(structure, [jax.ShapeDtypeStruct(*s) for s in shapes])
        return jax.tree.structure(jax.eval_shape(value, *args))

    @functools.wraps(value)
    def f(*args: Any) -> Any:
        leaves, structure = jax.tree.flatten(args)
        leaves = [jnp.asarray(leaf) for leaf in leaves]
        call = _Opaque(value, rule or own, structure)
        return jax.tree.unflatten(shape_of(structure, _kinds(leaves)), _opaque.bind(*leaves, call=call))

    return f
