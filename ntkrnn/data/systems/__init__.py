"""Dynamical systems to learn: input and output sequences, step by step.

Every function returns a :class:`System` with ``x [n, T, d]``, ``||x_t|| <= 1`` as CE24 (arXiv
2402.12241) asks, and ``y [n, T, 1]``, where ``y_t`` depends on the inputs up to step t. Arrays are
NumPy float64, the same for a key whatever the precision of JAX.

An odd network (tanh, sin, erf without a bias) is an odd function of its input. Systems that are not odd
therefore come with a second channel that is constant, the tokens being ``(x_t, 1)/sqrt 2``.
"""

from ntkrnn.data.systems._linear import linear_state_space
from ntkrnn.data.systems._narma import narma10
from ntkrnn.data.systems._oscillators import pendulum, van_der_pol
from ntkrnn.data.systems._recording import from_csv
from ntkrnn.data.systems._system import System

__all__ = ["System", "from_csv", "linear_state_space", "narma10", "pendulum", "van_der_pol"]
