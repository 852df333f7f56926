"""Estimators of gradient noise from gradients of S runs at once."""
