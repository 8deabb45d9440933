"""Linear readouts: which states of a sequence an output is made of, and with what weights.

Every readout but "sequence" is a weighted sum of states, ``F = V sum_t p_t s_t``, and its kernels are
``sum_{t,t'} p_t p'_t' K_{t,t'}``. A new one is a class of the weights: finite networks and all kernels
read it.
"""

from ntkrnn.readouts._exponential import Exponential, exponential
from ntkrnn.readouts._field import normalised_readout, readout_of, readout_record
from ntkrnn.readouts._named import NAMED, last, mean, sequence
from ntkrnn.readouts._readout import Readout, weights_of
from ntkrnn.readouts._weights import Weights, weights

__all__ = [
    "NAMED",
    "Exponential",
    "Readout",
    "Weights",
    "exponential",
    "last",
    "mean",
    "normalised_readout",
    "readout_of",
    "readout_record",
    "sequence",
    "weights",
    "weights_of",
]
