"""How far back in time the tangent kernel looks."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn._network import network
from ntkrnn.architectures import Elman
from ntkrnn.report import Line, Plot, plots
from ntkrnn.report.statistics import mean_interval
from ntkrnn.studies.fingerprint import axis
from ntkrnn.studies.learnability._experiment import Conclusion, Experiment, finding
from ntkrnn.studies.learnability._grid import Measured, grid
from ntkrnn.studies.learnability._settings import Sizes
from ntkrnn.studies.learnability._table import spread, table
from ntkrnn.studies.piece_form import Piece

ROOT2 = math.sqrt(2)


@dataclasses.dataclass(frozen=True)
class RntkSensitivitySettings(Sizes):
    """Sizes of the experiment.

    Args:
        length: T.
        dim: of a token.
        recurrent: the values of ``w_std``, increasing, on both sides of ``sqrt 2``.
        pairs: pairs of sequences of one draw.
        seeds: draws.
        skip: lags left out of the fit, where the sensitivity has not yet its rate.
        seed: from which all draws derive.
    """

    length: int = 48
    dim: int = 3
    recurrent: tuple[float, ...] = axis((0.6, 0.8, 1.0, 1.2, 1.3, 1.35, ROOT2, 1.5, 1.6, 1.8))
    pairs: int = 32
    seeds: int = 10
    skip: int = 4
    seed: int = 0

    @classmethod
    def quick(cls) -> RntkSensitivitySettings:
        """The small setting."""
        return cls(length=20, recurrent=(0.8, 1.2, 1.35, ROOT2, 1.5), pairs=8, seeds=5)


def measure(settings: RntkSensitivitySettings, w_std: float) -> Piece:
    """``sensitivity [S, T]``: mean over pairs of ``||dK(x, x')/dx_t||/K(x, x')``, by lag ``T - t``."""
    shape = (settings.seeds, settings.pairs, 2, settings.length, settings.dim)
    x = np.random.default_rng(settings.seed).normal(size=shape)
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    with jax.enable_x64(True):
        found = np.asarray(_sensitivity(jnp.asarray(w_std, x.dtype), x.reshape(-1, *shape[2:])))
    found = found.reshape(settings.seeds, settings.pairs, settings.length)
    return {"sensitivity": found.mean(axis=1)[:, ::-1]}


@jax.jit
def _sensitivity(w_std: Any, x: Any) -> Any:
    def log_kernel(first: Any, second: Any) -> Any:
        arch = Elman(width=1, nonlinearity="relu", w_std=w_std)
        return jnp.log(network(arch).kernel_fn(first[None], second[None], get="ntk")[0, 0])

    slopes = jax.vmap(jax.grad(log_kernel))(x[:, 0], x[:, 1])
    return jnp.linalg.norm(slopes, axis=-1)


def conclude(settings: RntkSensitivitySettings, measured: Measured) -> Conclusion:
    """Rates of decay, and where they change sign."""
    widths, values = np.array(settings.recurrent), measured("sensitivity")
    lags = np.arange(settings.length)
    use = slice(settings.skip, None)
    centred = lags[use] - lags[use].mean()
    rates = np.log(values[:, :, use]) @ (centred / (centred @ centred))  # [W, S]
    crossings = np.array([_crossing(widths, rates[:, s]) for s in range(settings.seeds)])
    findings = (
        finding(
            "rate per step into the past, the slowest of w_std < 1.36",
            *mean_interval(rates[widths < ROOT2 - 0.05].max(axis=0)), "at most", 0.0,
            "The kernel also holds terms that grow linearly with the lag; near sqrt 2 they delay the "
            "decay beyond the length of these sequences.",
        ),
        finding(
            "w_std at which the sensitivity is flat", *mean_interval(crossings), "equals", ROOT2,
            "At finite length the flat point lies beside sqrt 2; longer sequences move it.",
            margin=0.1,
        ),
    )  # fmt: skip
    predicted = np.log(widths**2 / 2)
    shown = table(
        "rate of the sensitivity per step into the past, mean ± standard deviation over draws",
        {"w_std": [f"{w:.3f}" for w in widths]},
        {
            "rate": [spread(of, "{:+.4f}") for of in rates],
            "log(w_std²/2)": [f"{of:+.4f}" for of in predicted],
        },
    )
    figure = plots(
        [
            Plot(
                "Into the past", "lag T − t", "‖∂K/∂x_t‖ / K",
                [Line(f"w_std = {w:.3g}", lags, v.T) for w, v in zip(widths, values, strict=True)],
                log="y",
            ),
            Plot(
                "Rate against w_std", "w_std", "d log sensitivity / d lag",
                [
                    Line("measured", widths, rates),
                    Line("log(w_std²/2)", widths, predicted, True),
                    Line("", np.array([ROOT2, ROOT2]), np.array([rates.min(), rates.max()]), True),
                ],
                log="",
            ),
        ],
        title="Sensitivity of the tangent kernel to the tokens of the past",
        subtitle=f"ReLU, T = {settings.length}, unit tokens in {settings.dim} dimensions, "
        f"{settings.seeds} draws of {settings.pairs} pairs",
    )  # fmt: skip
    return Conclusion(shown, findings, figure, {"rates": rates, "crossings": crossings})


def _crossing(widths: np.ndarray, rates: np.ndarray) -> float:
    """Where the rate, between the values that were tried, is 0."""
    above = np.flatnonzero((rates[:-1] < 0) & (rates[1:] >= 0))
    if not above.size:
        raise ValueError("the rate does not change its sign; try values of w_std on both sides.")
    i = int(above[0])
    share = -rates[i] / (rates[i + 1] - rates[i])
    return float(widths[i] + share * (widths[i + 1] - widths[i]))


EXPERIMENT = Experiment(
    "rntk-sensitivity",
    "How far back the kernel looks",
    "The kernel's sensitivity to a token decays with its age for w_std < sqrt 2 (ReLU), flattest near "
    "sqrt 2.\nMeasured: the gradient of the infinite-width NTK by each token, its rate per step.",
    "RNTK (arXiv 2006.10246), section on sensitivity",
    RntkSensitivitySettings,
    grid(measure, w_std="recurrent"),
    conclude,
)
