"""An nnx module as a pure function of its parameters."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from ntkrnn._types import Outputs, Params
from ntkrnn.flax._recurrent import check_carry, check_time_axis
from ntkrnn.flax._steps import lengths_name, lengths_option, read_out
from ntkrnn.flax._tokens import check_sequences, check_tokens_known, entering, need_of_tokens


class NnxApply:
    """``apply_fn(params, x, lengths=None)`` of an nnx module; equal for modules of equal structure."""

    def __init__(self, module: nnx.Module, readout: Any, tokens: bool) -> None:
        self.readout, self.tokens, self._name = readout, tokens, type(module).__name__
        self._lengths_name = lengths_name(module)
        _check_nodes(module)
        # The streams of random numbers that recurrent cells carry for their initial states stay.
        self._graph, params, streams = nnx.split(module, nnx.Param, ...)
        self._structure = jax.tree.structure(params)
        self._shapes = [np.shape(leaf) for leaf in jax.tree.leaves(params)]
        self._streams = jax.tree.flatten(streams)
        leaves = [_plain(leaf) for leaf in self._streams[0]]
        self._key = tuple((a.dtype.str, a.shape, a.tobytes()) for a in leaves)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, NnxApply):
            return False
        mine, theirs = ((a._graph, a._key, a.readout, a.tokens) for a in (self, other))
        return mine == theirs

    def __hash__(self) -> int:
        return hash((NnxApply, self._graph, self._key, self.readout, self.tokens))

    def __repr__(self) -> str:
        return f"apply_fn_from_module({self._name}, readout={self.readout!r})"

    def __call__(self, params: Params, x: Any, lengths: Any = None) -> Outputs:
        """Outputs ``[N, O]`` or ``[N, T, O]``."""
        x, lengths = check_sequences(x, lengths, self.tokens)
        self._check_params(params)
        # Variables made anew belong to the trace that this runs in, and only there they may count.
        leaves, structure = self._streams
        fresh = jax.tree.map(lambda a: a, params), jax.tree.unflatten(structure, leaves)
        module: Any = nnx.merge(self._graph, *fresh)
        option = lengths_option(module, self._lengths_name, lengths)
        with need_of_tokens(self.tokens):
            y = module(entering(x, lengths, self.tokens), **option)
        check_tokens_known(y, self.tokens)
        return read_out(y, x, lengths, self.readout)

    def _check_params(self, params: Params) -> None:
        leaves, structure = jax.tree_util.tree_flatten_with_path(params)
        if structure != self._structure:
            raise ValueError(
                f"params: got {type(params).__name__} of {len(leaves)} arrays that is not the tree of "
                f"{self._name}, expected nnx.state(module, nnx.Param)."
            )
        for (path, leaf), shape in zip(leaves, self._shapes, strict=True):
            if np.shape(leaf) != shape:
                raise ValueError(
                    f"params: got shape {np.shape(leaf)} at {jax.tree_util.keystr(path)}, expected "
                    f"{shape} as in {self._name}; pass nnx.state(module, nnx.Param)."
                )


def _plain(leaf: Any) -> np.ndarray:
    keys = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(leaf) if keys else leaf)


def _check_nodes(module: nnx.Module) -> None:
    """Raise unless parameters, and streams of random numbers that nothing draws from, are all."""
    for _, node in nnx.iter_graph(module):
        if isinstance(node, nnx.Module) and hasattr(node, "time_major"):
            check_time_axis(None, node)
        if isinstance(node, nnx.RNNCellBase):
            shape = (2, getattr(node, "in_features", 1))
            check_carry(
                node, lambda seed, cell=node, shape=shape: cell.initialize_carry(shape, nnx.Rngs(seed))
            )
        if isinstance(node, nnx.Dropout) and not node.deterministic and node.rate > 0:
            raise ValueError(
                "module: got a Dropout that draws random numbers, expected a deterministic module; "
                "call module.eval() first."
            )
        if isinstance(node, nnx.Variable) and not isinstance(node, (nnx.Param, nnx.RngState)):
            raise ValueError(
                f"module: got variables of type {type(node).__name__}, expected nnx.Param only; write "
                "the function yourself with nnx.split(module, nnx.Param, ...) and nnx.merge, with the "
                "others held fixed, and no statistics over the batch."
            )
