"""Who a token will stand for: the decision of the token endpoint, for each grant. Nothing is written here.

`client_credentials`: the client itself. RFC 8693 token exchange: a professional or a patient, whom a trusted issuer
identified, through a client that is registered for that issuer's tokens. One patient per token (api.md).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sceau.access.model import ActorKind, Mode
from sceau.access.scopes import covered, is_scope
from sceau.access.standing import entitled
from sceau.identity.assertions import JWT_TYPE, ActorToken
from sceau.identity.clients import KnownClient, is_clinical
from sceau.identity.emergency import Asked as AskedMode, Declarations, asked_mode
from sceau.identity.errors import OAuthError, OAuthRefusal, Reason
from sceau.identity.facts import Bearer
from sceau.identity.professional import Practice, choose_practice
from sceau.identity.settings import IdentitySettings
from sceau.identity.subjects import Subjects, SubjectToken, check_binding, patient_identity
from sceau.records.ids import record_id
from sceau_schemas.configuration import CLIENT_CREDENTIALS, RULES, TOKEN_EXCHANGE, ClientKind

ACCESS_TOKEN_TYPE: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a type

GRANTS: Final = (CLIENT_CREDENTIALS, TOKEN_EXCHANGE)

_MAX_SCOPES: Final = 20

CheckIns = Callable[[str, str], None]
"""Raises ValueError when (system, value) can't be an INS of this stage."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An authenticated client's request of `now`, with what it brought already verified (or refused) by signature."""

    form: Mapping[str, str]
    client: KnownClient
    jkt: str
    subject: SubjectToken | OAuthRefusal | None
    actor: ActorToken | OAuthRefusal | None
    now: datetime


class Grants:
    """Decides for whom a token is issued. `pseudonym_key` makes record-ids; `check_ins` is the stage's rule."""

    def __init__(
        self,
        settings: IdentitySettings,
        subjects: Subjects,
        *,
        pseudonym_key: bytes,
        check_ins: CheckIns,
        declarations: Declarations,
    ) -> None:
        self._settings = settings
        self._subjects = subjects
        self._declarations = declarations
        self._pseudonym_key = pseudonym_key
        self._check_ins = check_ins

    def asked_record(self, form: Mapping[str, str]) -> str | None:
        """The record that the `patient` parameter names, for the trace of a refusal; None when it names none."""
        try:
            return self._patient(form)
        except OAuthRefusal:
            return None

    def decide(self, asked: Asked) -> Bearer:
        """Whom the token stands for. Raises OAuthRefusal, Unavailable."""
        _check_grant(asked)
        _check_parameters(asked.form, self._settings, asked.jkt)
        scopes = requested_scopes(asked)
        mode = asked_mode(asked.form, asked.client.actor_kind)
        if asked.form["grant_type"] == CLIENT_CREDENTIALS:
            return self._for_client(asked, scopes)
        _check_exchange(asked.form)
        if not isinstance(asked.subject, SubjectToken):
            raise asked.subject or _missing("subject_token")
        if isinstance(asked.actor, OAuthRefusal):
            raise asked.actor
        check_binding(asked.subject, asked.jkt)
        if asked.client.registered.kind is ClientKind.PATIENT_APP:
            return self._for_patient(asked, asked.subject, scopes)
        return self._for_professional(asked, asked.subject, asked.actor, scopes, mode)

    def handle(self, bearer: Bearer) -> str | None:
        """With which to ask for the next token of the same emergency access, its event known; None in normal mode."""
        return None if bearer.emergency is None else self._declarations.handle(bearer.emergency, whom(bearer))

    def _for_client(self, asked: Asked, scopes: tuple[str, ...]) -> Bearer:
        if asked.client.actor_kind is ActorKind.OPERATIONS and "patient" in asked.form:
            raise _refused(OAuthError.INVALID_REQUEST, Reason.PATIENT, "operations name no patient")
        registered = asked.client.registered
        return Bearer(
            kind=asked.client.actor_kind,
            client_id=registered.client_id,
            subject=registered.client_id,
            scopes=scopes,
            record_id=self._patient(asked.form),
            structures=asked.client.structures,
            name=registered.name,
            secret=_secret(asked),
        )

    def _for_patient(self, asked: Asked, subject: SubjectToken, scopes: tuple[str, ...]) -> Bearer:
        identity = patient_identity(subject)
        own = self._record(identity.ins)
        record = own if identity.represents is None else self._record(identity.represents)
        if identity.represents is not None and record == own:
            raise _refused(OAuthError.INVALID_GRANT, Reason.PATIENT, "nobody represents themselves")
        named = self._patient(asked.form)
        _secret(asked)
        if named is not None and named != record:
            raise _refused(OAuthError.INVALID_REQUEST, Reason.PATIENT, "a patient's token is about that patient")
        self._subjects.confirm(subject)
        return Bearer(
            kind=ActorKind.PATIENT if identity.represents is None else ActorKind.REPRESENTATIVE,
            client_id=asked.client.registered.client_id,
            subject=own,
            scopes=scopes,
            record_id=record,
            acr=subject.acr,
            auth_time=subject.auth_time,
            issuer=subject.issuer.name,
        )

    def _for_professional(
        self,
        asked: Asked,
        subject: SubjectToken,
        actor: ActorToken | None,
        scopes: tuple[str, ...],
        mode: AskedMode,
    ) -> Bearer:
        record = self._patient(asked.form)
        if record is None:
            text = "patient=<system>|<INS> is needed: a token is about one patient"
            raise _refused(OAuthError.INVALID_REQUEST, Reason.PATIENT, text)
        self._subjects.confirm(subject)
        info = self._subjects.userinfo(subject)
        practice = choose_practice(info, asked.client.structures, actor.situation if actor else None)
        _check_entitled(mode.mode, practice)
        bearer = Bearer(
            kind=ActorKind.PROFESSIONAL,
            client_id=asked.client.registered.client_id,
            subject=practice.professional.value,
            scopes=scopes,
            record_id=record,
            structures=(practice.structure,),
            structure_name=practice.structure_name,
            professional=practice.professional,
            profession=practice.profession,
            name=practice.name,
            acr=subject.acr,
            auth_time=subject.auth_time,
            software=actor.software if actor else None,
            issuer=subject.issuer.name,
            sectors=practice.sectors,
            specialties=practice.specialties,
            role=practice.role,
            regulates=practice.regulates,
            secret=_secret(asked),
        )
        return replace(bearer, emergency=self._declarations.entry(mode, whom(bearer), asked.now))

    def _patient(self, form: Mapping[str, str]) -> str | None:
        given = form.get("patient")
        return None if given is None else self._record(given)

    def _record(self, ins: str) -> str:
        system, bar, value = ins.partition("|")
        try:
            if not bar:
                raise ValueError("no system")  # noqa: TRY301 - one refusal for all that is wrong with it
            self._check_ins(system, value)
            return record_id(self._pseudonym_key, system, value)
        except ValueError:
            text = "the patient is not named by a valid INS of this service, as <system>|<INS>"
            raise _refused(OAuthError.INVALID_REQUEST, Reason.PATIENT, text) from None


def whom(bearer: Bearer) -> tuple[str, ...]:
    """Whose a declaration is: nobody else, at no other structure, for no other patient, can use it."""
    structures = "".join(map(str, bearer.structures))
    return bearer.client_id, str(bearer.professional), structures, bearer.record_id or ""


def _check_entitled(mode: Mode, practice: Practice) -> None:
    """A mode that is not for this profession is not given out either. `access` decides again, on the record."""
    reason = entitled(mode, practice.profession, regulates=practice.regulates)
    if reason is not None:
        text = f"{mode.value} is not for this professional ({reason.value})"
        raise _refused(OAuthError.INVALID_GRANT, Reason.MODE_NOT_ENTITLED, text)


def _secret(asked: Asked) -> bool:
    """Whether a connexion secrète is asked for: by who deposits for a minor, and nobody else. Raises OAuthRefusal."""
    given = asked.form.get("connexion_secrete", "false")
    if given not in ("true", "false"):
        raise _malformed("connexion_secrete is true or false")
    if given == "true" and asked.client.actor_kind not in (ActorKind.SOFTWARE, ActorKind.PROFESSIONAL):
        raise _malformed("connexion_secrete is for professionals and their software")
    return given == "true"


def _check_grant(asked: Asked) -> None:
    grant = asked.form.get("grant_type")
    if grant is None:
        raise _missing("grant_type")
    if grant not in GRANTS:
        text = "grant_type is client_credentials or token-exchange"
        raise _refused(OAuthError.UNSUPPORTED_GRANT_TYPE, Reason.GRANT_UNKNOWN, text)
    if grant not in asked.client.registered.grants:
        text = "this client is not registered for this grant"
        raise _refused(OAuthError.UNAUTHORIZED_CLIENT, Reason.GRANT_NOT_ALLOWED, text)


def _check_parameters(form: Mapping[str, str], settings: IdentitySettings, jkt: str) -> None:
    for name in ("resource", "audience"):
        if form.get(name, settings.audience) != settings.audience:
            raise _refused(OAuthError.INVALID_TARGET, Reason.TARGET, f"{name} is another service than this one")
    if "cnf" in form and _claimed_binding(form["cnf"]) != {"jkt": jkt}:
        # The CI-SIS volet has the client send `cnf`. The binding is what the proof shows, never what a parameter says.
        text = "cnf says another key than the DPoP proof"
        raise _refused(OAuthError.INVALID_REQUEST, Reason.PROOF, text)


def _claimed_binding(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _check_exchange(form: Mapping[str, str]) -> None:
    if form.get("subject_token_type") not in (ACCESS_TOKEN_TYPE, JWT_TYPE):
        raise _malformed("subject_token_type is access_token or jwt")
    if form.get("requested_token_type", ACCESS_TOKEN_TYPE) != ACCESS_TOKEN_TYPE:
        raise _malformed("requested_token_type can only be access_token")
    if ("actor_token" in form) != ("actor_token_type" in form) or form.get("actor_token_type", JWT_TYPE) != JWT_TYPE:
        raise _malformed("actor_token comes with actor_token_type, which is jwt")


def requested_scopes(asked: Asked) -> tuple[str, ...]:
    """The scopes of the token: those asked for, each of our grammar, of the client's level, and within its ceiling.

    Raises OAuthRefusal (invalid_scope).
    """
    given = asked.form.get("scope")
    if given is None:
        raise _refused(OAuthError.INVALID_SCOPE, Reason.SCOPE, "scope is needed")
    asked_for = given.split(" ")
    kind, ceiling = asked.client.registered.kind, asked.client.registered.scopes
    level = RULES[kind][1]
    for scope in asked_for:
        allowed = is_scope(scope) and scope.startswith(f"{level}/") and covered(scope, ceiling)
        # Checked here too, whatever the registration says: no token of operations reaches health data.
        if not allowed or (kind is ClientKind.OPERATIONS and is_clinical(scope)):
            text = f"a scope is not of the form {level}/DocumentReference.rs, or this client may not have it"
            raise _refused(OAuthError.INVALID_SCOPE, Reason.SCOPE, text)
    if len(asked_for) > _MAX_SCOPES:
        raise _refused(OAuthError.INVALID_SCOPE, Reason.SCOPE, "too many scopes")
    return tuple(dict.fromkeys(asked_for))


def _missing(name: str) -> OAuthRefusal:
    return _malformed(f"{name} is missing")


def _malformed(description: str) -> OAuthRefusal:
    return _refused(OAuthError.INVALID_REQUEST, Reason.MALFORMED, description)


def _refused(error: OAuthError, reason: Reason, description: str) -> OAuthRefusal:
    return OAuthRefusal(error, reason, description)
