"""Emergency modes at the token endpoint: what is declared, and how one declaration serves several tokens.

A token lives 300 s, a declaration as long as the stage's setting (60 minutes). So the answer to a declaration carries a
handle, with which the same professional, through the same client, gets further tokens for the same patient until the
declaration ends; then it takes a new one. Nothing is stored: a handle is format, what was declared, until when, and the
event that recorded it, under an HMAC that also covers whom it is for. Format: `docs/formats/access-token.md`.

Source: CSP L. 1111-17 I. Who may enter where is decided on the record (`access`), with each request.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from struct import Struct
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sceau.access.model import ActorKind, Mode
from sceau.identity.errors import JwsRefused, OAuthError, OAuthRefusal, Reason
from sceau.identity.jose import decode_part, encode_part

MODE: Final = "mode_acces"
REASON: Final = "mode_acces_raison"
UNABLE: Final = "hors_etat_d_exprimer_sa_volonte"
RISK: Final = "risque_immediat"
DECLARATION: Final = "declaration"
PARAMETERS: Final = (MODE, REASON, UNABLE, RISK, DECLARATION)

LONGEST_REASON: Final = 500
_A_WORD: Final = re.compile(r"\w{3}")
_FORMAT: Final = 1
_HEAD: Final = Struct(">BBQ16s")  # format, flags, end in seconds since the epoch, event
_LENGTH: Final = Struct(">I")
_REASON_GIVEN, _UNABLE, _RISK, _CENTRE_15 = 1, 2, 4, 8
_MAC_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Entry:
    """How somebody enters in an emergency, until when (seconds since the epoch, exclusive).

    `reason`: as written, in the entry that declares it. `event`: the audit event of the declaration; None until it is
    written.
    """

    mode: Mode
    until: int
    reason: str | None = field(default=None, repr=False)
    reason_given: bool = False
    unable_to_consent: bool = False
    immediate_risk: bool = False
    event: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request declares, or the handle of what was declared before."""

    mode: Mode
    reason: str | None = field(default=None, repr=False)
    unable_to_consent: bool = False
    immediate_risk: bool = False
    handle: str | None = field(default=None, repr=False)


def asked_mode(form: Mapping[str, str], kind: ActorKind) -> Asked:
    """The mode that a token request asks for. Raises OAuthRefusal for what is no whole declaration."""
    given = [name for name in PARAMETERS if name in form]
    if given and kind is not ActorKind.PROFESSIONAL:
        raise _refused(Reason.MODE, f"{given[0]} is for professionals")
    named = form.get(MODE, Mode.NORMAL.value)
    if named not in {mode.value for mode in Mode}:
        raise _refused(Reason.MODE, f"{MODE} is one of {', '.join(mode.value for mode in Mode)}")
    mode, others = Mode(named), [name for name in given if name != MODE]
    if mode is Mode.NORMAL and others:
        raise _refused(Reason.MODE, f"{others[0]} goes with an emergency mode: name it in {MODE}")
    if form.get("connexion_secrete") == "true" and mode is not Mode.NORMAL:
        raise _refused(Reason.MODE, "a connexion secrète is no emergency access")
    if DECLARATION in form:
        if others != [DECLARATION]:
            raise _refused(Reason.MODE, f"{DECLARATION} stands for what was declared: declare it, or send this")
        return Asked(mode, handle=form[DECLARATION])
    asked = Asked(mode, _reason(form), _flag(form, UNABLE), _flag(form, RISK))
    if mode is Mode.BRIS_DE_GLACE and not (asked.reason and asked.unable_to_consent and asked.immediate_risk):
        text = f"bris de glace is declared with a reason in {REASON}, {UNABLE}=true and {RISK}=true"
        raise _refused(Reason.MODE_NOT_DECLARED, text)
    return asked


def _reason(form: Mapping[str, str]) -> str | None:
    """The written reason, on one line. Raises OAuthRefusal for one that says nothing, or too much."""
    if REASON not in form:
        return None
    text = " ".join(form[REASON].split())
    if len(text) > LONGEST_REASON or not text.isprintable() or not _A_WORD.search(text):
        wanted = f"{REASON} is a reason in words, of {LONGEST_REASON} characters at most"
        raise _refused(Reason.MODE_NOT_DECLARED, wanted)
    return text


def _flag(form: Mapping[str, str], name: str) -> bool:
    given = form.get(name, "false")
    if given not in ("true", "false"):
        raise _refused(Reason.MODE, f"{name} is true or false")
    return given == "true"


class Declarations:
    """Makes entries, and the handles by which they are used again. Every process with the same key agrees.

    `life`: how long a declaration serves.
    """

    def __init__(self, pseudonym_key: bytes, *, life: timedelta) -> None:
        info = f"sceau declaration {_FORMAT}".encode()
        self._key = HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(pseudonym_key)
        self._life = life

    def entry(self, asked: Asked, whom: Sequence[str], now: datetime) -> Entry | None:
        """The entry that is asked for; None in the normal mode. `whom`: client, professional, structure, record.

        Raises OAuthRefusal when the handle is not of such an entry, or when that one has ended.
        """
        if asked.mode is Mode.NORMAL:
            return None
        if asked.handle is not None:
            return self._opened(asked.handle, asked.mode, whom, now)
        return Entry(
            mode=asked.mode,
            until=int((now + self._life).timestamp()),
            reason=asked.reason,
            reason_given=asked.reason is not None,
            unable_to_consent=asked.unable_to_consent,
            immediate_risk=asked.immediate_risk,
        )

    def handle(self, entry: Entry, whom: Sequence[str]) -> str:
        """The handle of an entry whose event is written."""
        if entry.event is None:
            raise ValueError("a declaration is recorded before it is handed out")
        flags = _REASON_GIVEN * entry.reason_given | _UNABLE * entry.unable_to_consent | _RISK * entry.immediate_risk
        flags |= _CENTRE_15 * (entry.mode is Mode.CENTRE_15)
        head = _HEAD.pack(_FORMAT, flags, entry.until, uuid.UUID(entry.event).bytes)
        return encode_part(head + self._mac(head, whom))

    def _opened(self, handle: str, mode: Mode, whom: Sequence[str], now: datetime) -> Entry:
        try:
            raw = decode_part(handle)
        except JwsRefused:
            raise _not_this() from None
        head, mac = raw[: _HEAD.size], raw[_HEAD.size :]
        if len(mac) != _MAC_BYTES or not hmac.compare_digest(mac, self._mac(head, whom)):
            raise _not_this()
        _, flags, until, event = _HEAD.unpack(head)
        entry = Entry(
            mode=Mode.CENTRE_15 if flags & _CENTRE_15 else Mode.BRIS_DE_GLACE,
            until=until,
            reason_given=bool(flags & _REASON_GIVEN),
            unable_to_consent=bool(flags & _UNABLE),
            immediate_risk=bool(flags & _RISK),
            event=str(uuid.UUID(bytes=event)),
        )
        if entry.mode is not mode:
            raise _not_this()
        if entry.until <= now.timestamp():
            text = "the declaration has ended: a new one is needed"
            raise OAuthRefusal(OAuthError.INVALID_GRANT, Reason.DECLARATION_EXPIRED, text)
        return entry

    def _mac(self, head: bytes, whom: Sequence[str]) -> bytes:
        parts = b"".join(_LENGTH.pack(len(part)) + part for part in (one.encode() for one in whom))
        return hmac.digest(self._key, head + parts, hashlib.sha256)


def recorded(entry: Entry, event: str) -> Entry:
    """The entry, its event known."""
    return entry if entry.event is not None else replace(entry, event=event)


def _not_this() -> OAuthRefusal:
    text = f"{DECLARATION} is not of this professional, structure, patient and mode"
    return OAuthRefusal(OAuthError.INVALID_GRANT, Reason.DECLARATION, text)


def _refused(reason: Reason, description: str) -> OAuthRefusal:
    return OAuthRefusal(OAuthError.INVALID_REQUEST, reason, description)
