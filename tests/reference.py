"""The formulas of the infinite-width kernels, transcribed one entry at a time in mpmath.

Nothing here is shared with the library: no distances are carried, no arrays, no scans, only the
recursion as it stands on paper, evaluated with enough digits that nothing can be lost.
"""

from __future__ import annotations

import mpmath as mp


def _angle(c, q1, q2):
    rho = c / mp.sqrt(q1 * q2)
    return mp.acos(max(min(rho, 1), -1))


def _piecewise(left, right):
    a, b = (mp.mpf(right) + left) / 2, (mp.mpf(right) - left) / 2

    def dual(c, q1, q2):
        if q1 * q2 == 0:
            return mp.mpf(0), a * a
        s, t = mp.sqrt(q1 * q2), _angle(c, q1, q2)
        k_abs = 2 * s / mp.pi * (mp.sin(t) + (mp.pi / 2 - t) * mp.cos(t))
        return a * a * c + b * b * k_abs, a * a + b * b * (1 - 2 * t / mp.pi)

    return dual


def _erf(c, q1, q2):
    p = (1 + 2 * q1) * (1 + 2 * q2)
    return 2 / mp.pi * mp.asin(2 * c / mp.sqrt(p)), 4 / mp.pi / mp.sqrt(p - 4 * c * c)


def _sin(c, q1, q2):
    return mp.exp(-(q1 + q2) / 2) * mp.sinh(c), mp.exp(-(q1 + q2) / 2) * mp.cosh(c)


def _cos(c, q1, q2):
    return mp.exp(-(q1 + q2) / 2) * mp.cosh(c), mp.exp(-(q1 + q2) / 2) * mp.sinh(c)


def _gelu(c, q1, q2):
    def k(t):  # by Stein's lemma, twice, on E ab erf(a/sqrt 2) erf(b/sqrt 2)
        p = (1 + q1) * (1 + q2)
        bracket = q1 * q2 + t * t - t * t * (q1 / (1 + q1) + q2 / (1 + q2))
        return t / 4 + (t * mp.asin(t / mp.sqrt(p)) + bracket / mp.sqrt(p - t * t)) / (2 * mp.pi)

    h = mp.mpf(10) ** (-mp.mp.dps // 3)
    return k(c), (k(c + h) - k(c - h)) / (2 * h)


def _sign(c, q1, q2):
    if q1 * q2 == 0:
        return mp.mpf(0), mp.mpf(0)
    return 1 - 2 * _angle(c, q1, q2) / mp.pi, mp.mpf(0)


def _step(c, q1, q2):
    if q1 * q2 == 0:
        return mp.mpf(0), mp.mpf(0)
    return mp.mpf(1) / 2 - _angle(c, q1, q2) / (2 * mp.pi), mp.mpf(0)


DUALS = {
    "identity": lambda c, q1, q2: (c, mp.mpf(1)),
    "relu": _piecewise(0, 1),
    "abs": _piecewise(-1, 1),
    "leaky_relu(0.2)": _piecewise(mp.mpf("0.2"), 1),
    "erf": _erf,
    "sin": _sin,
    "cos": _cos,
    "gelu": _gelu,
    "sign": _sign,
    "step": _step,
}


class _Run:
    """One layer in one direction over one pair of sequences; ``low`` are inputs at every (t, t')."""

    def __init__(self, arch, dual, low, own1, own2):
        w, u, b = (mp.mpf(s) ** 2 for s in (arch.w_std, arch.u_std, arch.b_std))
        on = {block: block in arch.trainable for block in "wub"}
        self.var1, q1 = self._variances(dual, own1, w, u, b)
        self.var2, q2 = self._variances(dual, own2, w, u, b)
        self.cov, self.ntk = {}, {}
        for t in range(len(own1)):
            for s in range(len(own2)):
                k0 = self.cov.get((t - 1, s - 1), mp.mpf(0))
                n0 = self.ntk.get((t - 1, s - 1), mp.mpf(0))
                c, below = low[t, s]
                k, kdot = dual(w * k0 + u * c + b, q1[t], q2[s])
                psi = on["w"] * w * k0 + on["u"] * u * c + on["b"] * b + w * n0 + u * below
                self.cov[t, s], self.ntk[t, s] = k, kdot * psi

    @staticmethod
    def _variances(dual, own, w, u, b):
        states, pre, last = [], [], mp.mpf(0)
        for v in own:
            pre.append(w * last + u * v + b)
            last = dual(pre[-1], pre[-1], pre[-1])[0]
            states.append(last)
        return states, pre


def _flip(table, t1, t2):
    return {(t1 - 1 - t, t2 - 1 - s): value for (t, s), value in table.items()}


def state_kernels(arch, x1, x2):
    """Per direction, ``(cov, ntk)`` of the top states of two sequences at every (t, t')."""
    x1, x2 = ([[mp.mpf(float(v)) for v in row] for row in x] for x in (x1, x2))
    t1, t2, d = len(x1), len(x2), len(x1[0])
    dot = lambda a, b: mp.fdot(a, b) / d  # noqa: E731
    low = {(t, s): (dot(x1[t], x2[s]), mp.mpf(0)) for t in range(t1) for s in range(t2)}
    own1, own2 = [dot(a, a) for a in x1], [dot(a, a) for a in x2]
    dual = DUALS[arch.nonlinearity]
    for _ in range(arch.depth):
        runs = {"forward": _Run(arch, dual, low, own1, own2)}
        if arch.bidirectional:
            back = _Run(arch, dual, _flip(low, t1, t2), own1[::-1], own2[::-1])
            back.cov, back.ntk = _flip(back.cov, t1, t2), _flip(back.ntk, t1, t2)
            back.var1, back.var2 = back.var1[::-1], back.var2[::-1]
            runs["backward"] = back
        n = len(runs)
        low = {
            key: tuple(sum(getattr(r, f)[key] for r in runs.values()) / n for f in ("cov", "ntk"))
            for key in low
        }
        own1, own2 = (
            [sum(column) / n for column in zip(*(getattr(r, f) for r in runs.values()), strict=True)]
            for f in ("var1", "var2")
        )
    return {direction: (run.cov, run.ntk) for direction, run in runs.items()}


def step_weights(readout, steps, direction):
    """What a readout that is neither "last" nor "sequence" weighs the states with."""
    if readout == "mean":
        return [mp.mpf(1) / steps] * steps
    if readout.name == "weights":
        return [mp.mpf(value) for value in readout.values[:steps]]
    powers = [mp.mpf(readout.decay) ** age for age in range(steps)]  # of the newest state first
    total = sum(powers)
    weights = [power / total for power in powers]
    return weights if direction == "backward" else weights[::-1]


def output_kernels(arch, x1, x2):
    """``(nngp, ntk)`` of the outputs of two sequences: numbers, or tables for "sequence"."""
    t1, t2 = len(x1), len(x2)
    states = state_kernels(arch, x1, x2)
    v, trained = mp.mpf(arch.v_std) ** 2, "v" in arch.trainable
    keys = [(t, s) for t in range(t1) for s in range(t2)]

    def read(direction, table):
        if arch.readout == "sequence":
            return table
        if arch.readout == "last":
            return table[t1 - 1, t2 - 1] if direction == "forward" else table[0, 0]
        weights1, weights2 = (step_weights(arch.readout, t, direction) for t in (t1, t2))
        return sum(weights1[t] * weights2[s] * table[t, s] for t, s in keys)

    reads = [[read(d, table) for table in tables] for d, tables in states.items()]
    if arch.readout == "sequence":
        n = len(reads)
        cov, ntk = ({k: sum(r[i][k] for r in reads) / n for k in keys} for i in (0, 1))
        return (
            {k: v * cov[k] for k in keys},
            {k: v * (ntk[k] + trained * cov[k]) for k in keys},
        )
    cov, ntk = (sum(r[i] for r in reads) / len(reads) for i in (0, 1))
    return v * cov, v * (ntk + trained * cov)
