"""Why an audit event could not be written or read. Messages name events, never what they say."""


class JournalError(Exception):
    """Base of the family."""


class JournalUnavailable(JournalError):
    """The journal can't be written or read now. An event that was being written is not confirmed: do not act."""


class EventLocked(JournalError):
    """The key version that the event is sealed under is disabled or destroyed. Others can be read."""


class EventAbsent(JournalError):
    """The record has no event of this id."""


class EventDamaged(JournalError):
    """The stored event is altered, of another place, or not what its own commitment says. It must not be shown."""
