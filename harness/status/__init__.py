"""How far a corpus folder is, who works on it and what it cost; torch-free."""

from harness.status.look import STATES, Failure, Reader, Status, status

__all__ = ["STATES", "Failure", "Reader", "Status", "status"]
