"""The version of ntkrnn, in one place."""

__version__ = "0.1.0"
