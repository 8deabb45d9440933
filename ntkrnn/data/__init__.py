"""Real sequences as arrays: built-in sets, files, subsets, and helpers that respect lengths.

:func:`load` turns a name or a file into a :class:`Dataset`, :func:`records` a table of steps into
:class:`Records` of inputs and an output; :func:`standardize`, :func:`block_means`
and :func:`differences` make sequences ready for a kernel; :mod:`ntkrnn.data.systems` draws dynamical
systems. Nothing here is imported by
``import ntkrnn``, and scikit-learn and aeon are imported only by the sets that need them.
"""

from ntkrnn.data import systems
from ntkrnn.data._builtin import NAMES
from ntkrnn.data._dataset import Dataset
from ntkrnn.data._files import SUFFIXES
from ntkrnn.data._load import load
from ntkrnn.data._records import Records, records
from ntkrnn.data._standardize import KINDS, standardize
from ntkrnn.data._steps import block_means, differences

__all__ = [
    "KINDS",
    "NAMES",
    "SUFFIXES",
    "Dataset",
    "Records",
    "block_means",
    "differences",
    "load",
    "records",
    "standardize",
    "systems",
]
