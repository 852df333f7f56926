"""Grids: which factors cross, and the question that the runs are to answer."""
