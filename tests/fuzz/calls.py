"""One random call: it ends in a finite result, or in an error of the library that names an argument."""

import re
import traceback
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from nasty import spoil
from ways import WAYS, pick

import ntkrnn

PACKAGE = Path(ntkrnn.__file__).parent
FIELDS = {
    "w_std",
    "u_std",
    "b_std",
    "v_std",
    "alpha",
    "rate",
    "width",
    "lengths",
    "x1",
    "x",
    "params",
    "apply_fn",
}


class Wrong(AssertionError):
    """A call that ended in neither."""


ENDLESS = {"steps", "replicates"}
"""Numbers of which a large one is an honest wish that takes its time."""


def describe(value):
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"{type(value).__name__} {value.dtype}{list(value.shape)}"
    return repr(value)[:80]


def _numbers(result):
    """The arrays of numbers in a result."""
    for leaf in jax.tree.leaves(result):
        if isinstance(leaf, (np.ndarray, jax.Array, float, np.floating)):
            array = np.asarray(leaf) if not _is_key(leaf) else None
            if array is not None and array.dtype.kind in "fiu":
                yield array


def _is_key(leaf):
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _check_refusal(error, given):
    """A TypeError or ValueError, raised by a ``raise`` of the library, that opens with a name."""
    if not isinstance(error, (TypeError, ValueError)):
        raise Wrong(f"{type(error).__name__}: {error}")
    last = traceback.extract_tb(error.__traceback__)[-1]
    if not Path(last.filename).is_relative_to(PACKAGE) or not last.line.startswith("raise"):
        raise Wrong(f"{type(error).__name__} from {last.filename}:{last.lineno}: {str(error)[:200]}")
    name = re.match(r"\w+", str(error))
    known = {*given, *FIELDS}
    if name is None or name[0] not in known or not re.match(r"[\w.\[\]'\"]+: ", str(error)):
        raise Wrong(f"names no argument: {str(error)[:200]}")


def call(fn, given):
    """``(result, None)`` or ``(None, error)``; warnings of the library's own are no failure."""
    with warnings.catch_warnings(), jax.numpy_dtype_promotion("standard"):
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=UserWarning, module=r"ntkrnn|calls|jax")
        warnings.filterwarnings("ignore", message="Python iterable type")  # JAX, of what is no tree
        try:
            return jax.block_until_ready(fn(**given)), None
        except Exception as error:
            return None, error


INFINITE = ("flow", "small", "ensemble", "bounds")
"""Ways whose results may say infinity: a step without a limit, a bound without a value."""


def check_call(seed):
    """Make the call of this seed.

    Returns:
        True if it ended in a result, False if it was refused.

    Raises:
        Wrong: if it ended otherwise, saying with what it was called.
    """
    rng = np.random.default_rng(seed)
    way = list(WAYS)[seed % len(WAYS)]
    fn, given = WAYS[way](rng)
    spoiled = []
    if rng.random() < 0.8:
        spoiled = [pick(rng, list(given)) for _ in range(1 + (rng.random() < 0.2))]
        spoiled = [k for k in spoiled if k not in ENDLESS]
        given = {k: spoil(rng, v) if k in spoiled else v for k, v in given.items()}
    result, error = call(fn, given)
    try:
        if error is not None:
            if not spoiled:
                raise Wrong(f"refused although nothing was spoiled: {type(error).__name__}: {error}")
            _check_refusal(error, given)
            return False
        for array in _numbers(result):
            if np.isnan(array).any() or not (np.isfinite(array).all() or way.endswith(INFINITE)):
                raise Wrong(f"a result that is not finite, {array.ravel()[:4]}")
        if way.startswith(("kernel-", "empirical")) and "x1" in given:
            check_identities(fn, given, result)
        return True
    except Wrong as wrong:
        shown = {k: describe(v) for k, v in given.items() if k in spoiled}
        raise Wrong(f"seed {seed}, {way} with {shown or 'nothing spoiled'}: {wrong}") from error


def _same(fn, given, kernel, other):
    """Whether two kernels are equal to the rounding of the variances of both sides."""
    gap = np.abs(kernel - other).max()
    if gap <= 1e-4 * np.abs(kernel).max():
        return True
    # Sequences that are orthogonal, or next to 0, have a kernel of 0, to the rounding of their
    # variances: it is half of their sum, less a distance.
    sides = (("x1", "lengths1"), ("x2" if given.get("x2") is not None else "x1", "lengths2"))
    variances = []
    for x, lengths in sides:
        alone = {k: v for k, v in given.items() if k not in ("x2", "lengths2")}
        alone |= {"x1": given[x], "lengths1": given.get(lengths if x in given else "lengths1")}
        own, error = call(fn, alone | ({"x2": None} if "x2" in given else {}))
        if error is not None:
            raise Wrong(f"refused one side alone: {error}")
        variances.append(max(np.abs(np.asarray(k, np.float64)).max() for k in jax.tree.leaves(own)))
    return gap <= 1e-4 * np.sqrt(variances[0] * variances[1]) or gap <= 1e-6 * sum(variances)


def _without_errors(result):
    """The kernels of a result; standard errors beside them are no kernels."""
    if not hasattr(result, "_fields"):
        return jax.tree.leaves(result)
    return [k for name, k in zip(result._fields, result, strict=True) if not name.endswith("_error")]


def check_identities(fn, given, result):
    """What holds of every kernel: shape, symmetry, no negative variance, transposition, padding."""
    x1, x2 = np.asarray(given["x1"]), given.get("x2")
    kernels = [np.asarray(k, np.float64) for k in _without_errors(result)]
    n2 = len(x1) if x2 is None else len(np.asarray(x2))
    if given.get("diagonal"):
        _check_diagonal(fn, given, kernels)
        return
    for k in kernels:
        if k.shape[:2] != (len(x1), n2):
            raise Wrong(f"shape {k.shape} for {len(x1)} and {n2} sequences")
    if x2 is None and kernels[0].ndim == 2:
        for k in kernels:
            _check_own(k)
    if x1.ndim != 3:  # nested lists
        return
    if x2 is not None and given.get("tile") is None:
        turned = {"lengths1": given.get("lengths2"), "lengths2": given.get("lengths1")}
        other, error = call(fn, given | turned | {"x1": x2, "x2": given["x1"]})
        if error is not None:
            raise Wrong(f"refused with the sides exchanged: {error}")
        for k, t in zip(kernels, _without_errors(other), strict=True):
            turn = np.asarray(t, np.float64).transpose((1, 0, 3, 2)[: k.ndim])
            if not _same(fn, given, k, turn):
                raise Wrong("not the transpose with the sides exchanged")
    if given.get("lengths1") is not None and kernels[0].ndim == 2:
        padded = np.concatenate([x1, np.full_like(x1[:, :1], 7)], axis=1)
        more, error = call(fn, given | {"x1": padded})
        if error is not None:
            raise Wrong(f"refused with more padding: {error}")
        for k, p in zip(kernels, _without_errors(more), strict=True):
            if not _same(fn, given, k, np.asarray(p, np.float64)):
                raise Wrong("depends on the padding")


def _check_diagonal(fn, given, kernels):
    """That of the whole kernel."""
    whole, error = call(fn, given | {"diagonal": False})
    if error is not None:
        raise Wrong(f"refused where the diagonal was not: {error}")
    for own, k in zip(kernels, _without_errors(whole), strict=True):
        want = np.asarray(k, np.float64)[np.arange(len(k)), np.arange(len(k))]
        near = own.shape == want.shape and np.abs(own - want).max() <= 1e-4 * np.abs(k).max()
        if not near and (
            own.shape != want.shape or not _same(fn, given | {"diagonal": False}, own, want)
        ):
            raise Wrong("not the diagonal of the whole kernel")


def _check_own(k):
    """A kernel of some sequences with themselves."""
    if not np.array_equal(k, k.T):
        raise Wrong("not symmetric")
    variances = np.diagonal(k)
    if variances.min() < 0:
        raise Wrong(f"a negative variance {variances.min()}")
    if (np.abs(k) > 1.001 * np.sqrt(np.outer(variances, variances)) + 1e-4 * variances.max()).any():
        raise Wrong("larger than its diagonal allows")
