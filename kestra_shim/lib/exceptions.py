"""The top-level module `exceptions` of the PyPI package `kestra`, for scripts that import it."""

from kestra import FailedExponentialBackoff

__all__ = ["FailedExponentialBackoff"]
