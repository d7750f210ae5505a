"""The function `consent`: opening a record, authorising a structure, withdrawing that, and reading what holds.

Idempotent by content: what is so already is answered with what there is, and changes nothing.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from sceau.access.facts import grant_of, record_facts
from sceau.access.model import Act
from sceau.access.standing import end_of
from sceau.audit.facts import AuditAct, Entity
from sceau.envelope.messages import Envelope
from sceau.fhir.consents import GrantRequest, OpeningRequest, consent as consent_resource, parse_consent
from sceau.fhir.outcome import FhirError, Problem, bad_request, unprocessable
from sceau.fhir.parse import parse_resource
from sceau.fhir.resources import etag, etag_matches, last_modified
from sceau.fhir.searchset import searchset
from sceau.http.building import Built, build_wrapper
from sceau.http.call import Call
from sceau.http.chalice_app import Handler
from sceau.http.commit import commit_with_retries, conflict
from sceau.http.message import Answer, resource_answer
from sceau.http.negotiation import is_strict, require_json_answer, require_json_body
from sceau.http.refusals import not_found
from sceau.http.runtime import Runtime
from sceau.records.commits import Commits
from sceau.records.dossier import Dossier
from sceau.records.ids import document_id, encode_id, record_id, split_document_id
from sceau.records.repository import Loaded, Records
from sceau_schemas.dossier import DossierHead, StoredConsent
from sceau_schemas.fhir.consent import Consent


def build(runtime: Runtime) -> Handler:
    """What serves `consent`."""
    return build_wrapper(runtime, Consents)


@dataclass(frozen=True, slots=True)
class _Result:
    """The consent as it now stands, and whether the request changed anything."""

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
        self._records = Records(built.runtime.store, Envelope(built.runtime.keys))
        self._sleep = sleep
        self._random_bytes = random_bytes

    def create(self, call: Call) -> Answer:
        """`POST /fhir/Consent`: open a record, or authorise a structure. 201; 200 for what is so already."""
        call.begin(AuditAct.CREATE_CONSENT)
        asked = self._asked(call)
        if isinstance(asked, OpeningRequest):
            call.require_ask(Act.OPEN_RECORD)
            ins = asked.patient.ins
            call.record_id = record_id(self._built.pseudonym_key, ins.system, ins.value)
            new_id = self._new_id()
            result = self._retried(lambda: self._open(call, asked, new_id))
        else:
            call.require_ask(Act.GRANT)
            if not asked.active:
                text = "a new authorisation is active; to withdraw one, PUT it with status inactive"
                raise unprocessable(text, "Consent.status")
            self._name_record(call, asked)
            new_id = self._new_id()
            result = self._retried(lambda: self._grant(call, asked, new_id))
        return self._answer(call, result.stored, 201 if result.changed else 200)

    def update(self, call: Call) -> Answer:
        """`PUT /fhir/Consent/<id>`: withdraw an authorisation (status inactive)."""
        call.begin(AuditAct.UPDATE_CONSENT)
        call.require_ask(Act.WITHDRAW)
        asked = self._asked(call)
        if isinstance(asked, OpeningRequest) or asked.active:
            raise unprocessable("an authorisation can be withdrawn: status inactive", "Consent.status")
        self._name_record(call, asked)
        result = self._retried(lambda: self._withdraw(call, asked))
        return self._answer(call, result.stored, 200)

    def find(self, call: Call) -> Answer:
        """`GET /fhir/Consent`: the opening of the record and its authorisations, in force or not."""
        call.begin(AuditAct.QUERY_CONSENTS)
        call.require_ask(Act.READ_CONSENTS)
        require_json_answer(call.request)
        self._check_query(call)
        loaded, _ = self._load(call, Act.READ_CONSENTS)
        call.trace()
        consents = loaded.dossier.head.consents if loaded else ()
        found = [consent_resource(stored, record_id=call.record_id or "") for stored in consents]
        return resource_answer(
            200, searchset(found, total=len(found), links=(), origin=self._built.runtime.origin, warnings=())
        )

    def _asked(self, call: Call) -> OpeningRequest | GrantRequest:
        require_json_answer(call.request)
        require_json_body(call.request)
        body = parse_resource(call.request.body, Consent)
        named, given = call.request.path_parameters.get("resource_id"), body.raw.get("id")
        if named is not None and given is not None and given != named:
            raise bad_request("the id is not that of the address", "Consent.id", rule="FHIR R4, update")
        return parse_consent(body, accepted_ins_systems=self._built.runtime.spec.identifiers)

    def _name_record(self, call: Call, asked: GrantRequest) -> None:
        """The record that the consent is about; the decision compares it with the token's."""
        named = asked.record_id
        if asked.patient is not None:
            named = record_id(self._built.pseudonym_key, asked.patient.system, asked.patient.value)
        if call.actor.record_id is not None and named != call.actor.record_id:
            raise not_found("denied.other-record")
        call.record_id = named

    def _check_query(self, call: Call) -> None:
        for name, value in call.request.query_pairs():
            if name in ("patient", "patient.identifier"):
                system, bar, number = value.partition("|")
                named = record_id(self._built.pseudonym_key, system, number) if bar else value.removeprefix("Patient/")
                if named != call.record_id:
                    raise not_found("denied.other-record")
            elif name != "_format" and is_strict(call.request):
                raise FhirError(400, Problem("not-supported", "a parameter is not supported", name))

    def _load(self, call: Call, act: Act) -> tuple[Loaded | None, str]:
        """Load and decide. Returns the record as loaded and the verdict's reason. Raises Refused."""
        loaded = self._records.load(call.record_id or "")
        call.dossier_version = loaded.dossier.head.version if loaded else 0
        facts = record_facts(call.record_id or "", loaded.dossier.head if loaded else None)
        return loaded, call.require(act, facts).reason.value

    def _open(self, call: Call, asked: OpeningRequest, new_id: str) -> _Result:
        loaded, _ = self._load(call, Act.OPEN_RECORD)
        if loaded is not None:
            if loaded.dossier.head.patient != asked.patient:
                raise conflict("the record is open already, under other identity traits")
            opening = next(one for one in loaded.dossier.head.consents if one.kind == "opening")
            return self._unchanged(call, opening)
        event = call.trace(data=_entity(call, new_id, 1))
        millis = _millis(call)
        opening = StoredConsent(
            id=new_id, version=1, updated=millis, event=event, kind="opening", status="active", by=_by(call)
        )
        head = DossierHead(
            record_id=call.record_id or "",
            version=1,
            status="open",
            opened=millis,
            updated=millis,
            patient=asked.patient,
            consents=(opening,),
        )
        self._records.commit(Dossier(head, Commits().added(event)), replacing=None)
        return _Result(opening, changed=True)

    def _grant(self, call: Call, asked: GrantRequest, new_id: str) -> _Result:
        loaded, _ = self._load(call, Act.GRANT)
        head = _present(loaded).dossier.head
        now = _millis(call)
        for one in head.consents:
            in_force = one.kind == "grant" and one.status == "active" and now < _end(call, one)
            if in_force and _says_the_same(one, asked, now):
                return self._unchanged(call, one)
        granted = StoredConsent(
            id=new_id,
            version=1,
            updated=now,
            event="",
            kind="grant",
            status="active",
            grantee=asked.grantee,
            grantee_display=asked.grantee_display,
            start=now if asked.start is None else asked.start,
            end=asked.end,
            by=_by(call),
        )
        if _end(call, granted) <= now:
            raise unprocessable("the authorisation would have ended already", "Consent.provision.period")
        event = call.trace(data=_entity(call, new_id, 1))
        granted = granted.model_copy(update={"event": event})
        self._commit(call, _present(loaded), (*head.consents, granted), event)
        return _Result(granted, changed=True)

    def _withdraw(self, call: Call, asked: GrantRequest) -> _Result:
        loaded, _ = self._load(call, Act.WITHDRAW)
        head = _present(loaded).dossier.head
        pair = split_document_id(call.request.path_parameters["resource_id"])
        known = [one for one in head.consents if pair and pair == (head.record_id, one.id) and one.kind == "grant"]
        if not known:
            raise not_found()
        present = known[0]
        if present.grantee != asked.grantee:
            raise unprocessable("another structure than that of the authorisation", "Consent.provision.actor")
        wanted = call.request.header("if-match")
        if wanted is not None and not etag_matches(wanted, present.version):
            raise FhirError(412, Problem("conflict", "the authorisation has another version by now"))
        if present.status == "inactive":
            return self._unchanged(call, present)
        event = call.trace(data=_entity(call, present.id, present.version + 1))
        withdrawn = present.model_copy(
            update={
                "version": present.version + 1,
                "updated": _millis(call),
                "event": event,
                "status": "inactive",
                "by": _by(call),
                "earlier": (*present.earlier, present.model_copy(update={"earlier": ()})),
            }
        )
        consents = tuple(withdrawn if one.id == present.id else one for one in head.consents)
        self._commit(call, _present(loaded), consents, event)
        return _Result(withdrawn, changed=True)

    def _commit(self, call: Call, loaded: Loaded, consents: tuple[StoredConsent, ...], event: str) -> None:
        changed = loaded.dossier.following(event, at=_millis(call), consents=consents)
        self._records.commit(changed, replacing=loaded)

    def _unchanged(self, call: Call, stored: StoredConsent) -> _Result:
        """It is so already: the act is traced all the same, and no version follows."""
        call.trace(data=_entity(call, stored.id, stored.version), reason="repeated")
        return _Result(stored, changed=False)

    def _retried(self, attempt: Callable[[], _Result]) -> _Result:
        return commit_with_retries(attempt, sleep=self._sleep, random_bytes=self._random_bytes)

    def _answer(self, call: Call, stored: StoredConsent, status: int) -> Answer:
        own_id = document_id(call.record_id or "", stored.id)
        headers = {"ETag": etag(stored.version), "Last-Modified": last_modified(stored.updated)}
        if status == 201:  # noqa: PLR2004 - Created
            headers["Location"] = f"{self._built.runtime.origin}/fhir/Consent/{own_id}"
        return resource_answer(status, consent_resource(stored, record_id=call.record_id or ""), headers)

    def _new_id(self) -> str:
        return encode_id(self._random_bytes(16))


def _says_the_same(stored: StoredConsent, asked: GrantRequest, now: int) -> bool:
    """Whether an authorisation asked for is there already. Without a start it is asked from now on.

    One that was itself asked without a start begins when it was recorded: by a clock that may have been ahead of ours.
    """
    if stored.grantee != asked.grantee or stored.end != asked.end or stored.start is None:
        return False
    if asked.start is not None:
        return stored.start == asked.start
    return stored.start <= now or stored.start == stored.updated


def _end(call: Call, consent: StoredConsent) -> float:
    """When an authorisation ends, in milliseconds: as it says, or after its kind's duration."""
    grant = grant_of(consent)
    if grant is None:
        raise AssertionError("no authorisation")
    return end_of(grant, call.rules.settings).timestamp() * 1000


def _present(loaded: Loaded | None) -> Loaded:
    if loaded is None:
        raise AssertionError("a consent in an absent record was allowed")
    return loaded


def _entity(call: Call, consent_id: str, version: int) -> Entity:
    return Entity(reference=f"Consent/{document_id(call.record_id or '', consent_id)}/_history/{version}")


def _by(call: Call) -> str:
    return f"{call.actor.kind} {call.actor.subject}"


def _millis(call: Call) -> int:
    return int(call.now.timestamp() * 1000)
