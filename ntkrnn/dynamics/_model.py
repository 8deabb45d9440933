"""What is trained: an architecture, or any function ``apply_fn(params, x[, lengths])``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from ntkrnn._types import Array, Outputs, Params
from ntkrnn.architectures import AnyScales, Architecture
from ntkrnn.cells import gradient, run, split_trainable

_UNROLL = 8
"""Steps to a turn of the loop over time: small products, whose overhead is what training waits for."""

Cotangent = Callable[[Outputs], Array]
"""Derivative of the loss by the outputs."""


class Model(NamedTuple):
    """A network as a program sees it: hashable, its scales apart so that they do not recompile."""

    form: Architecture | None
    """The architecture without its scales, None for a function."""
    fn: Callable[..., Any] | None

    def outputs(self, scales: AnyScales | None, params: Params, x: Array, lengths: Any) -> Outputs:
        """``[N, O]`` or ``[N, T, O]``."""
        if self.form is None or scales is None:
            return call(self.fn, params, x, lengths)
        arch = self.form.with_scales(scales)
        return run(arch, params, x, lengths, unroll=_UNROLL).output

    def gradient(
        self, scales: AnyScales | None, params: Params, x: Array, lengths: Any, cotangent: Cotangent
    ) -> Params:
        """Derivatives of the loss by what is trained."""
        if self.form is None or scales is None:
            y, back = jax.vjp(lambda p: call(self.fn, p, x, lengths), params)
            return back(cotangent(y))[0]
        arch = self.form.with_scales(scales)
        return gradient(arch, params, x, lengths, cotangent, unroll=_UNROLL)

    def split(self, params: Params) -> tuple[Params, Params]:
        """What is trained and what is not, None in the place of the other."""
        if self.form is None:
            return params, jax.tree.map(lambda _: None, params)
        return split_trainable(self.form, params)


def joined(trained: Params, frozen: Params) -> Params:
    """Undo :meth:`Model.split`."""
    return jax.tree.map(
        lambda a, b: b if a is None else a, trained, frozen, is_leaf=lambda leaf: leaf is None
    )


def call(fn: Any, params: Params, x: Array, lengths: Any) -> Outputs:
    """``fn(params, x)``, with ``lengths`` if there are any."""
    return fn(params, x) if lengths is None else fn(params, x, lengths=lengths)


def model_of(arch: Any) -> tuple[Model, AnyScales | None]:
    """The model of an architecture or a function, and its scales.

    Raises:
        TypeError: if it is neither.
    """
    if isinstance(arch, Architecture):
        return Model(arch.form, None), arch.scales
    if callable(arch) and not (inspect.isclass(arch) or isinstance(arch, np.ufunc)):
        return Model(None, arch), None
    raise TypeError(
        f"arch: got {arch!r}, expected an architecture such as ntkrnn.Elman(width=512) or a function "
        "apply_fn(params, x, lengths=None)."
    )


class Data(NamedTuple):
    """Sequences, targets and valid steps of one side."""

    x: Array
    lengths: Any
    y: Any
    inside: Any

    def rows(self, index: Any) -> Data:
        """Some sequences."""
        return jax.tree.map(lambda part: part[index], self)
