"""Readers of foreign curves: files of other programs become a corpus. Torch-free."""
