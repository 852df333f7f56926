"""Reference predictors, one a file; weakest first in `docs/baselines.md`.

`baselines.methods` holds what several of them are made of.
"""
