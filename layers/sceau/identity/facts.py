"""What a token is issued for, and what is traced of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NoReturn

from sceau.access.model import ActorKind, Identifier, Mode
from sceau.audit.errors import JournalUnavailable
from sceau.identity.clients import KnownClient
from sceau.identity.emergency import DECLARATION, PARAMETERS, REASON, Entry
from sceau.identity.errors import OAuthError, OAuthRefusal, Reason, Unavailable
from sceau.identity.settings import IdentitySettings
from sceau_schemas.tokens import (
    AccessTokenClaims,
    ActingParty,
    Coding,
    Confirmation,
    EmergencyClaims,
    Extensions,
    IheIua,
    SceauClaims,
    Software,
)

PROFESSION_SYSTEM: Final = "urn:oid:1.2.250.1.213.1.1.5.5"
"""TRE_G15: codes of professions, as Pro Santé Connect writes them in `SubjectRole`."""

_LONGEST_NAME: Final = 200
_ACT_REASON: Final = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_PURPOSE: Final = {
    ActorKind.SOFTWARE: "TREAT",
    ActorKind.PROFESSIONAL: "TREAT",
    ActorKind.PATIENT: "PATRQT",
    ActorKind.REPRESENTATIVE: "FAMRQT",
    ActorKind.INSURER: "HPAYMT",
    ActorKind.OPERATIONS: "HOPERAT",
}

_TRACED_PARAMETERS: Final = frozenset(
    {
        "actor_token_type",
        "connexion_secrete",
        "audience",
        "client_assertion_type",
        "client_id",
        "grant_type",
        "requested_token_type",
        "resource",
        "scope",
        "subject_token_type",
        "token_type_hint",
        *(name for name in PARAMETERS if name not in (REASON, DECLARATION)),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """Whom a token stands for, and for what. `name` is never a patient's."""

    kind: ActorKind
    client_id: str
    subject: str
    scopes: tuple[str, ...]
    record_id: str | None = None
    structures: tuple[Identifier, ...] = ()
    structure_name: str | None = None
    professional: Identifier | None = None
    profession: str | None = None
    name: str | None = None
    acr: str | None = None
    auth_time: int | None = None
    software: Software | None = None
    issuer: str | None = None  # name of the trusted issuer that identified the subject
    sectors: tuple[str, ...] = ()
    specialties: tuple[str, ...] = ()
    role: str | None = None
    regulates: bool = False
    secret: bool = False
    emergency: Entry | None = None


def new_claims(settings: IdentitySettings, bearer: Bearer, *, jkt: str, jti: str, issued: int) -> AccessTokenClaims:
    """The claims of a new token, issued at `issued` (seconds since the epoch).

    It ends with the emergency for which it is issued, whose event must be known.
    """
    ends = issued + settings.token_seconds
    if bearer.emergency is not None:
        ends = min(ends, bearer.emergency.until)
    structures = tuple(str(one) for one in bearer.structures)
    roles = (Coding(system=PROFESSION_SYSTEM, code=bearer.profession),) if bearer.profession else ()
    return AccessTokenClaims(
        iss=settings.issuer,
        sub=bearer.subject,
        aud=settings.audience,
        client_id=bearer.client_id,
        exp=ends,
        iat=issued,
        jti=jti,
        scope=" ".join(bearer.scopes),
        cnf=Confirmation(jkt=jkt),
        acr=bearer.acr,
        auth_time=bearer.auth_time,
        act=ActingParty(client=bearer.client_id, lps=bearer.software),
        extensions=Extensions(
            ihe_iua=IheIua(
                subject_name=_short(bearer.name),
                subject_organization=_short(bearer.structure_name),
                subject_organization_id=structures[0] if len(structures) == 1 else None,
                subject_role=roles,
                purpose_of_use=(Coding(system=_ACT_REASON, code=_PURPOSE[bearer.kind]),),
                national_provider_identifier=str(bearer.professional) if bearer.professional else None,
                person_id=bearer.record_id,
            ),
            sceau=SceauClaims(
                kind=bearer.kind.value,
                structures=structures,
                sectors=bearer.sectors,
                specialties=bearer.specialties,
                role=bearer.role,
                regulates=bearer.regulates,
                secret=bearer.secret,
                emergency=_emergency(bearer.emergency),
            ),
        ),
    )


def _emergency(entry: Entry | None) -> EmergencyClaims | None:
    if entry is None:
        return None
    if entry.mode is Mode.NORMAL or entry.event is None:
        raise ValueError("an emergency is declared, and recorded, before a token is made for it")
    return EmergencyClaims(
        mode="centre_15" if entry.mode is Mode.CENTRE_15 else "bris_de_glace",
        event=entry.event,
        until=entry.until,
        reason_given=entry.reason_given,
        unable_to_consent=entry.unable_to_consent,
        immediate_risk=entry.immediate_risk,
    )


def _short(text: str | None) -> str | None:
    return text[:_LONGEST_NAME] if text else None


class TokenAct(StrEnum):
    """What is traced of tokens."""

    ISSUE = "issue"
    REVOKE = "revoke"


class TokenOutcome(StrEnum):
    """AuditEvent.outcome: done (about to be), refused, failed after it was traced as about to be done."""

    SUCCESS = "0"
    REFUSED = "4"
    FAILED = "8"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFacts:
    """One act of an authenticated client at `/oauth/…`. Holds no token, assertion, key, INS or patient's name.

    `bearer` is whom the token stands for, as far as that was established; `record_id` the record that the request was
    about, also when it was refused. `request`: the form without what is secret or identifies a patient.
    """

    act: TokenAct
    outcome: TokenOutcome
    reason: Reason
    client_id: str
    client_name: str
    client_kind: ActorKind
    bearer: Bearer | None
    record_id: str | None
    scopes: tuple[str, ...]
    token_id: str | None
    request: tuple[tuple[str, str], ...]


Trace = Callable[[TokenFacts], str]
"""Writes the event and returns its id once that is confirmed. Raises JournalUnavailable, or Unavailable."""

CountRefusal = Callable[[str], None]
"""Counts a refusal before authentication, by its reason."""


def traced_form(form: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The parameters that a trace may hold, in order of their names."""
    return tuple(sorted((name, value) for name, value in form.items() if name in _TRACED_PARAMETERS))


def unavailable(nonce: str | None = None) -> OAuthRefusal:
    """503: nothing was done, or it is not known whether it was. Send it again with fresh proof and assertion."""
    text = "a service that we need does not answer: send the request again, with a fresh proof and assertion"
    return OAuthRefusal(OAuthError.TEMPORARILY_UNAVAILABLE, Reason.UNAVAILABLE, text, nonce=nonce)


@dataclass(slots=True)
class TracedAct:
    """One act of an authenticated client, as it gets known; writes its events. Used by one thread."""

    act: TokenAct
    form: Mapping[str, str]
    client: KnownClient
    record_id: str | None
    write: Trace
    bearer: Bearer | None = None
    scopes: tuple[str, ...] = ()
    token_id: str | None = None
    announced: bool = field(default=False, init=False)

    def trace(self, outcome: TokenOutcome, reason: Reason) -> str:
        """Write an event and return its id, once that is confirmed. Raises JournalUnavailable, Unavailable."""
        bearer, registered = self.bearer, self.client.registered
        event_id = self.write(
            TokenFacts(
                act=self.act,
                outcome=outcome,
                reason=reason,
                client_id=registered.client_id,
                client_name=registered.name,
                client_kind=self.client.actor_kind,
                bearer=bearer,
                record_id=bearer.record_id if bearer else self.record_id,
                scopes=bearer.scopes if bearer else self.scopes,
                token_id=self.token_id,
                request=traced_form(self.form),
            )
        )
        self.announced = True
        return event_id

    def refuse(self, refusal: OAuthRefusal) -> NoReturn:
        """Trace a refusal, then raise it; if it can't be traced, raise `unavailable` in its place."""
        try:
            refusal.event_id = self.trace(TokenOutcome.REFUSED, refusal.reason)
        except (Unavailable, JournalUnavailable):
            raise unavailable(refusal.nonce) from None
        raise refusal

    def fail(self, nonce: str | None) -> NoReturn:
        """Raise `unavailable`. What was announced by an event and did not happen gets another event, if possible."""
        if self.announced:
            with suppress(Unavailable, JournalUnavailable):
                self.trace(TokenOutcome.FAILED, Reason.UNAVAILABLE)
        raise unavailable(nonce)
