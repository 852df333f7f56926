"""Prediction tasks: what may be seen, what is asked, and how answers are scored."""
