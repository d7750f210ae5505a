"""ITI-66, whole service in process: submission sets and folders found by each parameter, read by id, seen as far as
their documents are.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

import pytest

from fixtures.inprocess import ORIGIN, Process, Session
from sceau.cli import bodies
from sceau.cli.body_parts import source_patient
from sceau.cli.documents import DOMINIQUE
from sceau.fhir import codes
from sceau.fhir.rules import IS_ARCHIVED
from sceau.fhir.search import PREFIXES, TABLES
from sceau.fhir.sets import AUTHOR_ORG, DESIGNATION_TYPE, LIST_TYPES, SOURCE_ID
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
    changed,
    folder,
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
    same_answer,
    search,
    span,
    uid,
)

SOURCE = "https://annuaire.example/PractitionerRole/5"
ORGANISATION = "https://annuaire.example/Organization/9"


@dataclass(frozen=True, slots=True)
class Library:
    """Sets and folders of a record, by name. `now`: when the last one came (POSIX seconds)."""

    process: Process
    ids: dict[str, str]
    now: float

    def names(self, found: list[str]) -> list[str]:
        by_id = {own: name for name, own in self.ids.items()}
        return [by_id[one] for one in found]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def the_set(body: Json) -> Any:
    return body["entry"][0]["resource"]


def of_an_organisation(body: Json) -> None:
    """A literal source, and an authorOrg beside it."""
    the_set(body)["source"] = {
        "reference": SOURCE,
        "extension": [{"url": AUTHOR_ORG, "valueReference": {"reference": ORGANISATION}}],
    }
    del the_set(body)["contained"]
    the_set(body)["title"] = "Bilan d'entrée"
    extensions = {one["url"]: one for one in the_set(body)["extension"]}
    extensions[SOURCE_ID]["valueIdentifier"] = {"system": "urn:oid:1.2.3.4", "value": "SIL-7"}
    extensions[DESIGNATION_TYPE]["valueCodeableConcept"]["coding"][0]["code"] = "43"


def archived_by_the_patient(body: Json) -> None:
    """Submitted by the patient (a contained one), and archived."""
    the_set(body)["source"] = {"reference": "#patient"}
    the_set(body)["contained"] = [source_patient(DOMINIQUE)]
    the_set(body)["extension"].append({"url": IS_ARCHIVED, "valueBoolean": True})


def publish_all(process: Process) -> dict[str, str]:
    """A minute passes before each submission, from 09:30 on."""
    own: dict[str, str] = {}

    def publish(actor: str, body: Json, *names: str) -> list[str]:
        answer = process.session(actor).request("POST", "/fhir", body)
        own.update(zip(names, locations(answer, "List"), strict=True))
        after(process, minutes=1)
        return locations(answer, "DocumentReference")

    (first,) = publish(
        "laboratory",
        bundle(
            901,
            laboratory_document(1),
            when=at("2026-01-11T00:00:00Z"),
            folders=[folder(801, 1, title="Grossesse, 2e trimestre")],
        ),
        "biology",
        "pregnancy",
    )
    publish(
        "hospital-physician",
        bundle(
            902,
            hospital_document(2),
            when=at("2026-02-18T12:00:00Z"),
            folders=[folder(802, 2, title="Diabète", code="31")],
        ),
        "letter",
        "diabetes",
    )
    simplified = bodies.simplified(
        laboratory_document(3, "imaging", author="radiologist"), patient=DOMINIQUE, when=at("2026-02-28T23:15:00Z")
    )
    made = good(process.session("laboratory").request("POST", "/fhir/DocumentReference", simplified)).json()
    sets = ids(search(process.session("patient"), "List", ("code", "submissionset")))
    (own["derived"],) = set(sets) - set(own.values())
    assert made["id"]
    after(process, minutes=1)
    organisation = bundle(904, laboratory_document(4), when=at("2026-03-01T08:30:00Z"))
    publish("laboratory", changed(organisation, of_an_organisation), "organisation")
    archived = bundle(905, laboratory_document(5), when=at("2026-03-01T09:00:00Z"))
    publish("laboratory", changed(archived, archived_by_the_patient), "archived")
    growing = bundle(
        906,
        laboratory_document(6, label=MASKED),
        when=at("2026-03-02T08:30:00Z"),
        folders=[folder(801, 6, title="Grossesse, 2e trimestre", entries=(first,), adds_to=own["pregnancy"])],
    )
    publish("laboratory", growing, "masked", "pregnancy")
    return own


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


SEEN = ("biology", "pregnancy", "letter", "diabetes", "derived", "organisation", "masked")
"""What a search without criteria finds; the archived one is not among them."""
FOLDERS = ("pregnancy", "diabetes")


def but(*names: str) -> tuple[str, ...]:
    return tuple(name for name in SEEN if name not in names)


QUERIES: list[tuple[str, tuple[str, ...]]] = [
    ("", SEEN),
    ("code=submissionset", but(*FOLDERS)),
    ("code=folder", FOLDERS),
    (f"code={LIST_TYPES}|folder", FOLDERS),
    (f"code={LIST_TYPES.replace('https', 'http')}|folder", FOLDERS),
    ("code=submissionset,folder", SEEN),
    ("code=submissionset&code=folder", ()),
    ("code:not=folder", but(*FOLDERS)),
    ("status=current", SEEN),
    ("status=http://hl7.org/fhir/list-status|current", SEEN),
    ("status=retired", ()),
    ("status:not=current", ()),
    (f"identifier={URI}|{uid(901)}", ("biology",)),
    (f"identifier={uid(802)}", ("diabetes",)),
    (f"identifier={uid(905)}", ("archived",)),
    (f"identifier=urn:x|{uid(901)}", ()),
    (f"designationType={codes.TRE_A03}|31", ("diabetes", "derived")),
    ("designationType=11", ("pregnancy",)),
    ("designationType=43", ("organisation",)),
    ("designationType=urn:x|11", ()),
    ("designationType:not=11,31", ("biology", "letter", "organisation", "masked")),
    ("designationType:missing=true", ()),
    ("designationType:missing=false", SEEN),
    ("sourceId=urn:oid:1.2.3.4|SIL-7", ("organisation",)),
    ("sourceId=SIL-7", ("organisation",)),
    ("sourceId=urn:oid:1.2.3|SIL-7", ()),
    (f"sourceId={URI}|", but(*FOLDERS, "organisation")),
    ("isArchived=true", ("archived",)),
    ("isArchived=false", SEEN),
    ("isArchived=true,false", (*SEEN, "archived")),
    ("isArchived=http://terminology.hl7.org/CodeSystem/special-values|true", ("archived",)),
    ("isArchived:not=true", SEEN),
    ("title=grossesse", ("pregnancy",)),
    ("title=DIABETE", ("diabetes",)),
    ("title=trimestre", ()),
    ("title:contains=trimestre", ("pregnancy",)),
    (r"title=grossesse\, 2e", ("pregnancy",)),
    ("title=grossesse,diab", FOLDERS),
    ("title=bilan d'entree", ("organisation",)),
    (f"source={SOURCE}", ("organisation",)),
    ("source=https://annuaire.example/PractitionerRole/6", ()),
    ("source:missing=false", ("organisation",)),
    ("source:missing=true", but("organisation")),
    ("source.given=eprouvette", ("biology", "masked")),
    ("source.given=prouvette", ()),
    ("source.given:contains=prouvette", ("biology", "masked")),
    ("source:Practitioner.given=hortense", ("letter",)),
    ("source:Patient.given=dominique&isArchived=true", ("archived",)),
    ("source:Patient.given=dominique", ()),
    ("source.family=modele", ("biology", "letter", "derived", "masked")),
    ("source.family:contains=radio", ("derived",)),
    ("source:Practitioner.family=Modèle-Interniste", ("letter",)),
    ("source:Patient.family=PAT-TROIS&isArchived=true", ("archived",)),
    ("source:PractitionerRole.name=hortense", ("letter",)),
    ("source:PractitionerRole.name=modele-radio", ("derived",)),
    ("source:PractitionerRole.name=interniste", ()),
    ("source:PractitionerRole.name:contains=interniste", ("letter",)),
    (f"authorOrg={ORGANISATION}", ("organisation",)),
    ("authorOrg=https://annuaire.example/Organization/8", ()),
    ("authorOrg:missing=false", ("organisation",)),
    ("authorOrg:missing=true&code=folder", FOLDERS),
    ("_id={letter}", ("letter",)),
    ("_id={letter},{diabetes},{archived}", ("letter", "diabetes", "archived")),
    ("_id={record}.aaaaaaaaaaaaaaaaaaaaaaaaaa", ()),
    ("patient=Patient/{record}&code=folder", FOLDERS),
    (f"patient={ORIGIN}/fhir/Patient/{{record}}&code=folder", FOLDERS),
    (f"patient:identifier={PATIENT[1]}&code=folder", FOLDERS),
    (f"patient.identifier={PATIENT[1]}&code=folder", FOLDERS),
    ("date:missing=true", ()),
    ("date:missing=false", SEEN),
    ("date=2026-01-11,2026-02-18", ("biology", "pregnancy", "letter", "diabetes")),
    ("date=ge2026-02-01&date=lt2026-03-01&code=submissionset", ("letter", "derived")),
    ("_count=200&_summary=false&_sort=date&code=folder", FOLDERS),
]


@pytest.mark.parametrize(("query", "expected"), QUERIES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_search_finds_what_it_should_and_nothing_else(
    library: Library, patient: Session, physician: Session, query: str, expected: tuple[str, ...]
) -> None:
    filled = query.replace("{record}", library.ids["biology"].partition(".")[0])
    for name, own in library.ids.items():
        filled = filled.replace(f"{{{name}}}", own)
    pairs = parse_qsl(filled)
    answer = asked_all_ways(patient, "List", *pairs)
    assert sorted(library.names(ids(answer))) == sorted(expected)
    assert answer.json()["total"] == len(expected)
    seen = search(physician, "List", *pairs)
    assert sorted(library.names(ids(seen))) == sorted(name for name in expected if name != "masked")
    assert seen.json()["total"] == len(matches(seen))


DATES: dict[str, dict[str, Span]] = {
    "date": {
        "biology": span("2026-01-11T00:00:00Z"),
        "pregnancy": span("2026-01-11T00:00:00Z"),  # of its making, not of its growth
        "letter": span("2026-02-18T12:00:00Z"),
        "diabetes": span("2026-02-18T12:00:00Z"),
        "derived": span("2026-02-28T23:15:00Z"),
        "organisation": span("2026-03-01T08:30:00Z"),
        "masked": span("2026-03-02T08:30:00Z"),
    },
    "_lastUpdated": {
        "biology": span("2026-03-02T09:30:00Z"),
        "pregnancy": span("2026-03-02T09:35:00Z"),  # when it grew
        "letter": span("2026-03-02T09:31:00Z"),
        "diabetes": span("2026-03-02T09:31:00Z"),
        "derived": span("2026-03-02T09:32:00Z"),
        "organisation": span("2026-03-02T09:33:00Z"),
        "masked": span("2026-03-02T09:35:00Z"),
    },
}
UNMASKED = {
    name: {
        one: span("2026-03-02T09:30:00Z") if (name, one) == ("_lastUpdated", "pregnancy") else stored
        for one, stored in spans.items()
        if one != "masked"
    }
    for name, spans in DATES.items()
}
"""The same for the physician, for whom the masked document is not there: the folder never grew."""


@pytest.mark.parametrize("prefix", ["", *PREFIXES])
@pytest.mark.parametrize("name", sorted(DATES))
def test_a_date_is_compared_as_r4_says(
    library: Library, patient: Session, physician: Session, name: str, prefix: str
) -> None:
    for session, dates in ((patient, DATES), (physician, UNMASKED)):
        for text, asked in DATES_ASKED.items():
            expected = {one for one, stored in dates[name].items() if oracle(prefix, asked, stored, library.now)}
            answer = search(session, "List", (name, prefix + text))
            assert set(library.names(ids(answer))) == expected, f"{name}={prefix}{text}"


def test_every_parameter_every_name_and_every_modifier_stands_in_the_queries() -> None:
    apart = {(name, None) for name in (*DATES, "_summary", "_count", "_sort")}
    assert names_of(TABLES["List"]) - names_asked(query for query, _ in QUERIES) - apart == set()
    assert {one.name for one in TABLES["List"] if one.type == "date"} == DATES.keys()
    for one in TABLES["List"]:
        if one.role == "filter" and one.type != "date":
            found = [set(hits) for query, hits in QUERIES if names_asked([query]) & names_of([one])]
            assert any(found), f"{one.name} finds nothing"
            assert any(set(SEEN) - hits for hits in found), f"{one.name} leaves nothing out"


ORDERS = [
    ("date,_lastUpdated", ["biology", "pregnancy", {"letter", "diabetes"}, "derived", "organisation", "masked"]),
    ("-date,-_lastUpdated", ["masked", "organisation", "derived", {"letter", "diabetes"}, "pregnancy", "biology"]),
    ("_lastUpdated,date", ["biology", {"letter", "diabetes"}, "derived", "organisation", "pregnancy", "masked"]),
    ("-_lastUpdated,-date", ["masked", "pregnancy", "organisation", "derived", {"letter", "diabetes"}, "biology"]),
]


@pytest.mark.parametrize(("order", "expected"), ORDERS)
def test_hits_come_in_the_order_asked_for(
    library: Library, patient: Session, order: str, expected: list[str | set[str]]
) -> None:
    found = library.names(ids(asked_all_ways(patient, "List", ("_sort", order))))
    for one in expected:  # of one instant, the ids decide
        part = {one} if isinstance(one, str) else one
        assert {found.pop(0) for _ in part} == part
    assert found == []


def test_a_folder_sorts_for_each_reader_by_what_that_reader_sees(library: Library, physician: Session) -> None:
    found = library.names(ids(search(physician, "List", ("_sort", "_lastUpdated"))))
    assert set(found[:2]) == {"biology", "pregnancy"}


def test_without_an_order_the_newest_comes_first(library: Library, patient: Session) -> None:
    assert library.names(ids(search(patient, "List")))[:3] == ["masked", "organisation", "derived"]


@pytest.mark.parametrize("pair", [("_summary", "count"), ("_count", "0")])
def test_a_count_is_a_total_without_entries(patient: Session, physician: Session, pair: tuple[str, str]) -> None:
    for session, total in ((patient, len(SEEN)), (physician, len(SEEN) - 1)):
        body = good(asked_all_ways(session, "List", pair)).json()
        assert body["total"] == total
        assert "entry" not in body


@pytest.mark.parametrize("size", [1, 3, 6, 7])
def test_pages_neither_repeat_nor_skip(library: Library, patient: Session, size: int) -> None:
    answer, found = search(patient, "List", ("_count", str(size)), ("_sort", "date")), []
    while True:
        body = good(answer).json()
        assert body["total"] == len(SEEN)
        found += ids(answer)
        links = {link["relation"]: link["url"] for link in body["link"]}
        if "next" not in links:
            break
        answer = patient.request("GET", links["next"])
    assert sorted(library.names(found)) == sorted(SEEN)
    assert found == ids(search(patient, "List", ("_sort", "date")))


def test_an_unknown_parameter_is_refused_strictly_and_else_named(patient: Session) -> None:
    assert search(patient, "List", ("colour", "red")).status == 400
    lenient = good(search(patient, "List", ("colour", "red"), strict=False)).json()
    assert lenient["total"] == len(SEEN)
    assert "colour" in lenient["entry"][-1]["resource"]["issue"][0]["diagnostics"]


def test_the_entry_uuid_names_the_list(library: Library, patient: Session) -> None:
    (found,) = matches(search(patient, "List", ("_id", library.ids["diabetes"])))
    assert library.names(ids(search(patient, "List", ("identifier", found["identifier"][0]["value"])))) == ["diabetes"]


@pytest.mark.parametrize("name", [*SEEN, "archived"])
def test_a_list_is_read_by_its_id_with_etag(library: Library, patient: Session, name: str) -> None:
    path = f"/fhir/List/{library.ids[name]}"
    read = good(patient.request("GET", path))
    (found,) = matches(search(patient, "List", ("_id", library.ids[name])))
    assert read.json() == found
    tag = read.headers["ETag"]
    for value in (tag, tag.removeprefix("W/"), f'"x", {tag}', "*"):
        again = patient.request("GET", path, headers={"If-None-Match": value})
        assert (again.status, again.data, again.headers["ETag"]) == (304, b"", tag)
    assert patient.request("GET", path, headers={"If-None-Match": 'W/"0"'}).status == 200


def test_a_list_of_another_record_or_of_masked_documents_is_unknown(
    library: Library, patient: Session, physician: Session
) -> None:
    record, own = library.ids["letter"].split(".")
    unknown = physician.request("GET", f"/fhir/List/{record}.{'a' * 26}")
    assert unknown.status == 404
    entry = good(physician.request("GET", f"/fhir/List/{library.ids['letter']}")).json()["entry"][0]["item"][
        "reference"
    ]
    for other in (library.ids["masked"], f"{'a' * 26}.{own}", entry.partition("/")[2], "x"):
        assert same_answer(physician.request("GET", f"/fhir/List/{other}"), unknown)


def test_an_archived_set_is_given_back_with_its_extension(library: Library, patient: Session) -> None:
    read = good(patient.request("GET", f"/fhir/List/{library.ids['archived']}")).json()
    assert {"url": IS_ARCHIVED, "valueBoolean": True} in read["extension"]
