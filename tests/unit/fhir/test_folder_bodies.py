"""Folders in ITI-65: what a folder's List becomes, what is refused at which element, and what a reader sees of one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from fixtures.bodies import (
    OLD,
    PATIENT,
    RECORD,
    SET_ENTRY,
    WHEN,
    Json,
    bundle,
    changed,
    document,
    expressions,
    refused,
    stored,
    submit,
)
from sceau.cli.bodies import SampleFolder, provide_bundle
from sceau.fhir.resources import as_seen, submission_set, transaction_response
from sceau.fhir.rules import IS_ARCHIVED
from sceau.fhir.submission import EntryKind, RequestEntry
from sceau.fhir.transaction import MAX_FOLDERS
from sceau.records.ids import document_id, encode_id
from sceau_schemas.dossier import FolderVersion, SetFolder, SetRow, StoredIdentifier

FOLDER_ID = encode_id(b"a folder........")
KNOWN = document_id(RECORD, FOLDER_ID)
AT = "Bundle.entry[5].resource"  # after the List and two documents with their bytes
ACCESSION = StoredIdentifier(system="urn:oid:1.2.3", value="known-1")


def one_folder(**more: Any) -> SampleFolder:
    given = {"title": "Grossesse", "unique_id": "urn:oid:2.25.800", "documents": ("urn:oid:2.25.1",)}
    return SampleFolder(**{**given, **more})


def sent(*folders: SampleFolder) -> Json:
    return bundle(document(1), document(2), folders=folders or (one_folder(),))


def the_folder(b: Json) -> Any:
    return b["entry"][5]["resource"]


def the_set(b: Json) -> Any:
    return b["entry"][0]["resource"]


def test_a_folder_of_documents_of_the_bundle_and_of_the_record() -> None:
    body = sent(one_folder(documents=("urn:oid:2.25.2",), entries=(OLD, ACCESSION)))
    got = submit(body)
    (folder,) = got.folders
    assert folder.members == (1, OLD, ACCESSION)
    assert folder.identifiers == (StoredIdentifier(system="urn:ietf:rfc:3986", value="urn:oid:2.25.800"),)
    assert folder.target is None
    assert folder.listed
    assert folder.terms["title"] == ("grossesse",)
    assert folder.terms["code"] == ("https://profiles.ihe.net/ITI/MHD/CodeSystem/MHDlistTypes|folder",)
    assert "sourceId" not in folder.terms
    assert not {"id", "entry"} & folder.resource.keys()
    for name in ("status", "mode", "title", "code", "date", "extension", "identifier"):
        assert folder.resource[name] == the_folder(body)[name]
    assert folder.resource["subject"] == {
        "type": "Patient",
        "identifier": {"system": PATIENT.ins_system, "value": PATIENT.ins_value},
    }
    assert got.entries[-1] == RequestEntry(EntryKind.FOLDER, folder=0)


def test_a_put_names_the_folder_that_it_adds_to() -> None:
    got = submit(sent(one_folder(adds_to=KNOWN, entries=(OLD,))))
    assert got.folders[0].target == KNOWN
    assert got.folders[0].members == (0, OLD)


@pytest.mark.parametrize("prefix", ["", "https://dossier.example/fhir/"])
def test_a_put_may_name_it_by_an_absolute_url_and_without_id(prefix: str) -> None:
    def change(b: Json) -> None:
        b["entry"][5]["request"]["url"] = f"{prefix}List/{KNOWN}"
        del the_folder(b)["id"]

    assert submit(changed(sent(one_folder(adds_to=KNOWN)), change)).folders[0].target == KNOWN


def test_the_id_and_the_entry_uuid_of_a_new_folder_are_the_clients_own_affair() -> None:
    def change(b: Json) -> None:
        the_folder(b)["id"] = "mine"
        the_folder(b)["identifier"].append(
            {"use": "official", "system": "urn:ietf:rfc:3986", "value": "urn:uuid:00000000-0000-4000-8000-000000000000"}
        )

    plain, with_ids = submit(sent()).folders[0], submit(changed(sent(), change)).folders[0]
    assert with_ids.identifiers == plain.identifiers
    assert with_ids.resource == plain.resource


def test_a_document_of_the_bundle_may_be_named_by_its_identifier() -> None:
    master = StoredIdentifier(system="urn:ietf:rfc:3986", value="urn:oid:2.25.2")
    assert submit(sent(one_folder(documents=(), entries=(master,)))).folders[0].members == (1,)


def test_the_set_may_leave_folders_out_or_name_them() -> None:
    assert [f.listed for f in submit(sent(one_folder(listed=False))).folders] == [False]
    two = sent(one_folder(), one_folder(unique_id="urn:oid:2.25.801", listed=False))
    assert [f.listed for f in submit(two).folders] == [True, False]
    by_id = changed(
        sent(one_folder(adds_to=KNOWN, listed=False)),
        lambda b: the_set(b)["entry"].append({"item": {"reference": f"List/{KNOWN}"}}),
    )
    assert submit(by_id).folders[0].listed


def test_a_folder_needs_no_full_url_unless_the_set_names_it() -> None:
    body = changed(sent(one_folder(listed=False)), lambda b: b["entry"][5].pop("fullUrl"))
    assert not submit(body).folders[0].listed


def test_an_archived_folder_has_the_term_and_another_has_none() -> None:
    def archive(b: Json, value: bool) -> None:
        the_folder(b)["extension"].append({"url": IS_ARCHIVED, "valueBoolean": value})

    assert submit(changed(sent(), lambda b: archive(b, value=True))).folders[0].terms["isArchived"] == ("|true",)
    assert "isArchived" not in submit(changed(sent(), lambda b: archive(b, value=False))).folders[0].terms
    assert "isArchived" not in submit(sent()).folders[0].terms


def test_a_contained_patient_may_be_the_subject() -> None:
    def contain(b: Json) -> None:
        patient = {
            "resourceType": "Patient",
            "id": "p",
            "identifier": [{"system": PATIENT.ins_system, "value": PATIENT.ins_value}],
        }
        the_folder(b).update(contained=[patient], subject={"reference": "#p"})

    assert submit(changed(sent(), contain)).folders[0].resource["subject"] == {"reference": "#p"}


def other_code(b: Json) -> None:
    the_folder(b)["code"]["coding"][0]["code"] = "worklist"


REFUSALS = [
    pytest.param(other_code, f"{AT}.code", id="another kind of List"),
    pytest.param(lambda b: the_folder(b).pop("code"), f"{AT}.code", id="no code"),
    pytest.param(lambda b: the_folder(b).pop("title"), f"{AT}.title", id="no title"),
    pytest.param(lambda b: the_folder(b).pop("subject"), f"{AT}.subject", id="no subject"),
    pytest.param(lambda b: the_folder(b).pop("date"), f"{AT}.date", id="no date"),
    pytest.param(lambda b: the_folder(b).pop("entry"), f"{AT}.entry", id="no entry"),
    pytest.param(
        lambda b: the_folder(b).pop("extension"),
        f"{AT}.extension('https://profiles.ihe.net/ITI/MHD/StructureDefinition/ihe-designationType')",
        id="no designationType",
    ),
    pytest.param(
        lambda b: the_folder(b)["extension"].append(the_folder(b)["extension"][0]),
        f"{AT}.extension('https://profiles.ihe.net/ITI/MHD/StructureDefinition/ihe-designationType')",
        id="two designationTypes",
    ),
    pytest.param(lambda b: the_folder(b).update(status="retired"), f"{AT}.status", id="retired"),
    pytest.param(lambda b: the_folder(b).update(mode="snapshot"), f"{AT}.mode", id="snapshot"),
    pytest.param(
        lambda b: the_folder(b).update(source={"identifier": {"system": "urn:x", "value": "1"}}),
        f"{AT}.source",
        id="a source",
    ),
    pytest.param(lambda b: the_folder(b).update(note=[{"text": "1"}, {"text": "2"}]), f"{AT}.note[1]", id="two notes"),
    pytest.param(
        lambda b: the_folder(b).update(
            identifier=[{"system": PATIENT.ins_system, "value": PATIENT.ins_value}],
        ),
        f"{AT}.identifier",
        id="the INS as its identifier",
    ),
    pytest.param(
        lambda b: the_set(b).update(identifier=[{"system": PATIENT.ins_system, "value": PATIENT.ins_value}]),
        "Bundle.entry[0].resource.identifier",
        id="the INS as identifier of the set",
    ),
    pytest.param(
        lambda b: the_folder(b)["subject"]["identifier"].update(value=PATIENT.ins_value[:-1]),
        f"{AT}.subject",
        id="no INS as subject",
    ),
    pytest.param(
        lambda b: the_folder(b)["entry"].append(the_folder(b)["entry"][0]),
        f"{AT}.entry[1].item",
        id="a document twice",
    ),
    pytest.param(
        lambda b: the_folder(b)["entry"][0].update(item={"reference": "Patient/1"}),
        f"{AT}.entry[0].item.reference",
        id="an entry of another type",
    ),
    pytest.param(
        lambda b: the_folder(b)["entry"][0].update(item={"display": "x"}),
        f"{AT}.entry[0].item",
        id="an entry that nothing can find",
    ),
    pytest.param(
        lambda b: the_set(b)["entry"].append(the_set(b)["entry"][-1]),
        "Bundle.entry[0].resource.entry[3].item",
        id="a folder twice in the set",
    ),
    pytest.param(
        lambda b: the_set(b)["entry"][2]["item"].update(reference=f"List/{KNOWN}"),
        "Bundle.entry[0].resource.entry[2].item",
        id="a folder of the set that is not in the bundle",
    ),
    pytest.param(
        lambda b: b["entry"][5]["request"].update(method="PUT"), "Bundle.entry[5].request.url", id="a PUT of nothing"
    ),
    pytest.param(
        lambda b: b["entry"][5]["request"].update(method="PUT", url="List?identifier=urn:ietf:rfc:3986|urn:oid:2.25.8"),
        "Bundle.entry[5].request.url",
        id="a conditional PUT",
    ),
    pytest.param(
        lambda b: b["entry"][5]["request"].update(method="PATCH"), "Bundle.entry[5].request.method", id="a PATCH"
    ),
    pytest.param(
        lambda b: b["entry"][5]["request"].update(url=f"List/{KNOWN}"), "Bundle.entry[5].request.url", id="POST List/id"
    ),
    pytest.param(
        lambda b: b["entry"][5]["request"].update(ifNoneExist="identifier=urn:x|1"),
        "Bundle.entry[5].request.ifNoneExist",
        id="a condition",
    ),
    pytest.param(
        lambda b: b["entry"][0]["request"].update(method="PUT", url=f"List/{KNOWN}"),
        "Bundle.entry[0].request.method",
        id="a PUT of a submission set",
    ),
]


@pytest.mark.parametrize(("change", "expression"), REFUSALS)
def test_a_refusal_names_its_element(change: Any, expression: str) -> None:
    error = refused(submit, changed(sent(), change))
    assert error.status == 422
    assert expression in expressions(error.problems)


def test_a_put_whose_resource_has_another_id_is_refused() -> None:
    error = refused(submit, changed(sent(one_folder(adds_to=KNOWN)), lambda b: the_folder(b).update(id="other")))
    assert expressions(error.problems) == [f"{AT}.id"]


def test_a_folder_is_updated_once_in_a_bundle() -> None:
    error = refused(submit, sent(one_folder(adds_to=KNOWN), one_folder(adds_to=KNOWN, unique_id="urn:oid:2.25.801")))
    assert "Bundle.entry[6].request.url" in expressions(error.problems)


@pytest.mark.parametrize("name", ["encounter", "orderedBy", "emptyReason"])
def test_what_mhd_forbids_in_a_folder_is_refused(name: str) -> None:
    error = refused(submit, changed(sent(), lambda b: the_folder(b).update({name: {"reference": "Encounter/1"}})))
    assert expressions(error.problems) == [f"{AT}.{name}"]


def test_folders_alone_are_no_submission() -> None:
    body = sent()
    body["entry"] = [body["entry"][0], body["entry"][5]]
    assert "Bundle.entry" in expressions(refused(submit, body).problems)


def test_too_many_folders_are_refused() -> None:
    many = [one_folder(unique_id=f"urn:oid:2.25.{n}", listed=False) for n in range(MAX_FOLDERS + 1)]
    assert "Bundle.entry" in expressions(refused(submit, sent(*many)).problems)
    assert len(submit(sent(*many[1:])).folders) == MAX_FOLDERS


def test_the_answer_says_of_each_folder_what_became_of_it_in_the_requests_order() -> None:
    body = sent(one_folder(), one_folder(unique_id="urn:oid:2.25.801", adds_to=KNOWN))
    body["entry"] = [body["entry"][5], *body["entry"][:5], body["entry"][6]]  # the new folder comes first
    got = submit(body)
    made = encode_id(b"another folder..")
    entries, _ = stored(got)
    response = transaction_response(
        got,
        record_id=RECORD,
        set_id=SET_ENTRY,
        entry_ids=[row.id for row, _ in entries],
        folders=[SetFolder(id=made, version=1), SetFolder(id=FOLDER_ID, version=4)],
        resources={made: {"resourceType": "List"}},
    )
    first, *_, last = response["entry"]
    assert first["response"] == {
        "status": "201 Created",
        "etag": 'W/"1"',
        "location": f"List/{document_id(RECORD, made)}",
    }
    assert first["resource"] == {"resourceType": "List"}
    assert last == {"response": {"status": "200 OK", "etag": 'W/"4"', "location": f"List/{KNOWN}"}}
    assert response["entry"][1]["response"]["location"] == f"List/{document_id(RECORD, SET_ENTRY)}"


IDS = [encode_id(bytes([number]) * 16) for number in range(8)]


def a_folder(*sizes: int) -> SetRow:
    """A folder that had `sizes` entries in its versions; version n is of the second n."""
    versions = [
        FolderVersion(updated=1000 * number, event=f"e{number}", size=size) for number, size in enumerate(sizes, 1)
    ]
    last = versions[-1]
    return SetRow(
        id=FOLDER_ID,
        kind="folder",
        version=len(sizes),
        updated=last.updated,
        event=last.event,
        earlier=tuple(versions[:-1]),
        entries=tuple(IDS[: last.size]),
        depositor="laboratory",
    )


def test_who_sees_all_documents_sees_the_folder_as_it_is() -> None:
    row = a_folder(1, 3)
    assert as_seen(row, IDS) is row


def test_who_sees_no_document_sees_no_folder() -> None:
    assert as_seen(a_folder(1, 3), IDS[3:]) is None


def test_a_version_that_brought_nothing_visible_is_none_for_its_reader() -> None:
    row = a_folder(1, 2, 4)
    seen = as_seen(row, {IDS[0], IDS[3]})
    assert seen is not None
    assert (seen.version, seen.updated, seen.entries) == (2, 3000, (IDS[0], IDS[3]))
    before = as_seen(row, {IDS[0]})
    assert before is not None
    assert (before.version, before.updated, before.entries) == (1, 1000, (IDS[0],))


@given(
    sizes=st.lists(st.integers(1, 8), min_size=1, max_size=5, unique=True).map(sorted),
    seen=st.sets(st.sampled_from(IDS)),
)
def test_what_a_reader_sees_of_a_folder_is_the_same_with_and_without_what_it_may_not_see(
    sizes: list[int], seen: set[str]
) -> None:
    """A folder to which only the visible documents were ever added looks the same."""
    row = a_folder(*sizes)
    versions, kept = [], []
    begin = 0
    for number, size in enumerate(sizes, 1):
        brought = [one for one in row.entries[begin:size] if one in seen]
        begin = size
        if brought:
            kept += brought
            versions.append((number, tuple(kept)))
    view = as_seen(row, seen)
    if not versions:
        assert view is None
    else:
        assert view is not None
        number, entries = versions[-1]
        assert (view.version, view.updated, view.event, view.entries) == (
            len(versions),
            1000 * number,
            f"e{number}",
            entries,
        )


def test_a_sets_folders_stand_after_its_documents_as_far_as_they_are_visible() -> None:
    got = submit(sent())
    entries, (row, blob) = stored(got)
    other = encode_id(b"another folder..")
    folders = (SetFolder(id=FOLDER_ID, version=1, listed=True), SetFolder(id=other, version=1))
    row = row.model_copy(update={"folders": folders})
    documents = [f"DocumentReference/{document_id(RECORD, one.id)}" for one, _ in entries]

    def named(**more: Any) -> list[str]:
        return [one["item"]["reference"] for one in submission_set(row, blob, record_id=RECORD, **more)["entry"]]

    assert named() == [*documents, f"List/{KNOWN}"]
    assert named(visible={entries[0][0].id, FOLDER_ID}) == [documents[0], f"List/{KNOWN}"]
    assert named(visible={entries[0][0].id}) == [documents[0]]


def test_the_builders_folder_is_the_one_described() -> None:
    body = provide_bundle(
        [document(1)], patient=PATIENT, when=WHEN, set_id="urn:oid:2.25.900", folders=[replace(one_folder(), code="31")]
    )
    (folder,) = submit(body).folders
    assert folder.terms["designationType"][0].endswith("|31")
