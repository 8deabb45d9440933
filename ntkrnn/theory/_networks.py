"""The networks of the learning theories, and the map between their weights and ours."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ntkrnn import _checks
from ntkrnn._types import Array, Params
from ntkrnn.architectures import Elman, check_architecture
from ntkrnn.cells import parameter_shapes


class PaperWeights(NamedTuple):
    """Weights in the scaling of AL19 and WSHC21."""

    W: Array
    """``[m, m]``, entries N(0, 2/m) at the start."""
    A: Array
    """``[m, d]``, entries N(0, 2/m)."""
    B: Array
    """``[O, m]``, entries N(0, 1/O)."""


def al19_network(width: int, token_dim: int, out_dim: int = 1, output_scale: float = 1.0) -> Elman:
    r"""The network of AL19: a ReLU Elman network that is read at every step, W alone trained.

    In the paper's weights ``h_t = relu(W h_{t-1} + A x_t)``, ``y_t = lambda B h_t``, with entries of W
    and A from N(0, 2/m) and of B from N(0, 1/O). ReLU being positively homogeneous, the paper's
    hidden state is ours over ``sqrt m`` when ``w_std = sqrt 2``, ``u_std = sqrt(2 d)``, ``b_std = 0``,
    ``v_std = lambda/sqrt O``: the outputs are equal, and only the scale of the trained matrix differs,
    see :func:`paper_weights`.

    Args:
        width: hidden units m.
        token_dim: channels d of the sequences that the network reads; for
            :func:`~ntkrnn.theory.al19_tokens` two more than those of the raw tokens.
        out_dim: outputs O at every step.
        output_scale: the paper's small factor lambda on the outputs, above 0.

    Returns:
        :class:`ntkrnn.Elman`.

    Raises:
        TypeError, ValueError: for sizes below 1 or a scale that is not above 0.

    Source: AL19 (arXiv 1902.01028), the Elman network and its initialisation; theory.

    Example:
        >>> arch = al19_network(width=64, token_dim=8, out_dim=4)
        >>> arch.u_std, arch.v_std, arch.trainable
        (4.0, 0.5, ('w',))
    """
    token_dim = _checks.positive_integer("token_dim", token_dim)
    out_dim = _checks.positive_integer("out_dim", out_dim)
    # As scales they are floats, which have an end where whole numbers have none.
    _checks.positive_float("token_dim", token_dim)
    _checks.positive_float("out_dim", out_dim)
    output_scale = _checks.positive_float("output_scale", output_scale)
    return Elman(
        width=width,
        nonlinearity="relu",
        w_std=math.sqrt(2),
        u_std=math.sqrt(2 * token_dim),
        b_std=0.0,
        v_std=output_scale / math.sqrt(out_dim),
        readout="sequence",
        out_dim=out_dim,
        trainable=("w",),
    )


def wshc21_network(width: int, token_dim: int, output_scale: float = 1.0) -> Elman:
    r"""The network of WSHC21: that of AL19 read at the last step, with one output.

    ``h_t = relu(W h_{t-1} + A x_t)``, ``y = lambda B h_T``, entries of W and A from N(0, 2/m). The
    readout is taken as N(0, 1), untrained, and W as the only trained block, as in AL19 with one
    output: reconstructed, up to constants; see the paper.

    Args:
        width: hidden units m.
        token_dim: channels d of the sequences.
        output_scale: factor lambda on the output, above 0.

    Returns:
        :class:`ntkrnn.Elman`.

    Raises:
        TypeError, ValueError: for sizes below 1 or a scale that is not above 0.

    Source: WSHC21 (arXiv 2109.14142), up to constants; see the paper.

    Example:
        >>> wshc21_network(width=64, token_dim=8).readout
        'last'
    """
    token_dim = _checks.positive_integer("token_dim", token_dim)
    return Elman(
        width=width,
        nonlinearity="relu",
        w_std=math.sqrt(2),
        u_std=math.sqrt(2 * token_dim),
        b_std=0.0,
        v_std=_checks.positive_float("output_scale", output_scale),
        readout="last",
        trainable=("w",),
    )


def paper_weights(arch: Elman, params: Params) -> PaperWeights:
    r"""The weights of AL19 and WSHC21 that make the same function as ours.

    ``W_paper = sqrt(2/m) W``, ``A = sqrt(2/m) U``, ``B = V/sqrt O``; the output factor lambda stays in
    the architecture, ``lambda = v_std sqrt O``. A gradient with respect to W_paper is ``sqrt(m/2)``
    times ours, so the paper's tangent kernel is ``(m/2)`` times ours, and a step of size eta on the
    paper's weights is one of size ``(m/2) eta`` on ours.

    Args:
        arch: what :func:`al19_network` or :func:`wshc21_network` returned.
        params: its parameters.

    Returns:
        :class:`PaperWeights`, in the dtype of the parameters.

    Raises:
        TypeError, ValueError: if the architecture has other scalings, or parameters of other shapes.

    Cost: O(m^2).

    Source: AL19 (arXiv 1902.01028), WSHC21 (arXiv 2109.14142); theory.

    Example:
        >>> import ntkrnn
        >>> arch = al19_network(width=50, token_dim=3)
        >>> _, params = ntkrnn.network(arch).init_fn(jax.random.key(0), (-1, 4, 3))
        >>> weights = paper_weights(arch, params)
        >>> weights.W.shape, weights.A.shape, weights.B.shape
        ((50, 50), (50, 3), (1, 50))
    """
    check_architecture(arch)
    try:
        cell = params["cells"][0]["forward"]
        w, u, v = cell["w"], cell["u"], params["v"]
        shapes = [tuple(a.shape) for a in (w, u, v)]
    except (TypeError, KeyError, IndexError, AttributeError):
        raise ValueError(
            f"params: got {jax.tree.map(lambda a: type(a).__name__, params)}, expected the parameters "
            "that init_fn of the architecture returns."
        ) from None
    token_dim = shapes[1][1] if len(shapes[1]) == 2 else 0
    _check_shapes("params", arch, shapes, token_dim)
    _check_scalings(arch, token_dim)
    scale = math.sqrt(2 / arch.width)
    return PaperWeights(W=scale * w, A=scale * u, B=v / math.sqrt(arch.out_dim))


def params_from_paper(arch: Elman, weights: PaperWeights) -> Params:
    """The parameters that make the same function as the paper's weights: :func:`paper_weights`, undone.

    Args:
        arch: what :func:`al19_network` or :func:`wshc21_network` returned.
        weights: ``W [m, m]``, ``A [m, d]``, ``B [O, m]``.

    Returns:
        Parameters for the functions of :func:`ntkrnn.network`; the bias, which has scale 0, is zero.

    Raises:
        TypeError, ValueError: if the architecture has other scalings, or weights of other shapes.

    Cost: O(m^2).

    Source: AL19 (arXiv 1902.01028), WSHC21 (arXiv 2109.14142); theory.

    Example:
        >>> arch = wshc21_network(width=2, token_dim=1)
        >>> weights = PaperWeights(jnp.eye(2), jnp.ones((2, 1)), jnp.ones((1, 2)))
        >>> params_from_paper(arch, weights)["cells"][0]["forward"]["w"].tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    check_architecture(arch)
    if not isinstance(weights, (tuple, list)) or len(weights) != 3:
        raise TypeError(
            f"weights: got {type(weights).__name__}, expected PaperWeights(W, A, B) of arrays."
        )
    w, a, b = (jnp.asarray(_checks.real_array("weights", block)) for block in weights)
    token_dim = a.shape[1] if a.ndim == 2 else 0
    _check_shapes("weights", arch, [w.shape, a.shape, b.shape], token_dim)
    _check_scalings(arch, token_dim)
    scale = math.sqrt(arch.width / 2)
    cell = {"w": scale * w, "u": scale * a, "b": jnp.zeros_like(w[:, 0])}
    return {"cells": [{"forward": cell}], "v": math.sqrt(arch.out_dim) * b}


def _check_shapes(name: str, arch: Elman, shapes: list[tuple[int, ...]], token_dim: int) -> None:
    expected = parameter_shapes(arch, max(token_dim, 1))
    cell = expected["cells"][0]["forward"]
    wanted = [cell["w"], cell["u"], expected["v"]]
    if list(shapes) != wanted:
        raise ValueError(
            f"{name}: got shapes {list(shapes)} of the recurrent, input and readout weights, expected "
            f"[(m, m), (m, d), (O, m)] with m={arch.width} and O={arch.out_dim}."
        )


def _check_scalings(arch: Elman, token_dim: int) -> None:
    """Raise unless the recursion is the papers'; what is read and trained is the caller's choice."""
    scales_fit = (
        arch.nonlinearity == "relu"
        and arch.depth == 1
        and not arch.bidirectional
        and math.isclose(arch.w_std, math.sqrt(2))
        and math.isclose(arch.u_std, math.sqrt(2 * token_dim))
        and arch.b_std == 0
    )
    if not scales_fit:
        raise ValueError(
            f"arch: got {arch}, expected one relu layer in one direction with w_std=sqrt(2), "
            f"u_std=sqrt(2 d)={math.sqrt(2 * token_dim):.6g} for d={token_dim} and b_std=0; build it "
            "with al19_network or wshc21_network."
        )
