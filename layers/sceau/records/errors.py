"""Why a record could not be loaded or committed."""


class RecordError(Exception):
    """Base of the family."""


class RecordDamaged(RecordError):
    """The dossier's bytes don't open, don't parse, or contradict themselves. Nothing was changed."""


class CommitLost(RecordError):
    """Another commit came first: reload, decide again, retry. Nothing was changed."""


class DuplicateIdentifier(RecordError):
    """A business identifier or an id would stand twice in the record. Nothing was changed."""
