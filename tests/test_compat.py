"""One test for every name and every mend that the neural-tangents layer supplies.

A failure here says which of them JAX, SciPy or neural-tangents has moved.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import subprocess
import sys
import types
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkrnn import _compat

nt = _compat.neural_tangents()
empirical = importlib.import_module("neural_tangents._src.empirical")
predict = importlib.import_module("neural_tangents._src.predict")
rules = importlib.import_module("neural_tangents._src.utils.rules")
jax_core = importlib.import_module("jax.core")
jax_ad = importlib.import_module("jax.interpreters.ad")
extend_core = importlib.import_module("jax.extend.core")


def run(code: str) -> str:
    """The output of a fresh interpreter in which any warning is an error."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def f(params, x):
    """A network with a broadcast bias, a call of two outputs and a choice between branches."""
    h = jnp.tanh(x @ params["w"] + params["b"])
    a, b = jax.jit(lambda h: (h[..., :3], h[..., 3:]))(h)
    return jnp.where(a > 0, a * b, b) @ params["v"] + params["c"]


@pytest.fixture(scope="module")
def inputs():
    keys = jax.random.split(jax.random.PRNGKey(0), 4)
    params = {
        "w": jax.random.normal(keys[0], (4, 6)),
        "b": jnp.linspace(-1.0, 1.0, 6),
        "v": jax.random.normal(keys[1], (3, 2)),
        "c": jnp.ones(()),
    }
    return jax.random.normal(keys[2], (3, 4)), jax.random.normal(keys[3], (2, 4)), params


def kernel(implementation: str, fun=f, **kwargs):
    which = nt.NtkImplementation[implementation]
    kwargs = {"trace_axes": (), "vmap_axes": 0, **kwargs}
    return jax.jit(nt.empirical_ntk_fn(fun, implementation=which, **kwargs))


@pytest.fixture(scope="module")
def contracted(inputs):
    return kernel("JACOBIAN_CONTRACTION")(*inputs)


# What loading does, and what it leaves alone.


def test_importing_the_layer_does_not_load_neural_tangents():
    assert run("import sys, ntkrnn._compat; print('neural_tangents' in sys.modules)") == "False"


def test_loading_neither_warns_nor_asks_for_tensorflow():
    assert (
        run(
            "import sys\n"
            "class Spy:\n"
            "    def find_spec(self, name, path=None, target=None):\n"
            "        if name.partition('.')[0] in ('tensorflow', 'tf2jax'): print('asked', name)\n"
            "sys.meta_path.insert(0, Spy())\n"
            "from ntkrnn._compat import neural_tangents\n"
            "nt = neural_tangents()\n"
            "print(nt.__version__, [m for m in sys.modules if m.startswith('tensorflow')])\n"
        )
        == "0.6.5 []"
    )


def test_only_the_listed_names_stay_on_jax():
    out = run(
        "import sys, jax, scipy.linalg, ntkrnn._compat as c\n"
        "import jax.core, jax.extend.core, jax.interpreters.ad, jax.experimental.ode\n"
        "import jax.example_libraries.stax, scipy.special\n"
        "def names():\n"
        "    return {(m, n): id(v) for m in list(sys.modules) if m.split('.')[0] in\n"
        "            ('jax', 'scipy') for n, v in list(vars(sys.modules[m]).items())}\n"
        "before, modules = names(), set(sys.modules)\n"
        "c.neural_tangents()\n"
        "after = {k: v for k, v in names().items() if k[0] in modules}\n"
        "changed = {k for k, v in after.items() if before.get(k) != v}\n"
        "new = {m for m in set(sys.modules) - modules if m.startswith('jax.')}\n"
        "submodules = {k for k in changed if '.'.join(k) in sys.modules}\n"
        "print(changed - submodules <= c._KEPT, 'jax.util' in new)\n"
    )
    assert out == "True False"


def test_a_later_plain_import_gives_the_same_module():
    assert importlib.import_module("neural_tangents") is nt
    assert _compat.neural_tangents() is nt


def test_threads_get_one_module():
    out = run(
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from ntkrnn._compat import neural_tangents\n"
        "with ThreadPoolExecutor(8) as pool:\n"
        "    print(len({id(pool.submit(neural_tangents).result()) for _ in range(8)}))\n"
    )
    assert out == "1"
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: _compat.neural_tangents(), range(8))) == {nt}


def test_a_module_imported_earlier_is_mended_in_place():
    out = run(
        "import sys, types, jax, jax.numpy as jnp, ntkrnn._compat as c\n"
        "sys.modules['neural_tangents.experimental'] = types.ModuleType('mine')\n"
        "with c._names_while_importing(): import neural_tangents as nt\n"
        "assert c.neural_tangents() is nt and nt.experimental.__name__ == 'mine'\n"
        "k = nt.empirical_ntk_fn(lambda p, x: x @ p, implementation=3)\n"
        "print(k(jnp.ones((1, 2)), None, jnp.ones((2, 1))))\n"
    )
    assert out == "[[2.]]"


def test_an_earlier_import_that_failed_does_no_harm():
    out = run(
        "import sys; sys.modules['frozendict'] = None\n"
        "from ntkrnn._compat import neural_tangents\n"
        "try: neural_tangents()\n"
        "except ImportError: print([m for m in sys.modules if m.startswith('neural_tangents')][0])\n"
        "del sys.modules['frozendict']\n"
        "nt = neural_tangents()\n"
        "print(nt.__version__, sys.modules['neural_tangents._src'] is nt._src)\n"
    )
    assert out.split() == ["neural_tangents._src", "0.6.5", "True"]


# The two messages, and the module that is left out.


def test_absent_neural_tangents_says_what_to_run_and_why(monkeypatch):
    def version(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(_compat, "_loaded", None)
    monkeypatch.setattr(importlib.metadata, "version", version)
    with pytest.raises(ImportError, match="is not installed") as error:
        _compat.neural_tangents()
    assert "pip install --no-deps neural-tangents==0.6.5 frozendict" in str(error.value)
    assert "TensorFlow" in str(error.value)


def test_another_version_is_refused(monkeypatch):
    monkeypatch.setattr(_compat, "_loaded", None)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.6.4")
    with pytest.raises(ImportError, match=r"0\.6\.4 is installed, but only 0\.6\.5") as error:
        _compat.neural_tangents()
    assert "pip install --no-deps neural-tangents==0.6.5 frozendict" in str(error.value)


def test_a_missing_requirement_is_named_with_the_remedy():
    out = run(
        "import sys; sys.modules['frozendict'] = None\n"
        "from ntkrnn._compat import neural_tangents\n"
        "try: neural_tangents()\n"
        "except ImportError as e: print(e)\n"
    )
    assert "frozendict" in out.partition("if a package is missing")[0]
    assert "pip install --no-deps" in out


@pytest.fixture
def experimental(monkeypatch):
    """The placeholder, put back afterwards."""
    name = "neural_tangents.experimental"
    assert isinstance(nt.experimental, _compat._Experimental)
    monkeypatch.setitem(sys.modules, name, nt.experimental)
    monkeypatch.setattr(nt, "experimental", nt.experimental)
    return nt.experimental


def test_experimental_without_tensorflow_says_so(experimental, monkeypatch):
    monkeypatch.setitem(sys.modules, "neural_tangents.experimental.empirical_tf", None)
    for _ in range(2):  # The first failure leaves things as they were.
        with pytest.raises(ImportError, match="needs TensorFlow and tf2jax"):
            _ = nt.experimental.empirical_ntk_fn_tf
        assert sys.modules["neural_tangents.experimental"] is nt.experimental is experimental
    with pytest.raises(ImportError, match="needs TensorFlow and tf2jax"):
        exec("from neural_tangents.experimental import empirical_ntk_fn_tf")
    assert not hasattr(experimental, "__file__")  # Asked by tools: no import.


def test_experimental_is_imported_when_asked_for(experimental, monkeypatch):
    package = "neural_tangents.experimental.empirical_tf"
    stub = types.ModuleType(f"{package}.empirical")
    stub.empirical_ntk_fn_tf = stub.get_apply_fn_and_params = len
    monkeypatch.setitem(sys.modules, package, types.ModuleType(package))
    monkeypatch.setitem(sys.modules, stub.__name__, stub)
    assert experimental.empirical_ntk_fn_tf is len
    assert nt.experimental is not experimental
    assert nt.experimental.__file__.startswith(experimental.__path__[0])


# The names that the import needs.


@pytest.mark.parametrize("name", ["Jaxpr", "JaxprEqn", "Literal", "Primitive", "Var"])
def test_jaxpr_types_are_jaxs_own(name):
    assert getattr(rules, name) is getattr(extend_core, name)
    with _compat._names_while_importing():
        assert vars(jax_core)[name] is getattr(extend_core, name)


def test_safe_zip_and_safe_map_give_lists_and_check_lengths():
    assert empirical.zip((1, 2), (3, 4)) == [(1, 3), (2, 4)]
    assert empirical.map(max, (1, 5), (3, 4)) == [3, 5]
    with pytest.raises((ValueError, AssertionError)):
        empirical.zip((1, 2), (3,))
    with pytest.raises((ValueError, AssertionError)):
        empirical.map(max, (1, 2), (3,))


def test_zeros_like_p_is_a_key_of_the_rules():
    assert jax_ad.zeros_like_p in rules.JACOBIAN_RULES
    assert jax_ad.zeros_like_p in rules.STRUCTURE_RULES


def test_names_kept_on_jax_are_the_real_things():
    assert jax.tree_map(lambda x: x + 1, {"a": 1}) == {"a": 2}
    assert jax_core.Primitive is extend_core.Primitive


# The mends of structured derivatives.


@pytest.mark.parametrize("fwd", [True, False, None])
@pytest.mark.parametrize(("j_rules", "s_rules"), [(True, True), (False, True), (False, False)])
def test_structured_derivatives_agree_with_contraction(inputs, contracted, fwd, j_rules, s_rules):
    kwargs = {"_fwd": fwd, "_j_rules": j_rules, "_s_rules": s_rules}
    got = kernel("STRUCTURED_DERIVATIVES", **kwargs)(*inputs)
    np.testing.assert_allclose(got, contracted, rtol=1e-5, atol=1e-5)


def test_linearization_is_of_public_functions(inputs):
    x, _, params = inputs
    mode = empirical._MODE.DF_DY
    out, pullback = empirical._get_primals_out_and_pullback(
        lambda p: f(p, x), mode, True, True, None, params
    )
    np.testing.assert_allclose(out, f(params, x), rtol=1e-6)
    (dfs,) = pullback(out)
    assert {k: len(v) for k, v in dfs.items()} == {"w": 1, "b": 1, "v": 1, "c": 1}


@pytest.mark.parametrize("jitted", [False, True])
def test_transposition_has_rules_for_primitives_outside_the_old_table(jitted):
    def fun(x):
        return (jax.jit(jax.lax.slice, static_argnums=(1, 2)) if jitted else jax.lax.slice)(
            x, (1,), (3,)
        )

    closed = jax.make_jaxpr(fun)(jnp.ones(4))
    (eqn,) = closed.eqns
    undefined = empirical.UndefinedPrimal(closed.in_avals[0])
    (ct,) = empirical._eqn_vjp_fn(eqn, jnp.array([2.0, 3.0]), undefined)
    np.testing.assert_array_equal(ct, [0.0, 2.0, 3.0, 0.0])
    (ct,) = empirical._eqn_vjp_fn(eqn, empirical.Zero(closed.out_avals[0]), undefined)
    assert isinstance(ct, empirical.Zero) or not np.any(ct)


def test_transposition_of_a_bilinear_primitive_leaves_the_other_input_alone():
    closed = jax.make_jaxpr(jnp.multiply)(2.0, 3.0)
    (eqn,) = [e for e in closed.eqns if e.primitive.name == "mul"]
    undefined = empirical.UndefinedPrimal(closed.in_avals[0])
    assert list(empirical._eqn_vjp_fn(eqn, jnp.array(4.0), 2.0, undefined)) == [None, 8.0]
    assert empirical._eqn_vjp_fn(None, 5.0) == (5.0,)


def test_name_stacks_are_done_without():
    with empirical.ad.source_info_util.transform_name_stack("transpose"):
        pass
    assert empirical.ad.add_tangents is jax_ad.add_tangents  # The rest is JAX's.


def test_jax_enable_checks_does_not_reach_the_removed_lattice(inputs):
    x, _, params = inputs
    jax.config.update("jax_enable_checks", True)
    try:
        got = kernel("STRUCTURED_DERIVATIVES")(x, None, params)
    finally:
        jax.config.update("jax_enable_checks", False)
    want = kernel("JACOBIAN_CONTRACTION")(x, None, params)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_constants_are_read_without_dynamic_shapes():
    constant = jax.make_jaxpr(lambda x: x)(1.0).jaxpr.invars[0]
    assert empirical._read_primal({constant: 7.0}, constant) == 7.0
    assert isinstance(empirical._read_primal({}, constant), empirical.UndefinedPrimal)
    assert empirical.core.Var is extend_core.Var


def test_sizes_of_abstract_arrays():
    aval = jax.ShapeDtypeStruct((2, 3), jnp.float32)  # A warning is an error here.
    assert empirical.jnp.size(aval) == 6
    assert empirical._std_basis([aval, aval])[1].shape == (12, 2, 3)
    assert empirical.jnp.zeros is jnp.zeros


@pytest.mark.parametrize("optimize", [True, False])
def test_flops_are_counted(optimize):
    flops = empirical._get_flops(lambda x: x @ x, optimize, jnp.ones((8, 8)))
    assert flops == pytest.approx(2 * 8**3, rel=0.2)


def test_automatic_choice_agrees_with_contraction_on_nested_inputs(inputs, capsys):
    def nested(params, x):
        return [x["a"] @ params["w"], (2.0 * x["b"][0] @ params["w"],)]

    x1, x2, params = inputs
    args = {"a": x1, "b": [x1 + 1.0]}, {"a": x2, "b": [x2 - 1.0]}, params
    got = nt.empirical_ntk_fn(nested, implementation=0, trace_axes=())(*args)
    want = nt.empirical_ntk_fn(nested, implementation=1, trace_axes=())(*args)
    assert jax.tree.structure(got) == jax.tree.structure(want)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


# The mends of prediction.


def test_largest_learning_rate_is_that_of_the_largest_eigenvalue():
    a = np.random.default_rng(0).normal(size=(5, 5)).astype(np.float32)
    ntk = jnp.asarray(a @ a.T)
    want = 2 * 5 / np.linalg.eigvalsh(ntk)[-1]
    assert float(nt.predict.max_learning_rate(ntk, eps=0.0)) == pytest.approx(want, rel=1e-5)


def test_eigvalsh_translates_one_argument_and_no_other():
    values = predict.sp.linalg.eigvalsh(np.diag([3.0, 1.0, 2.0]), eigvals=(1, 2))
    np.testing.assert_allclose(values, [2.0, 3.0])
    np.testing.assert_allclose(predict.sp.linalg.eigvalsh(np.diag([3.0, 1.0])), [1.0, 3.0])
    assert predict.sp.linalg.eigh is importlib.import_module("scipy.linalg").eigh


@pytest.mark.parametrize("t", [None, 1.5])
def test_predictions_of_a_batch_of_kernels(t):
    def predictions(k):
        predict_fn = nt.predict.gradient_descent_mse(k[:3, :3], jnp.arange(3.0)[:, None])
        return predict_fn(t, jnp.zeros((3, 1)), jnp.zeros((2, 1)), k[3:, :3])[1]

    a = jax.random.normal(jax.random.PRNGKey(0), (4, 5, 9))
    ks = jnp.einsum("kia,kja->kij", a, a)
    one_by_one = jnp.stack([predictions(k) for k in ks])
    np.testing.assert_allclose(jax.vmap(predictions)(ks), one_by_one, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("t", [None, 1.5])
def test_prediction_under_jit_leaks_no_tracer(t):
    predict_fn = nt.predict.gradient_descent_mse(2.0 * jnp.eye(3), jnp.arange(3.0)[:, None])
    args = jnp.zeros((3, 1)), jnp.zeros((2, 1)), jnp.ones((2, 3))
    jitted = jax.jit(lambda *args: predict_fn(t, *args)[1])(*args)
    np.testing.assert_allclose(predict_fn(t, *args)[1], jitted, rtol=1e-5)
