"""Reference predictors, one a file; weakest first in `docs/baselines.md`."""
