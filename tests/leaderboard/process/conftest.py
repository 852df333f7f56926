"""A blind release, shared with the tests of `tasks.blind`."""

from tests.tasks.blind.conftest import blind, made, whole

__all__ = ["blind", "made", "whole"]
