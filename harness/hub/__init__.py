"""Corpora on the Hugging Face Hub: there and back, verified at both ends."""
