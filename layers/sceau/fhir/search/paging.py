"""Page tokens: a query and a place in it, sealed for one caller.

`?page=<token>` stands alone. A token is base64url without padding of nonce (12 bytes), AES-256-GCM ciphertext and tag.
The plaintext is JSON, padded with spaces to a multiple of 64 bytes; the key is HKDF-SHA-256 of the stage's pseudonym
key; the associated data name the resource and the caller, so another caller's token does not open. The patient is not
inside: the associated record-id stands for it.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sceau.fhir.outcome import FhirError, Problem, bad_request
from sceau.fhir.search.criteria import Position, Query
from sceau.fhir.search.dates import EPOCH, millis
from sceau.fhir.search.query import parse_query

DEFAULT_LIFETIME = timedelta(minutes=10)
_INFO = b"sceau search-page 1"  # the format's version is here: another one has another key
_NONCE_BYTES = 12
_BLOCK = 64


def page_token(pairs: Iterable[tuple[str, str]]) -> str | None:
    """The page token among a request's parameters; None where there is none.

    It holds all that was asked for; only `_format`, which is not of the query, may stand beside it. FhirError 400.
    """
    given = [(name, value) for name, value in pairs if name != "_format"]
    tokens = [value for name, value in given if name == "page"]
    if not tokens:
        return None
    if len(given) != 1:
        raise bad_request("page stands alone", "page")
    return tokens[0]


@dataclass(frozen=True, slots=True)
class PageCaller:
    """Whom a token is for: the client, the subject of its access token, and the one record that it names."""

    client_id: str
    subject: str
    record_id: str


class PageSeal:
    """Seals the content of page tokens, under a key derived from the pseudonym key. Safe under threads."""

    def __init__(
        self,
        pseudonym_key: bytes,
        *,
        lifetime: timedelta = DEFAULT_LIFETIME,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """`lifetime`: how long a token can be used. `random`: n unpredictable bytes."""
        key = HKDF(algorithm=SHA256(), length=32, salt=None, info=_INFO).derive(pseudonym_key)
        self._cipher = AESGCM(key)
        self._lifetime = lifetime
        self._random = random

    def seal(self, content: Mapping[str, object], resource: str, caller: PageCaller, *, now: datetime) -> str:
        """Return the token that holds `content` (JSON, without a member `issued`)."""
        plaintext = json.dumps({**content, "issued": millis(now)}, ensure_ascii=False, separators=(",", ":")).encode()
        plaintext += b" " * (-len(plaintext) % _BLOCK)  # the length shall tell little; JSON ignores the spaces
        nonce = self._random(_NONCE_BYTES)
        return _encode(nonce + self._cipher.encrypt(nonce, plaintext, _bound_to(resource, caller)))

    def open(self, token: str, resource: str, caller: PageCaller, *, now: datetime) -> dict[str, Any]:
        """Return the content of a token.

        FhirError 400, always the same, when it was altered, is another caller's or resource's, or has expired.
        """
        try:
            sealed = _decode(token)
            nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
            content: dict[str, Any] = json.loads(self._cipher.decrypt(nonce, ciphertext, _bound_to(resource, caller)))
        except (InvalidTag, ValueError):
            raise _not_valid() from None
        if millis(now) - content.pop("issued") > self._lifetime // timedelta(milliseconds=1):
            raise _not_valid()
        return content


class PageTokens:
    """Turns a query and a place in it into a token, and back. Safe under threads."""

    def __init__(
        self,
        pseudonym_key: bytes,
        *,
        lifetime: timedelta = DEFAULT_LIFETIME,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """As `PageSeal`."""
        self._seal = PageSeal(pseudonym_key, lifetime=lifetime, random=random)

    def seal(self, query: Query, caller: PageCaller, *, after: Position | None, now: datetime) -> str:
        """Return the token of the page of `query` that begins after a position (None: the first page)."""
        content = {"pairs": query.pairs, "after": after, "first": millis(query.now)}
        return self._seal.seal(content, query.resource, caller, now=now)

    def open(
        self,
        token: str,
        resource: str,
        caller: PageCaller,
        *,
        now: datetime,
        zone: tzinfo = UTC,
        base_urls: Sequence[str] = (),
    ) -> Query:
        """Return the query that a token holds, `after` set; its patient is the caller's record, its warnings are empty.

        `zone` and `base_urls` as for `parse_query`. FhirError 400 as `PageSeal.open`.
        """
        content = self._seal.open(token, resource, caller, now=now)
        try:
            query = parse_query(
                resource,
                [("patient", caller.record_id), *((name, value) for name, value in content["pairs"])],
                strict=False,
                now=EPOCH + timedelta(milliseconds=content["first"]),
                zone=zone,
                base_urls=base_urls,
            )
        except FhirError:  # of an earlier release, which took more
            raise _not_valid() from None
        after = content["after"]
        return replace(query, after=None if after is None else (tuple(after[0]), after[1]), warnings=())


def _not_valid() -> FhirError:
    return FhirError(400, Problem("invalid", "page token not valid"))


def _bound_to(resource: str, caller: PageCaller) -> bytes:
    return json.dumps([resource, caller.client_id, caller.subject, caller.record_id]).encode()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _decode(token: str) -> bytes:
    """ValueError unless `token` is exactly what `_encode` gives: no other alphabet, padding or trailing bits."""
    data = base64.urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
    if _encode(data) != token:
        raise ValueError("not base64url")
    return data
