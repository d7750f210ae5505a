"""The authorization server: `/oauth/token` and `/oauth/revoke`, from verified bytes to a traced token.

Order of one token request, and what a crash leaves:

1. every signature is verified (proof, assertion, subject token, actor token), nothing is written;
2. the replay marks of proof and assertion: from here on the client is authenticated, and a refusal is traced;
3. the decision, with the questions to the trusted issuer;
4. the event, confirmed; 5. the signature; 6. the subject token's mark, which is what uses it up; 7. the answer.

A failure up to step 5 leaves the subject token usable, so the same request with fresh proof and assertion succeeds. If
the store does not say whether it wrote the last mark, nobody gets a token from that subject token any more: the client
asks the issuer for another. Store calls: two marks, one event, one mark; key calls: one.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from sceau.audit.errors import JournalUnavailable
from sceau.identity.assertions import ActorToken, ClientAuthentication, VerifiedAssertion
from sceau.identity.dpop import Proof, ProofCheck, verify_proof
from sceau.identity.emergency import Entry, recorded
from sceau.identity.errors import (
    JwsRefused,
    NonceWanted,
    OAuthError,
    OAuthRefusal,
    ProofRefused,
    Reason,
    Replayed,
    TokenRefused,
    Unavailable,
)
from sceau.identity.facts import (
    Bearer,
    CountRefusal,
    TokenAct,
    TokenOutcome,
    Trace,
    TracedAct,
    new_claims,
    unavailable,
)
from sceau.identity.grants import Asked, Grants
from sceau.identity.nonce import Nonces
from sceau.identity.replay import MarkKind, ReplayMarks
from sceau.identity.revocation import revoke
from sceau.identity.settings import TOKEN_PATH, IdentitySettings
from sceau.identity.subjects import Subjects, SubjectToken
from sceau.identity.tokens import TokenSigner, TokenVerifier, actor_of
from sceau.objects.ports import ObjectStore
from sceau_schemas.configuration import RULES, TOKEN_EXCHANGE

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """What arrived at an `/oauth/…` endpoint: the form, each parameter once and none empty; all DPoP header values."""

    method: str
    form: Mapping[str, str]
    proofs: tuple[str, ...]

    def __repr__(self) -> str:
        return "TokenRequest(…)"


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token to give to the client, already traced."""

    access_token: str
    seconds: int
    scope: str
    exchanged: bool
    record_id: str | None
    nonce: str
    event_id: str
    emergency: Entry | None = None
    declaration: str | None = None

    def __repr__(self) -> str:
        return f"IssuedToken(event_id={self.event_id!r}, …)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the authorization server works with."""

    settings: IdentitySettings
    store: ObjectStore
    clients: ClientAuthentication
    subjects: Subjects
    grants: Grants
    nonces: Nonces
    signer: TokenSigner
    verifier: TokenVerifier
    random_bytes: Callable[[int], bytes]


class AuthorizationServer:
    """Issues and revokes tokens. Safe under threads; no state of its own."""

    def __init__(self, services: Services) -> None:
        self._with = services
        self._marks = ReplayMarks(services.store)

    def issue(self, request: TokenRequest, *, now: datetime, trace: Trace, count_refusal: CountRefusal) -> IssuedToken:
        """Issue a token. Raises OAuthRefusal: already traced (`event_id`), or counted when nobody is authenticated."""
        try:
            proof, asked = self._authenticated(request, now)
        except OAuthRefusal as refusal:
            count_refusal(refusal.reason)
            raise
        act = TracedAct(TokenAct.ISSUE, request.form, asked.client, self._with.grants.asked_record(request.form), trace)
        jti = base64.urlsafe_b64encode(self._with.random_bytes(16)).decode("ascii").rstrip("=")
        nonce = self._with.nonces.current(proof.jkt, now)
        try:
            act.bearer = self._with.grants.decide(asked)
            act.token_id = jti
            event_id = act.trace(TokenOutcome.SUCCESS, Reason.ISSUED)
            bearer = _recorded(act.bearer, event_id)
            claims = new_claims(self._with.settings, bearer, jkt=proof.jkt, jti=jti, issued=int(now.timestamp()))
            token = self._with.signer.sign(claims, now)
            self._use_up(asked)
        except OAuthRefusal as refusal:
            refusal.nonce = nonce
            act.refuse(refusal)
        except (Unavailable, JournalUnavailable):
            act.fail(nonce)
        return IssuedToken(
            access_token=token,
            seconds=claims.exp - claims.iat,
            scope=claims.scope,
            exchanged=request.form["grant_type"] == TOKEN_EXCHANGE,
            record_id=bearer.record_id,
            nonce=nonce,
            event_id=event_id,
            emergency=bearer.emergency,
            declaration=self._with.grants.handle(bearer),
        )

    def revoke(self, request: TokenRequest, *, now: datetime, trace: Trace, count_refusal: CountRefusal) -> str | None:
        """Revoke a token of the calling client (RFC 7009); the event's id, or None when there was nothing to revoke.

        Raises OAuthRefusal, traced or counted like `issue`.
        """
        try:
            assertion = self._client(request.form, now)
            self._claim_assertion(assertion)
        except Unavailable:
            refusal = unavailable()
            count_refusal(refusal.reason)
            raise refusal from None
        except OAuthRefusal as refusal:
            count_refusal(refusal.reason)
            raise
        act = TracedAct(TokenAct.REVOKE, request.form, assertion.client, None, trace)
        try:
            return self._revoke(request, act, now)
        except OAuthRefusal as refusal:
            act.refuse(refusal)
        except (Unavailable, JournalUnavailable):
            act.fail(None)

    def _revoke(self, request: TokenRequest, act: TracedAct, now: datetime) -> str | None:
        text = request.form.get("token")
        if text is None:
            raise OAuthRefusal(OAuthError.INVALID_REQUEST, Reason.MALFORMED, "token is missing")
        try:
            found = self._with.verifier.verify(text, now)
        except TokenRefused:
            return None  # unknown or expired: nothing is left to revoke (RFC 7009, section 2.2)
        if found.claims.client_id != act.client.registered.client_id:
            other = "the token was issued to another client"
            raise OAuthRefusal(OAuthError.UNAUTHORIZED_CLIENT, Reason.TOKEN_OF_ANOTHER_CLIENT, other)
        act.token_id, act.record_id = found.claims.jti, found.claims.extensions.ihe_iua.person_id
        act.scopes = tuple(sorted(actor_of(found.claims).scopes))
        event_id = act.trace(TokenOutcome.SUCCESS, Reason.REVOKED)
        revoke(self._with.store, found.claims.jti, found.expires)
        return event_id

    def _authenticated(self, request: TokenRequest, now: datetime) -> tuple[Proof, Asked]:
        """Steps 1 and 2. Raises OAuthRefusal."""
        try:
            proof = self._proof(request, now)
            assertion = self._client(request.form, now)
            subject = _quietly(lambda: self._subject(request.form, assertion, now))
            actor = _quietly(lambda: self._actor(request.form, assertion, now))
            try:
                self._marks.claim(MarkKind.PROOF, proof.expires, *proof.mark)
            except Replayed:
                text = "the DPoP proof was used before"
                raise OAuthRefusal(OAuthError.INVALID_DPOP_PROOF, Reason.PROOF_REPLAYED, text) from None
            self._claim_assertion(assertion)
        except Unavailable:
            raise unavailable() from None
        return proof, Asked(request.form, assertion.client, proof.jkt, subject, actor, now)

    def _proof(self, request: TokenRequest, now: datetime) -> Proof:
        settings = self._with.settings
        check = ProofCheck(
            method=request.method,
            path=TOKEN_PATH,
            origins=settings.origins,
            access_token=None,
            nonces=self._with.nonces if settings.nonce_required else None,
        )
        try:
            return verify_proof(request.proofs, check, now)
        except NonceWanted as wanted:
            error, reason = OAuthError.USE_DPOP_NONCE, Reason.PROOF_NONCE
            raise OAuthRefusal(error, reason, str(wanted), nonce=wanted.nonce) from None
        except ProofRefused as refused:
            raise OAuthRefusal(OAuthError.INVALID_DPOP_PROOF, Reason.PROOF, str(refused)) from None

    def _client(self, form: Mapping[str, str], now: datetime) -> VerifiedAssertion:
        return self._with.clients.verify(form, now)

    def _claim_assertion(self, assertion: VerifiedAssertion) -> None:
        try:
            client_id = assertion.client.registered.client_id
            self._marks.claim(MarkKind.ASSERTION, assertion.expires, client_id, assertion.jti)
        except Replayed:
            text = "the client assertion was used before"
            raise OAuthRefusal(OAuthError.INVALID_CLIENT, Reason.ASSERTION_REPLAYED, text) from None

    def _subject(self, form: Mapping[str, str], assertion: VerifiedAssertion, now: datetime) -> SubjectToken | None:
        exchanges = RULES[assertion.client.registered.kind][2] is not None
        if "subject_token" not in form or not exchanges:
            return None
        return self._with.subjects.read(form["subject_token"], assertion.client, now)

    def _actor(self, form: Mapping[str, str], assertion: VerifiedAssertion, now: datetime) -> ActorToken | None:
        if "actor_token" not in form:
            return None
        try:
            return self._with.clients.verify_actor_token(form["actor_token"], assertion.client, now)
        except JwsRefused:
            text = "the actor token was not accepted: it is signed by the exchanging client itself"
            raise OAuthRefusal(OAuthError.INVALID_REQUEST, Reason.ACTOR_TOKEN, text) from None

    def _use_up(self, asked: Asked) -> None:
        """Take the subject token: of any number of racing requests with it, one gets past this."""
        if not isinstance(asked.subject, SubjectToken):
            return
        try:
            self._marks.claim(MarkKind.SUBJECT_TOKEN, asked.subject.expires, *asked.subject.mark)
        except Replayed:
            text = "the subject token was used before"
            raise OAuthRefusal(OAuthError.INVALID_GRANT, Reason.SUBJECT_REPLAYED, text) from None


def _recorded(bearer: Bearer, event_id: str) -> Bearer:
    """The bearer, whose declaration the event has recorded, if this request made one."""
    if bearer.emergency is None:
        return bearer
    return replace(bearer, emergency=recorded(bearer.emergency, event_id))


def _quietly(verify: Callable[[], T]) -> T | OAuthRefusal:
    """The refusal as a value: it is told once the client is authenticated, so that it can be traced."""
    try:
        return verify()
    except OAuthRefusal as refusal:
        return refusal
