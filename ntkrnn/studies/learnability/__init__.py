"""Experiments that hold measured kernels and training runs against what the theories claim."""

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
from ntkrnn.studies.learnability._experiment import (
    AGREES,
    DISAGREES,
    INCONCLUSIVE,
    Conclusion,
    Experiment,
    Finding,
    finding,
    said,
)
from ntkrnn.studies.learnability._files import write_learnability
from ntkrnn.studies.learnability._grid import Grid, Job, Measured, grid
from ntkrnn.studies.learnability._run import LearnabilityResult, learnability
from ntkrnn.studies.learnability._table import Table, table

EXPERIMENTS = {
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

__all__ = [
    "AGREES",
    "DISAGREES",
    "EXPERIMENTS",
    "INCONCLUSIVE",
    "Conclusion",
    "Experiment",
    "Finding",
    "Grid",
    "Job",
    "LearnabilityResult",
    "Measured",
    "Table",
    "finding",
    "grid",
    "learnability",
    "said",
    "table",
    "write_learnability",
]
