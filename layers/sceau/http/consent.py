"""The function `consent`: opening and closing a record, the decisions about it, and reading what holds and held.

Idempotent by content: what is so already is answered with what there is, and changes nothing.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from sceau.access.clocks import paris_date
from sceau.access.facts import life_of, record_facts
from sceau.access.life import ahead
from sceau.access.model import Act, ActorKind, Identifier
from sceau.access.standing import collects_for, may_know, may_know_why_closed
from sceau.audit.facts import AuditAct, Entity
from sceau.envelope.messages import Envelope
from sceau.fhir.consent_resources import consent as consent_resource
from sceau.fhir.consents import (
    DecisionRequest,
    LifeRequest,
    OpeningRequest,
    parse_changed_consent,
    parse_new_consent,
)
from sceau.fhir.history import Change as Interaction, history
from sceau.fhir.outcome import FhirError, Problem, bad_request, unprocessable
from sceau.fhir.parse import Body, Json, parse_resource
from sceau.fhir.patient import check_birth_date
from sceau.fhir.resources import etag, etag_matches, last_modified
from sceau.fhir.search.dates import millis
from sceau.fhir.searchset import searchset
from sceau.http import lives
from sceau.http.attempts import checked_record
from sceau.http.building import Built, build_wrapper
from sceau.http.call import Call
from sceau.http.chalice_app import Handler
from sceau.http.commit import commit_with_retries, conflict
from sceau.http.conditional import conditional
from sceau.http.consent_search import Filters, read_filters
from sceau.http.decisions import Change, Moment, answered, decided, opening_of
from sceau.http.message import Answer, resource_answer
from sceau.http.negotiation import is_strict, require_json_answer, require_json_body
from sceau.http.refusals import not_found
from sceau.http.runtime import Runtime
from sceau.identity.structures import DirectoryStore, Structures
from sceau.records.commits import Commits
from sceau.records.dossier import Dossier
from sceau.records.due import leave_mark
from sceau.records.ids import document_id, encode_id, record_id, split_document_id
from sceau.records.repository import Loaded, Records
from sceau_schemas.dossier import ConsentKind, DossierHead, StoredConsent
from sceau_schemas.fhir.consent import Consent
from sceau_schemas.systems import IDNAT_PS

_CREATED = 201

ACT_OF: Final[dict[ConsentKind, Act]] = {
    "grant": Act.GRANT,
    "express": Act.CONSENT_EXPRESSLY,
    "delegation": Act.DELEGATE,
    "medecin_traitant": Act.NAME_MEDECIN_TRAITANT,
    "block": Act.BLOCK,
    "opposition": Act.OPPOSE,
}
"""What recording a decision is an act of; a professional who records a grant collects a consent."""


_LEAST: Final = {ActorKind.PROFESSIONAL: Act.ACCEPT_MEDECIN_TRAITANT, ActorKind.INSURER: Act.SUSPEND_RECORD}
"""What a caller may put at all; else the holder's."""


def build(runtime: Runtime) -> Handler:
    """What serves `consent`."""
    return build_wrapper(runtime, Consents)


@dataclass(frozen=True, slots=True)
class _Result:
    """The decision as it now stands, in its record, and whether the request changed anything."""

    head: DossierHead
    stored: StoredConsent
    changed: bool


class Consents:
    """The use cases. Each takes a `Call` and gives an `Answer`; what it raises, the wrapper maps."""

    def __init__(
        self,
        built: Built,
        *,
        sleep: Callable[[float], None] = time.sleep,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._built = built
        self._store = built.runtime.store
        self._records = Records(self._store, Envelope(built.runtime.keys))
        self._structures = Structures(DirectoryStore(self._store, Envelope(built.runtime.keys)))
        self._accepted = built.runtime.spec.identifiers
        self._sleep = sleep
        self._random_bytes = random_bytes

    def create(self, call: Call) -> Answer:
        """`POST /fhir/Consent`: open a record, or record a decision. 201; 200 for what is so already."""
        call.begin(AuditAct.CREATE_CONSENT)
        asked = parse_new_consent(self._body(call), accepted_ins_systems=self._accepted)
        new_id = encode_id(self._random_bytes(16))
        named = self._record_of(asked)
        call.record_id = call.record_id or named  # who may not even ask is told of there
        if isinstance(asked, OpeningRequest):
            call.require_ask(Act.OPEN_RECORD)
            call.record_id = named
            result = self._retried(lambda: self._open(call, asked, new_id))
        else:
            act = _act_of(call, asked)
            call.require_ask(act)
            self._name_record(call, named)
            result = self._retried(lambda: self._decide(call, act, asked, new_id))
        return self._answer(call, result, _CREATED if result.changed else 200)

    def update(self, call: Call) -> Answer:
        """`PUT /fhir/Consent/<id>`: close or reopen a record, end a decision, or answer one (médecin traitant)."""
        call.begin(AuditAct.UPDATE_CONSENT)
        call.require_ask(_LEAST.get(call.actor.kind, Act.WITHDRAW))
        asked = parse_changed_consent(self._body(call), accepted_ins_systems=self._accepted)
        self._name_record(call, self._record_of(asked))
        if isinstance(asked, LifeRequest):
            return self._answer(call, self._retried(lambda: self._live(call, asked)), 200)
        return self._answer(call, self._retried(lambda: self._change(call, asked)), 200)

    def find(self, call: Call) -> Answer:
        """`GET /fhir/Consent`: the opening of the record and its decisions, in force or not."""
        call.begin(AuditAct.QUERY_CONSENTS)
        call.require_ask(Act.READ_CONSENTS)
        require_json_answer(call.request)
        filters = self._filters(call)
        loaded = self._load(call, Act.READ_CONSENTS)
        call.trace()
        head = loaded.dossier.head if loaded else None
        found = [one for one in _seen(call, head) if filters.match(one, call.record_id or "")] if head else []
        shown = [] if filters.count_only or head is None else [_shown(call, head, one) for one in found]
        return resource_answer(
            200,
            searchset(shown, total=len(found), links=(), origin=self._built.runtime.origin, warnings=filters.warnings),
        )

    def read(self, call: Call) -> Answer:
        """`GET /fhir/Consent/<id>`."""
        call.begin(AuditAct.READ)
        head, stored = self._known(call)
        call.trace(data=_entity(call, stored))
        return conditional(call.request, _shown(call, head, stored), etag(stored.version), stored.updated)

    def history(self, call: Call) -> Answer:
        """`GET /fhir/Consent/<id>/_history`: the versions of a decision, the newest first."""
        call.begin(AuditAct.READ_HISTORY)
        head, stored = self._known(call)
        call.trace(data=_entity(call, stored))
        versions = [_shown(call, head, one) for one in (*stored.earlier, stored)]
        updates: list[Interaction] = ["PUT"] * len(stored.earlier)
        return resource_answer(200, history(versions, ["POST", *updates], origin=self._built.runtime.origin))

    # What is asked, and of which record

    def _body(self, call: Call) -> Body[Consent]:
        require_json_answer(call.request)
        require_json_body(call.request)
        body = parse_resource(call.request.body, Consent)
        named, given = call.request.path_parameters.get("resource_id"), body.raw.get("id")
        if named is not None and given is not None and given != named:
            raise bad_request("the id is not that of the address", "Consent.id", rule="FHIR R4, update")
        return body

    def _record_of(self, asked: OpeningRequest | DecisionRequest | LifeRequest) -> str | None:
        """The record that a consent is about. Raises Refused 404."""
        if isinstance(asked, OpeningRequest):
            ins = asked.patient.ins
            return record_id(self._built.pseudonym_key, ins.system, ins.value)
        if asked.patient is not None:
            return record_id(self._built.pseudonym_key, asked.patient.system, asked.patient.value)
        if asked.record_id is not None and checked_record(asked.record_id) is None:
            raise not_found()  # no name of a record of ours: nothing is told there
        return asked.record_id

    def _name_record(self, call: Call, named: str | None) -> None:
        """The record that the consent is about; the decision compares it with the token's."""
        if call.actor.record_id is not None and named != call.actor.record_id:
            raise not_found("denied.other-record")
        call.record_id = named

    def _filters(self, call: Call) -> Filters:
        filters = read_filters(call.request.query_pairs(), strict=is_strict(call.request))
        for value in filters.patients:
            system, bar, number = value.partition("|")
            named = record_id(self._built.pseudonym_key, system, number) if bar else value.removeprefix("Patient/")
            if named != call.record_id:
                raise not_found("denied.other-record")
        return filters

    def _load(self, call: Call, act: Act, birth_date: str | None = None) -> Loaded | None:
        """Load and decide. `birth_date`: of whom a record is to be opened for. Raises Refused."""
        loaded = self._records.load(call.record_id or "")
        self._require(call, act, loaded, birth_date)
        return loaded

    def _require(self, call: Call, act: Act, loaded: Loaded | None, birth_date: str | None = None) -> None:
        call.dossier_version = loaded.dossier.head.version if loaded else 0
        facts = record_facts(call.record_id or "", loaded.dossier.head if loaded else None)
        call.require(act, facts if loaded else replace(facts, birth_date=birth_date))

    def _known(self, call: Call) -> tuple[DossierHead, StoredConsent]:
        """The decision that the path names, if the caller may know of it. Raises Refused 403, 404."""
        call.require_ask(Act.READ_CONSENTS)
        require_json_answer(call.request)
        loaded = self._load(call, Act.READ_CONSENTS)
        if loaded is None:
            raise not_found()
        return loaded.dossier.head, _named(call, loaded.dossier.head)

    # What is done

    def _open(self, call: Call, asked: OpeningRequest, new_id: str) -> _Result:
        loaded = self._load(call, Act.OPEN_RECORD, asked.patient.birth_date)
        if loaded is not None:
            if loaded.dossier.head.patient != asked.patient:
                raise conflict("the record is open already, under other identity traits")
            head = loaded.dossier.head
            return self._done(call, loaded, Change(head, opening_of(head), changed=False))
        if call.actor.kind is ActorKind.REPRESENTATIVE:  # who may act until the day that follows from this date
            check_birth_date(asked.patient, paris_date(call.now))
        moment = _moment(call)
        event = call.trace(data=_reference(call, new_id, 1))
        opening = StoredConsent(
            id=new_id, version=1, updated=moment.millis, event=event, kind="opening", status="active", by=moment.by
        )
        head = DossierHead(
            record_id=call.record_id or "",
            version=1,
            status="open",
            opened=moment.millis,
            updated=moment.millis,
            patient=asked.patient,
            consents=(opening,),
        )
        self._records.commit(Dossier(head, Commits().added(event)), replacing=None)
        return _Result(head, opening, changed=True)

    def _decide(self, call: Call, act: Act, asked: DecisionRequest, new_id: str) -> _Result:
        loaded = _present(self._load(call, act))
        if act is Act.COLLECT_CONSENT and not _may_collect(call, asked):
            text = "a consent is collected for a professional, or for the team of your own structure"
            raise unprocessable(text, "Consent.provision.actor", rule="CSP L. 1111-17 II", code="business-rule")
        self._check_structure(call, asked)
        head, moment = loaded.dossier.head, _moment(call)
        # Whom the patient authorised or blocked, nobody learns by collecting a consent to them (CSP L. 1111-19).
        told = [one for one in head.consents if _may_know(call, one) or one.by == moment.by]
        return self._done(call, loaded, decided(head, asked, new_id, moment, told=told))

    def _check_structure(self, call: Call, asked: DecisionRequest) -> None:
        """An authorisation is of a structure that exists, as far as the stage was told which do. FhirError 422."""
        given = asked.grantee
        if asked.kind != "grant" or given is None or given.system == IDNAT_PS:
            return
        if not self._structures.may_exist(given.value, call.now):
            text = "no care structure has this number"
            raise unprocessable(text, "Consent.provision.actor[0].reference.identifier.value", code="business-rule")

    def _change(self, call: Call, asked: DecisionRequest) -> _Result:
        by_holder = call.actor.kind is not ActorKind.PROFESSIONAL
        loaded = _present(self._load(call, Act.WITHDRAW if by_holder else Act.ACCEPT_MEDECIN_TRAITANT))
        head = loaded.dossier.head
        present = _named(call, head)
        if (present.kind, present.grantee, present.mode) != (asked.kind, asked.grantee, asked.mode):
            text = "another decision than that of this id: its kind, and whom it is about, do not change"
            raise unprocessable(text, "Consent.provision", code="business-rule")
        self._check_version(call, present)
        if not by_holder and present.kind != "medecin_traitant":
            raise unprocessable("only the patient ends this decision", "Consent.status", code="business-rule")
        return self._done(call, loaded, answered(head, present, asked.status, _moment(call), by_holder=by_holder))

    def _live(self, call: Call, asked: LifeRequest) -> _Result:
        read = self._records.load(call.record_id or "")
        act = lives.act_of_life(call.actor.kind, asked, read.dossier.head if read else None)
        self._require(call, act, read)
        loaded = _present(read)
        head = loaded.dossier.head
        present = _named(call, head)
        if present.kind != "opening":
            raise unprocessable("this is the id of another decision than the opening", "Consent.category")
        self._check_version(call, present)
        if asked.death and act is not Act.REPORT_DEATH:
            raise unprocessable(
                "a death is reported by the insurer, and the record is then inactive", "Consent.extension"
            )
        moment = _moment(call)
        return self._done(call, loaded, lives.changed(act, head, asked, moment), marked=True)

    def _check_version(self, call: Call, present: StoredConsent) -> None:
        wanted = call.request.header("if-match")
        if wanted is not None and not etag_matches(wanted, present.version):
            raise FhirError(412, Problem("conflict", "the decision has another version by now"))

    def _done(self, call: Call, loaded: Loaded, change: Change, *, marked: bool = False) -> _Result:
        """Trace it and commit it; what is so already is traced all the same, and no version follows.

        `marked`: time will follow it up. The marks come before the commit: if we die between, `upkeep` looks in vain.
        """
        entity = _entity(call, change.consent)
        if not change.changed:
            call.trace(data=entity, reason="repeated")
            return _Result(change.head, change.consent, changed=False)
        event = call.trace(data=entity)
        for due in ahead(life_of(change.head), call.rules.settings) if marked else ():
            leave_mark(self._store, due.at, loaded.dossier.record_id)
        dossier = loaded.dossier.following(event, at=change.head.updated, **change.members(event))
        self._records.commit(dossier, replacing=loaded)
        stored = next(one for one in dossier.head.consents if one.id == change.consent.id)
        return _Result(dossier.head, stored, changed=True)

    def _retried(self, attempt: Callable[[], _Result]) -> _Result:
        return commit_with_retries(attempt, sleep=self._sleep, random_bytes=self._random_bytes)

    def _answer(self, call: Call, result: _Result, status: int) -> Answer:
        own_id = document_id(call.record_id or "", result.stored.id)
        headers = {"ETag": etag(result.stored.version), "Last-Modified": last_modified(result.stored.updated)}
        if status == _CREATED:
            headers["Location"] = f"{self._built.runtime.origin}/fhir/Consent/{own_id}"
        return resource_answer(status, _shown(call, result.head, result.stored), headers)


def _act_of(call: Call, asked: DecisionRequest) -> Act:
    if call.actor.kind is ActorKind.PROFESSIONAL and asked.kind == "grant":
        return Act.COLLECT_CONSENT
    return ACT_OF[asked.kind]


def _may_collect(call: Call, asked: DecisionRequest) -> bool:
    given = asked.grantee
    return given is not None and collects_for(call.actor, Identifier(given.system, given.value))


def _seen(call: Call, head: DossierHead) -> list[StoredConsent]:
    """The decisions that the caller may know of."""
    return [one for one in head.consents if _may_know(call, one)]


def _may_know(call: Call, one: StoredConsent) -> bool:
    grantee = Identifier(one.grantee.system, one.grantee.value) if one.grantee else None
    return may_know(call.actor, grantee, opening=one.kind == "opening")


def _named(call: Call, head: DossierHead) -> StoredConsent:
    """The decision that the path names, if the caller may know of it. Raises Refused 404."""
    pair = split_document_id(call.request.path_parameters["resource_id"])
    found = [one for one in _seen(call, head) if pair == (head.record_id, one.id)]
    if not found:
        raise not_found()
    return found[0]


def _shown(call: Call, head: DossierHead, stored: StoredConsent) -> Json:
    """As the caller may see it. Earlier versions of the opening say nothing of how the record was closed."""
    says_why = stored == opening_of(head) and stored.status == "inactive" and may_know_why_closed(call.actor)
    closed = head if says_why else None
    return consent_resource(stored, record_id=head.record_id, settings=call.rules.settings, closed=closed)


def _present(loaded: Loaded | None) -> Loaded:
    if loaded is None:
        raise AssertionError("a consent in an absent record was allowed")
    return loaded


def _entity(call: Call, stored: StoredConsent) -> Entity:
    return _reference(call, stored.id, stored.version)


def _reference(call: Call, consent_id: str, version: int) -> Entity:
    return Entity(reference=f"Consent/{document_id(call.record_id or '', consent_id)}/_history/{version}")


def _moment(call: Call) -> Moment:
    return Moment(millis(call.now), f"{call.actor.kind} {call.actor.subject}", call.rules.settings)
