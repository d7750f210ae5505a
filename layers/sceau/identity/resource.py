"""Who sends a FHIR request: an access token of ours, and a DPoP proof of the key that it is bound to.

Every signature is verified before the replay mark is written, which is the last step: a request that fails for
another reason writes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final, Protocol

from sceau.access.model import Actor
from sceau.identity.dpop import Proof, ProofCheck, claimed_thumbprint, same_text, verify_proof
from sceau.identity.errors import NonceWanted, ProofRefused, Reason, Replayed, ResourceRefusal, TokenRefused
from sceau.identity.evidence import encode_evidence
from sceau.identity.jose import header_of
from sceau.identity.nonce import Nonces
from sceau.identity.replay import MarkKind, ReplayMarks
from sceau.identity.revocation import RevocationList
from sceau.identity.settings import IdentitySettings
from sceau.identity.tokens import TokenVerifier, VerifiedToken, actor_of

NONCE_HEADER: Final = "DPoP-Nonce"

_READS: Final = frozenset({"GET", "HEAD"})
_CREDENTIALS: Final = re.compile(r"([A-Za-z0-9-]{1,20}) +([!-~]+)")


class HttpRequest(Protocol):
    """What is needed of a request. Header names are lowercase; a repeated header keeps every value.

    `path` as the client addressed it, below the origin and without query.
    """

    @property
    def method(self) -> str: ...

    @property
    def path(self) -> str: ...

    @property
    def headers(self) -> Mapping[str, tuple[str, ...]]: ...


class ResourceServer:
    """Authenticates FHIR requests. Safe under threads.

    Store calls: one replay mark (none for a read, where the stage says so); the list of revocations now and then.
    """

    def __init__(
        self,
        settings: IdentitySettings,
        *,
        tokens: TokenVerifier,
        nonces: Nonces,
        revocations: RevocationList,
        marks: ReplayMarks,
    ) -> None:
        self._settings = settings
        self._tokens = tokens
        self._nonces = nonces
        self._revocations = revocations
        self._marks = marks

    def authenticate(self, request: HttpRequest, now: datetime) -> Actor:
        """The caller. Raises ResourceRefusal (401), Unavailable (503)."""
        text = _access_token(request.headers.get("authorization", ()))
        token, actor = self._token(text, now)
        proof = self._proof(request, text, token, now)
        if self._revocations.is_revoked(token.claims.jti, token.expires, now):
            raise _invalid_token(Reason.TOKEN_REVOKED, "the access token was revoked")
        if self._settings.replay_marks_for_reads or request.method not in _READS:
            try:
                self._marks.claim(MarkKind.PROOF, proof.expires, *proof.mark)
            except Replayed:
                raise _invalid_proof(Reason.PROOF_REPLAYED, "the DPoP proof was used before") from None
        return actor

    def response_headers(self, request: HttpRequest, now: datetime) -> dict[str, str]:
        """A fresh nonce for the key that the request's proof names; none when there is no such key."""
        values = request.headers.get("dpop", ())
        jkt = claimed_thumbprint(values[0]) if len(values) == 1 else None
        return {} if jkt is None else {NONCE_HEADER: self._nonces.current(jkt, now)}

    def evidence(self, request: HttpRequest, now: datetime) -> bytes:
        """What shows later who sent a request that `authenticate` passed. Raises ResourceRefusal, Unavailable."""
        text, (proof,) = _access_token(request.headers.get("authorization", ())), request.headers["dpop"]
        try:
            key = self._tokens.key_of(text, now)
        except TokenRefused as refused:
            raise _invalid_token(Reason.TOKEN, str(refused)) from None
        return encode_evidence(text, key, proof, header_of(proof.partition(".")[0])["jwk"])

    def _token(self, text: str, now: datetime) -> tuple[VerifiedToken, Actor]:
        try:
            token = self._tokens.verify(text, now)
            return token, actor_of(token.claims)
        except TokenRefused as refused:
            raise _invalid_token(Reason.TOKEN, str(refused)) from None

    def _proof(self, request: HttpRequest, text: str, token: VerifiedToken, now: datetime) -> Proof:
        check = ProofCheck(
            method=request.method,
            path=request.path,
            origins=self._settings.origins,
            access_token=text,
            nonces=self._nonces if self._settings.nonce_required else None,
        )
        try:
            proof = verify_proof(request.headers.get("dpop", ()), check, now)
        except NonceWanted as wanted:
            raise ResourceRefusal("use_dpop_nonce", Reason.PROOF_NONCE, str(wanted), nonce=wanted.nonce) from None
        except ProofRefused as refused:
            raise _invalid_proof(Reason.PROOF, str(refused)) from None
        if not same_text(proof.jkt, token.claims.cnf.jkt):
            raise _invalid_proof(Reason.PROOF, "the DPoP proof is of another key than the access token's")
        return proof


def _access_token(values: tuple[str, ...]) -> str:
    """The token of the one Authorization header. Raises ResourceRefusal."""
    if not values:
        raise ResourceRefusal(None, Reason.TOKEN, "an access token and a DPoP proof are needed")
    match = _CREDENTIALS.fullmatch(values[0]) if len(values) == 1 else None
    if match is None:
        raise ResourceRefusal("invalid_request", Reason.TOKEN, "exactly one Authorization header: DPoP and a token")
    if match[1].lower() != "dpop":
        # RFC 9449, section 7.2: a bound token sent as Bearer is refused, else a thief needs no key.
        raise _invalid_token(Reason.TOKEN, "the scheme is DPoP; tokens of this service are bound to a key")
    return match[2]


def _invalid_token(reason: Reason, description: str) -> ResourceRefusal:
    return ResourceRefusal("invalid_token", reason, description)


def _invalid_proof(reason: Reason, description: str) -> ResourceRefusal:
    return ResourceRefusal("invalid_dpop_proof", reason, description)
