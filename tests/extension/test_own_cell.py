"""A cell of somebody's own, made outside the package, in everything that takes an architecture."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import ntkrnn
from ntkrnn import dynamics
from ntkrnn.cells import INNER, Cell, Dense, Gated, Part
from ntkrnn.data import load
from ntkrnn.estimators import RecurrentKernelClassifier, save
from ntkrnn.studies import CompareSettings, compare, ntkrnn_engine
from ntkrnn.testing import ConformanceError, check_cell

X = jax.random.normal(jax.random.key(0), (4, 5, 2))
EPS = float(jnp.finfo(X.dtype).eps)


@dataclasses.dataclass(frozen=True)
class Highway(Gated):
    """``h_t = (1 - gate(a^g)) h_{t-1} + gate(a^g) phi(a^h)``"""

    @property
    def parts(self):
        return Part("g"), Part("h")

    @property
    def cell(self):
        gate, phi = self.functions

        def update(pre, carry):
            g = gate(pre[0])
            return ((1 - g) * carry[0] + g * phi(pre[1]),)

        return Cell(self.gates_with(self.b_mean), update)


def by_hand(params, x, arch):
    """The same network in NumPy, of one layer and one direction."""
    w, u, b, v = (np.asarray(params[0][name] if name != "v" else params[-1]) for name in "wubv")
    m, d, states = arch.width, x.shape[2], []
    h = np.zeros((len(x), m))
    for t in range(x.shape[1]):
        pre = [
            arch.w_std * h @ w[k].T / np.sqrt(m) + arch.u_std * x[:, t] @ u[k].T / np.sqrt(d)
            + arch.b_std * b[k] for k in (0, 1)
        ]  # fmt: skip
        g = 1 / (1 + np.exp(-pre[0]))
        h = (1 - g) * h + g * np.tanh(pre[1])
        states.append(h)
    return arch.v_std * states[-1] @ v.reshape(m, -1) / np.sqrt(m)


@pytest.fixture(scope="module")
def measured():
    return check_cell(Highway(w_std=1.2, b_std=0.1))


def test_it_passes_the_conformance_checks(measured):
    assert measured.jacobian < 1e3 * EPS and measured.padding < 1e3 * EPS
    assert measured.limit < measured.limit_error < 0.5


def test_outputs_are_those_by_hand():
    arch = Highway(width=8, w_std=1.2, b_std=0.3)
    init_fn, apply_fn, _ = ntkrnn.network(arch)
    _, params = init_fn(jax.random.key(1), X.shape)
    leaves = jax.tree.leaves(params)
    shapes = {leaf.shape for leaf in leaves}
    assert {(2, 8, 8), (2, 8, 2), (2, 8)} <= shapes
    named = {leaf.shape: np.asarray(leaf, np.float64) for leaf in leaves}
    w, u, b = named[2, 8, 8], named[2, 8, 2], named[2, 8]
    (v,) = (
        np.asarray(leaf, np.float64)
        for leaf in leaves
        if leaf.shape not in [(2, 8, 8), (2, 8, 2), (2, 8)]
    )
    wanted = by_hand([{"w": w, "u": u, "b": b}, v], np.asarray(X, np.float64), arch)
    np.testing.assert_allclose(apply_fn(params, X), wanted, rtol=0, atol=200 * EPS)


def test_it_trains_and_its_kernel_follows():
    arch = Highway(width=64, readout="mean")
    init_fn, apply_fn, _ = ntkrnn.network(arch)
    _, params = init_fn(jax.random.key(1), X.shape)
    y = np.array([1.0, -1.0, 1.0, -1.0])
    run = dynamics.train(arch, params, X, y, optimizer=optax.sgd(0.5), steps=30)
    kernel = ntkrnn.empirical_ntk_fn(arch)(X, None, params)
    line = dynamics.linearized(kernel, apply_fn(params, X)[:, 0], y, steps=30, learning_rate=0.5)
    assert run.loss[-1] < 0.9 * run.loss[0]
    np.testing.assert_allclose(run.loss[-1], line.loss[-1], rtol=0.2)


def test_studies_and_estimators_take_it():
    data = load("digits", n=6)
    result = compare(CompareSettings(Highway(), widths=(16, 64), seeds=3), data, ntkrnn_engine())
    assert result.ntk_errors.shape == (2, 3) and result.limit_errors[0] > 0
    plain = load("digits", n=60, standardize="none")
    model = RecurrentKernelClassifier(Highway(readout="mean"), standardize="series", differences=False)
    model.fit(plain.x[:40], plain.labels[:40])
    assert model.score(plain.x[40:], plain.labels[40:]) > 0.4
    with pytest.raises(TypeError, match="Highway, which cannot be saved"):
        save(model, "nowhere.npz")


def test_it_has_a_name():
    assert Highway(depth=2).title == "Highway network (tanh, depth 2)"
    assert dataclasses.replace(Highway(), width=8).form == Highway(width=8).form


def described(parts, cell=None, base=Gated, **more):
    """A class with these parts and this cell."""
    own = {"parts": property(lambda self: parts), "__annotations__": {}, **more}
    if cell is not None:
        own["cell"] = property(cell)
    return dataclasses.dataclass(frozen=True)(type("Mine", (base,), own))


def plain(update, **options):
    return lambda self: Cell(self.gates_with(), update, **options)


H = (Part("h"),)
KEEP = plain(lambda pre, carry: (jnp.tanh(pre[0]),))
DESCRIPTIONS = {
    "Mine.parts: got \\[Part": lambda: described(list(H), KEEP)(),
    "Mine.parts: got \\(\\), expected a tuple": lambda: described((), KEEP)(),
    "Mine.parts: got the names h, h": lambda: described(H * 2, KEEP)(),
    "Mine.parts: got recurrent='states'": lambda: described((Part("h", "states"),), KEEP)(),
    "Mine.parts: got no part with a recurrent": lambda: described((Part("h", None),), KEEP)(),
    "Mine.parts: got no part with a input": lambda: described((Part("h", input=False),), KEEP)(),
    "Mine.parts: got n, r, where": lambda: described((Part("n", INNER), Part("r")), KEEP)(),
    "Mine.cell: got tuple, expected ntkrnn": lambda: described(H, lambda self: ())(),
    "Mine.cell: got the gates h, expected those of parts, h, z": lambda: described(
        (*H, Part("z")), lambda self: Cell(self.gates_with()[:1], lambda pre, carry: carry)
    )(),
    "Mine.cell: got no inner vector": lambda: described((*H, Part("n", INNER)), KEEP)(),
    "Mine.cell: got an inner vector": lambda: described(
        H, plain(lambda pre, carry: carry, inner=lambda pre, carry: carry[0])
    )(),
    "Mine.cell: update fails with 1 pre-activations": lambda: described(
        H, plain(lambda pre, carry: (pre[1],))
    )(),
    "Mine.cell: update returns": lambda: described(H, plain(lambda pre, carry: pre[0]))(),
    "Mine.cell: update returns .* 2 such vectors": lambda: described(
        H, plain(lambda pre, carry: (pre[0],), carries=2)
    )(),
    "Mine: has cell of its own, and the kernel of infinite": lambda: type(
        "Mine", (ntkrnn.Elman,), {"cell": property(KEEP)}
    )(),
    "Mine.parts: got the parts of another class": lambda: described(
        (Part("h"), Part("g")), base=Highway
    )(),
    "arch: got 3 of type int": lambda: ntkrnn.network(3),
    "arch: got Diagonal, expected a subclass": lambda: check_cell(ntkrnn.Diagonal()),
}


@pytest.mark.parametrize("message", DESCRIPTIONS)
def test_descriptions_that_do_not_fit(message):
    with pytest.raises((TypeError, ValueError), match="^" + message):
        DESCRIPTIONS[message]()


def test_neurons_that_mix_are_found():
    mixing = described(H, plain(lambda pre, carry: (jnp.tanh(pre[0]) - pre[0].mean(),)), base=Dense)
    with pytest.raises(ConformanceError, match="Mine: update is not elementwise"):
        check_cell(mixing())


def test_a_limit_that_is_another_cells_is_found():
    cell = plain(lambda pre, carry: (jnp.tanh(pre[0]) + carry[0],))
    wrong = type("Mine", (ntkrnn.Elman,), {"cell": property(cell), "limit": "recursion"})
    with pytest.raises(ConformanceError, match="Mine: networks of width 256 are off the limit"):
        check_cell(wrong(nonlinearity="erf"))
