"""Ridge regression for many ridges at once, each judged by the rows that are left out."""

from __future__ import annotations

import numpy as np
import scipy.linalg


class LeaveOneOut:
    def __init__(self, kernel, y, ridges):
        w, q = scipy.linalg.eigh(kernel, driver="evd")
        self.w, self.q, self.y, self.ridges = w, q, y, ridges
        self.p = q.T @ y
        self.sq = q * q

    def coefficients(self, i):
        return self.q @ (self.p / (self.w + self.ridges[i])[:, None])

    def residuals(self, i):
        return self.coefficients(i) / (self.sq @ (1 / (self.w + self.ridges[i])))[:, None]

    def predictions(self, i):
        return self.y - self.residuals(i)

    def mean_squared_errors(self, counted):
        if not counted.any():
            return np.zeros(len(self.ridges))
        return np.array([np.mean(self.residuals(i)[counted] ** 2) for i in range(len(self.ridges))])

    @property
    def gcv(self):
        return np.array(
            [
                np.mean(self.coefficients(i) ** 2) / np.mean(1 / (self.w + r)) ** 2
                for i, r in enumerate(self.ridges)
            ]
        )

    @property
    def log_marginal_likelihood(self):
        out = []
        n, o = self.y.shape
        for r in self.ridges:
            v = self.w + r
            s = (self.p**2 / v[:, None]).sum() / (n * o)
            out.append(-0.5 * (n * o * np.log(s) + o * np.log(v).sum()))
        return np.array(out)


def leave_one_out(kernel, y, ridges):
    return LeaveOneOut(kernel, y, np.asarray(ridges))
