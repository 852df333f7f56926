"""Exceptions worth catching, drawn as a tree.

RuncastError
|-- DataError      a data set is missing, incomplete or not what it claims to be
|-- CorpusError    a corpus or a shard is incomplete, changed or contradictory
|-- HubError       the Hub refused, cannot be reached, or holds something else
|-- StorageError   a file could not be written (disk full, read-only, quota)
|-- PredictorError a predictor crashed, or answered in another form than asked for
`-- Declined       a predictor cannot answer a question, and says why

Wrong arguments raise ValueError, KeyError or TypeError, as everywhere in Python.
"""


class RuncastError(Exception):
    """Base class of everything below."""


class DataError(RuncastError):
    """A data set is missing, incomplete or not what it claims to be."""


class CorpusError(RuncastError):
    """A corpus or a shard is incomplete, changed or contradictory."""


class HubError(RuncastError):
    """The Hub refused, cannot be reached, or holds something else."""


class StorageError(RuncastError):
    """A file could not be written: disk full, read-only, quota."""


class PredictorError(RuncastError):
    """A predictor crashed, or answered in another form than was asked for."""


class Declined(RuncastError):
    """A predictor cannot answer a question; the message says why. It is counted."""
