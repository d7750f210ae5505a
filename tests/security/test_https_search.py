"""Search as an oracle, over HTTPS: two records that differ only in what the caller may not see answer alike.

Whatever is asked, totals, pages and hits say nothing of a masked document; page tokens serve nobody else.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest

from sceau.cli import bodies
from sceau.cli.samples import AUTHORS
from sceau_schemas.dossier import StoredIdentifier
from security.https_callers import Holder
from security.https_forging import Answer, Json, body_of, refused_call, same
from security.https_site import MASKED, WHEN, Record, Site, unchanged

pytestmark = pytest.mark.xdist_group("security-live")

NOBODY = "a" * 26
"""An id of the right form that nothing has."""


@dataclass(frozen=True)
class Twins:
    """Two records that are the same, but that one of them has a masked document more."""

    without: Record
    masked: Record
    hidden: str
    hidden_set: str


def _three(record: Record, *, masked: bool) -> list[bodies.SampleDocument]:
    """What goes into one submission set: two documents, and in between the masked one."""
    found = [
        record.document("twin one"),
        record.document("twin two", "discharge-letter", when=WHEN + timedelta(days=1)),
    ]
    if masked:
        found.insert(1, _hidden(record))
    return found


def _hidden(record: Record) -> bodies.SampleDocument:
    """Unlike the others in all that can be searched for."""
    return record.document(
        "twin hidden",
        "psychiatric-synthesis-pdf",
        author=AUTHORS["psychiatrist"],
        when=WHEN + timedelta(days=400),
        label=MASKED,
    )


@pytest.fixture(scope="module")
def twins(site: Site) -> Twins:
    made = []
    hidden = hidden_set = ""
    for person, masked in (("amarante", False), ("coriandre", True)):
        record = Record(site, person)
        record.grant("hospital")
        laboratory = site.software("laboratory", "system/DocumentReference.c")
        bundle = bodies.provide_bundle(
            _three(record, masked=masked), patient=record.patient, when=WHEN, set_id="urn:oid:2.25.4711"
        )
        for entry in bundle["entry"]:
            if entry["resource"]["resourceType"] == "DocumentReference":  # else their order would be that of random ids
                entry["resource"]["date"] = entry["resource"]["content"][0]["attachment"]["creation"]
        answer = laboratory.ask("POST", "/fhir", bundle)
        assert answer.status == 200, answer.data
        if masked:
            locations = [entry["response"]["location"] for entry in body_of(answer)["entry"]]
            hidden = [one for one in locations if one.startswith("DocumentReference/")][1].partition("/")[2]
            accession = StoredIdentifier(system="urn:oid:1.2.3", value="accession")
            alone = replace(record.document("twin alone", "imaging", label=MASKED), related=(accession,))
            alone_bundle = bodies.provide_bundle([alone], patient=record.patient, when=WHEN, set_id="urn:oid:2.25.4712")
            answer = laboratory.ask("POST", "/fhir", alone_bundle)
            assert answer.status == 200, answer.data
            hidden_set = body_of(answer)["entry"][0]["response"]["location"].partition("/")[2]
        made.append(record)
    return Twins(made[0], made[1], hidden, hidden_set)


@pytest.fixture(autouse=True)
def _nothing_changes(site: Site, twins: Twins) -> Iterator[None]:
    with unchanged(site):
        yield


def seen(answer: Answer) -> dict[str, Any]:
    """What an answer to a search says, without what differs between any two patients."""
    body = body_of(answer)
    entries = body.get("entry", [])
    return {
        "status": answer.status,
        "total": body.get("total"),
        "links": [link["relation"] for link in body.get("link", [])],
        "found": sorted((_stripped(entry["resource"]) for entry in entries), key=json.dumps),  # ties go by random ids
        "modes": [entry["search"]["mode"] for entry in entries],
        "issues": body.get("issue"),
    }


def _stripped(resource: Json) -> Json:
    text = json.dumps({name: value for name, value in resource.items() if name not in ("id", "meta", "contained")})
    kept: Json = json.loads(text)
    for name in ("subject", "content"):
        kept.pop(name, None)
    kept["identifier"] = [one for one in kept.get("identifier", []) if one.get("use") != "official"]
    kept["entry"] = len(kept.get("entry", []))
    return kept


_DAY = f"{WHEN + timedelta(days=400):%Y-%m-%d}"
PSYCHIATRIC = "68599-0"

QUESTIONS = [
    "",
    "_count=1",
    "_count=0",
    "_count=2",
    "_summary=count",
    "_sort=date",
    "_sort=-creation,period",
    "_sort=_lastUpdated",
    "status=current",
    "status=current,superseded",
    "status=entered-in-error",
    f"type={PSYCHIATRIC}",
    f"type=http://loinc.org|{PSYCHIATRIC}&_summary=count",
    f"type:not={PSYCHIATRIC}",
    "type:not=11502-2",
    "type:missing=false",
    "type:missing=true",
    "type=18748-4",
    "category=11",
    "category:missing=false&_summary=count",
    "facility:not=SA25",
    "setting:not=x&_summary=count",
    "format:missing=false",
    "format=urn:ihe:iti:xds-sd:pdf:2008",
    "event:missing=true",
    "security-label=MASQUE_PS",
    "security-label=MASQUE_PS&_summary=count",
    "security-label:not=N",
    "security-label:not=MASQUE_PS",
    "isArchived=false",
    "isArchived=true",
    "isArchived:not=true&_count=0",
    f"date=ge{_DAY}",
    f"creation=ge{_DAY}",
    f"creation=ne{_DAY}&_summary=count",
    f"period=ge{_DAY}&_summary=count",
    f"period-start=sa{_DAY[:4]}",
    "period:missing=false",
    "author.family=MODÈLE-PSY",
    "author.family:contains=psychiatre",
    "author.given=Sibylle&_summary=count",
    "author.identifier=899700000104",
    "author:missing=true",
    "related:identifier=urn:oid:1.2.3|accession",
    "related:identifier=accession&_summary=count",
    "related:missing=false",
    "relatesto:missing=false",
    "relatesto:missing=true&_summary=count",
    "_lastUpdated=ge2026",
    "_lastUpdated=ge2026&_summary=count",
    "identifier=urn:oid:2.25.4711",
    "unknown=1",
]


@pytest.fixture(scope="module")
def both(twins: Twins) -> tuple[Holder, Holder]:
    """The same physician in both records."""
    return twins.without.physician(), twins.masked.physician()


@pytest.mark.parametrize("question", QUESTIONS)
def test_no_question_about_documents_tells_the_twins_apart(both: tuple[Holder, Holder], question: str) -> None:
    answers = [one.get(f"/fhir/DocumentReference?patient={one.record}&{quote(question, safe='=&,:')}") for one in both]
    assert seen(answers[0]) == seen(answers[1])
    if answers[0].status == 200:
        assert b"PSYCHIATRE" not in answers[1].data


def test_no_question_names_the_masked_document(twins: Twins, both: tuple[Holder, Holder]) -> None:
    without, masked = both
    master = _hidden(twins.masked).unique_id
    entry_uuid = next(
        one["value"]
        for one in body_of(twins.masked.holder().get(f"/fhir/DocumentReference/{twins.hidden}"))["identifier"]
        if one.get("use") == "official"
    )
    for question in (
        f"_id={twins.hidden}",
        f"_id={twins.hidden}&_summary=count",
        f"identifier={master}",
        f"identifier=urn:ietf:rfc:3986|{master}&_summary=count",
        f"identifier={entry_uuid}",
        f"relatesto={twins.hidden}",
        f"relatesto=DocumentReference/{twins.hidden}&_summary=count",
    ):
        answers = [
            one.get(f"/fhir/DocumentReference?patient={one.record}&{quote(question, safe='=&')}") for one in both
        ]
        assert body_of(answers[1])["total"] == 0, question
        assert seen(answers[0]) == seen(answers[1])
    # Of two known ids and the masked one, the two.
    visible = [
        entry["resource"]["id"]
        for entry in body_of(masked.get(f"/fhir/DocumentReference?patient={masked.record}"))["entry"]
    ]
    ids = ",".join([*visible, twins.hidden])
    assert body_of(masked.get(f"/fhir/DocumentReference?patient={masked.record}&_id={ids}"))["total"] == 2
    assert without.record != masked.record


LIST_QUESTIONS = [
    "",
    "_summary=count",
    "_count=1",
    "_count=0",
    "code=submissionset",
    "code=folder",
    "status=current",
    "identifier=urn:oid:2.25.4711",
    "identifier=urn:oid:2.25.4712",
    "identifier=urn:oid:2.25.4712&_summary=count",
    "date=ge2020",
    "designationType:missing=false",
    "sourceId=x",
    "title=Compte",
    "title:contains=imagerie&_summary=count",
    "source.family=MODÈLE",
    "source.given=Éprouvette&_summary=count",
    "isArchived=false",
    "_lastUpdated=ge2026&_summary=count",
    "_sort=date",
    "unknown=1",
]


@pytest.mark.parametrize("question", LIST_QUESTIONS)
def test_no_question_about_submission_sets_tells_the_twins_apart(both: tuple[Holder, Holder], question: str) -> None:
    """Neither the set of masked documents only, nor the masked member of a set of several."""
    answers = [one.get(f"/fhir/List?patient={one.record}&{quote(question, safe='=&,:')}") for one in both]
    assert answers[0].status in (200, 400)
    assert seen(answers[0]) == seen(answers[1])


def test_a_set_of_masked_documents_reads_like_none(twins: Twins, both: tuple[Holder, Holder]) -> None:
    _, masked = both
    answers = [masked.get(f"/fhir/List/{one}") for one in (f"{masked.record}.{NOBODY}", twins.hidden_set, twins.hidden)]
    refused_call(answers[0], 404)
    assert all(same(answer) == same(answers[0]) for answer in answers)
    (whole,) = body_of(masked.get(f"/fhir/List?patient={masked.record}"))["entry"]
    assert len(whole["resource"]["entry"]) == 2
    assert twins.hidden not in json.dumps(whole)


def test_what_may_be_done_in_a_record_does_not_tell_the_twins_apart(both: tuple[Holder, Holder], twins: Twins) -> None:
    answers = [
        one.get(f"/fhir/Patient?identifier={quote(record.ins)}")
        for one, record in zip(both, (twins.without, twins.masked), strict=True)
    ]
    consents = [body_of(answer)["entry"][1]["resource"] for answer in answers]
    assert consents[0]["provision"] == consents[1]["provision"]
    patients = [body_of(answer)["entry"][0]["resource"] for answer in answers]
    assert patients[0]["meta"]["versionId"] == patients[1]["meta"]["versionId"]
    assert set(patients[0]) == set(patients[1])


def test_without_a_grant_every_question_has_the_same_answer(site: Site, twins: Twins) -> None:
    callers = [record.physician("practice", "general_practitioner") for record in (twins.without, twins.masked)]
    for question in ("", "_summary=count", f"_id={twins.hidden}", "security-label=MASQUE_PS", "unknown=1"):
        answers = [one.get(f"/fhir/DocumentReference?patient={one.record}&{question}") for one in callers]
        refused_call(answers[0], 403)
        assert same(answers[0]) == same(answers[1])
    master = _hidden(twins.masked).unique_id
    answers = [one.get(f"/fhir/DocumentReference?patient={one.record}&identifier={master}") for one in callers]
    assert body_of(answers[0])["total"] == 0
    assert seen(answers[0]) == seen(answers[1])
    # What names a document may not be narrowed: its author would learn that the patient masked it.
    narrowed = f"identifier={master}&security-label=MASQUE_PS"
    answers = [one.get(f"/fhir/DocumentReference?patient={one.record}&{narrowed}") for one in callers]
    refused_call(answers[0], 400)
    assert same(answers[0]) == same(answers[1])


# --- page tokens ----------------------------------------------------------------------------------------------------


def page_of(answer: Answer, relation: str = "next") -> str:
    links = {link["relation"]: str(link["url"]) for link in body_of(answer)["link"]}
    return links[relation].partition("page=")[2]


def test_a_page_token_serves_nobody_else_and_nowhere_else(
    site: Site, twins: Twins, both: tuple[Holder, Holder]
) -> None:
    first, second = both
    token = page_of(first.get(f"/fhir/DocumentReference?patient={first.record}&_count=1"))
    assert body_of(first.get(f"/fhir/DocumentReference?page={token}"))["total"] == 2
    colleague = site.physician("hospital", "radiologist", twins.without.ins)
    strangers = [
        colleague.get(f"/fhir/DocumentReference?page={token}"),
        second.get(f"/fhir/DocumentReference?page={token}"),
        twins.without.holder().get(f"/fhir/DocumentReference?page={token}"),
        first.get(f"/fhir/DocumentReference?page={token[:-1]}{'A' if token[-1] != 'A' else 'B'}"),
        first.get(f"/fhir/DocumentReference?page={'A' if token[0] != 'A' else 'B'}{token[1:]}"),
        first.get(f"/fhir/DocumentReference?page={token}A"),
        first.get(f"/fhir/DocumentReference?page={token}%3D"),
        first.get("/fhir/DocumentReference?page="),
    ]
    refused_call(strangers[0], 400)
    assert all(same(answer) == same(strangers[0]) for answer in strangers)


def test_a_page_token_of_one_resource_is_none_of_another(site: Site, twins: Twins) -> None:
    patient = twins.without.holder()
    token = page_of(patient.get(f"/fhir/DocumentReference?patient={patient.record}"), "self")
    assert patient.get(f"/fhir/DocumentReference?page={token}").status == 200
    refused_call(patient.get(f"/fhir/AuditEvent?page={token}"), 400)


@pytest.mark.parametrize("added", ["patient={other}", "_count=200", "page={token}", "security-label=MASQUE_PS"])
def test_a_page_token_stands_alone(twins: Twins, both: tuple[Holder, Holder], added: str) -> None:
    first, second = both
    token = page_of(first.get(f"/fhir/DocumentReference?patient={first.record}&_count=1"))
    more = added.format(other=second.record, token=token)
    refused_call(first.get(f"/fhir/DocumentReference?page={token}&{more}"), 400)


def test_a_page_token_carries_nothing_in_clear(twins: Twins, both: tuple[Holder, Holder]) -> None:
    first, _ = both
    token = page_of(first.get(f"/fhir/DocumentReference?patient={first.record}&_count=1&type=11502-2,11490-0"))
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    for secret in (first.record, "11502-2", "11490-0", twins.without.patient.ins_value, "patient"):
        assert secret.encode() not in raw
