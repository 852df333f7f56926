"""Executors: who trains the cohorts of a plan, on one machine or on several."""
