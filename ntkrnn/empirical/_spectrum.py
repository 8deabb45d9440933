"""The largest eigenvalues of the empirical tangent kernel, from products with vectors alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn import _checks
from ntkrnn._types import Array
from ntkrnn.architectures import Architecture
from ntkrnn.empirical._axes import roles_of
from ntkrnn.empirical._matvec import empirical_ntk_matvec, space_of


class Spectrum(NamedTuple):
    """What ``spectrum_fn`` returns."""

    values: Array
    """``[k]``: the largest eigenvalues, in descending order."""
    vectors: Array
    """``[N, k]``, or ``[N, (T,) (O,) k]``: eigenvectors of unit norm."""


def empirical_ntk_spectrum(
    arch: Architecture,
    trace_axes: Sequence[int] = (-1,),
    *,
    batch_size: int | None = None,
    precision: jax.lax.Precision | str = jax.lax.Precision.HIGHEST,
) -> Callable[..., Spectrum]:
    r"""Build ``spectrum_fn(x, params, k=6, lengths=None, tolerance=None)``, the top of the spectrum.

    ``Theta u_i = lambda_i u_i`` for the k largest lambda_i, by the implicitly restarted Lanczos method
    of ARPACK (SciPy's ``eigsh``) on the products of :func:`empirical_ntk_matvec`: Theta is not formed.
    The Lanczos vectors are in float64 whatever the products are in.

    Args:
        arch: an architecture such as :class:`ntkrnn.Elman`.
        trace_axes: as for :func:`empirical_ntk_matvec`.
        batch_size: as for :func:`empirical_ntk_matvec`.
        precision: of every matrix product, as in :func:`empirical_ntk_fn`.

    Returns:
        ``spectrum_fn``; ``x`` [N, T, d], ``params`` of ``init_fn``, ``k`` at least 1 and below the
        number of entries of a vector (N, or N T for "sequence", times O if channels are kept), and
        the relative ``tolerance`` of an eigenvalue, by default 8 roundings of the dtype. It returns
        ``(values [k], vectors [N, k])``. Not to be called inside of ``jax.jit``.

    Raises:
        TypeError, ValueError: for arguments that do not fit each other, naming them.
        RuntimeError: if Lanczos does not converge, saying how far it came.

    Cost: some 2 k to 10 k products with vectors, O(N T m^2) each; memory O(N k) beside theirs.

    Source: ARPACK Users' Guide (Lehoucq, Sorensen & Yang 1998) through SciPy.

    Example:
        >>> import jax, ntkrnn
        >>> arch = ntkrnn.Elman(width=32)
        >>> x = jax.random.normal(jax.random.key(0), (8, 6, 3))
        >>> _, params = ntkrnn.network(arch).init_fn(jax.random.key(1), x.shape)
        >>> values, vectors = ntkrnn.empirical_ntk_spectrum(arch)(x, params, k=2)
        >>> vectors.shape, bool(values[0] > values[1] > 0)
        ((8, 2), True)
    """
    operator_fn = empirical_ntk_matvec(arch, trace_axes, batch_size=batch_size, precision=precision)
    roles = roles_of(arch, trace_axes, ())

    def spectrum_fn(
        x: Any, params: Any, k: int = 6, lengths: Any = None, tolerance: float | None = None
    ) -> Spectrum:
        from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

        k = _checks.positive_integer("k", k)
        x, lengths = _checks.side("x", x, lengths)
        if _checks.concrete_values(x) is None:
            raise TypeError(
                "x: got an array that is being traced; call spectrum_fn outside of jax.jit."
            )
        matvec = operator_fn(x, None, params, lengths)
        space = space_of(arch, roles, x)
        size = math.prod(space)
        if k >= size:
            raise ValueError(
                f"k: got {k}, expected fewer than the {size} entries of a vector; for the whole "
                "spectrum use jnp.linalg.eigvalsh of the kernel of empirical_ntk_fn."
            )
        dtype = _checks.float_dtype(x, *jax.tree.leaves(params))
        if tolerance is None:
            tolerance = 8 * float(jnp.finfo(dtype).eps)

        def product(v: np.ndarray) -> np.ndarray:
            return np.asarray(matvec(v.reshape(space)), np.float64).ravel()

        operator = LinearOperator((size, size), matvec=product, dtype=np.float64)  # pyright: ignore
        start = np.random.default_rng(0).normal(size=size)
        try:
            values, vectors = eigsh(operator, k, which="LA", v0=start, tol=tolerance)  # pyright: ignore
        except ArpackNoConvergence as error:
            raise RuntimeError(
                f"Lanczos converged for {len(error.eigenvalues)} of k={k} eigenvalues within tolerance="
                f"{tolerance:g}; ask for fewer, or pass a larger tolerance."
            ) from error
        order = np.argsort(values)[::-1]
        vectors = vectors[:, order].reshape(*space, k)
        return Spectrum(jnp.asarray(values[order], dtype), jnp.asarray(vectors, dtype))

    return spectrum_fn
