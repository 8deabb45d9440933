"""A second route to the kernels of gated cells: the law of one neuron, sampled step by step, plainly.

Nothing here comes from the package. Cells are written out in NumPy and differentiated by complex steps;
pre-activations of one neuron, a Gaussian process over all sequences and steps jointly, are drawn by the
Cholesky factor of what is known of their covariance; everything is in float64.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

STEP = 1e-30


class Gate(NamedTuple):
    """One pre-activation: what its recurrent matrix multiplies, its scales, the mean of its bias."""

    source: str | None
    w: float
    u: float
    b: float
    mean: float


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def lstm(pre, carry):
    i, f, g, o = pre
    c = sigmoid(f) * carry[1] + sigmoid(i) * np.tanh(g)
    return [sigmoid(o) * np.tanh(c), c]


def gru_after(pre, carry):
    r, z, n, m = pre
    return [(1 - sigmoid(z)) * np.tanh(n + sigmoid(r) * m) + sigmoid(z) * carry[0]]


def gru_before(pre, carry):
    _, z, n = pre
    return [(1 - sigmoid(z)) * np.tanh(n) + sigmoid(z) * carry[0]]


def minimal(pre, carry):
    f, n, m = pre
    return [(1 - sigmoid(f)) * np.tanh(n + sigmoid(f) * m) + sigmoid(f) * carry[0]]


UPDATES = {"lstm": lstm, "gru-after": gru_after, "gru-before": gru_before, "minimal": minimal}


def derivatives(function, values):
    """``[output][input]`` of an elementwise function of a list of arrays."""
    found = []
    for k in range(len(values)):
        moved = [v + (1j * STEP if j == k else 0) for j, v in enumerate(values)]
        found.append([out.imag / STEP for out in function(moved)])
    return [list(row) for row in zip(*found, strict=True)]


class Process:
    """A Gaussian process over steps, each drawn given all before."""

    def __init__(self, steps, n, samples, rng):
        self.covariance = np.zeros((steps * n, steps * n))
        self.noise, self.n = rng.standard_normal((steps * n, samples)), n

    def draw(self, k, rows):
        """Step k, from its covariances ``[n, (k + 1) n]`` with the steps up to it."""
        end = (k + 1) * self.n
        self.covariance[end - self.n : end, :end] = rows
        self.covariance[:end, end - self.n : end] = rows.T
        jitter = 1e-10 * max(1e-30, np.trace(self.covariance[:end, :end]))
        factor = np.linalg.cholesky(self.covariance[:end, :end] + jitter * np.eye(end))
        return factor[end - self.n :] @ self.noise[:end]


def kernels(cell, gates, x, samples, seed, readout="last", v=1.0, trainable="wubv"):
    """``(nngp, ntk)`` from one set of samples, for ``x [N, T, d]``; O(T (N T)^2 samples)."""
    rng, x = np.random.default_rng(seed), np.asarray(x, np.float64)
    n, steps, d = x.shape
    update, carries = UPDATES[cell], 2 if cell == "lstm" else 1
    inner = cell == "gru-before"
    flat = x.transpose(1, 0, 2).reshape(steps * n, d)
    inputs = flat @ flat.T / d
    read = np.eye(steps)[-1] if readout == "last" else np.full(steps, 1 / steps)
    processes = [Process(steps, n, samples, rng) for _ in gates]
    # What the recurrent matrices multiply at each step, [T N, S]: 0 at first.
    sources = {"state": np.zeros((steps * n, samples)), "inner": np.zeros((steps * n, samples))}
    pre, before = np.zeros((len(gates), steps, n, samples)), np.zeros((steps, carries, n, samples))
    states, carry = np.zeros((steps, n, samples)), [np.zeros((n, samples))] * carries

    for t in range(steps):
        now, upto = slice(t * n, (t + 1) * n), slice(0, (t + 1) * n)
        before[t] = carry
        sources["state"][now] = carry[0]
        for k, gate in enumerate(gates):
            if gate.source == "inner":
                sources["inner"][now] = sigmoid(pre[0, t]) * carry[0]
            rows = gate.u**2 * inputs[now, upto] + gate.b**2
            if gate.source:
                z = sources[gate.source]
                rows = rows + gate.w**2 * z[now] @ z[upto].T / samples
            pre[k, t] = processes[k].draw(t, rows) + gate.mean
        carry = update(list(pre[:, t]), carry)
        states[t] = carry[0]

    output = np.tensordot(read, states, 1)
    nngp = v**2 * output @ output.T / samples
    deltas = np.zeros((len(gates), steps, n, samples))  # in the order of reversed time
    sent, to_inner = Process(steps, n, samples, rng), Process(steps, n, samples, rng)

    def squares(source, k, last):
        """``sum w^2 E delta delta'`` over the gates that read a source, of step k with all to last."""
        total = np.zeros((n, last * n))
        for gate, delta in zip(gates, deltas, strict=True):
            if gate.source == source and k >= 0:
                total += gate.w**2 * delta[k] @ delta[:last].reshape(last * n, -1).T / samples
        return total

    back = [np.zeros((n, samples))] * carries
    for k in range(steps):
        t = steps - 1 - k
        rows = np.zeros((n, (k + 1) * n))
        rows[:, n:] = squares("state", k - 1, k)
        rows += v**2 * read[t] * np.repeat(read[::-1][: k + 1], n)
        back = [back[0] + sent.draw(k, rows), *back[1:]]
        values = [*pre[:, t], *before[t]]
        jacobian = derivatives(lambda a: update(a[: len(gates)], a[len(gates) :]), values)
        through = [
            sum(b * row[j] for b, row in zip(back, jacobian, strict=True)) for j in range(len(values))
        ]
        deltas[:, k], back = through[: len(gates)], through[len(gates) :]
        if inner:
            gamma = to_inner.draw(k, squares("inner", k, k + 1))
            reset = sigmoid(pre[0, t])
            deltas[0, k] += gamma * before[t, 0] * reset * (1 - reset)
            back = [back[0] + gamma * reset]

    ntk = nngp.copy() if "v" in trainable else np.zeros_like(nngp)
    for gate, delta in zip(gates, deltas, strict=True):
        d_t = delta[::-1].reshape(steps * n, samples)
        covariance = np.zeros_like(inputs)
        if gate.source and "w" in trainable:
            covariance += gate.w**2 * sources[gate.source] @ sources[gate.source].T / samples
        if "u" in trainable:
            covariance += gate.u**2 * inputs
        if "b" in trainable:
            covariance += gate.b**2
        both = (d_t @ d_t.T / samples * covariance).reshape(steps, n, steps, n)
        ntk += both.sum(axis=(0, 2))
    return nngp, ntk


def gates_of(cell, w, u, b, means):
    """The gates of a cell with scales for each, or of all: in the order of the package's fields."""
    parts = {
        "lstm": [("state", True)] * 4,
        "gru-after": [("state", True), ("state", True), (None, True), ("state", False)],
        "gru-before": [("state", True), ("state", True), ("inner", True)],
        "minimal": [("state", True), (None, True), ("state", False)],
    }[cell]
    ws, us = (iter(s if isinstance(s, tuple) else (s,) * 4) for s in (w, u))
    bs = b if isinstance(b, tuple) else (b,) * 4
    return [
        Gate(source, next(ws) if source else 0.0, next(us) if reads else 0.0, bs[k], means[k])
        for k, (source, reads) in enumerate(parts)
    ]


def estimate(cell, gates, x, samples, replicates, **options):
    """Means of both kernels and their standard errors, each ``[2, N, N]``."""
    found = np.array([kernels(cell, gates, x, samples, r, **options) for r in range(replicates)])
    return found.mean(axis=0), found.std(axis=0, ddof=1) / replicates**0.5
