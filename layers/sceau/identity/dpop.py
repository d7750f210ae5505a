"""DPoP proofs (RFC 9449): the caller holds the key that its token is bound to, now, for this very request.

We take ES256 only, and say so in the metadata. What makes a proof single-use is the caller's affair: it writes the
replay mark (`Proof.mark`) after every signature of the request has been verified.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

from sceau.identity.errors import JwsRefused, KeyRefused, NonceWanted, ProofRefused
from sceau.identity.jose import (
    PublicJwk,
    claims,
    encode_part,
    header_of,
    instant,
    public_jwk,
    read,
    short_id,
    verify,
)
from sceau.identity.nonce import Nonces

ALGORITHMS: Final = ("ES256",)
TYPE: Final = "dpop+jwt"
MAX_AGE_SECONDS: Final = 60
MAX_AHEAD_SECONDS: Final = 10
MAX_CHARS: Final = 4_096

_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof that verified. `expires`: the last instant at which it would; its replay mark must live until then."""

    jkt: str
    method: str
    url: str
    jti: str
    expires: datetime

    @property
    def mark(self) -> tuple[str, str, str, str]:
        """What makes this proof the same as another one."""
        return self.jkt, self.method, self.url, self.jti


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofCheck:
    """What a proof is held against: the request, and the origins under which we are known.

    `access_token`: the token that it comes with, at a resource; None at the token endpoint. `nonces` None: no nonce
    is asked for, nor looked at.
    """

    method: str
    path: str
    origins: Sequence[str]
    access_token: str | None
    nonces: Nonces | None


def verify_proof(values: Sequence[str], check: ProofCheck, now: datetime) -> Proof:
    """Verify the `DPoP` header (all its values) of a request. Raises ProofRefused; NonceWanted when all else is right.

    Source: RFC 9449, section 4.3, in its order as far as that can be told from outside.
    """
    if len(values) != 1:
        raise ProofRefused("exactly one DPoP header is needed")
    try:
        jkt, body = _verified(values[0])
        jti, issued = short_id(body.get("jti")), instant(body.get("iat"))
    except (JwsRefused, KeyRefused) as refused:
        raise ProofRefused(f"DPoP proof: {refused}") from None
    if body.get("htm") != check.method:
        raise ProofRefused("DPoP proof: htm is not the method of this request")
    url = _matching_url(body.get("htu"), check)
    seconds = now.timestamp()
    if not seconds - MAX_AGE_SECONDS <= issued <= seconds + MAX_AHEAD_SECONDS:
        raise ProofRefused(
            f"DPoP proof: iat is not within {MAX_AGE_SECONDS} s before and {MAX_AHEAD_SECONDS} s after now"
        )
    if check.access_token is not None:
        ath = body.get("ath")
        if not isinstance(ath, str) or not same_text(ath, token_hash(check.access_token)):
            raise ProofRefused("DPoP proof: ath is not the hash of the access token")
    if check.nonces is not None and not check.nonces.accepts(body.get("nonce"), jkt, now):
        raise NonceWanted(check.nonces.current(jkt, now))
    return Proof(jkt, check.method, url, jti, datetime.fromtimestamp(issued + MAX_AGE_SECONDS, UTC))


def _verified(text: str) -> tuple[str, dict[str, Any]]:
    """The thumbprint of the proof's own key, under which its signature verifies, and the claims."""
    token = read(text, algorithms=ALGORITHMS, types=(TYPE,), max_chars=MAX_CHARS)
    key = _brought_key(text.partition(".")[0])
    verify(token, [replace(key, kid=token.header.get("kid"))])  # an id says nothing here: there is one key
    return key.thumbprint, claims(token)


@lru_cache(maxsize=256)
def _brought_key(head: str) -> PublicJwk:
    """The key in a proof's header, of a text that `read` has passed. Raises JwsRefused, KeyRefused.

    Kept by that text, like the header itself: a client brings the same key with each request.
    """
    brought = header_of(head).get("jwk")
    if not isinstance(brought, dict):
        raise JwsRefused("the header holds no public key")
    return public_jwk({name: value for name, value in brought.items() if name != "kid"}, algorithms=ALGORITHMS)


def _matching_url(htu: object, check: ProofCheck) -> str:
    given = normalized_url(htu) if isinstance(htu, str) else None
    path = _normalized_path(check.path)
    if given is None or all(given != origin + path for origin in check.origins):
        raise ProofRefused("DPoP proof: htu is not the address of this request")
    return given


def normalized_url(text: str) -> str | None:
    """The URL in the form of RFC 3986, section 6.2.2 and 6.2.3.

    None when it is not an https URL, or has a user, a query or a fragment.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    host = parts.hostname
    if parts.scheme != "https" or not host or "@" in parts.netloc or "?" in text or "#" in text or not text.isascii():
        return None
    if any(ord(character) <= ord(" ") for character in text):  # urlsplit drops some of these quietly
        return None
    name = f"[{host}]" if ":" in host else host
    return f"https://{name}{'' if port in (None, 443) else f':{port}'}{_normalized_path(parts.path or '/')}"


def _normalized_path(path: str) -> str:
    return _ESCAPE.sub(_normalized_escape, path)


def _normalized_escape(match: re.Match[str]) -> str:
    byte = int(match[1], 16)
    return chr(byte) if byte in _UNRESERVED else f"%{byte:02X}"


def token_hash(access_token: str) -> str:
    """`ath`: base64url of the SHA-256 of the token's ASCII text."""
    return encode_part(hashlib.sha256(access_token.encode("ascii")).digest())


def same_text(one: str, other: str) -> bool:
    """Compare two texts in constant time; texts beyond ASCII are never the same."""
    return one.isascii() and other.isascii() and hmac.compare_digest(one, other)


def claimed_thumbprint(value: str) -> str | None:
    """The thumbprint of the key that a `DPoP` header names, not verified: to make a nonce for its holder, no more."""
    try:
        read(value, algorithms=ALGORITHMS, types=(TYPE,), max_chars=MAX_CHARS)
        return _brought_key(value.partition(".")[0]).thumbprint
    except (JwsRefused, KeyRefused):
        return None
