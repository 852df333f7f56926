"""The synthetic corpus of the tasks' tests; examples made by hand are in `built`."""

from tests.tasks.conftest import corpus

__all__ = ["corpus"]
