"""Why sealed bytes did not open. Messages never carry content, keys or context values."""


class EnvelopeError(Exception):
    """Base of the family."""


class MessageRefused(EnvelopeError):
    """The message is altered, truncated, of another place, or not of the algorithm suite that we accept."""
