"""Why the log could not be written, read or believed. Messages name objects, keys and numbers, never what is sealed."""


class LogError(Exception):
    """Base of the family."""


class NoteRefused(LogError):
    """A signed note, a verifier key or a checkpoint is malformed, of another origin, or not signed as it must be."""


class ProofRefused(LogError):
    """A proof is malformed, or does not prove what it is said to."""


class LogDamaged(LogError):
    """Objects of the log contradict each other. Nothing may be signed until somebody has looked."""


class NotLogged(LogError):
    """The newest checkpoint does not hold the event yet: it will, within a minute or so."""


class PolicyRefused(LogError):
    """A policy is malformed. The message names the line."""


class QuorumMissed(LogError):
    """A checkpoint has fewer cosignatures than the policy wants."""


class LogUnavailable(LogError):
    """Store or key service did not answer. The next run takes up what this one left."""


class ClockRefused(LogError):
    """Our clock and the store's are more than a minute apart: nothing is written until they agree."""


class NoReply(LogError):
    """Somebody outside who was asked (a witness, a time-stamp authority) did not answer, or not as it must."""


class StampRefused(LogError):
    """A time stamp, or what is said of its authority, is malformed, or does not verify."""
