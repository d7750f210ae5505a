"""What leaves: entries, sets, documents, and the bundles that carry them."""

from __future__ import annotations

import base64
import json
import uuid
from dataclasses import replace

import pytest

from fixtures.bodies import (
    OLD,
    OLD_ENTRY,
    ORIGIN,
    PATIENT,
    RECORD,
    SET_ENTRY,
    UPDATED,
    Json,
    bundle,
    changed,
    document,
    fhir_sample,
    simple,
    stored,
    submit,
    submit_simple,
)
from sceau.cli.body_parts import stored_patient
from sceau.fhir import codes
from sceau.fhir.ins import INS_NIA, INS_NIR, INS_NIR_TEST
from sceau.fhir.kept import fill_entry, parsed
from sceau.fhir.outcome import Problem
from sceau.fhir.parse import parse_json, write_json
from sceau.fhir.patient import Closing, patient
from sceau.fhir.references import Target
from sceau.fhir.resources import (
    binary,
    etag,
    etag_matches,
    last_modified,
    submission_set,
    technical_identifier,
    transaction_response,
)
from sceau.fhir.rules import IS_ARCHIVED
from sceau.fhir.searchset import searchset
from sceau.fhir.submission import Submission
from sceau.records.ids import document_id, entry_uuid
from sceau_schemas.dossier import DossierHead, EntryVersion, StoredCoding, StoredIdentifier


def entry_of(submission: Submission, number: int = 0, **more: object) -> Json:
    row, blob = stored(submission)[0][number]
    return parsed(fill_entry(row, blob, record_id=RECORD, origin=ORIGIN, **more))  # type: ignore[arg-type]  # one keyword


def test_a_document_entry_has_our_ids_and_the_rest_as_it_came() -> None:
    sent = bundle()
    given = sent["entry"][1]["resource"]
    submission = submit(sent)
    row, _ = stored(submission)[0][0]
    resource = entry_of(submission)
    own = document_id(RECORD, row.id)
    assert resource["id"] == own
    assert resource["meta"] == {
        "versionId": "1",
        "lastUpdated": "2026-06-12T08:13:20.123Z",
        "profile": given["meta"]["profile"],
    }
    assert resource["identifier"] == [
        {"use": "official", "system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{entry_uuid(row.id)}"}
    ]
    assert resource["status"] == "current"
    assert resource["securityLabel"] == given["securityLabel"]
    assert "extension" not in resource
    assert resource["subject"]["reference"] == f"Patient/{RECORD}"
    attachment = resource["content"][0]["attachment"]
    assert attachment["url"] == f"{ORIGIN}/fhir/Binary/{own}"
    assert {**attachment, "url": None} == {**given["content"][0]["attachment"], "url": None}
    for name in ("masterIdentifier", "type", "category", "author", "context", "contained", "custodian", "date"):
        assert resource[name] == given[name]


def test_no_link_that_we_make_carries_the_ins() -> None:
    def by_search(b: Json) -> None:
        for position in (0, 1):
            b["entry"][position]["resource"]["subject"] = {
                "reference": f"Patient?identifier={PATIENT.ins_system}|{PATIENT.ins_value}"
            }

    submission = submit(changed(bundle(), by_search))
    entries, own_set = stored(submission)
    for resource in (entry_of(submission), submission_set(*own_set, record_id=RECORD)):
        assert resource["subject"]["reference"] == f"Patient/{RECORD}"
    response = transaction_response(submission, record_id=RECORD, set_id=SET_ENTRY, entry_ids=[entries[0][0].id])
    assert PATIENT.ins_value not in json.dumps(response)


def test_a_subject_that_is_a_contained_patient_is_given_back() -> None:
    submission = submit(
        changed(bundle(), lambda b: b["entry"][1]["resource"].update(subject={"reference": "#patient"}))
    )
    assert entry_of(submission)["subject"] == {"reference": "#patient"}


def test_status_labels_and_archived_are_those_of_the_row() -> None:
    submission = submit(bundle(replace(document(), archived=False)))
    assert entry_of(submission)["extension"] == [{"url": IS_ARCHIVED, "valueBoolean": False}]
    version = EntryVersion(
        version=3,
        updated=UPDATED + 1,
        event="e",
        status="superseded",
        labels=(StoredCoding(system=codes.TRE_A07, code="MASQUE_PS"), StoredCoding(code="N", display="Normal")),
        archived=True,
    )
    resource = entry_of(submission, version=version)
    assert resource["meta"]["versionId"] == "3"
    assert resource["status"] == "superseded"
    assert resource["securityLabel"] == [
        {"coding": [{"system": codes.TRE_A07, "code": "MASQUE_PS"}]},
        {"coding": [{"code": "N", "display": "Normal"}]},
    ]
    assert resource["extension"] == [{"url": IS_ARCHIVED, "valueBoolean": True}]


@pytest.mark.parametrize("target", [OLD, StoredIdentifier(system="urn:x", value="1")])
def test_a_replaced_entry_is_named_by_our_id_however_it_was_named(target: Target) -> None:
    relation = entry_of(submit_simple(simple(document(replaces=target))))["relatesTo"]
    assert [(r["code"], r["target"]["reference"]) for r in relation] == [("replaces", f"DocumentReference/{OLD}")]
    if isinstance(target, StoredIdentifier):
        assert relation[0]["target"]["identifier"] == {"system": "urn:x", "value": "1"}


def test_a_fhir_document_is_found_under_bundle() -> None:
    resource = entry_of(submit(bundle(fhir_sample())))
    assert resource["content"][0]["attachment"]["url"].startswith(f"{ORIGIN}/fhir/Bundle/")


def test_a_document_sent_alone_comes_back_with_url_and_without_data() -> None:
    resource = entry_of(submit_simple(simple()))
    assert "data" not in resource["content"][0]["attachment"]
    assert resource["content"][0]["attachment"]["url"].startswith(ORIGIN)


def test_a_set_lists_its_entries_and_hides_those_that_the_reader_may_not_see() -> None:
    submission = submit(bundle(document(1), document(2)))
    entries, own_set = stored(submission)
    ids = [row.id for row, _ in entries]
    resource = submission_set(*own_set, record_id=RECORD)
    assert [e["item"]["reference"] for e in resource["entry"]] == [
        f"DocumentReference/{document_id(RECORD, own)}" for own in ids
    ]
    assert resource["identifier"][0]["value"] == f"urn:uuid:{entry_uuid(SET_ENTRY)}"
    assert resource["identifier"][1]["value"] == "urn:oid:2.25.900"
    assert (resource["status"], resource["mode"]) == ("current", "working")
    hidden = submission_set(*own_set, record_id=RECORD, visible={ids[1]})
    assert [e["item"]["reference"] for e in hidden["entry"]] == [f"DocumentReference/{document_id(RECORD, ids[1])}"]
    assert "entry" not in submission_set(*own_set, record_id=RECORD, visible=())


def test_a_transaction_is_answered_entry_by_entry() -> None:
    def add_patient(b: Json) -> None:
        ins = {"system": PATIENT.ins_system, "value": PATIENT.ins_value}
        b["entry"].append(
            {
                "resource": {"resourceType": "Patient", "identifier": [ins]},
                "request": {"method": "POST", "url": "Patient"},
            }
        )

    submission = submit(changed(bundle(document(1, replaces=OLD), fhir_sample()), add_patient))
    ids = [row.id for row, _ in stored(submission)[0]]
    response = transaction_response(submission, record_id=RECORD, set_id=SET_ENTRY, entry_ids=ids)
    assert response["type"] == "transaction-response"
    first, second = (document_id(RECORD, own) for own in ids)
    assert [(e["response"]["status"], e["response"]["location"]) for e in response["entry"]] == [
        ("201 Created", f"List/{document_id(RECORD, SET_ENTRY)}"),
        ("201 Created", f"DocumentReference/{first}"),
        ("200 OK", f"DocumentReference/{OLD}"),
        ("201 Created", f"Binary/{first}"),
        ("201 Created", f"DocumentReference/{second}"),
        ("201 Created", f"Bundle/{second}"),
        ("200 OK", f"Patient/{RECORD}"),
    ]
    assert [e["response"].get("etag") for e in response["entry"][:3]] == ['W/"1"', 'W/"1"', None]
    assert not any("resource" in e for e in response["entry"])
    outcome = response["entry"][4]["response"]["outcome"]  # the FHIR document's format is not of J10
    assert outcome["issue"][0]["severity"] == "warning"
    assert [n for n, e in enumerate(response["entry"]) if "outcome" in e["response"]] == [4]


def test_representation_adds_set_and_entries_only() -> None:
    submission = submit(bundle())
    own = stored(submission)[0][0][0].id
    resources = {SET_ENTRY: {"resourceType": "List"}, own: {"resourceType": "DocumentReference"}}
    response = transaction_response(
        submission, record_id=RECORD, set_id=SET_ENTRY, entry_ids=[own], resources=resources
    )
    assert [e.get("resource", {}).get("resourceType") for e in response["entry"]] == ["List", "DocumentReference", None]


def test_a_patch_by_identifier_is_located_once_its_target_is_known() -> None:
    target = StoredIdentifier(system="urn:x", value="1")

    def by_identifier(b: Json) -> None:
        b["entry"][1]["resource"]["relatesTo"][0]["target"] = {"identifier": target.model_dump()}
        b["entry"][2]["request"]["url"] = "DocumentReference?identifier=urn:x|1"

    submission = submit(changed(bundle(document(replaces=OLD)), by_identifier))
    assert submission.patches == ()
    own = stored(submission)[0][0][0].id
    known = transaction_response(
        submission, record_id=RECORD, set_id=SET_ENTRY, entry_ids=[own], superseded={target: OLD_ENTRY}
    )
    assert known["entry"][2]["response"] == {"status": "200 OK", "location": f"DocumentReference/{OLD}"}
    unknown = transaction_response(submission, record_id=RECORD, set_id=SET_ENTRY, entry_ids=[own])
    assert unknown["entry"][2]["response"] == {"status": "200 OK"}


def test_a_warning_of_entry_one_is_not_told_at_entry_ten() -> None:
    submission = submit(bundle(*(document(number) for number in range(1, 6))))
    warned = replace(submission, warnings=(Problem("x", "x", "Bundle.entry[1].resource", severity="warning"),))
    ids = [row.id for row, _ in stored(submission)[0]]
    response = transaction_response(warned, record_id=RECORD, set_id=SET_ENTRY, entry_ids=ids)
    assert [n for n, e in enumerate(response["entry"]) if "outcome" in e["response"]] == [1]


def test_a_searchset_has_total_links_modes_and_full_urls() -> None:
    match: Json = {"resourceType": "Patient", "id": RECORD}
    include: Json = {"resourceType": "Consent", "id": f"{RECORD}.access"}
    warning = Problem("not-supported", "ignored", severity="warning")
    found = searchset(
        [match], total=9, links=[("self", "u1"), ("next", "u2")], origin=ORIGIN, included=[include], warnings=[warning]
    )
    assert found["total"] == 9
    assert found["link"] == [{"relation": "self", "url": "u1"}, {"relation": "next", "url": "u2"}]
    assert [(e["search"]["mode"], e["resource"]["resourceType"]) for e in found["entry"]] == [
        ("match", "Patient"),
        ("include", "Consent"),
        ("outcome", "OperationOutcome"),
    ]
    assert found["entry"][0]["fullUrl"] == f"{ORIGIN}/fhir/Patient/{RECORD}"
    assert uuid.UUID(found["entry"][2]["fullUrl"])
    empty = searchset([], total=0, links=[], origin=ORIGIN)
    assert empty == {"resourceType": "Bundle", "type": "searchset", "total": 0}


def test_who_may_not_read_learns_ids_and_status_only() -> None:
    submission = submit(bundle())
    row, _ = stored(submission)[0][0]
    told = technical_identifier(row, record_id=RECORD)
    assert told.keys() == {"resourceType", "id", "meta", "masterIdentifier", "identifier", "status", "content"}
    assert told["masterIdentifier"]["value"] == "urn:oid:2.25.1"
    text = json.dumps(told)
    for secret in (row.type_code, PATIENT.ins_value, PATIENT.birth_name, "Binary", "laboratoire"):
        assert secret.lower() not in text.lower()


def test_a_document_as_binary() -> None:
    resource = binary(OLD, "application/pdf", b"\x00bytes")
    assert base64.b64decode(resource["data"]) == b"\x00bytes"
    assert (resource["id"], resource["contentType"]) == (OLD, "application/pdf")


def test_etags_and_dates() -> None:
    assert etag(3) == 'W/"3"'
    assert last_modified(UPDATED) == "Fri, 12 Jun 2026 08:13:20 GMT"
    for header in ('W/"3"', '"3"', 'W/"2", W/"3"', "*"):
        assert etag_matches(header, 3)
    for header in ('W/"2"', '"33"', "", 'W/"3x"'):
        assert not etag_matches(header, 3)


def test_decimals_come_back_as_they_were_sent() -> None:
    extension = parse_json(b'[{"url":"urn:x","valueDecimal":1.500}]')
    submission = submit_simple(changed(simple(), lambda r: r.update(extension=extension)))
    assert b'"valueDecimal":1.500' in write_json(entry_of(submission))


def head(ins_system: str = INS_NIR_TEST, status: str = "open") -> DossierHead:
    who = stored_patient(PATIENT)
    who = who.model_copy(update={"ins": StoredIdentifier(system=ins_system, value=who.ins.value)})
    return DossierHead(
        record_id=RECORD,
        version=4,
        status=status,  # type: ignore[arg-type]  # one of two words
        opened=UPDATED,
        updated=UPDATED,
        patient=who,
        consents=(),
    )


def test_td02_says_who_and_whether_the_record_is_open() -> None:
    told = patient(head(), medecin_traitant=False, rattachement_mes=True)
    assert (told["id"], told["active"], told["gender"], told["birthDate"]) == (RECORD, True, "female", "1979-03-28")
    assert told["name"] == [{"use": "official", "family": "SPECIMEN-UN", "given": ["Amarante", "Zélie"]}]
    assert told["identifier"][0]["value"] == PATIENT.ins_value
    flags = {e["url"].rpartition("/")[2]: e.get("valueBoolean") for e in told["extension"]}
    assert flags == {"patient-birthPlace": None, "dmp-rattachement-mes": True, "dmp-medecin-traitant": False}


def test_td02_says_how_a_record_was_closed() -> None:
    closing = Closing("2026-06-01", text="déménagement")
    told = patient(head(status="closed"), medecin_traitant=False, rattachement_mes=False, closing=closing)
    assert told["active"] is False
    parts = {p["url"]: p for p in told["extension"][-1]["extension"]}
    assert parts["dateFermeture"]["valueDate"] == "2026-06-01"
    assert parts["motifFermeture"]["valueCodeableConcept"]["coding"][0]["code"] == "patient-demande"
    assert parts["raisonFermeture"]["valueString"] == "déménagement"


@pytest.mark.parametrize(("system", "code"), [(INS_NIR, "NH"), (INS_NIA, "INS-NIA"), (INS_NIR_TEST, "INS-NIR-TEST")])
def test_the_kind_of_ins_is_typed(system: str, code: str) -> None:
    told = patient(head(system), medecin_traitant=False, rattachement_mes=False)
    assert told["identifier"][0]["type"]["coding"][0]["code"] == code
