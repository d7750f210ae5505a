"""Facts of every act, as the functions will state them: invented people, structures and records."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256

from sceau.audit.facts import (
    AuditAct,
    Client,
    Coding,
    Entered,
    Entity,
    EventFacts,
    Identifier,
    Outcome,
    OwnAct,
    OwnFacts,
    RefusalCounts,
    Request,
    Server,
    Structure,
    User,
)
from sceau.audit.shapes import GUARDIAN

ORIGIN = "https://dossier.example.org"
RECORD = "a2b3c4d5e6f7ghijklmnopqrst"
OTHER_RECORD = "z" * 26
PARENT = "b" * 26
ENTRY, OLD_ENTRY, SET = "e" * 26, "f" * 26, "g" * 26
EVENT_ID = "019ca5c8-6a40-7123-8456-789abcdef012"
INS = "255069999999934"
SYSTEM_AND_INS = f"urn:oid:1.2.250.1.213.1.4.10|{INS}"
SYSTEM_AND_INS_ENCODED = f"urn%3Aoid%3A1.2.250.1.213.1.4.10%7C{INS}"

SERVER = Server(Identifier("urn:ietf:rfc:3986", ORIGIN), "sceau ingest", ORIGIN)
CLIENT = Client("lgc-cabinet-42", ORIGIN, "2001:db8:85a3::8a2e:370:7334", "Logiciel de cabinet 5.1")
PHYSICIAN = User(
    Identifier("urn:oid:1.2.250.1.71.4.2.1", "899700012345"),
    "Dr Claire MARTIN",
    Coding("https://mos.esante.gouv.fr/NOS/TRE_G15-ProfessionSante/FHIR/TRE-G15-ProfessionSante", "10", "Médecin"),
)
PATIENT = User(Identifier(ORIGIN, RECORD), reference=f"Patient/{RECORD}")
UNTIL = datetime(2026, 2, 28, 20, 45, tzinfo=UTC)
PRACTICE = Structure(Identifier("urn:oid:1.2.250.1.71.4.2.2", "1750000123"), "Cabinet Martin")
TREATMENT = Coding("http://terminology.hl7.org/CodeSystem/v3-ActReason", "TREAT", "treatment")
NORMAL = Coding("http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "N", "normal")
MASKED = Coding(
    "https://mos.esante.gouv.fr/NOS/TRE_A07-StatutVisibiliteDocument/FHIR/TRE-A07-StatutVisibiliteDocument",
    "MASQUE_PS",
    "Masqué aux professionnels de santé",
)
DIGEST = sha256(b"a document").digest()

DOCUMENT = Entity(
    f"DocumentReference/{RECORD}.{ENTRY}",
    Identifier("urn:ietf:rfc:3986", "urn:oid:2.25.208714310933214208714310933214"),
    DIGEST,
    (NORMAL,),
)
FOLDER = Entity(f"List/{RECORD}.{ENTRY}", Identifier("urn:ietf:rfc:3986", "urn:oid:2.25.42"))
GROWN_FOLDER = Entity(f"List/{RECORD}.{OLD_ENTRY}", amended=True)
REPLACED = Entity(f"DocumentReference/{RECORD}.{OLD_ENTRY}", superseded=True)
CONSENT = Entity(f"Consent/{RECORD}.{ENTRY}")

_BASE = EventFacts(
    AuditAct.READ,
    SERVER,
    CLIENT,
    reason="allowed.grant",
    user=PHYSICIAN,
    structure=PRACTICE,
    token_id="3f0a8f5e-6f2b-4b51-9d0a-5e1f3c0a9b77",
    purpose=TREATMENT,
    record_id=RECORD,
    dossier_version=7,
    request_id="76d148b6-586d-11ec-bf63-0242ac130002",
)
_SOFTWARE = replace(_BASE, user=None, purpose=None, reason="allowed.feeding")
_NO_RECORD = replace(_SOFTWARE, record_id=None, dossier_version=0)


def _search(facts: EventFacts, act: AuditAct, target: str) -> EventFacts:
    return replace(facts, act=act, request=Request("GET", target))


_TOKEN_FORM = (
    "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token=eyJ.secret.part"
    f"&scope=user%2FDocumentReference.rs&client_assertion=eyJ.other.secret&patient={SYSTEM_AND_INS_ENCODED}"
)
_DECLARED = "&mode_acces=bris_de_glace&mode_acces_raison=Arr%C3%AAt&risque_immediat=true"

EVENTS: dict[str, EventFacts] = {
    "token for a professional": replace(
        _BASE, act=AuditAct.ISSUE_TOKEN, request=Request("POST", "/oauth/token", _TOKEN_FORM.encode()), purpose=None
    ),
    "token for software": replace(
        _NO_RECORD,
        act=AuditAct.ISSUE_TOKEN,
        request=Request("POST", "/oauth/token", b"grant_type=client_credentials&client_assertion=eyJ.other.secret"),
    ),
    "token of a declaration": replace(
        _BASE,
        act=AuditAct.ISSUE_TOKEN,
        request=Request("POST", "/oauth/token", (_TOKEN_FORM + _DECLARED).encode()),
        purpose=None,
        entered=Entered("bris_de_glace", UNTIL, f"Arrêt cardiaque de {INS}, aucun proche"),
    ),
    "further token of an emergency": replace(
        _BASE,
        act=AuditAct.ISSUE_TOKEN,
        request=Request("POST", "/oauth/token", b"mode_acces=centre_15&declaration=AQcAAAAAaivm"),
        purpose=None,
        entered=Entered("centre_15", UNTIL, declaration=EVENT_ID),
    ),
    "token of a connexion secrète": replace(
        _BASE,
        act=AuditAct.ISSUE_TOKEN,
        request=Request("POST", "/oauth/token", b"connexion_secrete=true"),
        purpose=None,
        entered=Entered("connexion_secrete"),
    ),
    "token revoked": replace(
        _NO_RECORD, act=AuditAct.REVOKE_TOKEN, request=Request("POST", "/oauth/revoke", b"token=eyJ.a.b")
    ),
    "submission set": replace(
        _SOFTWARE,
        act=AuditAct.PROVIDE_BUNDLE,
        data=Entity(f"List/{RECORD}.{SET}"),
        others=(DOCUMENT, replace(DOCUMENT, reference=f"DocumentReference/{RECORD}.{SET}", labels=(MASKED,))),
    ),
    "submission set of a professional": replace(
        _BASE, act=AuditAct.PROVIDE_BUNDLE, data=Entity(f"List/{RECORD}.{SET}"), others=(DOCUMENT,)
    ),
    "replacement": replace(
        _SOFTWARE, act=AuditAct.PROVIDE_BUNDLE, data=Entity(f"List/{RECORD}.{SET}"), others=(DOCUMENT, REPLACED)
    ),
    "submission set with folders": replace(
        _SOFTWARE,
        act=AuditAct.PROVIDE_BUNDLE,
        data=Entity(f"List/{RECORD}.{SET}"),
        others=(DOCUMENT, FOLDER, GROWN_FOLDER),
    ),
    "document alone": replace(_SOFTWARE, act=AuditAct.SIMPLIFIED_PUBLISH, data=DOCUMENT),
    "document alone, replacing": replace(_BASE, act=AuditAct.SIMPLIFIED_PUBLISH, data=DOCUMENT, others=(REPLACED,)),
    "document of the patient": replace(
        _BASE, act=AuditAct.SIMPLIFIED_PUBLISH, data=DOCUMENT, user=PATIENT, structure=None, reason="allowed.holder"
    ),
    "search of documents": _search(
        _BASE,
        AuditAct.FIND_DOCUMENT_REFERENCES,
        f"/fhir/DocumentReference?patient.identifier={SYSTEM_AND_INS_ENCODED}&status=current&type=11502-2",
    ),
    "search of sets": _search(
        _BASE, AuditAct.FIND_DOCUMENT_LISTS, f"/fhir/List?patient=Patient/{RECORD}&code=submissionset"
    ),
    "search of an identifier": _search(
        _SOFTWARE,
        AuditAct.FIND_IDENTIFIER,
        "/fhir/DocumentReference?identifier=urn:ietf:rfc:3986%7Curn:oid:2.25.208714310933214208714310933214",
    ),
    "search of the patient": _search(_BASE, AuditAct.QUERY_PATIENT, f"/fhir/Patient?identifier={SYSTEM_AND_INS}"),
    "retrieval": replace(
        _BASE, act=AuditAct.RETRIEVE_DOCUMENT, data=replace(DOCUMENT, reference=f"Binary/{RECORD}.{ENTRY}")
    ),
    "retrieval by the patient": replace(
        _BASE,
        act=AuditAct.RETRIEVE_DOCUMENT,
        data=replace(DOCUMENT, reference=f"Bundle/{RECORD}.{ENTRY}", labels=(MASKED,)),
        user=PATIENT,
        structure=None,
        purpose=None,
    ),
    "read of an entry": replace(_BASE, data=DOCUMENT),
    "read of a set": replace(_BASE, data=Entity(f"List/{RECORD}.{SET}")),
    "read of the patient": replace(_BASE, data=Entity(f"Patient/{RECORD}")),
    "read of a trace": replace(_BASE, user=PATIENT, structure=None, data=Entity(f"AuditEvent/{EVENT_ID}")),
    "search of traces": _search(
        replace(_BASE, user=PATIENT, structure=None, purpose=None),
        AuditAct.QUERY_TRACES,
        f"/fhir/AuditEvent?patient.identifier={SYSTEM_AND_INS_ENCODED}&date=ge2026-03-01&date=lt2026-04-01",
    ),
    "search of a structure's traces": _search(
        _NO_RECORD, AuditAct.QUERY_TRACES, "/fhir/AuditEvent?agent.identifier=1&date=2026-03"
    ),
    "consent created": replace(_SOFTWARE, act=AuditAct.CREATE_CONSENT, data=CONSENT, structure=None),
    "consent updated": replace(_BASE, act=AuditAct.UPDATE_CONSENT, data=CONSENT, user=PATIENT, structure=None),
    "patch of an entry": replace(
        _BASE,
        act=AuditAct.PATCH,
        data=replace(DOCUMENT, reference=f"DocumentReference/{RECORD}.{ENTRY}/_history/2", labels=(MASKED,)),
        policies=("urn:sceau:policy:matrix:arrete-2023-10-26-partial", "urn:sceau:policy:mode:bris_de_glace"),
    ),
    "patch by a representative": replace(
        _BASE,
        act=AuditAct.PATCH,
        data=DOCUMENT,
        user=User(Identifier("", PARENT), role=GUARDIAN),
        structure=None,
        purpose=Coding("http://terminology.hl7.org/CodeSystem/v3-ActReason", "FAMRQT", "family requested"),
    ),
    "history of an entry": replace(_BASE, act=AuditAct.READ_HISTORY, data=DOCUMENT),
    "search of consents": _search(
        replace(_BASE, user=PATIENT, structure=None), AuditAct.QUERY_CONSENTS, f"/fhir/Consent?patient={RECORD}"
    ),
    "search of notices": _search(
        replace(_BASE, user=PATIENT, structure=None), AuditAct.QUERY_NOTICES, "/fhir/Communication?sent=ge2026-03-01"
    ),
    "a structure's queue": _search(_NO_RECORD, AuditAct.QUERY_REVIEWS, "/fhir/Communication?status=in-progress"),
    "figures of reviews": _search(
        replace(_NO_RECORD, structure=None), AuditAct.COUNT_REVIEWS, "/ops/emergency-reviews?date=2026-03-01"
    ),
    "review": replace(_SOFTWARE, act=AuditAct.REVIEW, data=Entity(f"Communication/{RECORD}.{EVENT_ID}")),
}
"""A success of every act, of every kind of caller that does it."""

COUNTS = RefusalCounts(
    SERVER,
    datetime(2026, 3, 2, 9, 30, 0, tzinfo=UTC),
    datetime(2026, 3, 2, 9, 30, 58, tzinfo=UTC),
    {"token.expired": 3, "proof.replayed": 1},
)


def refused(facts: EventFacts) -> EventFacts:
    """The same act, refused: before its resource has an id, where it makes one."""
    makes = facts.act in {AuditAct.PROVIDE_BUNDLE, AuditAct.SIMPLIFIED_PUBLISH, AuditAct.CREATE_CONSENT}
    return replace(
        facts,
        outcome=Outcome.REFUSED,
        reason="denied.no-grant",
        data=None if makes else facts.data,
        others=() if makes else facts.others,
    )


def failed(facts: EventFacts) -> EventFacts:
    """The same act, failed for a reason of ours."""
    return replace(facts, outcome=Outcome.FAILED, reason="failed.commit-lost")


REWRAP = OwnFacts(
    OwnAct.REWRAP, SERVER, RECORD, dossier_version=7, details={"dossier-key": "local 2", "content-key": "local 3"}
)
