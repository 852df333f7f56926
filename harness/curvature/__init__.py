"""Estimators of curvature from products with a matrix, for S runs at once."""
