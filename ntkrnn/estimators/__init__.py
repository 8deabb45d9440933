"""Recurrent kernels in the contract of scikit-learn: fit and predict on series, short or ragged."""

__all__: list[str] = []
