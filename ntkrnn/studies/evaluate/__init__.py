"""The estimators on the archives that the field compares its methods by."""

from ntkrnn.studies.evaluate._files import (
    AGAINST_COLUMNS,
    FILES,
    against_rows,
    best_of,
    said,
    score_columns,
    score_rows,
    write_evaluate,
)
from ntkrnn.studies.evaluate._published import (
    FILE,
    SIZES,
    Published,
    against,
    in_shares,
    mean_ranks,
    read_published,
)
from ntkrnn.studies.evaluate._run import EvaluateSettings, SetScore, evaluate
from ntkrnn.studies.evaluate._sets import SUITES

__all__ = [
    "AGAINST_COLUMNS",
    "FILE",
    "FILES",
    "SIZES",
    "SUITES",
    "EvaluateSettings",
    "Published",
    "SetScore",
    "against",
    "against_rows",
    "best_of",
    "evaluate",
    "in_shares",
    "mean_ranks",
    "read_published",
    "said",
    "score_columns",
    "score_rows",
    "write_evaluate",
]
