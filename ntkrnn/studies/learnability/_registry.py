"""All experiments."""

from __future__ import annotations

from ntkrnn.studies.learnability import (
    additive_length,
    beyond_additive,
    ce24_certificate,
    ce24_cutoff,
    ce24_dynamical_systems,
    ce24_linearisation,
    ce24_log_samples,
    ce24_neuron_movement,
    complexity_ranks_error,
    early_token,
    gated_finite_width,
    gated_memory,
    gated_real_sequences,
    lazy_training,
    n_variable,
    rntk_sensitivity,
    token_to_token,
    width_insensitivity,
)
from ntkrnn.studies.learnability._experiment import Experiment

EXPERIMENTS: dict[str, Experiment] = {
    module.EXPERIMENT.name: module.EXPERIMENT
    for module in (
        lazy_training,
        width_insensitivity,
        additive_length,
        early_token,
        complexity_ranks_error,
        n_variable,
        beyond_additive,
        rntk_sensitivity,
        token_to_token,
        ce24_neuron_movement,
        ce24_linearisation,
        ce24_cutoff,
        ce24_certificate,
        ce24_log_samples,
        ce24_dynamical_systems,
        gated_finite_width,
        gated_real_sequences,
        gated_memory,
    )
}
"""By name, in the order of the documentation."""
