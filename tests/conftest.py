"""Settings shared by every test."""

import jax
import pytest
from architectures import TABLE

# Compiling takes most of the time of the suite. What is slow beyond proportion runs in `make test-all`:
SLOW_ROWS = {
    # compiled operation by operation, and little of it depends on the architecture
    "test_jit_equals_no_jit": lambda row: row not in ("erf-mean", "diagonal-sin-last"),
    # a compilation of the backward pass of every readout and depth, one of each in the quick suite
    "test_gradients_of_the_kernels_are_finite": lambda row: (
        row
        not in (
            "erf",
            "relu-bias",
            "erf-mean",
            "erf-sequence",
            "leaky-only-w",
            "diagonal-tanh-sequence",
        )
    ),
    # Padding acts before the nonlinearity: one row of each readout, direction and depth.
    "test_more_padding_on_another_side_of_other_size": lambda row: (
        row
        not in (
            "erf",
            "relu-deep",
            "erf-mean",
            "erf-sequence",
            "erf-bidirectional",
            "diagonal-tanh-sequence",
            "gru-before",
        )
    ),
    # The others have a peer in the quick suite, or differ in the nonlinearity alone.
    "test_equals_the_jacobian_product": lambda row: (
        row
        not in (
            "relu-bias",
            "erf-mean",
            "erf-sequence",
            "leaky-only-w",
            "erf-three-outputs",
            "lstm-per-gate-bidirectional",
            "gru-before",
        )
        and not row.startswith("diagonal")
    ),
}
# The conformance table holds these for their nonlinearity, or for what others have one by one; they
# compile the longest. test_infinite_reference has both kinds in the quick suite.
LONG_ROWS = (
    "tanh",
    "gelu-deep-bidirectional-mean",
    "sin-bidirectional-sequence",
    "abs-u-b-mean-deep",
    "diagonal-identity-mean-unpaired",
    "diagonal-erf-sequence-only-u",
    "lstm-deep-mean-bias",
    "lstm-per-gate-bidirectional",
    "gru-after-sequence",
    "leaky-integrator-mean",
    "minimal-gru",
)
# In float64 the quick suite takes a part of the table that holds every readout, both directions,
# depth, and a kinked and a smooth nonlinearity; test_infinite_reference has an expanded one.
FLOAT64_ROWS = ("relu-bias", "erf-mean", "erf-sequence", "leaky-only-w", "diagonal-sin-last", "lstm")
# Statistics and messages, which a longer float does not change.
FLOAT32_IS_ENOUGH = (
    "test_finite_networks_have_the_limit_s_mean_and_covariance",
    "test_variances_beyond_the_expansion_are_reported",
    "test_standard_errors_are_calibrated",
    "test_weights_at_the_start",
    "test_the_output_at_the_start_is_zero_to_the_last_bit",
    "test_options_that_cannot_be_used_are_refused",
)
# Others compile the longest of their kind; the quick suite has simpler rows of the same test.
LONG_TESTS = (
    "test_a_run_is_the_loop_of_optax[relu-mean-ragged-momentum-3]",
    "test_a_tolerance_is_met[gru-before-mean]",
    "test_a_tolerance_is_met[minimal-deep]",
    "test_agrees_with_monte_carlo",
    "test_agrees_with_network[relu-deep]",
    "test_both_routes_are_the_jacobian_product[gru-before-both-ways]",
    "test_both_routes_are_the_jacobian_product[lstm-per-gate-deep-mean]",
    "test_engines_agree_to_rounding[mean-2-('w', 'v')-lengths2]",
    "test_engines_give_the_same_comparison",
    "test_equals_a_loop_over_steps[mean-deep-bidirectional]",
    "test_equals_a_loop_over_steps[sequence-deep-bidirectional]",
    "test_equals_the_jacobian_product[only-b-deep]",
    "test_equals_the_jacobian_product[relu-bidirectional-deep-sequence]",
    "test_every_grouping_gives_the_same[gru-before-both-ways]",
    "test_finite_networks_have_the_limit_s_mean_and_covariance",
    "test_function_space_is_weight_space_over_a_thousand_steps[momentum]",
    "test_gradient_is_jax_s_own[gru-before-both-ways]",
    "test_gradient_is_jax_s_own[lstm-per-gate-deep-mean]",
    "test_kernel_is_the_contraction_of_jacobians[nnx_module-GRUCell]",
    "test_mean_over_networks_is_the_limit[erf-sequence-only-w]",
    "test_mean_over_networks_is_the_limit[relu-bias-critical]",
    "test_rate_one_is_the_elman_network[mean-deep-bidirectional]",
    "test_same_tangent_kernel_as_flax[GRUCell-mean]",
    "test_the_mean_of_finite_networks_is_the_sampled_kernel[gru-before-both-ways]",
    "test_the_mean_of_finite_networks_is_the_sampled_kernel[minimal-gru-mean]",
    "test_tiles_sides_and_order_change_the_noise_only[lstm]",
    "test_what_is_exact_agrees_with_samples[gates-of-both-signs]",
    "test_what_is_exact_agrees_with_samples[lengths-and-depth]",
)
FLOAT64_FILES = ("test_conformance", "test_empirical")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Mark as slow what the quick suite leaves out; skip what needs a GPU where there is none."""
    del config
    x64 = jax.config.jax_enable_x64
    gpu = any(device.platform == "gpu" for device in jax.devices())
    for item in items:
        if "gpu" in item.keywords and not gpu:
            item.add_marker(pytest.mark.skip(reason="no GPU on this machine"))
        if item.name in LONG_TESTS:
            item.add_marker(pytest.mark.slow)
        name, _, rest = item.name.partition("[")
        if x64 and name in FLOAT32_IS_ENOUGH:
            item.add_marker(pytest.mark.slow)
        row = max((row for row in TABLE if rest.startswith(row)), key=len, default=None)
        if row is None:
            continue
        if SLOW_ROWS.get(name, lambda row: False)(row):
            item.add_marker(pytest.mark.slow)
        if item.module.__name__ == "test_conformance" and row in LONG_ROWS:
            item.add_marker(pytest.mark.slow)
        if x64 and item.module.__name__ in FLOAT64_FILES and row not in FLOAT64_ROWS:
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def strict():
    """Implicit promotion of dtypes or ranks is an error inside the test."""
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield
