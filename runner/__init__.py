"""Eyas: run Kestra flows with Python scripts without a Kestra server."""

__version__ = "0.1.0"
__all__ = ["__version__"]
