"""Probes: what is measured on the training state, each with its cadence."""
