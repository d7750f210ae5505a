"""Finding over HTTPS: TD0.2, ITI-67 (TD3.1a and b), ITI-66, pages; what a search tells, and to whom."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pytest

from fixtures.live_world import (
    FORM,
    MASKED,
    Caller,
    Json,
    World,
    alone,
    document_ids,
    expressions,
    found,
    hospital_document,
    ids,
    ins,
    issues,
    lab_document,
    links,
    parsed,
    set_id_of,
    submission,
    without_ids,
)
from sceau.cli.people import LABORATORY
from sceau.cli.samples import Patient
from sceau.fhir import codes
from sceau.identity.client import HttpResponse
from sceau_schemas.dossier import StoredIdentifier

pytestmark = pytest.mark.xdist_group("live")

DAY = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)
KINDS = ("biology", "imaging", "discharge-letter", "prescription", "vaccination-note", "biology")


@dataclass(frozen=True, slots=True)
class Shelf:
    """A record with eight documents. `ids`: by name; `old` is superseded by `new`, `masked` is MASQUE_PS.

    The documents of KINDS are of a month each, the newest last; the masked one is of an act that has not ended.
    """

    patient: Patient
    record: str
    ids: dict[str, str]
    unique: dict[str, str]
    sets: list[str]

    @property
    def query(self) -> str:
        return f"/fhir/DocumentReference?patient.identifier={quote(ins(self.patient))}"


def of_an_hour(body: Json) -> Json:
    """The same submission of acts that ended: a period without end goes on for ever (R4)."""
    for entry in body["entry"]:
        period = entry["resource"].get("context", {}).get("period", {})
        if "start" in period:
            period["end"] = (datetime.fromisoformat(period["start"]) + timedelta(hours=1)).isoformat()
    return body


@pytest.fixture(scope="module")
def shelf(world: World) -> Shelf:
    patient = world.opened("hospital")
    lab = world.caller("laboratory")
    documents = [lab_document(patient, kind, when=DAY + timedelta(days=30 * n)) for n, kind in enumerate(KINDS)]
    answer = lab.post("/fhir", of_an_hour(submission(patient, *documents)))
    assert answer.status == 200
    names = ["old", "imaging", "letter", "prescription", "vaccine", "biology"]
    own = dict(zip(names, document_ids(answer), strict=True))
    unique = {name: document.unique_id for name, document in zip(names, documents, strict=True)}
    sets = [set_id_of(answer)]
    newer = lab_document(patient, when=DAY + timedelta(days=1), replaces=own["old"])
    answer = lab.post("/fhir", of_an_hour(submission(patient, newer)))
    (own["new"],) = document_ids(answer)
    sets.append(set_id_of(answer))
    masked = lab_document(patient, when=DAY + timedelta(days=400), label=MASKED)
    answer = lab.post("/fhir", submission(patient, masked))
    (own["masked"],) = document_ids(answer)
    sets.append(set_id_of(answer))
    unique |= {"new": newer.unique_id, "masked": masked.unique_id}
    return Shelf(patient, own["new"].partition(".")[0], own, unique, sets)


@pytest.fixture
def holder(world: World, shelf: Shelf) -> Caller:
    return world.holder(shelf.patient)


@pytest.fixture
def physician(world: World, shelf: Shelf) -> Caller:
    return world.caller("hospital-physician", shelf.patient)


ALL = ["old", "new", "imaging", "letter", "prescription", "vaccine", "biology", "masked"]
SEARCHES = [
    ("", ALL),
    ("status=current", [name for name in ALL if name != "old"]),
    ("status=superseded", ["old"]),
    ("status=current,superseded", ALL),
    ("type=11502-2", ["old", "new", "biology", "masked"]),
    ("type=http://loinc.org|11502-2", ["old", "new", "biology", "masked"]),
    ("type=urn:oid:2.16.840.1.113883.6.1|11502-2&status=current", ["new", "biology", "masked"]),
    ("type=urn:x|11502-2", []),
    ("type=http://loinc.org|", ALL),
    ("type=11502-2,18748-4&status=current", ["new", "imaging", "biology", "masked"]),
    ("type=11502-2&type=18748-4", []),
    ("type:not=11502-2", ["imaging", "letter", "prescription", "vaccine"]),
    ("category=31", ["imaging"]),
    ("period=2026-03-02", ["old"]),
    ("period=ge2026-03-03&period=le2026-03-03", ["new"]),
    ("period=ge2026-04-01&period=lt2026-05-01", ["imaging"]),
    ("type=11502-2&period=ge2026-03-01&period=lt2026-03-31&status=current", ["new"]),
    ("period=2027", []),
    ("period=sa2027-01-01", ["masked"]),
    ("period-start=2027", ["masked"]),
    ("period-end:missing=true", ["masked"]),
    ("period=eb2026-03-03", ["old"]),
    ("period=lt2026", []),
    ("creation=2026-03-02", ["old"]),
    ("date=2026-06-12", ALL),
    ("date=lt2026-06-12", []),
    ("security-label=N", [name for name in ALL if name != "masked"]),
    ("security-label=MASQUE_PS", ["masked"]),
    ("author.identifier=urn:oid:1.2.250.1.71.4.2.2|1000000101", ALL),
    ("author.identifier=urn:oid:1.2.250.1.71.4.2.2|1000000202", []),
    ("author.family=modele", ALL),
    ("author.family=MODÈLE-BIO", ALL),
    ("facility=SA25", ALL),
    ("setting=AMBULATOIRE", ALL),
    ("format=urn:ihe:lab:xd-lab:2008", ["old", "new", "biology", "masked"]),
    ("relatesto:missing=false", ["new"]),
    ("isArchived=true", []),
]


@pytest.mark.parametrize(("query", "expected"), SEARCHES)
def test_a_search_by_get_by_form_and_by_both(
    shelf: Shelf, holder: Caller, physician: Caller, query: str, expected: list[str]
) -> None:
    wanted = {shelf.ids[name] for name in expected}
    pairs = parse_qsl(query, keep_blank_values=True)
    encoded = urlencode(pairs)
    patient = urlencode({"patient.identifier": ins(shelf.patient)})
    search = "/fhir/DocumentReference/_search"
    whole = f"{patient}&{encoded}".rstrip("&")
    answers = [
        holder.get(f"/fhir/DocumentReference?{whole}"),
        holder.call("POST", search, whole.encode(), FORM),
        holder.call("POST", f"{search}?{encoded}", patient.encode(), FORM),
        holder.call("POST", f"{search}?{patient}", encoded.encode(), FORM),
        holder.call("POST", f"{search}?{whole}", b"", {"Accept": "application/fhir+json"}),
    ]
    for answer in answers:
        assert set(ids(answer)) == wanted
        assert parsed(answer)["total"] == len(wanted)
        assert "no-store" in answer.headers["Cache-Control"]
    # The physician sees the same, less what is masked: nothing in the answer says that there is more.
    seen = physician.get(f"/fhir/DocumentReference?{whole}")
    assert set(ids(seen)) == wanted - {shelf.ids["masked"]}
    assert parsed(seen)["total"] == len(wanted - {shelf.ids["masked"]})
    assert shelf.ids["masked"].encode() not in seen.data


def test_a_hit_is_whole_and_its_addresses_lead_to_it(world: World, shelf: Shelf, physician: Caller) -> None:
    answer = physician.get(f"{shelf.query}&_id={shelf.ids['imaging']}")
    (entry,) = parsed(answer)["entry"]
    resource = entry["resource"]
    assert entry["fullUrl"] == f"{world.origin}/fhir/DocumentReference/{shelf.ids['imaging']}"
    assert entry["search"] == {"mode": "match"}
    assert (
        physician.get(entry["fullUrl"]).data == json.dumps(resource, ensure_ascii=False, separators=(",", ":")).encode()
    )
    assert resource["subject"]["reference"] == f"Patient/{shelf.record}"
    url = resource["content"][0]["attachment"]["url"]
    assert url == f"{world.origin}/fhir/Binary/{shelf.ids['imaging']}"
    assert len(physician.get(url, Accept="*/*").data) == resource["content"][0]["attachment"]["size"]


@pytest.mark.parametrize("name", ["old", "new", "imaging"])
def test_a_document_is_found_by_each_of_its_identifiers(shelf: Shelf, holder: Caller, name: str) -> None:
    (whole,) = found(holder.get(f"{shelf.query}&_id={shelf.ids[name]}"))
    entry_uuid = whole["identifier"][0]["value"]
    for value in (
        f"urn:ietf:rfc:3986|{shelf.unique[name]}",
        shelf.unique[name],
        f"urn:ietf:rfc:3986|{entry_uuid}",
        entry_uuid,
    ):
        assert ids(holder.get(f"{shelf.query}&identifier={quote(value)}")) == [shelf.ids[name]]


def test_a_replacement_is_found_by_what_it_replaced(shelf: Shelf, holder: Caller) -> None:
    for value in (shelf.ids["old"], f"DocumentReference/{shelf.ids['old']}"):
        for name in ("relatesto", "relatesTo"):
            assert ids(holder.get(f"{shelf.query}&{name}={value}")) == [shelf.ids["new"]]


def test_the_patient_may_be_named_in_every_way_that_carries_the_token(
    world: World, shelf: Shelf, holder: Caller
) -> None:
    named = (
        f"patient={shelf.record}",
        f"patient=Patient/{shelf.record}",
        f"patient={quote(f'{world.origin}/fhir/Patient/{shelf.record}')}",
        f"patient={quote(ins(shelf.patient))}",
        f"patient.identifier={quote(ins(shelf.patient))}",
        f"patient:identifier={quote(ins(shelf.patient))}",
        f"patient={shelf.record}&patient.identifier={quote(ins(shelf.patient))}",
    )
    for query in named:
        assert parsed(holder.get(f"/fhir/DocumentReference?{query}"))["total"] == len(ALL)


# Order and pages


def test_the_order_is_the_one_asked_for(shelf: Shelf, holder: Caller) -> None:
    by_period = ["old", "new", "imaging", "letter", "prescription", "vaccine", "biology", "masked"]
    upwards = [shelf.ids[name] for name in by_period]
    assert ids(holder.get(f"{shelf.query}&_sort=period")) == upwards
    assert ids(holder.get(f"{shelf.query}&_sort=-period")) == upwards[::-1]
    assert ids(holder.get(f"{shelf.query}&_sort=-date,period")) == upwards


def walk(caller: Caller, answer: HttpResponse) -> Iterator[HttpResponse]:
    """This page and all that follow."""
    yield answer
    while "next" in links(answer):
        answer = caller.get(links(answer)["next"])
        yield answer


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 200])
@pytest.mark.parametrize("sort", ["", "&_sort=period", "&_sort=-period", "&_sort=_lastUpdated"])
def test_the_pages_hold_everything_once_and_in_order(shelf: Shelf, holder: Caller, count: int, sort: str) -> None:
    whole = ids(holder.get(f"{shelf.query}{sort}"))
    pages = list(walk(holder, holder.get(f"{shelf.query}{sort}&_count={count}")))
    assert [own for page in pages for own in ids(page)] == whole
    assert all(len(ids(page)) == count for page in pages[:-1])
    assert 0 < len(ids(pages[-1])) <= count
    assert {parsed(page)["total"] for page in pages} == {len(ALL)}


def test_what_is_published_between_two_pages_shifts_nothing(world: World) -> None:
    patient = world.opened()
    lab, holder = world.caller("laboratory"), world.holder(patient)
    first = set(world.publish(patient, *(lab_document(patient) for _ in range(5))))
    page = holder.get(f"/fhir/DocumentReference?patient={holder.record_id}&_count=2")
    assert lab.post("/fhir", submission(patient, lab_document(patient), lab_document(patient))).status == 200
    seen = [own for one in walk(holder, page) for own in ids(one)]
    assert len(seen) == len(set(seen))
    assert first <= set(seen)


def test_a_self_link_gives_the_same_page_again(shelf: Shelf, holder: Caller) -> None:
    page = list(walk(holder, holder.get(f"{shelf.query}&_count=3&_sort=period")))[1]
    assert ids(holder.get(links(page)["self"])) == ids(page)


def test_a_count_of_zero_and_summary_count_give_the_total_alone(shelf: Shelf, holder: Caller) -> None:
    for query in ("_count=0", "_summary=count"):
        bundle = parsed(holder.get(f"{shelf.query}&{query}&status=current"))
        assert (bundle["total"], bundle.get("entry")) == (len(ALL) - 1, None)


def test_no_link_carries_an_ins_or_what_was_asked(shelf: Shelf, holder: Caller, physician: Caller) -> None:
    for caller in (holder, physician):
        page = caller.get(f"{shelf.query}&type=11502-2&author.family=modele&_count=1")
        given = links(page)
        assert given.keys() == {"self", "next"}
        for url in given.values():
            assert {name for name, _ in parse_qsl(urlsplit(url).query)} == {"page"}
            for secret in (shelf.patient.ins_value, shelf.record, "11502-2", "modele", "patient"):
                assert secret not in url


def test_the_page_of_another_caller_is_400(world: World, shelf: Shelf, holder: Caller, physician: Caller) -> None:
    stranger = world.opened("hospital")
    for url in links(holder.get(f"{shelf.query}&_count=2")).values():
        for other in (
            physician,
            world.holder(stranger),
            world.caller("other-physician", shelf.patient),
            world.caller("hospital-physician", stranger),
        ):
            with world.refused("refused.400", of=stranger if other.record_id != shelf.record else shelf.patient):
                answer = other.get(url)
            assert issues(answer, 400)[0]["diagnostics"] == "page token not valid"


def test_an_altered_page_is_400(world: World, shelf: Shelf, holder: Caller) -> None:
    following = links(holder.get(f"{shelf.query}&_count=2"))["next"]
    base, _, token = following.partition("?page=")
    swapped = token[:30] + ("A" if token[30] != "A" else "B") + token[31:]
    for altered in (swapped, token[:-4], token + "AAAA", token + "=", "", "%00", "x" * 5000, token.upper()):
        issues(holder.get(f"{base}?page={altered}"), 400)
    issues(holder.get(f"{following}&status=current"), 400)
    issues(holder.get(f"{following}&page={token}"), 400)
    issues(holder.get(following.replace("/DocumentReference?", "/List?")), 400)
    assert ids(holder.get(following))
    assert ids(holder.get(f"{following}&_format=json")) == ids(holder.get(following))


# What is refused


def test_an_unknown_parameter_is_told_and_ignored_or_refused_when_strict(shelf: Shelf, holder: Caller) -> None:
    query = f"{shelf.query}&status=superseded&colour=red&_sort=colour"
    answer = holder.get(query)
    assert ids(answer) == [shelf.ids["old"]]
    (outcome,) = found(answer, "outcome")
    assert [one["severity"] for one in outcome["issue"]] == ["warning", "warning"]
    assert all("colour" in one["diagnostics"] for one in outcome["issue"])
    strict = holder.get(query, Prefer="handling=strict")
    assert all("colour" in one["diagnostics"] for one in issues(strict, 400))
    assert ids(holder.get(f"{shelf.query}&status=superseded", Prefer="handling=strict")) == [shelf.ids["old"]]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("type:text=biologie", "type"),
        ("date=yesterday", "date"),
        ("date=2026-02-30", "date"),
        ("period=ge", "period"),
        ("status=entered-in-error-or-not", "status"),
        ("type=", "type"),
        ("type=a,,b", "type"),
        ("_count=-1", "_count"),
        ("_count=1&_count=2", "_count"),
        ("_summary=true", "_summary"),
        ("type=" + ",".join(["x"] * 51), "type"),
        ("&".join(f"type=x{n}" for n in range(41)), ""),
    ],
)
def test_a_search_that_is_not_understood_is_400(
    world: World, shelf: Shelf, holder: Caller, query: str, named: str
) -> None:
    with world.refused("refused.400", of=shelf.patient):
        answer = holder.get(f"{shelf.query}&{query}")
    (issue,) = issues(answer, 400)
    assert named in issue["diagnostics"]
    assert "yesterday" not in issue["diagnostics"]


def test_deleted_entries_can_not_be_asked_for(shelf: Shelf, holder: Caller) -> None:
    assert ids(holder.get(f"{shelf.query}&status=entered-in-error")) == []


@pytest.mark.parametrize("resource", ["DocumentReference", "List"])
def test_a_search_that_names_no_patient_is_400(world: World, shelf: Shelf, holder: Caller, resource: str) -> None:
    with world.refused("refused.400", of=shelf.patient):
        answer = holder.get(f"/fhir/{resource}?status=current")
    assert "patient" in issues(answer, 400)[0]["diagnostics"]


@pytest.mark.parametrize("resource", ["DocumentReference", "List"])
def test_a_search_for_two_patients_is_refused(world: World, shelf: Shelf, holder: Caller, resource: str) -> None:
    other = world.opened()
    issues(holder.get(f"/fhir/{resource}?patient={shelf.record}&patient={world.record_id(other)}"), 400)
    query = f"patient={shelf.record}&patient.identifier={quote(ins(other))}"
    issues(holder.get(f"/fhir/{resource}?{query}"), 404)


def test_another_patient_than_the_tokens_is_404_whether_or_not_it_has_a_record(
    world: World, shelf: Shelf, holder: Caller, physician: Caller
) -> None:
    somebody, nobody = world.opened("hospital"), world.patient()
    world.publish(somebody, lab_document(somebody))
    for caller in (holder, physician):
        answers = []
        for other in (somebody, nobody):
            for query in (
                f"DocumentReference?patient={world.record_id(other)}",
                f"DocumentReference?patient.identifier={quote(ins(other))}",
                f"List?patient.identifier={quote(ins(other))}",
                f"Patient?identifier={quote(ins(other))}",
            ):
                with world.refused("denied.other-record", of=shelf.patient):
                    answer = caller.get(f"/fhir/{query}")
                issues(answer, 404)
                answers.append(without_ids(answer))
        assert len({str(answer) for answer in answers}) == 1


# TD3.1b


def test_a_laboratory_finds_the_id_and_status_of_what_it_wrote_and_nothing_else(world: World, shelf: Shelf) -> None:
    lab = world.caller("laboratory")
    for name in ("old", "new", "masked"):
        answer = lab.get(f"{shelf.query}&identifier={quote('urn:ietf:rfc:3986|' + shelf.unique[name])}")
        (resource,) = found(answer)
        assert resource["id"] == shelf.ids[name]
        assert resource["status"] == ("superseded" if name == "old" else "current")
        assert resource["masterIdentifier"]["value"] == shelf.unique[name]
        assert resource.keys() == {"resourceType", "id", "meta", "masterIdentifier", "identifier", "status", "content"}
        assert resource["content"][0]["attachment"].keys() == {"extension"}
        assert shelf.patient.ins_value.encode() not in answer.data
        assert shelf.patient.birth_name.encode() not in answer.data


def test_what_another_structure_wrote_is_found_by_it_alone(world: World) -> None:
    patient = world.opened()
    document = hospital_document(patient)
    world.publish(patient, document, actor="hospital-physician")
    query = f"/fhir/DocumentReference?patient.identifier={quote(ins(patient))}&identifier={document.unique_id}"
    lab = world.caller("laboratory").get(query)
    assert (ids(lab), parsed(lab)["total"]) == ([], 0)
    other = world.caller("other-physician", patient).get(query)
    assert (ids(other), parsed(other)["total"]) == ([], 0)
    # The hospital has no grant: its physician finds the id of what the hospital wrote, to replace it.
    (own,) = found(world.caller("hospital-physician", patient).get(query))
    assert "category" not in own


def test_a_laboratory_asks_by_identifier_and_by_nothing_else(world: World, shelf: Shelf) -> None:
    lab = world.caller("laboratory")
    with world.refused("refused.400", of=shelf.patient):
        answer = lab.get(f"{shelf.query}&type=11502-2")
    assert expressions(issues(answer, 400)) == ["identifier"]


@pytest.mark.parametrize("order", ["_lastUpdated", "date,-_lastUpdated"])
def test_a_laboratory_does_not_learn_which_document_was_masked_last(world: World, shelf: Shelf, order: str) -> None:
    """Masking is a change: an order by the last change would tell of it."""
    lab = world.caller("laboratory")
    asked = f"{shelf.query}&identifier={shelf.unique['new']},{shelf.unique['old']}"
    with world.refused("refused.400", of=shelf.patient):
        answer = lab.get(f"{asked}&_sort={order}")
    assert expressions(issues(answer, 400)) == ["_sort"]
    assert len(ids(lab.get(f"{asked}&_sort=-date"))) == 2


@pytest.mark.parametrize(
    "named",
    ["abc", "../../x", "Patient/x", "é", "a" * 27, "B" * 26, "https://elsewhere.example/fhir/Patient/1", "Group/1"],
)
def test_a_laboratory_that_names_no_patient_of_ours_is_told_404(world: World, named: str) -> None:
    with world.refused("denied.unknown"):
        answer = world.caller("laboratory").get(f"/fhir/DocumentReference?patient={quote(named)}&identifier=x")
    issues(answer, 404)


def test_the_event_of_a_laboratorys_search_names_the_laboratory_and_no_ins(world: World, shelf: Shelf) -> None:
    lab = world.caller("laboratory")
    with world.unchanged() as since:
        lab.get(f"{shelf.query}&identifier={shelf.unique['new']}")
    assert since.event.record_id == shelf.record
    assert LABORATORY.value in since.event.people
    assert shelf.patient.ins_value.encode() not in since.event.data


# TD0.2


def reading(answer: HttpResponse) -> tuple[str, str]:
    """What TD0.2 says of the caller's own right to read: permit or deny, and why."""
    (statement,) = found(answer, "include")
    assert statement["resourceType"] == "Consent"
    return statement["provision"]["type"], statement["policyRule"]["text"]


def test_td02_tells_of_a_parameter_that_it_ignores_or_refuses_it(shelf: Shelf, holder: Caller) -> None:
    query = f"/fhir/Patient?identifier={quote(ins(shelf.patient))}&birthdate=1900"
    answer = holder.get(query)
    (outcome,) = found(answer, "outcome")
    assert "birthdate" in outcome["issue"][0]["diagnostics"]
    assert len(found(answer)) == 1
    assert "birthdate" in issues(holder.get(query, Prefer="handling=strict"), 400)[0]["diagnostics"]
    plain = query.removesuffix("&birthdate=1900")
    assert found(holder.get(f"{plain}&_format=json", Prefer="handling=strict"), "outcome") == []


def test_td02_tells_whether_there_is_a_record_and_what_the_caller_may_do(world: World) -> None:
    patient = world.opened("hospital")
    target = f"/fhir/Patient?identifier={quote(ins(patient))}"
    expected = {
        "patient": ("permit", "allowed.holder"),
        "hospital-physician": ("permit", "allowed.grant"),
        "other-physician": ("deny", "denied.no-grant"),
    }
    for actor, said in expected.items():
        caller = world.caller(actor, patient)
        form = f"identifier={quote(ins(patient))}".encode()
        for answer in (caller.get(target), caller.call("POST", "/fhir/Patient/_search", form, FORM)):
            (resource,) = found(answer)
            assert (resource["id"], resource["active"]) == (world.record_id(patient), True)
            assert resource["identifier"][0]["value"] == patient.ins_value
            assert resource["name"][0] == {
                "use": "official",
                "family": patient.birth_name,
                "given": list(patient.first_names),
            }
            assert reading(answer) == said
            assert parsed(answer)["total"] == 1
            modes = [entry["search"]["mode"] for entry in parsed(answer)["entry"]]
            assert modes == ["match", "include"]


def test_td02_without_a_record_is_an_empty_searchset(world: World) -> None:
    patient = world.patient()
    for actor in ("patient", "hospital-physician"):
        with world.unchanged():
            answer = world.caller(actor, patient).get(f"/fhir/Patient?identifier={quote(ins(patient))}")
        assert (answer.status, parsed(answer)["total"], parsed(answer).get("entry")) == (200, 0, None)


def test_td02_of_a_closed_record_says_that_it_is_not_active(world: World) -> None:
    patient = world.opened("hospital")
    world.close(patient)
    for actor, reason in (("patient", "denied.closed"), ("hospital-physician", "denied.closed")):
        answer = world.caller(actor, patient).get(f"/fhir/Patient?identifier={quote(ins(patient))}")
        assert [one["active"] for one in found(answer)] == [False]
        assert reading(answer) == ("deny", reason)


@pytest.mark.parametrize("query", ["", "?identifier=", "?identifier=123", "?identifier=a|b&identifier=c|d", "?name=x"])
def test_td02_takes_one_identifier_with_its_system(world: World, query: str) -> None:
    patient = world.opened()
    with world.refused("refused.400", of=patient):
        answer = world.holder(patient).get(f"/fhir/Patient{query}")
    assert expressions(issues(answer, 400)) == ["identifier"]


# ITI-66


def test_submission_sets_hold_what_the_reader_may_see(shelf: Shelf, holder: Caller, physician: Caller) -> None:
    query = f"/fhir/List?patient.identifier={quote(ins(shelf.patient))}"
    assert set(ids(holder.get(query))) == set(shelf.sets)
    assert set(ids(holder.get(f"{query}&code=submissionset"))) == set(shelf.sets)
    assert ids(holder.get(f"{query}&code=folder")) == []
    # The third set holds nothing but the masked document: for the physician it is not there.
    assert set(ids(physician.get(query))) == set(shelf.sets[:2])
    assert physician.get(f"/fhir/List/{shelf.sets[2]}").status == 404
    whole = parsed(physician.get(f"/fhir/List/{shelf.sets[0]}"))
    members = [one["item"]["reference"] for one in whole["entry"]]
    first = ["old", "imaging", "letter", "prescription", "vaccine", "biology"]
    assert members == [f"DocumentReference/{shelf.ids[name]}" for name in first]


def test_a_set_with_a_masked_member_does_not_name_it(world: World) -> None:
    patient = world.opened("hospital")
    answer = world.caller("laboratory").post(
        "/fhir", submission(patient, lab_document(patient), lab_document(patient, label=MASKED))
    )
    plain, masked = document_ids(answer)
    physician, holder = world.caller("hospital-physician", patient), world.holder(patient)
    for answer_seen in (
        physician.get(f"/fhir/List/{set_id_of(answer)}"),
        physician.get(f"/fhir/List?patient={world.record_id(patient)}"),
    ):
        assert plain.encode() in answer_seen.data
        assert masked.encode() not in answer_seen.data
    assert masked.encode() in holder.get(f"/fhir/List/{set_id_of(answer)}").data


def test_a_document_sent_alone_has_a_set_of_its_own(world: World) -> None:
    patient = world.opened()
    own = parsed(world.caller("laboratory").post("/fhir/DocumentReference", alone(patient)))["id"]
    holder = world.holder(patient)
    (derived,) = found(holder.get(f"/fhir/List?patient={holder.record_id}"))
    assert [one["item"]["reference"] for one in derived["entry"]] == [f"DocumentReference/{own}"]
    assert derived["code"]["coding"][0]["code"] == "submissionset"


def test_who_did_not_author_a_set_finds_none_without_a_grant(world: World, shelf: Shelf) -> None:
    with world.refused("denied.no-grant", of=shelf.patient):
        answer = world.caller("other-physician", shelf.patient).get(f"/fhir/List?patient={shelf.record}")
    issues(answer, 403)


def test_the_systems_of_labels_are_one(world: World) -> None:
    patient = world.opened()
    (own,) = world.publish(patient, lab_document(patient))
    holder = world.holder(patient)
    for system in ("http://terminology.hl7.org/CodeSystem/v3-Confidentiality|", f"{codes.TRE_A08}|", ""):
        query = f"/fhir/DocumentReference?patient={holder.record_id}&security-label={quote(system)}N"
        assert ids(holder.get(query)) == [own]


def test_related_objects_are_found_by_their_identifier(world: World) -> None:
    patient = world.opened()
    order = StoredIdentifier(system="urn:oid:1.2.3.4", value="ORDER-7")
    document = lab_document(patient)
    body = submission(patient, document)
    body["entry"][1]["resource"]["context"]["related"] = [
        {"identifier": {"system": order.system, "value": order.value}}
    ]
    (own,) = document_ids(world.caller("laboratory").post("/fhir", body))
    holder = world.holder(patient)
    query = f"/fhir/DocumentReference?patient={holder.record_id}&related:identifier"
    assert ids(holder.get(f"{query}={order.system}|{order.value}")) == [own]
    assert ids(holder.get(f"{query}={order.system}|ORDER-8")) == []
