"""Metrics: pure functions of truth and prediction, one family a file."""
