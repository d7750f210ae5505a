"""One-time marks: `replay/<minute>/<hash>`, created once. Who can't create one comes second, in any process.

The minute is the one in which the marked thing expires, taken from the thing itself: a replay looks for the same name
whenever it comes, also over a minute's end, and whole minutes can be swept. A mark is empty; its name is a hash.
Marks survive the process, not power loss: a nonce is older than the machine's restart by then.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from sceau.identity.errors import Replayed, Unavailable
from sceau.objects.errors import ObjectExists, ObjectStoreUnavailable
from sceau.objects.ports import ImmutableObjects

PREFIX: Final = "replay/"
SWEEP_MARGIN: Final = timedelta(minutes=5)
"""How long after its minute a mark is kept: the clocks of our processes may differ by less than this."""

_MARK = re.compile(r"[a-z]+/([0-9]{8}T[0-9]{4})/.+")


class MarkKind(StrEnum):
    """What can be used once. Part of the hash: a proof never collides with an assertion."""

    PROOF = "proof"
    ASSERTION = "assertion"
    SUBJECT_TOKEN = "subject-token"  # noqa: S105 - a kind of mark


def minute_of(instant: datetime) -> str:
    """The minute of an instant as it stands in object names: UTC, `20261123T2116`; sorts like time."""
    return instant.astimezone(UTC).strftime("%Y%m%dT%H%M")


def mark_name(kind: MarkKind, expires: datetime, *parts: str) -> str:
    """The object name of a mark."""
    digest = hashlib.sha256(kind.encode())
    for part in parts:
        raw = part.encode()
        digest.update(len(raw).to_bytes(4, "big") + raw)  # lengths: no two lists of parts give the same bytes
    return f"{PREFIX}{minute_of(expires)}/{digest.hexdigest()}"


def is_sweepable(name: str, now: datetime) -> bool:
    """Whether a mark (or a revocation) of this name has been without use for `SWEEP_MARGIN`.

    What has another form of name is no mark: it is left alone.
    """
    match = _MARK.fullmatch(name)
    return match is not None and match[1] <= minute_of(now - SWEEP_MARGIN - timedelta(minutes=1))


class ReplayMarks:
    """Claims one-time values. Safe under threads and across processes: the store's create-once decides."""

    def __init__(self, store: ImmutableObjects) -> None:
        self._store = store

    def claim(self, kind: MarkKind, expires: datetime, *parts: str) -> None:
        """Take the value for this request. Call it only once every signature of the request is verified.

        Raises Replayed when somebody had it before; Unavailable when that can't be known (then nothing is granted).
        """
        name = mark_name(kind, expires, *parts)
        try:
            self._store.create(name, b"", durable=False)
        except ObjectExists:
            raise Replayed(f"this {kind} was used before") from None
        except ObjectStoreUnavailable:
            raise Unavailable("the store of replay marks does not answer") from None
