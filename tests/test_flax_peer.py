"""Finite networks against flax's recurrent cell, an independent implementation."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ntkrnn

EPS = float(jnp.finfo(jnp.zeros(()).dtype).eps)
N, T, D, M = 5, 9, 3, 32
LENGTHS = jnp.array([9, 4, 1, 7, 9])
ACTIVATIONS = {
    "tanh": jnp.tanh,
    "relu": nn.relu,
    "erf": jax.lax.erf,
    "gelu": lambda x: nn.gelu(x, approximate=False),
}


def _flax_params(arch, blocks):
    """Our raw weights, with their scales folded in, in the places where flax keeps its own."""
    u, w, b = blocks["u"], blocks["w"], blocks["b"]
    return {
        "cell": {
            "i": {"kernel": arch.u_std / np.sqrt(u.shape[1]) * u.T, "bias": arch.b_std * b},
            "h": {"kernel": arch.w_std / np.sqrt(arch.width) * w.T},
        }
    }


@functools.cache
def _inputs(arch):
    x = jax.random.normal(jax.random.key(0), (N, T, D))
    return x, ntkrnn.network(arch).init_fn(jax.random.key(1), x.shape)[1]


@functools.cache
def _flax_states(arch, ragged):
    """Top states [N, T, m or 2 m] of the same stack made of ``nn.RNN(nn.SimpleCell)``."""
    activation, (x, params) = ACTIVATIONS[arch.nonlinearity], _inputs(arch)
    for layer in params["cells"]:
        outputs = []
        for direction in arch.directions:
            blocks = layer[direction]
            cell = nn.SimpleCell(arch.width, activation_fn=activation, param_dtype=x.dtype)
            back = direction == "backward"
            rnn = nn.RNN(cell, reverse=back, keep_order=back)
            outputs.append(
                rnn.apply(
                    {"params": _flax_params(arch, blocks)}, x, seq_lengths=LENGTHS if ragged else None
                )
            )
        x = jnp.concatenate(outputs, axis=-1)
    return x


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "seq_lengths"])
@pytest.mark.parametrize("readout", ["last", "mean", "sequence"])
@pytest.mark.parametrize(
    ("nonlinearity", "depth", "bidirectional"),
    [("tanh", 1, False), ("relu", 2, False), ("erf", 1, True), ("gelu", 2, True)],
)
def test_same_outputs_as_flax(nonlinearity, depth, bidirectional, readout, lengths):
    arch = ntkrnn.Elman(
        width=M, nonlinearity=nonlinearity, w_std=1.3, u_std=0.8, b_std=0.4, v_std=0.9,
        depth=depth, bidirectional=bidirectional, out_dim=2,
    )  # fmt: skip
    # Neither weights nor states depend on how they are read.
    (x, params), states = _inputs(arch), _flax_states(arch, lengths is not None)
    apply_fn = ntkrnn.network(dataclasses.replace(arch, readout=readout)).apply_fn
    count = jnp.full(N, T) if lengths is None else lengths
    inside = (jnp.arange(T) < count[:, None])[:, :, None]
    if readout == "mean":
        read = jnp.sum(jnp.where(inside, states, 0), axis=1) / count[:, None]
    elif readout == "last":
        read = states[jnp.arange(N), count - 1, :M]
        if bidirectional:
            read = jnp.concatenate([read, states[:, 0, M:]], axis=-1)
    else:
        read = jnp.where(inside, states, 0)
    expected = arch.v_std / np.sqrt(read.shape[-1]) * read @ params["v"].T
    # T steps and `depth` layers, each a sum of up to 2 M products.
    tolerance = 4 * depth * T * np.sqrt(2 * M) * EPS * float(jnp.abs(expected).max())
    np.testing.assert_allclose(apply_fn(params, x, lengths), expected, rtol=0, atol=tolerance)
