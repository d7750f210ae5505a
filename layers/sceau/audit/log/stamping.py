"""Time stamps on checkpoints (RFC 3161): an outside authority says when the log was as it was.

A checkpoint stands for all entries before it, so one stamp an hour, or a day, dates everything. A stamp is the
authority's whole answer, kept beside the checkpoint that it is of, locked, and only when it was verified:
`openssl ts -verify -data CHECKPOINT -in STAMP -CAfile ROOTS` says the same.

Nothing else may import this module but where it is used: what it needs is large, and functions that serve requests
start cold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final

from cryptography.x509 import Certificate, ObjectIdentifier, load_pem_x509_certificates
from rfc3161_client import (
    HashAlgorithm,
    PKIStatus,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    Verifier,
    VerifierBuilder,
    decode_timestamp_response,
)

from sceau.audit.log.asking import Ask
from sceau.audit.log.errors import LogUnavailable, NoReply, StampRefused
from sceau.audit.log.places import DATED, STAMP, dated_name, parse_dated
from sceau.audit.log.published import newest_checkpoint
from sceau.audit.log.reading import LogReader
from sceau.audit.retention import lock_end
from sceau.objects.errors import ObjectExists, ObjectStoreError
from sceau.objects.ports import ObjectStore

TOLERANCE: Final = timedelta(minutes=5)
"""How far the authority's time may be from our clock when we get its answer."""

LATE: Final = 2
"""After so many periods without a stamp somebody must look."""

SHA_256: Final = ObjectIdentifier("2.16.840.1.101.3.4.2.1")

_QUERY: Final = "application/timestamp-query"
_REPLY: Final = "application/timestamp-reply"
_OK: Final = 200


@dataclass(frozen=True, slots=True)
class Authority:
    """A time-stamp authority: where it is asked, which certificates it must lead to, its policy, if one is wanted."""

    url: str
    roots: tuple[Certificate, ...]
    policy: ObjectIdentifier | None = None


def authority_of(url: str, certificates: str, policy: str | None = None) -> Authority:
    """An authority as settings write it: PEM certificates of all who are trusted to vouch for it, a dotted OID.

    Raises StampRefused.
    """
    try:
        roots = tuple(load_pem_x509_certificates(certificates.encode()))
        return Authority(url, roots, ObjectIdentifier(policy) if policy is not None else None)
    except ValueError:
        raise StampRefused("an authority has PEM certificates, and a policy is a dotted object identifier") from None


@dataclass(frozen=True, slots=True)
class Stamped:
    """What a run did. `refused`: an answer did not verify; `unanswered`: none came. `overdue`: none in long."""

    stamped: int = 0
    unanswered: int = 0
    refused: int = 0
    overdue: bool = False

    def figures(self) -> dict[str, int | float]:
        """The numbers, for the log of operations."""
        return {"stamped": self.stamped, "stamps_unanswered": self.unanswered, "stamps_refused": self.refused}

    @property
    def alarms(self) -> dict[str, int]:
        """What looks like a forged answer, or a clock that is wrong."""
        return {"stamps_refused": self.refused} if self.refused else {}

    @property
    def troubles(self) -> dict[str, int]:
        """What keeps checkpoints from their stamps, and must be mended."""
        return {"stamps_overdue": 1} if self.overdue else {}


class Stamper:
    """Has one checkpoint `every` so often stamped: the newest, when the last stamped one is that old."""

    def __init__(
        self,
        store: ObjectStore,
        authority: Authority,
        ask: Ask,
        *,
        every: timedelta,
        clock: Callable[[], datetime],
        retention: timedelta,
    ) -> None:
        self._store = store
        self._log = LogReader(store)
        self._authority = authority
        self._ask = ask
        self._every = every
        self._clock = clock
        self._retention = retention

    def run(self) -> Stamped | None:
        """Have the newest checkpoint stamped if that is due; None when it is not. Raises LogUnavailable."""
        newest = newest_checkpoint(self._log)
        if newest is None:
            return None
        now = self._clock()
        last = self._last(now)
        if last is not None and (last >= newest.date or now < last + self._every):
            return None
        overdue = now > (last or self._first(newest.date)) + LATE * self._every
        try:
            stamp = self._stamp(newest.note, now)
            until = lock_end(now, self._retention)
            self._store.create(dated_name(newest.date, newest.checkpoint.size, STAMP), stamp, locked_until=until)
        except NoReply:
            return Stamped(unanswered=1, overdue=overdue)
        except StampRefused:
            return Stamped(refused=1, overdue=overdue)
        except ObjectExists:
            return None  # another run was faster: its stamp was verified too
        except ObjectStoreError as error:
            raise LogUnavailable("a time stamp could not be kept") from error
        return Stamped(stamped=1)

    def _last(self, now: datetime) -> datetime | None:
        """The date of the newest checkpoint that is stamped. Looks from a few periods ago first: the list is long."""
        for start in (now - 2 * LATE * self._every, None):
            after = f"{DATED}{start.astimezone(UTC):%Y-%m-%d}/" if start else ""
            found = None
            try:
                for name in self._store.list(DATED, after=after):
                    found = _date_of(name, STAMP) or found
            except ObjectStoreError as error:
                raise LogUnavailable("time stamps can't be listed") from error
            if found is not None:
                return found
        return None

    def _first(self, newest: datetime) -> datetime:
        """The date of the log's first checkpoint: since when a stamp is owed where there was none yet."""
        try:
            for name in self._store.list(DATED):
                return _date_of(name) or newest
        except ObjectStoreError as error:
            raise LogUnavailable("checkpoints can't be listed") from error
        return newest

    def _stamp(self, note: bytes, now: datetime) -> bytes:
        """The authority's answer over these bytes, verified. Raises NoReply, StampRefused."""
        request = TimestampRequestBuilder().data(note).hash_algorithm(HashAlgorithm.SHA256).build()
        reply = self._ask(self._authority.url, request.as_bytes(), _QUERY)
        if reply.status != _OK or reply.media_type != _REPLY:
            raise NoReply("the time-stamp authority answered something else")
        time = verify_stamp(reply.body, note, self._authority, nonce=request.nonce)
        if abs(now - time) > TOLERANCE:
            raise StampRefused("the authority's time is not ours")
        return reply.body


def verify_stamp(stamp: bytes, note: bytes, authority: Authority, *, nonce: int | None = None) -> datetime:
    """The time (UTC) at which the authority saw `note`, by its stored answer. Raises StampRefused.

    Verifies status, signature, the certificates at that time, what they are for, policy, nonce and digest. Not:
    whether the authority's certificate was revoked, nor whether it is qualified (eIDAS): SECURITY.md.
    """
    try:
        response = decode_timestamp_response(stamp)
        _verifier(authority, nonce).verify_message(response, note)
        return _time(response)
    except (VerificationError, ValueError) as error:
        raise StampRefused(f"the time stamp does not verify: {error}") from None


def require_imprint(stamp: bytes, note: bytes) -> None:
    """Raise StampRefused unless a stored answer grants a stamp over `note`'s SHA-256.

    Whose it is, it does not tell: a forger's passes. `verify_stamp` does, for who knows which authority to trust.
    """
    try:
        response = decode_timestamp_response(stamp)
        imprint = response.tst_info.message_imprint
        granted, known, digest = response.status == PKIStatus.GRANTED, imprint.hash_algorithm, imprint.message
    except ValueError as error:
        raise StampRefused(f"is no time stamp: {error}") from None
    if not granted or known != SHA_256 or digest != sha256(note).digest():
        raise StampRefused("the time stamp is of something else than the checkpoint that it stands beside")


def _verifier(authority: Authority, nonce: int | None) -> Verifier:
    return VerifierBuilder(roots=list(authority.roots), policy_id=authority.policy, nonce=nonce).build()


def _time(response: TimeStampResponse) -> datetime:
    time: datetime = response.tst_info.gen_time
    return time.astimezone(UTC)


def _date_of(name: str, beside: str = "") -> datetime | None:
    try:
        return parse_dated(name, beside)[0]
    except ValueError:
        return None
