"""Boards about hidden runs: halves, the ladder, the ledger, the close of a version."""
