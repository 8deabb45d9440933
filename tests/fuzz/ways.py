"""Ways into the library: a function for each, with arguments that fit, of sizes out of few buckets."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

import ntkrnn
from ntkrnn import dual, dynamics, estimators, solvers, theory
from ntkrnn.data import systems
from ntkrnn.infinite import features

D = 2
SHAPES = ((1, 4), (5, 4), (5, 1))
"""N and T: few, since every combination of sizes and options is a program."""
ARCHS = {
    "elman": ntkrnn.Elman(width=4, b_std=0.2),
    "relu-mean": ntkrnn.Elman(width=4, nonlinearity="relu", w_std=1.4, readout="mean", depth=2),
    "sequence": ntkrnn.Elman(width=4, readout="sequence", bidirectional=True),
    "tanh": ntkrnn.Elman(width=4, nonlinearity="tanh", trainable=("w", "u")),
    "leaky": ntkrnn.Leaky(width=4, rate=0.4),
    "diagonal": ntkrnn.Diagonal(width=4, readout="last"),
    "lstm": ntkrnn.LSTM(width=4),
    "gru": ntkrnn.GRU(width=4, readout="mean"),
}
SAMPLING = {"diagonal": {"samples": 16, "replicates": 2}, "lstm": {"samples": 64, "replicates": 2}}
SAMPLING["gru"] = SAMPLING["lstm"]
SERIES = theory.PowerSeries((0.0, 1.0, 0.5))
SGD = optax.sgd(0.1)


@functools.cache
def network(name):
    return ntkrnn.network(ARCHS[name])


@functools.cache
def parameters(name):
    return network(name).init_fn(jax.random.key(1), (-1, 1, D))[1]


def pick(rng, options):
    return options[rng.integers(len(options))]


def sequences(rng, steps=None):
    n, t = pick(rng, SHAPES)
    t = steps or t
    return rng.normal(size=(n, t, D)).astype(np.float32)


def lengths(rng, x):
    return rng.integers(1, x.shape[1] + 1, size=len(x))


def kernel(rng, n=4):
    a = rng.normal(size=(n, n + 2))
    return a @ a.T / n


def both_sides(rng):
    """Arguments of a kernel: one side or two, with lengths or without."""
    one = sequences(rng)
    given = {"x1": one}
    if rng.random() < 0.5:
        given["lengths1"] = lengths(rng, one)
    if rng.random() < 0.5:
        given["x2"] = sequences(rng)
        if rng.random() < 0.5:
            given["lengths2"] = lengths(rng, given["x2"])
    return given


def _kernel_fn(rng, name):
    options = dict(SAMPLING.get(name, {}))
    if rng.random() < 0.3 and name != "diagonal":
        options["tile"] = int(pick(rng, (2, 64)))
    if rng.random() < 0.3:
        options["get"] = pick(rng, ("nngp", "ntk", ("nngp", "ntk")))
    given = both_sides(rng)
    if rng.random() < 0.2 and name not in ("lstm", "gru"):
        options["diagonal"] = True
        if "x2" in given:  # equally many
            given["x2"] = sequences(rng)[:1].repeat(len(given["x1"]), axis=0)
            given.pop("lengths2", None)
    return network(name).kernel_fn, given | options


def _features(rng):
    given = {"x": sequences(rng), "samples": 64, "replicates": 2}
    if rng.random() < 0.5:
        given["lengths"] = lengths(rng, given["x"])
    return functools.partial(features, ARCHS[pick(rng, ("lstm", "gru"))]), given


def _kernel_of_scales(rng):
    fields = {"width": 2, "w_std": 1.2, "u_std": 0.7, "b_std": 0.1, "v_std": 1.1, "depth": 1}
    x = sequences(rng, steps=4)

    def call(**fields):
        return ntkrnn.network(ntkrnn.Elman(**fields)).kernel_fn(x)

    return call, fields


def _gated_fields(rng):
    kind = pick(rng, (ntkrnn.LSTM, ntkrnn.GRU, ntkrnn.MinimalGRU, ntkrnn.Leaky, ntkrnn.Diagonal))
    fields = {"width": 2, "readout": "mean", "nonlinearity": "tanh", "trainable": ("w",), "out_dim": 1}
    more = (
        {"w_std": 1.0, "depth": 2} if kind is not ntkrnn.Diagonal else {"alpha": 0.5, "symmetric": True}
    )
    return kind, fields | more


def _apply(rng, name):
    x = sequences(rng)
    given = {"params": parameters(name), "x": x}
    return network(name).apply_fn, given | ({"lengths": lengths(rng, x)} if rng.random() < 0.5 else {})


def _empirical(rng, name, build):
    given = both_sides(rng)
    given |= {"diagonal": "x2" not in given and bool(rng.random() < 0.3)}
    return build(ARCHS[name]), {"x2": None, **given, "params": parameters(name)}


def _matvec(rng):
    x = sequences(rng)

    def call(x1, params, v):
        return ntkrnn.empirical_ntk_matvec(ARCHS["elman"])(x1, None, params)(v)

    return call, {"x1": x, "params": parameters("elman"), "v": rng.normal(size=len(x))}


def _any_function(rng):
    params = {"a": jnp.ones((D, 2))}  # what does not fit a function of the caller's own is the caller's

    def call(x1):
        return ntkrnn.empirical_ntk_fn(_readout)(x1, None, params)

    return call, {"x1": sequences(rng, steps=4)}


def _readout(params, x):
    return jnp.tanh(x @ params["a"]).mean(1)


def _train(rng):
    x = sequences(rng, steps=4)
    given = {"arch": ARCHS["elman"], "params": parameters("elman"), "x": x, "y": x[:, 0, 0]}
    given |= {"optimizer": SGD, "steps": 3, "record": ("loss",), "at": 1, "loss": "squared"}
    if rng.random() < 0.5:
        given |= {"batch_size": 1, "key": jax.random.key(2)}
    return dynamics.train, given


def _linearized(rng):
    given = {"ntk": kernel(rng), "f0": np.zeros(4), "y": rng.normal(size=4), "learning_rate": 0.1}
    given |= {
        "steps": 3,
        "momentum": 0.5,
        "nesterov": False,
        "weight_decay": 0.01,
        "unstable": "raise",
    }
    if rng.random() < 0.5:
        given |= {"ntk_test": rng.normal(size=(2, 4)), "f0_test": np.zeros(2)}
    return dynamics.linearized, given


def _flow(rng):
    given = {
        "ntk": kernel(rng),
        "f0": np.zeros(4),
        "y": rng.normal(size=4),
        "times": np.array([0.0, 2.0]),
    }
    given |= {"weight_decay": 0.1} if rng.random() < 0.5 else {"learning_rate": 0.1}
    return dynamics.gradient_flow, given


def _posterior(rng):
    whole = kernel(rng, 6)
    given = {"nngp": whole[:4, :4], "y": rng.normal(size=4), "nngp_test": whole[4:, :4], "noise": 0.1}
    return dynamics.nngp_posterior, given | {"nngp_test_test": whole[4:, 4:], "diagonal": False}


def _ensemble(rng):
    one, two = kernel(rng, 6), kernel(rng, 6)
    given = {"train": ntkrnn.Kernels(one[:4, :4], two[:4, :4]), "y": rng.normal(size=4)}
    given |= {"test": ntkrnn.Kernels(one[4:, :4], two[4:, :4]), "nngp_test_test": one[4:, 4:]}
    return dynamics.trained_ensemble, given | {"times": np.array([1.0, np.inf]), "weight_decay": 0.0}


def _linearize(rng):
    def call(params, x):
        return dynamics.linearize(ARCHS["elman"], parameters("elman"))(params, x)

    return call, {"params": parameters("elman"), "x": sequences(rng)}


def _dual(rng):
    q1, q2 = rng.uniform(0.1, 2, size=(3, 1)), rng.uniform(0.1, 2, size=(1, 2))
    given = {"fn": pick(rng, ("relu", "erf", "gelu", "sin", "step", "tanh")), "q1": q1, "q2": q2}
    return dual.dual_activation, given | {"c": 0.8 * np.sqrt(q1 * q2)}


def _nonlinearity(rng):
    fn = pick(rng, ("tanh", jnp.arctan, jnp.sin))
    return dual.nonlinearity, {"fn": fn, "name": None, "max_variance": 2.0}


def _targets(rng):
    direction, other = np.array([0.6, 0.8]), np.array([1.0, 0.0])
    series = (SERIES, SERIES)
    ways = [
        (theory.AdditiveTarget, {"series": series, "directions": np.stack([direction, other])}),
        (theory.ExactlyOneTarget, {"direction": direction, "length": 3}),
        (
            theory.NVariableTarget,
            {
                "series": SERIES,
                "positions": (0, 2),
                "directions": np.stack([direction, other]),
                "length": 3,
            },
        ),
        (theory.PowerSeries, {"coefficients": (0.0, 1.0), "name": "z"}),
    ]
    return pick(rng, ways)


def _target_values(rng):
    target = theory.AdditiveTarget((SERIES, SERIES), np.eye(2))
    return target, {"x": theory.unit_tokens(rng.normal(size=(3, 2, 2)))}


def _matrices(rng):
    y = np.sign(rng.normal(size=4))
    y[0] = -y[1]  # constant ones are nothing once they are centred
    ways = [
        (theory.alignment, {"ntk": kernel(rng), "y": y, "centred": True}),
        (theory.cumulative_power, {"ntk": kernel(rng), "y": y}),
        (theory.kernel_complexity, {"ntk": kernel(rng), "y": y, "ridge": 0.1}),
        (theory.margin_complexity, {"ntk": kernel(rng), "labels": y, "ridge": 0.1}),
    ]
    return pick(rng, ways)


def _bounds(rng):
    norms = np.array([1.0, 0.5, 0.5])
    widths = {"complexity": 2.0, "eps": 0.1, "length": 5}
    ways = [
        (theory.al19_width, widths | {"constant": 1.0}),
        (theory.al19_samples, {"sample_complexity": 2.0, "eps": 0.1, "length": 5, "width": 100}),
        (theory.wshc21_samples, widths | {"delta": 0.1}),
        (theory.monomial_coefficients, {"norms": norms, "degrees": np.array([1]), "positions": (1,)}),
        (
            theory.additive_schur_bound,
            {"series": (SERIES, None, SERIES), "directions": np.ones((3, 2)), "norms": norms},
        ),
        (
            theory.n_variable_schur_bound,
            {"series": SERIES, "positions": (1, 2), "directions": np.ones((2, 2)), "norms": norms},
        ),
        (
            theory.schur_bound,
            {"target": theory.AdditiveTarget((SERIES,) * 3, np.eye(3)), "norms": norms},
        ),
        (theory.cutoff, {"alpha": 0.5, "rho_w": 1.0, "width": 16, "nonlinearity": "tanh"}),
        (theory.lipschitz_constants, {"nonlinearity": "tanh"}),
        (
            theory.certificate,
            {"arch": ntkrnn.Diagonal(width=4), "rho_w": 1.0, "rho_u": 1.0, "n": 4, "T": 3, "delta": 0.1}
            | {"eta": None, "steps": 10},
        ),
    ]
    return pick(rng, ways)


def _tokens(rng):
    x = rng.normal(size=(2, 3, 2))
    unit = theory.unit_tokens(x)
    ways = [
        (theory.unit_tokens, {"x": x}),
        (theory.rescaled_tokens, {"x": unit, "power": 1.5, "first": True}),
        (theory.true_tokens, {"x": unit}),
        (theory.al19_tokens, {"x": theory.true_tokens(unit), "eps_x": 0.1}),
        (theory.sample_tokens, {"key": jax.random.key(0), "n": 2, "length": 3, "dim": 2}),
        (theory.relu_recurrent_ntk, {"x1": x, "x2": x, "readout_std": 1.0}),
        (theory.al19_network, {"width": 8, "token_dim": 2, "out_dim": 1, "output_scale": 0.1}),
        (theory.wshc21_network, {"width": 8, "token_dim": 2, "output_scale": 0.1}),
        (theory.max_norm_projection, {"rho_w": 1.0, "rho_u": 1.0}),
    ]
    return pick(rng, ways)


def _systems(rng):
    common = {"key": jax.random.key(0), "n": 2, "T": 3}
    ways = [
        (
            systems.linear_state_space,
            common | {"states": 2, "channels": 1, "radius": 0.8, "noise": 0.1},
        ),
        (systems.narma10, common),
        (systems.pendulum, common | {"dt": 0.5, "damping": 0.3, "torque": 1.0, "noise": 0.0}),
        (systems.van_der_pol, common | {"dt": 0.1, "mu": 1.0, "force": 1.0, "noise": 0.0}),
    ]
    return pick(rng, ways)


def _small(rng):
    ways = [
        (dynamics.largest_stable_step, {"ntk": kernel(rng), "momentum": 0.5, "nesterov": True}),
        (dynamics.batches, {"key": jax.random.key(0), "n": 6, "batch_size": 2, "steps": 4}),
        (dynamics.decay_to_start, {"rate": 0.1}),
        (dual.truncation_error, {"fn": "tanh", "variance": 2.0}),
        (dual.has_closed_form, {"spec": "erf"}),
        (dual.stepper, {"spec": "relu"}),
        (dual.pair_function, {"spec": "gelu"}),
        (dual.Nonlinearity, {"name": "erf", "fn": None, "max_variance": 4.0}),
    ]
    return pick(rng, ways)


def _init(rng):
    name = pick(rng, ("elman", "lstm", "diagonal"))
    given = {"key": jax.random.key(3), "input_shape": (-1, 4, D)}
    return network(name).init_fn, given


def _solvers(rng):
    given = {"kernel": kernel(rng), "y": rng.normal(size=4)}
    ways = [
        (solvers.cholesky, given | {"ridge": 0.1}),
        (solvers.auto, given | {"ridge": 0.1}),
        (solvers.leave_one_out, given | {"ridges": [0.1, 1.0]}),
        (solvers.nystrom, {"kernel": kernel(rng), "ridge": 0.1, "rank": 2, "seed": 0}),
    ]
    return pick(rng, ways)


def _estimators(rng):
    """Fitted, and asked for what was fitted."""
    kind = pick(rng, (estimators.RecurrentKernelClassifier, estimators.RecurrentKernelRidge))

    def fit_predict(X, y, lengths, **parameters):
        model = kind(ARCHS["relu-mean"], **parameters).fit(X, y, lengths)
        return model.predict(X, lengths)

    x = rng.normal(size=(5, 4, D))
    given = {"X": x, "y": np.arange(5) % 2, "lengths": pick(rng, (None, lengths(rng, x)))}
    choices = {"standardize": "series", "max_steps": 4, "alphas": [0.1, 1.0], "kernel": "nngp"}
    return fit_predict, given | choices | {"normalize": True, "differences": False}


WAYS = {
    **{f"kernel-{name}": functools.partial(_kernel_fn, name=name) for name in ARCHS},
    **{f"apply-{name}": functools.partial(_apply, name=name) for name in ("elman", "gru", "diagonal")},
    **{
        f"{build.__name__}-{name}": functools.partial(_empirical, name=name, build=build)
        for build in (ntkrnn.empirical_ntk_fn, ntkrnn.empirical_nngp_fn)
        for name in ("elman", "sequence", "lstm", "diagonal")
    },
    "features": _features,
    "kernel-of-scales": _kernel_of_scales,
    "fields": _gated_fields,
    "init": _init,
    "matvec": _matvec,
    "any-function": _any_function,
    "train": _train,
    "linearized": _linearized,
    "linearize": _linearize,
    "gradient-flow": _flow,
    "posterior": _posterior,
    "ensemble": _ensemble,
    "dual": _dual,
    "nonlinearity": _nonlinearity,
    "targets": _targets,
    "target-values": _target_values,
    "matrices": _matrices,
    "bounds": _bounds,
    "tokens": _tokens,
    "systems": _systems,
    "small": _small,
    "solvers": _solvers,
    "estimators": _estimators,
}
