"""One compilation serves all data, lengths and scales of one shape, and all widths of the limit."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from counting import compilations
from marking import marked

import ntkrnn
from ntkrnn import _compile, _tiling, dual
from ntkrnn.infinite import squared_scales
from ntkrnn.infinite.tiles import _problem, _programs

# Shapes that no other test uses, so that nothing here is compiled already.
N, T, D = 3, 11, 2
DTYPE = jnp.zeros(()).dtype


def sequences(seed, n=N, t=T, d=D):
    # Small enough that no pre-activation variance passes 4, beyond which the check of an expanded
    # nonlinearity estimates its error, with a few uncompiled operations.
    return 0.5 * np.random.default_rng(seed).normal(size=(n, t, d)).astype(DTYPE)


def lengths(*values):
    return np.array(values, np.int32)


ARCHS = {
    "last": ntkrnn.Elman(width=5),
    "mean": ntkrnn.Elman(width=5, nonlinearity="relu", readout="mean"),
    "sequence": ntkrnn.Elman(width=5, nonlinearity="sin", readout="sequence", bidirectional=True),
    "expanded": ntkrnn.Elman(width=5, nonlinearity="tanh", w_std=0.9),
}
SCALES = {"w_std": 0.7, "u_std": 0.9, "b_std": 0.4, "v_std": 1.2}


@pytest.fixture(autouse=True)
def no_programs_of_other_tests(monkeypatch):
    """Small problems share programs, and some test before may have had one."""
    monkeypatch.setattr(_compile, "_kept", type(_compile._kept)())


@pytest.fixture(params=list(ARCHS))
def arch(request):
    return ARCHS[request.param]


def made_anew(arch):
    """An equal architecture: nothing may hang on the identity of one."""
    return ntkrnn.Elman(**dataclasses.asdict(arch))


def initialised(arch, seed=0):
    return ntkrnn.network(arch).init_fn(jax.random.key(seed), (N, T, D))[1]


def test_compilations_are_seen():
    """The count is of something: a new function is compiled once, and then no more."""
    fn = jax.jit(lambda x: jnp.sin(x) * 3 + 1)
    x = jnp.ones((2, 3, 5))
    with compilations() as first:
        jax.block_until_ready(fn(x))
    with compilations() as second:
        jax.block_until_ready(fn(x))
    assert first[0] >= 1
    assert second[0] == 0


def test_kernel_fn_compiles_once_for_all_data_lengths_scales_and_widths(arch):
    kernel_fn = ntkrnn.network(arch).kernel_fn
    with compilations() as first:
        old = kernel_fn(sequences(0), None, None, lengths(6, 2, 4))
    assert first[0] >= 1
    with compilations() as again:
        kernel_fn(sequences(1), None, None, lengths(6, 2, 4))
        kernel_fn(sequences(0), None, None, lengths(1, 6, 3))
        kernel_fn(sequences(0), None, "ntk", lengths(6, 2, 4))
        ntkrnn.network(made_anew(arch)).kernel_fn(sequences(0), None, None, lengths(6, 2, 4))
        for change in ({"width": 77}, {"out_dim": 4}, SCALES):
            other = ntkrnn.network(dataclasses.replace(arch, **change)).kernel_fn
            new = other(sequences(0), None, None, lengths(6, 2, 4))
    assert again[0] == 0
    assert not np.allclose(old.ntk, new.ntk, rtol=0.01)  # the scales were not taken for constants


def test_kernel_fn_of_two_sides_compiles_once(arch):
    x2 = [sequences(seed, n=2, t=4) for seed in (1, 2)]
    with compilations() as first:
        ntkrnn.network(arch).kernel_fn(sequences(0), x2[0])
    assert first[0] >= 1
    with compilations() as again:
        ntkrnn.network(arch).kernel_fn(sequences(3), x2[1], "nngp")
        ntkrnn.network(dataclasses.replace(arch, **SCALES)).kernel_fn(sequences(0), x2[0])
    assert again[0] == 0


def test_one_program_serves_every_size_of_a_bucket(arch):
    """Sizes are rounded up to a quarter octave, and what is cut off needs no program either."""
    assert _tiling.bucket(9, coarse=16) == _tiling.bucket(10, coarse=16) == 16
    tilings = [_tiling.choose(n, n, 10, DTYPE.itemsize, "cpu", True) for n in (33, 36, 40)]
    assert len(set(tilings)) == 1
    kernel_fn = ntkrnn.network(arch).kernel_fn
    with compilations() as first:
        old = kernel_fn(sequences(0, 33, 10))
    assert first[0] >= 1
    with compilations() as again:
        found = {(n, t): kernel_fn(sequences(0, n, t)) for n, t in ((36, 10), (33, 9), (40, 9))}
    assert again[0] == 0
    for (n, t), kernels in found.items():
        assert kernels.ntk.shape == ((n, n, t, t) if arch.readout == "sequence" else (n, n))
    # The same sequences among others: sizes are arguments, not constants.
    more = np.concatenate([sequences(0, 33, 10), sequences(1, 3, 10)])
    with compilations() as again:
        new = kernel_fn(more)
    assert again[0] == 0
    np.testing.assert_allclose(new.ntk[:33, :33], old.ntk, rtol=0, atol=1e-5 * np.abs(old.ntk).max())


def test_one_program_serves_two_sides_of_every_size_of_a_bucket():
    kernel_fn = ntkrnn.network(ARCHS["mean"]).kernel_fn
    with compilations() as first:
        kernel_fn(sequences(0, 19, 10), sequences(1, 11, 7))
    assert first[0] >= 1
    with compilations() as again:
        kernel_fn(sequences(0, 20, 9), sequences(1, 12, 7))
        kernel_fn(sequences(0, 17, 10), sequences(1, 11, 7))
    assert again[0] == 0


@pytest.mark.parametrize("n", marked((15, 103), (15,)))
def test_folds_of_a_cross_validation_share_their_programs(n):
    """Of unequal sizes, 5 of them: kernels of those that are kept, and of those left out with them."""
    x, kernel_fn = sequences(0, n, 12), ntkrnn.network(ARCHS["last"]).kernel_fn
    counts = []
    for fold in np.array_split(np.arange(n), 5):
        kept = np.delete(x, fold, axis=0)
        with compilations() as count:
            kernel_fn(kept, None, "nngp")
            kernel_fn(x[fold], kept, "nngp")
        counts.append(count[0])
    assert counts[0] >= 1
    assert counts[1:] == [0, 0, 0, 0]


def test_the_smallest_problems_share_one_program():
    """Up to 16 sequences of up to 16 steps, where only one diagonal of the plane is run along."""
    kernel_fn = ntkrnn.network(ARCHS["last"]).kernel_fn
    with compilations() as first:
        kernel_fn(sequences(0, 16, 16))
    assert first[0] >= 1
    with compilations() as again:
        for n, t in ((1, 16), (3, 2), (9, 10), (16, 1)):
            assert kernel_fn(sequences(0, n, t)).ntk.shape == (n, n)
    assert again[0] == 0


# What XLA miscompiles, or may, for the whole of 512-bit registers: see ntkrnn/_compile.py.
LIBRARY_CALL = re.compile(
    r" (atan2|tan|exponential(?:-minus-one)?|log(?:-plus-one)?|logistic|sine|cosine|tanh|erf|power|cbrt"
    r"|custom-call)\("
)


def library_calls(arch, lengths=None):
    """Names of library functions in the program that computes tiles, as written and as compiled."""
    x = sequences(0, 4, 3)
    problem = _problem.Problem(dataclasses.replace(arch.form, width=1, out_dim=1), True, None)
    sizes = _problem.Sizes.of(problem, x, x, "cpu")
    work = _problem.prepare(problem, sizes, x, x, lengths, lengths, exact=False)
    scale = squared_scales(arch)
    both = jax.eval_shape(lambda: _programs.sides(work.settings, scale, work.one, work.two))
    devices = (jax.devices("cpu")[0],)
    lowered = _programs.program.lower(
        work.settings, devices, scale, work.steps, both, work.pairs, np.int32(0)
    )
    texts = [lowered.as_text("hlo"), lowered.compile().as_text()]
    assert all(" multiply(" in text for text in texts)  # this is how opcodes look
    return {call for text in texts for call in LIBRARY_CALL.findall(text)}


FAST = [name for name in (*dual.names(), "leaky_relu(0.2)") if dual.stepper(name).arithmetic]
QUICK = ("relu", "erf", "tanh")


@pytest.mark.parametrize("name", marked(FAST, QUICK))
def test_programs_for_wide_registers_hold_nothing_but_arithmetic(name):
    assert not library_calls(ntkrnn.Elman(width=1, nonlinearity=name))


@pytest.mark.parametrize("readout", ["mean", "sequence"])
def test_programs_of_every_readout_hold_nothing_but_arithmetic(readout):
    arch = ntkrnn.Elman(width=1, readout=readout, bidirectional=readout == "mean")
    assert not library_calls(arch, lengths(3, 1, 2, 3))


def test_library_calls_are_seen_where_they_are():
    """The other nonlinearities have them, and say that they do."""
    assert not dual.stepper("sin").arithmetic
    assert library_calls(ntkrnn.Elman(width=1, nonlinearity="sin"))


def test_apply_fn_compiles_once_for_all_data_lengths_parameters_and_scales(arch):
    params, other_params = initialised(arch), initialised(arch, 1)
    with compilations() as first:
        old = ntkrnn.network(arch).apply_fn(params, sequences(0), lengths(6, 2, 4))
    assert first[0] >= 1
    with compilations() as again:
        ntkrnn.network(arch).apply_fn(other_params, sequences(1), lengths(1, 5, 6))
        ntkrnn.network(made_anew(arch)).apply_fn(params, sequences(0), lengths(6, 2, 4))
        other = ntkrnn.network(dataclasses.replace(arch, **SCALES))
        new = other.apply_fn(params, sequences(0), lengths(6, 2, 4))
    assert again[0] == 0
    assert not np.allclose(old, new, rtol=0.01)


@pytest.mark.parametrize("build", [ntkrnn.empirical_ntk_fn, ntkrnn.empirical_nngp_fn])
def test_empirical_kernels_compile_once_for_all_data_lengths_parameters_and_scales(arch, build):
    params, other_params = initialised(arch), initialised(arch, 1)
    with compilations() as first:
        old = build(arch)(sequences(0), None, params, lengths(6, 2, 4))
    assert first[0] >= 1
    with compilations() as again:
        build(made_anew(arch))(sequences(1), None, other_params, lengths(1, 5, 6))
        other = build(dataclasses.replace(arch, **SCALES))
        new = other(sequences(0), None, params, lengths(6, 2, 4))
    assert again[0] == 0
    assert not np.allclose(old, new, rtol=0.01)


def test_kernels_of_constants_inside_another_program():
    """x is no argument of the program around it: the kernel is a constant of it."""
    x = jax.random.normal(jax.random.key(0), (3, 4, 2))
    arch = ntkrnn.Elman(width=8)
    params = ntkrnn.network(arch).init_fn(jax.random.key(1), x.shape)[1]
    kernel_fn, ntk_fn = ntkrnn.network(arch).kernel_fn, ntkrnn.empirical_ntk_fn(arch)
    for kernel in (lambda: kernel_fn(x).ntk, lambda: ntk_fn(x, None, params)):
        inside = jax.jit(lambda factor, kernel=kernel: factor * kernel())(2.0)
        # The same program or one of the same operations: a rounding of each step.
        np.testing.assert_allclose(inside, 2 * kernel(), rtol=32 * float(jnp.finfo(x.dtype).eps))


def test_options_that_a_compiler_does_not_have_are_left_out(monkeypatch):
    """The others are kept, and what else goes wrong is not taken for it."""
    monkeypatch.setattr(_compile, "_unknown", set())
    options = {"xla_no_such_option": 1, "xla_backend_optimization_level": 1}
    double = _compile.compiled(options=lambda x: options)(lambda x: 2 * x)
    assert double(np.float32(3)) == 6
    assert _compile._unknown == {"xla_no_such_option"}
    options["xla_backend_optimization_level"] = "no number"
    with pytest.raises(jax.errors.JaxRuntimeError, match="not a valid int32"):
        double(np.ones(3, np.float32))
