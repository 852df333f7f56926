"""Train grids of runs and record what can be seen early: the runcast harness."""

__all__ = ["__version__"]

__version__ = "0.1.0"
