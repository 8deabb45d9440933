"""What enters a module: sequences, or tokens for one with an ``Embed`` in front."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np

from ntkrnn import _checks
from ntkrnn._types import Array, Lengths, Sequences
from ntkrnn.flax._steps import without_padding

LARGEST_TOKEN = 2**24
"""Kernels hand sequences on as floats; float32 holds whole numbers up to this."""


def check_sequences(x: Any, lengths: Any, tokens: bool) -> tuple[Sequences, Lengths | None]:
    """Both as every function of the library takes them; tokens are [N, T, 1].

    Raises:
        TypeError, ValueError: see :func:`ntkrnn.network`; for tokens that are not whole numbers of at
            least 0, on a single channel.
    """
    if tokens and np.ndim(x) == 2:
        raise ValueError(
            f"x: got shape {np.shape(x)}, expected tokens [N, T, 1], as kernels take them; pass "
            "x[:, :, None]."
        )
    x, lengths = _checks.side("x", x, lengths)
    if tokens:
        _check_tokens(x, lengths)
    return x, lengths


def _check_tokens(x: Sequences, lengths: Lengths | None) -> None:
    if x.shape[2] != 1:
        raise ValueError(
            f"x: got d={x.shape[2]} channels (shape {tuple(x.shape)}), expected one, the token."
        )
    values = _checks.concrete_values(without_padding(x, lengths))
    if values is None:
        return
    bad = ~np.asarray(_are_tokens(values))
    if bad.any():
        row, step, _ = (int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"x: got {values[row, step, 0]} at row {row}, step {step}, expected tokens, whole numbers "
            f"from 0 to {LARGEST_TOKEN}."
        )


def _are_tokens(values: Any) -> Any:
    return (values == jnp.round(values)) & (values >= 0) & (values <= LARGEST_TOKEN)


def entering(x: Sequences, lengths: Lengths | None, tokens: bool) -> Array:
    """What the module gets: sequences without their padding, or int32 tokens ``[N, T]``.

    Inside a kernel the entries cannot be looked at; what is no token becomes one that no vocabulary
    has, of which ``Embed`` makes NaN and not the vector of another.
    """
    x = without_padding(x, lengths)
    if not tokens:
        return x
    values = x[:, :, 0]
    return jnp.where(_are_tokens(values), values, LARGEST_TOKEN).astype(jnp.int32)


def check_tokens_known(y: Any, tokens: bool) -> None:
    """Raise if outputs that can be looked at are not finite, as of tokens beyond the vocabulary."""
    values = _checks.concrete_values(y) if tokens and hasattr(y, "shape") else None
    if values is not None and not np.isfinite(values).all():
        raise ValueError(
            "x: got tokens of which the module makes outputs that are not finite, expected tokens "
            "below num_embeddings of its Embed, and finite params."
        )


@contextlib.contextmanager
def need_of_tokens(tokens: bool) -> Iterator[None]:
    """Say how a module with an ``Embed`` is to be used, where one gets floats."""
    try:
        yield
    except ValueError as error:
        if not tokens and "must be an integer" in str(error):
            raise ValueError(
                "module: its Embed got floats, expected whole numbers; pass tokens=True to "
                "apply_fn_from_module, which hands x [N, T, 1] on as integers [N, T]."
            ) from error
        raise
