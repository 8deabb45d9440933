"""The command line: argument parsing and printing, nothing else."""

from ntkrnn.cli._app import app, main

__all__ = ["app", "main"]
