"""Fits and statistics of curves: vectorised numpy, many curves at once, no torch."""
