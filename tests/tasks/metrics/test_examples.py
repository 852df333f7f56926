import doctest
import importlib
import pkgutil

import pytest

import tasks.metrics
import tasks.statistics

MODULES = [
    f"{package.__name__}.{found.name}"
    for package in (tasks.metrics, tasks.statistics)
    for found in pkgutil.iter_modules(package.__path__)
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_the_docstrings_are_true(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0
