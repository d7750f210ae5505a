"""ITI-67, whole service in process: each parameter, modifier and prefix on documents as they were really published."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import pytest

from fixtures.inprocess import ORIGIN, Process, Session
from sceau.cli import bodies
from sceau.cli.bodies import SampleDocument
from sceau.cli.documents import DOMINIQUE
from sceau.cli.samples import AUTHORS, STRUCTURES
from sceau.fhir import codes
from sceau.fhir.search import PREFIXES, TABLES
from sceau_schemas.dossier import StoredIdentifier
from unit.http.published import (
    DATES_ASKED,
    MASKED,
    PATIENT,
    URI,
    Json,
    Span,
    after,
    asked_all_ways,
    bundle,
    good,
    hospital_document,
    ids,
    laboratory_document,
    locations,
    matches,
    names_asked,
    names_of,
    opened,
    oracle,
    search,
    span,
    uid,
)

NABM = "https://smt.esante.gouv.fr/terminologie-nabm"
ANNUAIRE = "https://annuaire.example/Practitioner/77"
ACCESSION = StoredIdentifier(system="urn:oid:1.2.3", value="ACC,1|x")


@dataclass(frozen=True, slots=True)
class Library:
    """Eight documents of a record, by name. `ids`: their FHIR ids. `now`: when the last one came (POSIX seconds)."""

    process: Process
    ids: dict[str, str]
    now: float

    def names(self, found: list[str]) -> list[str]:
        by_id = {own: name for name, own in self.ids.items()}
        return [by_id[one] for one in found]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def bio() -> SampleDocument:
    return replace(laboratory_document(1, when=at("2026-01-10T08:00:00Z")), related=(ACCESSION,))


def fhir_note() -> SampleDocument:
    """A FHIR document of the practice."""
    kind = codes.document_type(codes.LOINC, "11488-4")
    assert kind is not None
    when = at("2026-02-28T23:30:00+01:00")
    return SampleDocument(
        data=bodies.fhir_document(DOMINIQUE, kind, when=when, unique_id=uid(8), title="Consultation"),
        kind=kind,
        title="Consultation",
        format_system="http://ihe.net/fhir/ihe.formatcode.fhir/CodeSystem/formatcode",
        format_code="urn:ihe:iti:xds:2017:mimeTypeSufficient",
        author=AUTHORS["general_practitioner"],
        structure=STRUCTURES["practice"],
        when=when,
        unique_id=uid(8),
        content_type="application/fhir+json",
        fhir_document=True,
    )


def enriched(body: Json, *, end: str | None = None, more: Callable[[Json], object] = lambda _: None) -> Json:
    """The submission with an end of the act, and what else a producer may say."""
    for entry in body["entry"]:
        if entry["resource"]["resourceType"] == "DocumentReference":
            if end:
                entry["resource"]["context"]["period"]["end"] = end
            more(entry["resource"])
    return body


def say_more(reference: Json) -> None:
    reference["author"].append({"reference": ANNUAIRE})
    reference["context"]["event"] = [{"coding": [{"system": NABM, "code": "9999"}]}, {"coding": [{"code": "bare"}]}]
    reference["context"]["related"].append({"reference": "ImagingStudy/9"})


def publish_all(process: Process) -> dict[str, str]:
    """What each test finds. A minute passes before each submission, from 09:30 on."""
    own: dict[str, str] = {}

    def publish(actor: str, body: Json, *names: str) -> None:
        made = locations(process.session(actor).request("POST", "/fhir", body), "DocumentReference")
        own.update(zip(names, made, strict=False))  # after them comes what a patch superseded
        after(process, minutes=1)

    publish(
        "laboratory",
        enriched(bundle(901, bio(), when=at("2026-01-11T00:00:00Z")), end="2026-01-10T10:00:00Z", more=say_more),
        "bio",
    )
    scan = laboratory_document(2, "imaging", author="radiologist", when=at("2026-02-15T10:00:00+01:00"))
    publish("laboratory", enriched(bundle(902, scan, when=at("2026-02-18T12:00:00Z")), end="2026-02-18"), "scan")
    letter = bodies.simplified(
        hospital_document(3, when=at("2026-02-20T10:00:00Z")), patient=DOMINIQUE, when=at("2026-02-21T08:00:00Z")
    )
    answer = good(process.session("hospital-physician").request("POST", "/fhir/DocumentReference", letter))
    own["letter"] = answer.json()["id"]
    after(process, minutes=1)
    archived = replace(laboratory_document(4, "vaccination-note", when=at("2026-02-25T08:00:00Z")), archived=True)
    publish(
        "laboratory",
        enriched(bundle(904, archived, when=at("2026-02-26T08:00:00Z")), end="2026-02-25T09:00:00Z"),
        "archived",
    )
    old = laboratory_document(5, "prescription", when=at("2026-03-01T08:00:00Z"))
    publish(
        "laboratory", enriched(bundle(905, old, when=at("2026-03-01T08:30:00Z")), end="2026-03-01T09:00:00Z"), "old"
    )
    new = laboratory_document(6, "prescription", when=at("2026-03-01T09:00:00Z"), replaces=own["old"])
    publish(
        "laboratory", enriched(bundle(906, new, when=at("2026-03-02T08:30:00Z")), end="2026-03-01T10:00:00Z"), "new"
    )
    masked = laboratory_document(7, when=at("2025-12-24T08:00:00Z"), label=MASKED)
    publish(
        "laboratory",
        enriched(bundle(907, masked, when=at("2025-12-25T00:00:00Z")), end="2025-12-24T09:00:00Z"),
        "masked",
    )
    publish(
        "general-practitioner",
        enriched(bundle(908, fhir_note(), when=at("2026-03-01T00:15:00+01:00")), end="2026-03-01T00:10:00+01:00"),
        "fhir",
    )
    return own


DATES: dict[str, dict[str, Span]] = {
    "date": {
        "bio": span("2026-01-11T00:00:00Z"),
        "scan": span("2026-02-18T12:00:00Z"),
        "letter": span("2026-02-21T08:00:00Z"),
        "old": span("2026-03-01T08:30:00Z"),
        "new": span("2026-03-02T08:30:00Z"),
        "masked": span("2025-12-25T00:00:00Z"),
        "fhir": span("2026-02-28T23:15:00Z"),
    },
    "creation": {
        "bio": span("2026-01-10T08:00:00Z"),
        "scan": span("2026-02-15T09:00:00Z"),
        "letter": span("2026-02-20T10:00:00Z"),
        "old": span("2026-03-01T08:00:00Z"),
        "new": span("2026-03-01T09:00:00Z"),
        "masked": span("2025-12-24T08:00:00Z"),
        "fhir": span("2026-02-28T22:30:00Z"),
    },
    "period": {
        "bio": span("2026-01-10T08:00:00Z", "2026-01-10T10:00:00Z"),
        "scan": span("2026-02-15T09:00:00Z", "2026-02-18T23:59:59Z"),
        "letter": span("2026-02-20T10:00:00Z", ""),
        "old": span("2026-03-01T08:00:00Z", "2026-03-01T09:00:00Z"),
        "new": span("2026-03-01T09:00:00Z", "2026-03-01T10:00:00Z"),
        "masked": span("2025-12-24T08:00:00Z", "2025-12-24T09:00:00Z"),
        "fhir": span("2026-02-28T22:30:00Z", "2026-02-28T23:10:00Z"),
    },
    "_lastUpdated": {
        "bio": span("2026-03-02T09:30:00Z"),
        "scan": span("2026-03-02T09:31:00Z"),
        "letter": span("2026-03-02T09:32:00Z"),
        "old": span("2026-03-02T09:35:00Z"),  # when it was superseded
        "new": span("2026-03-02T09:35:00Z"),
        "masked": span("2026-03-02T09:36:00Z"),
        "fhir": span("2026-03-02T09:37:00Z"),
    },
}
DATES["period-start"] = DATES["creation"]
DATES["period-end"] = {
    name: (span("2026-02-18T00:00:00Z")[0] if name == "scan" else high, high)
    for name, (_, high) in DATES["period"].items()
    if name != "letter"
}
"""What each document says, as spans of whole seconds. Not the archived one: no search finds it without naming it."""


@pytest.fixture(scope="module")
def library() -> Library:
    process = opened()
    own = publish_all(process)
    return Library(process, own, process.world.clock().timestamp())


@pytest.fixture(scope="module")
def patient(library: Library) -> Session:
    return library.process.session("patient")


@pytest.fixture(scope="module")
def physician(library: Library) -> Session:
    return library.process.session("hospital-physician")


SEEN = ("bio", "scan", "letter", "old", "new", "masked", "fhir")
"""What a search without criteria finds: the archived one is not among them."""


def but(*names: str) -> tuple[str, ...]:
    return tuple(name for name in SEEN if name not in names)


SECTOR = "https://mos.esante.gouv.fr/NOS/TRE_R02-SecteurActivite/FHIR/TRE-R02-SecteurActivite"
SETTING = "https://mos.esante.gouv.fr/NOS/TRE_A01-CadreExercice/FHIR/TRE-A01-CadreExercice"
IHE_FORMATS = "http://ihe.net/fhir/ihe.formatcode.fhir/CodeSystem/formatcode"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
LABORATORY = "urn:oid:1.2.250.1.71.4.2.2|1000000101"
BIOLOGIST = "urn:oid:1.2.250.1.71.4.2.1|899700000101"

QUERIES: list[tuple[str, tuple[str, ...]]] = [
    ("", SEEN),
    # Tokens.
    ("status=current", but("old")),
    ("status=superseded", ("old",)),
    ("status=current,superseded", SEEN),
    ("status=current&status=superseded", ()),
    ("status=http://hl7.org/fhir/document-reference-status|superseded", ("old",)),
    ("status:not=current", ("old",)),
    ("status=entered-in-error", ()),
    (f"identifier={URI}|{uid(1)}", ("bio",)),
    (f"identifier={uid(1)},{uid(2)}", ("bio", "scan")),
    (f"identifier=urn:x|{uid(1)}", ()),
    (f"identifier={uid(4)}", ("archived",)),
    ("type=http://loinc.org|11502-2", ("bio", "masked")),
    ("type=11502-2", ("bio", "masked")),
    ("type=urn:oid:2.16.840.1.113883.6.1|11502-2", ("bio", "masked")),
    ("type=|11502-2", ()),
    ("type=http://loinc.org|", SEEN),
    ("type=11502-2,18748-4", ("bio", "scan", "masked")),
    ("type=11502-2&type=18748-4", ()),
    ("type:not=11502-2", but("bio", "masked")),
    ("type:not=11502-2,18748-4", but("bio", "masked", "scan")),
    ("type:missing=false", SEEN),
    ("type:missing=true", ()),
    (f"category={codes.TRE_A03}|31", ("scan",)),
    ("category=31", ("scan",)),
    ("category=urn:x|31", ()),
    ("category:not=31", but("scan")),
    ("category:missing=false", SEEN),
    ("category:missing=true", ()),
    ("facility=SA01", ("letter",)),
    (f"facility={SECTOR}|SA07", ("fhir",)),
    ("facility=SA02", ()),
    ("facility:not=SA25", ("letter", "fhir")),
    ("facility:missing=true", ()),
    (f"setting={SETTING}|ETABLISSEMENT", ("letter",)),
    ("setting=AMBULATOIRE", but("letter")),
    ("setting=AMO", ()),
    ("setting:not=AMBULATOIRE", ("letter",)),
    ("setting:missing=true", ()),
    ("format=urn:ihe:lab:xd-lab:2008", ("bio", "masked")),
    (f"format={IHE_FORMATS}|urn:ihe:iti:xds:2017:mimeTypeSufficient", ("fhir",)),
    ("format=urn:none", ()),
    ("format:not=urn:ihe:lab:xd-lab:2008", but("bio", "masked")),
    ("format:missing=false", SEEN),
    (f"event={NABM}|9999", ("bio",)),
    ("event=|bare", ("bio",)),
    (f"event={NABM}|", ("bio",)),
    ("event=1234", ()),
    ("event:not=9999", but("bio")),
    ("event:missing=false&type=11488-4", ()),
    ("event:missing=true&type=11488-4", ("fhir",)),
    ("security-label=N", but("masked")),
    (f"security-label={CONFIDENTIALITY}|N", but("masked")),
    ("security-label=urn:oid:2.16.840.1.113883.5.25|N", but("masked")),
    (f"security-label={codes.TRE_A07}|MASQUE_PS", ("masked",)),
    ("security-label=R", ()),
    ("security-label:not=N", ("masked",)),
    ("isArchived=true", ("archived",)),
    ("isArchived=false", SEEN),
    ("isArchived=true,false", (*SEEN, "archived")),
    ("isArchived=http://terminology.hl7.org/CodeSystem/special-values|true", ("archived",)),
    ("isArchived:not=true", SEEN),
    # Identifiers of authors and of what is related; names of authors, chained.
    (f"author.identifier={LABORATORY}", ("bio", "scan", "old", "new", "masked")),
    ("author.identifier=1000000202", ("letter",)),
    (f"author:identifier={BIOLOGIST}", ("bio", "old", "new", "masked")),
    ("author.identifier=urn:x|1000000202", ()),
    ("author.given=eprou", ("bio", "old", "new", "masked")),
    ("author.given=prou", ()),
    ("author.given:contains=PROU", ("bio", "old", "new", "masked")),
    ("author:Practitioner.given=Hortense", ("letter",)),
    ("author:Patient.given=pixel,octave", ("scan", "fhir")),
    ("author.family=modèle-RADIO", ("scan",)),
    ("author.family=MODELE", SEEN),
    ("author.family:contains=interniste", ("letter",)),
    ("author:Practitioner.family=modele-generaliste", ("fhir",)),
    ("author:Patient.family=nobody", ()),
    ("author.family=modele-bio&author.given=pixel", ()),
    (f"author={ANNUAIRE}", ("bio",)),
    ("author=https://annuaire.example/Practitioner/78", ()),
    ("author:missing=false", ("bio",)),
    ("author:missing=true", but("bio")),
    ("related=ImagingStudy/9", ("bio",)),
    ("related=ImagingStudy/8", ()),
    ("related:missing=true", but("bio")),
    (r"related:identifier=urn:oid:1.2.3|ACC\,1\|x", ("bio",)),
    (r"related.identifier=ACC\,1\|x", ("bio",)),
    ("related:identifier=ACC", ()),
    ("relatesto={old}", ("new",)),
    ("relatesto=DocumentReference/{old}", ("new",)),
    (f"relatesTo={ORIGIN}/fhir/DocumentReference/{{old}}", ("new",)),
    ("relatesto={bio}", ()),
    ("relatesto:missing=false", ("new",)),
    # Ids.
    ("_id={scan}", ("scan",)),
    ("_id={scan},{archived}", ("scan", "archived")),
    ("_id={record}.aaaaaaaaaaaaaaaaaaaaaaaaaa", ()),
    # The patient, once more.
    ("patient=Patient/{record}&status=superseded", ("old",)),
    (f"patient={ORIGIN}/fhir/Patient/{{record}}&status=superseded", ("old",)),
    ("patient={record}&status=superseded", ("old",)),
    (f"patient={PATIENT[1]}&status=superseded", ("old",)),
    (f"patient:identifier={PATIENT[1]}&status=superseded", ("old",)),
    (f"patient.identifier={PATIENT[1]}&status=superseded", ("old",)),
    # Dates: presence, repetition and alternatives; each prefix and precision is compared with an oracle below.
    ("date:missing=true", ()),
    ("creation:missing=false", SEEN),
    ("period:missing=true", ()),
    ("period-start:missing=true", ()),
    ("period-end:missing=true", ("letter",)),
    ("_lastUpdated=2026-03-02", SEEN),
    ("date=ge2026-02-01&date=lt2026-03-01", ("scan", "letter", "fhir")),
    ("date=2026-01-11,2025-12-25", ("bio", "masked")),
    ("type=11502-2&period=ge2026-01-01&period=lt2026-02-01", ("bio",)),
    # What shapes the answer.
    ("_count=200&_summary=false&_sort=date,-_lastUpdated&status=superseded", ("old",)),
]


@pytest.mark.parametrize(("query", "expected"), QUERIES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_search_finds_what_it_should_and_nothing_else(
    library: Library, patient: Session, physician: Session, query: str, expected: tuple[str, ...]
) -> None:
    record = library.ids["bio"].partition(".")[0]
    filled = query.replace("{record}", record)
    for name, own in library.ids.items():
        filled = filled.replace(f"{{{name}}}", own)
    pairs = parse_qsl(filled.replace("+", "%2B"))
    answer = asked_all_ways(patient, "DocumentReference", *pairs)
    assert sorted(library.names(ids(answer))) == sorted(expected)
    assert answer.json()["total"] == len(expected)
    # A physician with the patient's grant sees the same, less what is masked, whose absence shows nowhere.
    seen = search(physician, "DocumentReference", *pairs)
    assert sorted(library.names(ids(seen))) == sorted(name for name in expected if name != "masked")
    assert seen.json()["total"] == len(matches(seen))


def test_every_parameter_every_name_and_every_modifier_stands_in_the_queries() -> None:
    dates = {(name, None) for name in DATES}
    controls = {("_summary", None), ("_count", None), ("_sort", None)}
    missing = names_of(TABLES["DocumentReference"]) - names_asked(query for query, _ in QUERIES) - dates - controls
    assert missing == set()
    assert {one.name for one in TABLES["DocumentReference"] if one.type == "date"} == DATES.keys()
    for one in TABLES["DocumentReference"]:
        if one.role == "filter" and one.type != "date":
            found = [set(hits) for query, hits in QUERIES if names_asked([query]) & names_of([one])]
            assert any(found), f"{one.name} finds nothing"
            assert any(set(SEEN) - hits for hits in found), f"{one.name} leaves nothing out"


@pytest.mark.parametrize("prefix", ["", *PREFIXES])
@pytest.mark.parametrize("name", sorted(DATES))
def test_a_date_is_compared_as_r4_says(library: Library, patient: Session, name: str, prefix: str) -> None:
    for text, asked in DATES_ASKED.items():
        expected = {one for one, stored in DATES[name].items() if oracle(prefix, asked, stored, library.now)}
        answer = search(patient, "DocumentReference", (name, prefix + text))
        assert set(library.names(ids(answer))) == expected, f"{name}={prefix}{text}"


@pytest.mark.parametrize("prefix", ["", *PREFIXES])
def test_the_oracle_has_hits_and_others_for_each_prefix(library: Library, prefix: str) -> None:
    """Otherwise the test above could not fail."""
    for name, stored in DATES.items():
        found = {oracle(prefix, asked, one, library.now) for asked in DATES_ASKED.values() for one in stored.values()}
        assert found == {True, False}, name


def test_the_entry_uuid_names_the_entry(library: Library, patient: Session) -> None:
    (scan,) = matches(search(patient, "DocumentReference", ("_id", library.ids["scan"])))
    own = scan["identifier"][0]["value"]
    for value in (f"{URI}|{own}", own):
        assert library.names(ids(search(patient, "DocumentReference", ("identifier", value)))) == ["scan"]


ORDERS = [
    ("date", ["masked", "bio", "scan", "letter", "fhir", "old", "new"]),
    ("-date", ["new", "old", "fhir", "letter", "scan", "bio", "masked"]),
    ("creation", ["masked", "bio", "scan", "letter", "fhir", "old", "new"]),
    ("-period", ["new", "old", "fhir", "letter", "scan", "bio", "masked"]),
    ("period-start", ["masked", "bio", "scan", "letter", "fhir", "old", "new"]),
    ("period-end", ["masked", "bio", "scan", "fhir", "old", "new", "letter"]),  # without one: last, in either direction
    ("-period-end", ["new", "old", "fhir", "scan", "bio", "masked", "letter"]),
    ("_lastUpdated,-date", ["bio", "scan", "letter", "new", "old", "masked", "fhir"]),
    ("-_lastUpdated,date", ["fhir", "masked", "old", "new", "letter", "scan", "bio"]),
]


@pytest.mark.parametrize(("order", "expected"), ORDERS)
def test_hits_come_in_the_order_asked_for(library: Library, patient: Session, order: str, expected: list[str]) -> None:
    assert library.names(ids(asked_all_ways(patient, "DocumentReference", ("_sort", order)))) == expected


def test_without_an_order_the_newest_comes_first(library: Library, patient: Session) -> None:
    assert library.names(ids(search(patient, "DocumentReference"))) == ORDERS[1][1]


def test_every_key_to_sort_by_is_tried() -> None:
    tried = {key.removeprefix("-") for order, _ in ORDERS for key in order.split(",")}
    assert tried == {one.name for one in TABLES["DocumentReference"] if one.sortable}


@pytest.mark.parametrize("pair", [("_summary", "count"), ("_count", "0")])
def test_a_count_is_a_total_without_entries(
    library: Library, patient: Session, physician: Session, pair: tuple[str, str]
) -> None:
    for session, total in ((patient, 2), (physician, 1)):
        body = good(asked_all_ways(session, "DocumentReference", pair, ("type", "11502-2"))).json()
        assert body["total"] == total
        assert "entry" not in body
        assert [link["relation"] for link in body["link"]] == ["self"]


@pytest.mark.parametrize("size", [1, 2, 3, 6, 7, 8])
def test_pages_neither_repeat_nor_skip(library: Library, patient: Session, size: int) -> None:
    found: list[str] = []
    answer = search(patient, "DocumentReference", ("_count", str(size)), ("_sort", "period"))
    pages = 1
    while True:
        body = good(answer).json()
        assert body["total"] == len(SEEN)
        found += ids(answer)
        links = {link["relation"]: link["url"] for link in body["link"]}
        again = good(patient.request("GET", links["self"]))
        assert ids(again) == ids(answer)
        if "next" not in links:
            break
        assert len(ids(answer)) == size
        assert DOMINIQUE.ins_value not in links["next"]
        assert "period" not in links["next"]
        answer = patient.request("GET", links["next"])
        pages += 1
    assert library.names(found) == list(reversed(ORDERS[3][1]))
    assert pages == -(-len(SEEN) // size)


def test_a_page_is_nobody_elses(library: Library, patient: Session, physician: Session) -> None:
    body = search(patient, "DocumentReference", ("_count", "2")).json()
    following = next(link["url"] for link in body["link"] if link["relation"] == "next")
    assert physician.request("GET", following).status == 400
    assert patient.request("GET", following.replace("/DocumentReference?", "/List?")).status == 400
    assert patient.request("GET", following[:-1] + ("A" if following[-1] != "A" else "B")).status == 400
    assert patient.request("GET", f"{following}&status=current").status == 400


UNKNOWN = [("colour", "red"), ("author.colour", "red"), ("_sort", "type"), ("_sort", "colour"), ("_has", "x")]


@pytest.mark.parametrize("pair", UNKNOWN)
def test_what_is_unknown_is_refused_strictly_and_else_ignored_and_named(
    library: Library, patient: Session, pair: tuple[str, str]
) -> None:
    encoded = urlencode([PATIENT, pair]).encode()
    form = {"Content-Type": "application/x-www-form-urlencoded", "Prefer": "handling=strict"}
    for answer in (
        search(patient, "DocumentReference", pair),
        patient.request("POST", "/fhir/DocumentReference/_search", encoded, form),
    ):
        assert answer.status == 400
        assert pair[0].split(".")[-1] in answer.json()["issue"][0]["diagnostics"]
    lenient = good(search(patient, "DocumentReference", pair, strict=False)).json()
    assert lenient["total"] == len(SEEN)
    outcomes = [entry["resource"] for entry in lenient["entry"] if entry["search"]["mode"] == "outcome"]
    assert [issue["severity"] for issue in outcomes[0]["issue"]] == ["warning"]
    name = pair[1] if pair[0] == "_sort" else pair[0]
    assert name in outcomes[0]["issue"][0]["diagnostics"]


@pytest.mark.parametrize(
    "pair",
    [
        ("type:text", "x"),
        ("date", "yesterday"),
        ("date", "ge"),
        ("date", "2026-13"),
        ("status", "final"),
        ("isArchived", "maybe"),
        ("_summary", "data"),
        ("_count", "-1"),
        ("type", ""),
        ("type:missing", "perhaps"),
        ("patient", "Patient/1,Patient/2"),
    ],
)
@pytest.mark.parametrize("strict", [True, False])
def test_what_can_not_be_understood_is_refused_however_lenient(
    patient: Session, pair: tuple[str, str], strict: bool
) -> None:
    assert search(patient, "DocumentReference", pair, strict=strict).status == 400


def test_a_search_names_the_patient_of_the_token(patient: Session) -> None:
    for query in ("status=current", ""):
        assert patient.request("GET", f"/fhir/DocumentReference?{query}").status == 400
    other = quote("urn:oid:1.2.250.1.213.1.4.10|180010010100146")
    assert patient.request("GET", f"/fhir/DocumentReference?patient.identifier={other}").status == 404


SAMPLES = {"token": "x", "date": "2026", "reference": "List/1", "string": "x"}
CLOSED = {"status": "current", "isArchived": "true", "code": "folder"}
CONTROLS = {"_count": "5", "_sort": "date", "_summary": "count"}


def sample(name: str, kind: str, record: str) -> str:
    """A value that a listed parameter must take."""
    if name.startswith("patient"):
        return PATIENT[1] if name == "patient.identifier" else record
    return CLOSED.get(name) or CONTROLS.get(name) or SAMPLES[kind]


def test_the_capability_statement_lists_exactly_what_searches_run_on(library: Library, patient: Session) -> None:
    statement = good(patient.request("GET", "/fhir/metadata")).json()
    listed = {one["type"]: one.get("searchParam", []) for one in statement["rest"][0]["resource"]}
    record = library.ids["bio"].partition(".")[0]
    for kind, table in TABLES.items():
        assert [(one["name"], one["type"]) for one in listed[kind]] == [(one.name, one.type) for one in table]
        for one in listed[kind]:
            answer = search(patient, kind, (one["name"], sample(one["name"], one["type"], record)))
            assert answer.status == 200, (kind, one["name"], answer.data)


def test_the_other_searches_that_are_listed_are_accepted_strictly_too(library: Library, patient: Session) -> None:
    statement = good(patient.request("GET", "/fhir/metadata")).json()
    listed = {one["type"]: one.get("searchParam", []) for one in statement["rest"][0]["resource"]}
    strict = {"Prefer": "handling=strict"}
    record = library.ids["bio"].partition(".")[0]
    for one in listed["AuditEvent"]:
        value = {"date": "ge2026-03-01", "outcome": "0", "patient.identifier": PATIENT[1]}.get(one["name"], "x")
        pairs = {"date": "ge2026-03-01", one["name"]: value}
        answer = patient.request("GET", f"/fhir/AuditEvent?{urlencode(pairs)}", headers=strict)
        assert answer.status == 200, (one["name"], answer.data)
    for one in listed["Consent"]:
        value = sample(one["name"], one["type"], record)
        answer = patient.request("GET", f"/fhir/Consent?{urlencode({one['name']: value})}", headers=strict)
        assert answer.status == 200, (one["name"], answer.data)
    (identifier,) = listed["Patient"]
    assert identifier["name"] == "identifier"
    assert patient.request("GET", f"/fhir/Patient?{urlencode({'identifier': PATIENT[1]})}").json()["total"] == 1


def test_what_a_search_answers_is_traced_before_and_never_with_the_patients_number(
    library: Library, patient: Session
) -> None:
    answer = search(patient, "DocumentReference", ("type", "11502-2"))
    (event,) = answer.events
    told: Any = good(patient.request("GET", f"/fhir/AuditEvent/{event}")).json()
    assert told["subtype"][-1]["code"] in {"ITI-67", "search-type"}
    assert DOMINIQUE.ins_value not in json.dumps(told)


def test_the_clock_of_the_library_is_the_one_expected(library: Library) -> None:
    assert datetime.fromtimestamp(library.now, UTC) == datetime(2026, 3, 2, 9, 38, tzinfo=UTC)
