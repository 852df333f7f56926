"""Strangers' predictions, checked, scored, ranked and shown on a static page."""
