"""ITI-65: what a transaction becomes, and what is refused at which element."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fixtures.bodies import (
    OLD,
    OTHER,
    PATIENT,
    RECEIVED,
    Json,
    bundle,
    changed,
    document,
    expressions,
    fhir_sample,
    refused,
    submit,
    submit_simple,
)
from sceau.access.model import Identifier
from sceau.cli.samples import make_pdf
from sceau.fhir import codes
from sceau.fhir.ins import INS_NIR, PRODUCTION_SYSTEMS, TEST_SYSTEMS, ins_key
from sceau.fhir.parse import parse_resource, write_json
from sceau.fhir.submission import EntryKind, RequestEntry, parse_submission
from sceau_schemas.dossier import StoredCoding, StoredIdentifier
from sceau_schemas.fhir import Bundle

MHD = "https://profiles.ihe.net/ITI/MHD/StructureDefinition/"
INS = {"system": PATIENT.ins_system, "value": PATIENT.ins_value}
DOC = "Bundle.entry[1].resource"
OTHER_INS = {"system": OTHER.ins_system, "value": OTHER.ins_value}


def the_list(b: Json) -> Any:
    return b["entry"][0]["resource"]


def reference(b: Json) -> Any:
    return b["entry"][1]["resource"]


def attachment(b: Json) -> Any:
    return reference(b)["content"][0]["attachment"]


def binary(b: Json) -> Any:
    return b["entry"][-1]["resource"]


def patient_entry(*identifiers: Json, method: str = "POST", url: str = "Patient") -> Json:
    return {
        "fullUrl": "urn:uuid:aaaaaaaa-0000-4000-8000-00000000000a",
        "resource": {"resourceType": "Patient", "id": "p1", "identifier": list(identifiers)},
        "request": {"method": method, "url": url},
    }


def declare(b: Json, media_type: str) -> None:
    """Another media type, on both sides."""
    attachment(b)["contentType"] = binary(b)["contentType"] = media_type


def put_content(b: Json, data: bytes) -> None:
    """Other bytes, with an attachment that says so."""
    binary(b)["data"] = base64.b64encode(data).decode()
    attachment(b)["size"] = len(data)
    attachment(b)["hash"] = base64.b64encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()


def test_a_set_of_three_documents() -> None:
    sent = [document(1), document(2, "imaging"), document(3, label=(codes.TRE_A07, "MASQUE_PS"))]
    got = submit(bundle(*sent))
    assert got.patient == Identifier(PATIENT.ins_system, PATIENT.ins_value)
    assert [d.content for d in got.documents] == [d.data for d in sent]
    assert [d.type_code for d in got.documents] == ["11502-2", "18748-4", "11502-2"]
    assert [d.content_type for d in got.documents] == ["application/xml"] * 3
    assert [d.identifiers[0].value for d in got.documents] == ["urn:oid:2.25.1", "urn:oid:2.25.2", "urn:oid:2.25.3"]
    assert [d.labels[0].code for d in got.documents] == ["N", "N", "MASQUE_PS"]
    assert got.documents[0].sha256 == hashlib.sha256(sent[0].data).hexdigest()
    assert got.set_identifiers == (StoredIdentifier(system="urn:ietf:rfc:3986", value="urn:oid:2.25.900"),)
    assert not got.is_simplified
    assert got.warnings == ()


def test_authors_are_found_behind_a_contained_role() -> None:
    got = submit(bundle()).documents[0]
    assert got.author_structures == (StoredIdentifier(system="urn:oid:1.2.250.1.71.4.2.2", value="1000000101"),)
    assert got.author_professionals == (StoredIdentifier(system="urn:oid:1.2.250.1.71.4.2.1", value="899700000101"),)


def test_what_rests_is_what_was_sent_without_what_is_ours() -> None:
    def enrich(b: Json) -> None:
        reference(b).update(id="theirs", description="kept")
        reference(b)["meta"].update(versionId="7", lastUpdated="2026-01-01T00:00:00Z", source="urn:x")
        reference(b)["extension"].append({"url": "urn:x", "valueCode": "kept"})
        the_list(b).update(id="theirs")

    sent = changed(bundle(replace(document(), archived=True)), enrich)
    got = submit(sent)
    resource = got.documents[0].resource
    assert not {"id", "status", "securityLabel", "identifier"} & resource.keys()
    assert resource["meta"] == {"profile": reference(sent)["meta"]["profile"], "source": "urn:x"}
    assert resource["extension"] == [{"url": "urn:x", "valueCode": "kept"}]
    assert got.documents[0].archived is True
    assert resource["description"] == "kept"
    assert resource["subject"] == {"type": "Patient", "identifier": INS}
    kept = resource["content"][0]["attachment"]
    assert not {"url", "data"} & kept.keys()
    assert kept["size"] == len(got.documents[0].content)
    for name in ("masterIdentifier", "type", "category", "author", "context", "contained", "custodian", "date"):
        assert resource[name] == reference(sent)[name]
    assert not {"id", "entry", "identifier"} & (got.set_resource.keys() - {"identifier"})
    assert got.set_resource["identifier"] == the_list(sent)["identifier"]


def test_entries_say_what_each_part_of_the_request_is() -> None:
    got = submit(bundle(document(1, replaces=OLD), document(2)))
    assert got.entries == (
        RequestEntry(EntryKind.SUBMISSION_SET),
        RequestEntry(EntryKind.DOCUMENT_REFERENCE, 0),
        RequestEntry(EntryKind.PATCH, None, OLD),
        RequestEntry(EntryKind.CONTENT, 0),
        RequestEntry(EntryKind.DOCUMENT_REFERENCE, 1),
        RequestEntry(EntryKind.CONTENT, 1),
    )


def test_entries_in_another_order_are_the_same_submission() -> None:
    sent = bundle(document(1), document(2))
    got = submit(changed(sent, lambda b: b["entry"].reverse()))
    assert [d.identifiers[0].value for d in got.documents] == ["urn:oid:2.25.2", "urn:oid:2.25.1"]
    assert [e.kind for e in got.entries] == [e.kind for e in reversed(submit(sent).entries)]
    assert [e.document for e in got.entries] == [0, 0, 1, 1, None]


def test_an_entry_without_indexing_date_gets_the_time_of_arrival() -> None:
    got = submit(changed(bundle(), lambda b: reference(b).pop("date"))).documents[0]
    assert got.resource["date"] == "2026-06-12T08:30:00.250Z"
    millis = int(RECEIVED.timestamp() * 1000)
    assert got.terms["date"] == (f"{millis}/{millis}",)


def test_a_document_without_custodian_is_kept_by_the_structure_of_the_token() -> None:
    keeper = Identifier("urn:oid:1.2.250.1.71.4.2.2", "1000000101")

    def custodian_of(sent: Json) -> Json | None:
        body = parse_resource(write_json(sent), Bundle)
        got = parse_submission(
            body, accepted_ins_systems=TEST_SYSTEMS, strict=False, received=RECEIVED, custodian=keeper
        )
        return got.documents[0].resource.get("custodian")

    own = {"type": "Organization", "identifier": {"system": keeper.system, "value": keeper.value}}
    assert custodian_of(changed(bundle(), lambda b: reference(b).pop("custodian"))) == own
    assert custodian_of(bundle()) == reference(bundle())["custodian"]
    assert "custodian" not in submit(changed(bundle(), lambda b: reference(b).pop("custodian"))).documents[0].resource


@pytest.mark.parametrize(
    "profile",
    [
        MHD + "IHE.MHD.Comprehensive.ProvideBundle",
        MHD + "IHE.MHD.UnContained.Comprehensive.ProvideBundle",
        MHD + "IHE.MHD.Comprehensive.ProvideBundle|4.2.3",
    ],
)
def test_comprehensive_and_uncontained_bundles_are_accepted(profile: str) -> None:
    assert submit(changed(bundle(), lambda b: b.update(meta={"profile": [profile]}))).documents


def test_what_the_dmp_guide_leaves_out_is_not_asked_for() -> None:
    """No custodian, authenticator, set identifier, use of identifiers, period; the patient named by a search."""

    def strip(b: Json) -> None:
        for name in ("custodian", "authenticator"):
            del reference(b)[name]
        del the_list(b)["identifier"]
        del reference(b)["masterIdentifier"]["use"]
        del reference(b)["context"]["period"]
        for name in ("size", "hash", "title"):
            del attachment(b)[name]
        for resource in (the_list(b), reference(b)):
            resource["subject"] = {"reference": f"Patient?identifier={PATIENT.ins_system}|{PATIENT.ins_value}"}
        reference(b)["securityLabel"] = [
            {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "N"}]}
        ]

    got = submit(changed(bundle(), strip))
    assert got.set_identifiers == ()
    assert got.documents[0].labels[0].system == "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
    assert "Patient?" not in json.dumps(got.documents[0].terms)


def test_bodies_in_the_shape_of_the_dmp_guide_are_accepted() -> None:
    """Of our own making, after the guide's: minimal contained resources, SNOMED CT, a class that isn't X04's."""
    folder = Path(__file__).parents[2] / "fixtures" / "fhir"
    in_bundle = submit(json.loads((folder / "iti65-guide-shape.json").read_text("utf-8")))
    alone = submit_simple(json.loads((folder / "iti105-guide-shape.json").read_text("utf-8")))
    assert expressions(in_bundle.warnings) == [
        f"{DOC}.category[0].coding[0]",
        f"{DOC}.content[0].format",
        f"{DOC}.context.facilityType.coding[0]",
        f"{DOC}.context.practiceSetting.coding[0]",
    ]
    for got in (in_bundle, alone):
        assert got.patient == Identifier(PATIENT.ins_system, PATIENT.ins_value)
        assert [i.value for i in got.documents[0].author_structures] == ["1000000101"]
        assert [i.value for i in got.documents[0].author_professionals] == ["899700000101"]
        assert [label.code for label in got.documents[0].labels] == ["N"]


def test_a_percent_encoded_search_names_the_same_patient() -> None:
    encoded = f"Patient?identifier={PATIENT.ins_system.replace(':', '%3A')}%7C{PATIENT.ins_value}"
    got = submit(changed(bundle(), lambda b: reference(b).update(subject={"reference": encoded})))
    assert got.patient.value == PATIENT.ins_value


def test_a_subject_that_is_a_contained_patient_stays_so() -> None:
    got = submit(changed(bundle(), lambda b: reference(b).update(subject={"reference": "#patient"})))
    assert got.documents[0].resource["subject"] == {"reference": "#patient"}


@pytest.mark.parametrize(
    ("subject", "method", "url"),
    [
        ("urn:uuid:aaaaaaaa-0000-4000-8000-00000000000a", "POST", "Patient"),
        ("Patient/p1", "POST", "Patient"),
        ("Patient/77", "PUT", "Patient/77"),
        ("Patient/p1", "GET", f"Patient?identifier={PATIENT.ins_system}|{PATIENT.ins_value}"),
    ],
)
def test_a_literal_subject_is_resolved_through_the_patient_of_the_bundle(subject: str, method: str, url: str) -> None:
    def add(b: Json) -> None:
        b["entry"].append(patient_entry(INS, method=method, url=url))
        the_list(b)["subject"] = reference(b)["subject"] = {"reference": subject}

    got = submit(changed(bundle(), add))
    assert got.patient.value == PATIENT.ins_value
    assert got.documents[0].resource["subject"] == {"type": "Patient", "identifier": INS}
    assert got.entries[-1] == RequestEntry(EntryKind.PATIENT)


def test_a_get_of_the_patient_needs_no_resource() -> None:
    def add(b: Json) -> None:
        entry = patient_entry(method="GET", url=f"Patient?identifier={PATIENT.ins_system}|{PATIENT.ins_value}")
        del entry["resource"]
        b["entry"].append(entry)

    assert submit(changed(bundle(), add)).entries[-1].kind is EntryKind.PATIENT


def test_a_fhir_document_is_kept_as_we_wrote_it_and_its_size_and_hash_are_ours() -> None:
    sample = fhir_sample()

    def spoil(b: Json) -> None:
        attachment(b).update(size=3, hash="C/jOTtuBZ37DlUN0mNPjfsu1nHf=")

    sent = changed(bundle(sample), spoil)
    got = submit(sent).documents[0]
    assert got.form == "Bundle"
    assert got.content == write_json(binary(sent))
    kept = got.resource["content"][0]["attachment"]
    assert kept["size"] == len(got.content)
    assert base64.b64decode(kept["hash"]) == hashlib.sha1(got.content, usedforsecurity=False).digest()


def test_a_pdf_on_its_own_is_accepted() -> None:
    def exchange(b: Json) -> None:
        put_content(b, make_pdf("bonjour"))
        declare(b, "application/pdf")

    assert submit(changed(bundle(), exchange)).documents[0].content_type == "application/pdf"


REPLACED = [
    pytest.param({"reference": f"DocumentReference/{OLD}"}, OLD, id="relative"),
    pytest.param({"reference": f"https://dossier.example/fhir/DocumentReference/{OLD}"}, OLD, id="absolute"),
    pytest.param({"reference": f"DocumentReference/{OLD}/_history/2"}, OLD, id="with version"),
    pytest.param(
        {"identifier": {"system": "urn:ietf:rfc:3986", "value": "urn:oid:1.2.3"}},
        StoredIdentifier(system="urn:ietf:rfc:3986", value="urn:oid:1.2.3"),
        id="identifier",
    ),
    pytest.param(
        {"reference": "DocumentReference?identifier=urn:ietf:rfc:3986|urn:oid:1.2.3"},
        StoredIdentifier(system="urn:ietf:rfc:3986", value="urn:oid:1.2.3"),
        id="search",
    ),
    pytest.param(
        {"reference": "urn:uuid:aaaaaaaa-0000-4000-8000-00000000000b"},
        StoredIdentifier(system="urn:ietf:rfc:3986", value="urn:uuid:aaaaaaaa-0000-4000-8000-00000000000b"),
        id="entryUUID",
    ),
    pytest.param({"reference": "DocumentReference/doc-old"}, "doc-old", id="an id that is not ours"),
]


@pytest.mark.parametrize(("target", "expected"), REPLACED)
def test_a_replaced_document_may_be_named_in_several_ways(target: Json, expected: str | StoredIdentifier) -> None:
    def exchange(b: Json) -> None:
        reference(b)["relatesTo"] = [{"code": "replaces", "target": target}]

    got = submit(changed(bundle(), exchange))
    assert got.documents[0].replaces == (expected,)
    assert got.documents[0].resource["relatesTo"][0]["target"] == target
    assert got.patches == ()


def test_a_patch_under_another_name_is_left_to_whoever_knows_the_record() -> None:
    def rename(b: Json) -> None:
        reference(b)["relatesTo"][0]["target"] = {"identifier": {"system": "urn:x", "value": "1"}}

    got = submit(changed(bundle(document(replaces=OLD)), rename))
    assert got.patches == (OLD,)


def test_a_custom_entry_uuid_is_replaced_by_ours_with_a_warning() -> None:
    own = {"use": "official", "system": "urn:ietf:rfc:3986", "value": "urn:uuid:aaaaaaaa-0000-4000-8000-00000000000c"}
    other = {"system": "urn:logical", "value": "7"}
    got = submit(changed(bundle(), lambda b: reference(b).update(identifier=[own, other])))
    assert got.documents[0].resource["identifier"] == [other]
    assert got.documents[0].identifiers[1:] == (StoredIdentifier(system="urn:logical", value="7"),)
    assert expressions(got.warnings) == ["Bundle.entry[1].resource.identifier[0]"]


def test_codes_of_other_systems_are_accepted_with_a_warning() -> None:
    def snomed(b: Json) -> None:
        coding = {"system": "http://snomed.info/sct", "code": "22232009"}
        reference(b)["context"]["facilityType"] = {"coding": [coding]}

    got = submit(changed(bundle(), snomed))
    assert expressions(got.warnings) == ["Bundle.entry[1].resource.context.facilityType.coding[0]"]
    assert got.warnings[0].severity == "warning"


def test_a_category_that_is_not_the_class_of_the_type_is_a_warning_and_strictly_an_error() -> None:
    sent = changed(bundle(), lambda b: reference(b)["category"][0]["coding"][0].update(code="11"))
    at = "Bundle.entry[1].resource.category[0].coding[0]"
    assert expressions(submit(sent).warnings) == [at]
    error = refused(lambda b: submit(b, strict=True), sent)
    assert (error.status, expressions(error.problems)) == (422, [at])


def test_one_coding_of_a_translated_concept_is_enough() -> None:
    def translate(b: Json) -> None:
        reference(b)["context"]["facilityType"]["coding"].insert(0, {"system": "urn:local", "code": "H"})
        reference(b)["type"]["coding"].insert(0, {"system": "urn:local", "code": "BIO"})

    got = submit(changed(bundle(), translate), strict=True)
    assert got.warnings == ()
    assert got.documents[0].type_code == "11502-2"


def test_the_label_of_two_codings_that_agree_is_one() -> None:
    def twice(b: Json) -> None:
        first = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "N"}
        reference(b)["securityLabel"][0]["coding"].insert(0, first)
        reference(b)["securityLabel"].append(reference(b)["securityLabel"][0])

    got = submit(changed(bundle(), twice))
    assert got.documents[0].labels == (
        StoredCoding(system="http://terminology.hl7.org/CodeSystem/v3-Confidentiality", code="N"),
    )


ATTACHMENT = DOC + ".content[0].attachment"
REFUSALS = [
    # The bundle.
    pytest.param(lambda b: b.update(type="batch"), "Bundle.type", id="batch"),
    pytest.param(lambda b: b.pop("meta"), "Bundle.meta.profile", id="no profile claimed"),
    pytest.param(
        lambda b: b["meta"].update(profile=[MHD + "IHE.MHD.Minimal.ProvideBundle"]), "Bundle.meta.profile", id="Minimal"
    ),
    pytest.param(lambda b: b["entry"].pop(0), "Bundle.entry", id="no submission set"),
    pytest.param(lambda b: b["entry"].append({**b["entry"][0], "fullUrl": "urn:x"}), "Bundle.entry", id="two sets"),
    pytest.param(lambda b: b.update(entry=b["entry"][:1]), "Bundle.entry", id="no document"),
    pytest.param(
        lambda b: b["entry"].append({**b["entry"][0], "fullUrl": b["entry"][1]["fullUrl"]}),
        "Bundle.entry[3].fullUrl",
        id="a fullUrl twice",
    ),
    pytest.param(
        lambda b: b["entry"].append(
            {"resource": {"resourceType": "Practitioner"}, "request": {"method": "POST", "url": "Practitioner"}}
        ),
        "Bundle.entry[3].resource",
        id="a resource of another type",
    ),
    pytest.param(
        lambda b: the_list(b)["code"]["coding"][0].update(code="other"), "Bundle.entry[0].resource.code", id="a List"
    ),
    pytest.param(lambda b: b["entry"][0].pop("request"), "Bundle.entry[0].request", id="no request"),
    pytest.param(
        lambda b: b["entry"][0]["request"].update(method="PUT"), "Bundle.entry[0].request.method", id="PUT of a List"
    ),
    pytest.param(
        lambda b: b["entry"][1]["request"].update(url="List"), "Bundle.entry[1].request.url", id="url of another type"
    ),
    pytest.param(
        lambda b: b["entry"][1]["request"].update(ifNoneExist="identifier=x"),
        "Bundle.entry[1].request.ifNoneExist",
        id="a conditional create",
    ),
    pytest.param(lambda b: b["entry"][1].pop("fullUrl"), "Bundle.entry[1].fullUrl", id="a document without fullUrl"),
    pytest.param(lambda b: b["entry"][1].update(search={"mode": "match"}), "Bundle.entry[1].search", id="search"),
    # The patient.
    pytest.param(
        lambda b: reference(b).update(subject={"identifier": OTHER_INS}), DOC + ".subject", id="another patient"
    ),
    pytest.param(lambda b: reference(b).pop("subject"), DOC + ".subject", id="no subject"),
    pytest.param(lambda b: the_list(b).pop("subject"), "Bundle.entry[0].resource.subject", id="a set of nobody"),
    pytest.param(
        lambda b: the_list(b).update(subject={"reference": "Patient/123"}),
        "Bundle.entry[0].resource.subject.reference",
        id="a literal subject that nothing resolves",
    ),
    pytest.param(
        lambda b: the_list(b).update(
            subject={"reference": f"Patient?identifier={OTHER.ins_system}|{OTHER.ins_value}", "identifier": INS}
        ),
        "Bundle.entry[0].resource.subject",
        id="a subject that names two patients",
    ),
    pytest.param(
        lambda b: the_list(b).update(subject={"reference": "Patient?name=x"}),
        "Bundle.entry[0].resource.subject.reference",
        id="a search by name",
    ),
    pytest.param(
        lambda b: the_list(b).update(subject={"reference": "Patient?identifier=%FF|1"}),
        "Bundle.entry[0].resource.subject.reference",
        id="a search that is not UTF-8",
    ),
    pytest.param(
        lambda b: the_list(b).update(subject={"identifier": {"system": "urn:ipp", "value": "1"}}),
        "Bundle.entry[0].resource.subject",
        id="a local patient number",
    ),
    pytest.param(
        lambda b: the_list(b).update(
            subject={"identifier": {"system": PATIENT.ins_system, "value": PATIENT.ins_value[:13] + "99"}}
        ),
        "Bundle.entry[0].resource.subject",
        id="a wrong NIR key",
    ),
    pytest.param(
        lambda b: reference(b)["contained"][-1].update(identifier=[OTHER_INS]),
        DOC + ".contained.where(id='patient').identifier",
        id="a source patient who is somebody else",
    ),
    pytest.param(lambda b: b["entry"].append(patient_entry(OTHER_INS)), "Bundle.entry[3]", id="another Patient"),
    pytest.param(lambda b: b["entry"].append(patient_entry(INS, OTHER_INS)), "Bundle.entry[3]", id="Patient of two"),
    pytest.param(
        lambda b: b["entry"].append(patient_entry({"system": "urn:ipp", "value": "1"})),
        "Bundle.entry[3]",
        id="a Patient without INS",
    ),
    # The set.
    pytest.param(
        lambda b: the_list(b).update(status="retired"), "Bundle.entry[0].resource.status", id="a set that is retired"
    ),
    pytest.param(lambda b: the_list(b).update(mode="changes"), "Bundle.entry[0].resource.mode", id="another mode"),
    pytest.param(lambda b: the_list(b).pop("date"), "Bundle.entry[0].resource.date", id="a set without date"),
    pytest.param(
        lambda b: the_list(b)["extension"].pop(0),
        f"Bundle.entry[0].resource.extension('{MHD}ihe-designationType')",
        id="no designationType",
    ),
    pytest.param(
        lambda b: the_list(b)["extension"].pop(1),
        f"Bundle.entry[0].resource.extension('{MHD}ihe-sourceId')",
        id="no sourceId",
    ),
    pytest.param(
        lambda b: the_list(b)["entry"][0].update(flag={"text": "x"}),
        "Bundle.entry[0].resource.entry[0].flag",
        id="a flag in the set",
    ),
    pytest.param(
        lambda b: the_list(b).update(emptyReason={"text": "x"}),
        "Bundle.entry[0].resource.emptyReason",
        id="emptyReason",
    ),
    pytest.param(
        lambda b: the_list(b)["entry"].append({"item": {"reference": f"DocumentReference/{OLD}"}}),
        "Bundle.entry[0].resource.entry[1].item",
        id="a member from elsewhere",
    ),
    pytest.param(
        lambda b: the_list(b)["entry"].append(the_list(b)["entry"][0]),
        "Bundle.entry[0].resource.entry[1].item",
        id="a member twice",
    ),
    pytest.param(lambda b: the_list(b).pop("entry"), "Bundle.entry[0].resource.entry", id="a document outside the set"),
    # The document entry.
    pytest.param(lambda b: reference(b).update(status="superseded"), DOC + ".status", id="not current"),
    pytest.param(lambda b: reference(b).pop("masterIdentifier"), DOC + ".masterIdentifier", id="no uniqueId"),
    pytest.param(
        lambda b: reference(b)["masterIdentifier"].pop("system"),
        DOC + ".masterIdentifier",
        id="uniqueId without system",
    ),
    pytest.param(
        lambda b: reference(b)["masterIdentifier"].update(value="urn:oid:1..2"),
        DOC + ".masterIdentifier.value",
        id="a uniqueId that is no OID",
    ),
    pytest.param(
        lambda b: reference(b)["masterIdentifier"].update(INS), DOC, id="an INS as the identifier of a document"
    ),
    pytest.param(lambda b: reference(b).pop("type"), DOC + ".type", id="no type"),
    pytest.param(
        lambda b: reference(b)["type"]["coding"][0].update(code="1-8"), DOC + ".type.coding[0]", id="type outside J07"
    ),
    pytest.param(
        lambda b: reference(b)["type"]["coding"].append({"system": codes.LOINC, "code": "18748-4"}),
        DOC + ".type",
        id="two types",
    ),
    pytest.param(lambda b: reference(b).pop("category"), DOC + ".category", id="no category"),
    pytest.param(
        lambda b: reference(b)["category"].append(reference(b)["category"][0]),
        DOC + ".category[1]",
        id="two categories",
    ),
    pytest.param(
        lambda b: reference(b)["category"][0]["coding"][0].update(code="12"),
        DOC + ".category[0].coding[0]",
        id="a category outside J06",
    ),
    pytest.param(lambda b: reference(b).pop("author"), DOC + ".author", id="no author"),
    pytest.param(lambda b: reference(b).pop("securityLabel"), DOC + ".securityLabel", id="no label"),
    pytest.param(
        lambda b: reference(b)["securityLabel"][0]["coding"][0].update(
            system="https://mos.esante.gouv.fr/NOS/TRE_A07-StatusVisibiliteDocument/FHIR/TRE-A07-StatusVisibiliteDocument"
        ),
        DOC + ".securityLabel[0].coding[0]",
        id="a misspelt system of labels",
    ),
    pytest.param(
        lambda b: reference(b).update(securityLabel=[{"text": "normal"}]),
        DOC + ".securityLabel[0]",
        id="a label in words",
    ),
    pytest.param(
        lambda b: reference(b)["securityLabel"][0]["coding"].append({"system": codes.TRE_A08, "code": "R"}),
        DOC + ".securityLabel[0]",
        id="a label that says two things",
    ),
    *(
        pytest.param(lambda b, name=name: reference(b)["context"].pop(name), f"{DOC}.context.{name}", id=f"no {name}")
        for name in ("facilityType", "practiceSetting", "sourcePatientInfo")
    ),
    pytest.param(
        lambda b: reference(b)["context"]["period"].update(end="2020-01-01"),
        DOC + ".context.period",
        id="a period that ends before it starts",
    ),
    pytest.param(
        lambda b: reference(b)["content"].append(reference(b)["content"][0]), DOC + ".content[1]", id="two contents"
    ),
    pytest.param(lambda b: reference(b)["content"][0].pop("format"), DOC + ".content[0].format", id="no format"),
    pytest.param(
        lambda b: reference(b)["content"][0]["format"].update(code="urn:none"),
        DOC + ".content[0].format",
        id="a format outside J10",
    ),
    *(
        pytest.param(lambda b, name=name: attachment(b).pop(name), f"{ATTACHMENT}.{name}", id=f"no {name}")
        for name in ("language", "creation", "url", "contentType")
    ),
    pytest.param(
        lambda b: reference(b).update(
            extension=[
                {
                    "url": "https://interop.esante.gouv.fr/ig/fhir/pdsm/StructureDefinition/pdsm-ext-is-archived",
                    "valueString": "true",
                }
            ]
        ),
        DOC + ".extension('https://interop.esante.gouv.fr/ig/fhir/pdsm/StructureDefinition/pdsm-ext-is-archived')",
        id="isArchived as a string",
    ),
    # The document.
    pytest.param(lambda b: attachment(b).update(data="AAAA"), ATTACHMENT + ".data", id="inline data"),
    pytest.param(lambda b: attachment(b).update(url="urn:uuid:x"), ATTACHMENT + ".url", id="a url of nothing"),
    pytest.param(
        lambda b: attachment(b).update(url=b["entry"][0]["fullUrl"]), ATTACHMENT + ".url", id="url of the List"
    ),
    pytest.param(
        lambda b: b["entry"].append({**b["entry"][2], "fullUrl": "urn:uuid:x"}), "Bundle.entry[3]", id="a loose Binary"
    ),
    pytest.param(lambda b: attachment(b).update(size=5), ATTACHMENT + ".size", id="another size"),
    pytest.param(
        lambda b: attachment(b).update(hash="qvTGHdzF6KLavt4PO0gs2a6pQ00="), ATTACHMENT + ".hash", id="another hash"
    ),
    pytest.param(lambda b: attachment(b).update(hash="AAAA"), ATTACHMENT + ".hash", id="a hash that is no SHA-1"),
    pytest.param(
        lambda b: attachment(b).update(size=0, hash="2jmj7l5rSw0yVb/vlWAYkK/YBwk="), ATTACHMENT, id="delayed assembly"
    ),
    pytest.param(lambda b: binary(b).pop("data"), "Bundle.entry[2].resource.data", id="an empty Binary"),
    pytest.param(lambda b: binary(b).update(data="%%%"), "Bundle.entry[2].resource.data", id="no base64"),
    pytest.param(
        lambda b: binary(b).update(contentType="application/pdf"),
        "Bundle.entry[2].resource.contentType",
        id="a Binary of another type than the attachment's",
    ),
    pytest.param(
        lambda b: (
            attachment(b).update(contentType="application/msword"),
            binary(b).update(contentType="application/msword"),
        ),
        ATTACHMENT + ".contentType",
        id="an unknown media type",
    ),
    pytest.param(
        lambda b: (
            attachment(b).update(contentType="application/pdf"),
            binary(b).update(contentType="application/pdf"),
        ),
        "Bundle.entry[2].resource.data",
        id="XML that says it is a PDF",
    ),
    pytest.param(
        lambda b: put_content(b, b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'),
        "Bundle.entry[2].resource.data",
        id="XML with entities",
    ),
    pytest.param(lambda b: put_content(b, b"<a/>"), "Bundle.entry[2].resource.data", id="XML that is no CDA"),
    pytest.param(
        lambda b: put_content(b, document(patient=OTHER).data), DOC + ".subject", id="a CDA of another patient"
    ),
    pytest.param(lambda b: put_content(b, document(1, "imaging").data), DOC + ".type", id="a CDA of another type"),
    # Relations.
    pytest.param(
        lambda b: reference(b).update(
            relatesTo=[{"code": "appends", "target": {"reference": f"DocumentReference/{OLD}"}}]
        ),
        DOC + ".relatesTo[0].code",
        id="another relation",
    ),
    pytest.param(
        lambda b: reference(b).update(relatesTo=[{"code": "replaces", "target": {"display": "x"}}]),
        DOC + ".relatesTo[0].target",
        id="a target that nothing can find",
    ),
    pytest.param(
        lambda b: reference(b).update(relatesTo=[{"code": "replaces", "target": {"reference": "Patient/1"}}]),
        DOC + ".relatesTo[0].target.reference",
        id="a target of another type",
    ),
]


@pytest.mark.parametrize(("change", "expression"), REFUSALS)
def test_a_refusal_names_its_element(change: Any, expression: str) -> None:
    error = refused(submit, changed(bundle(), change))
    assert error.status == 422
    assert expression in expressions(error.problems)


@pytest.mark.parametrize(
    ("change", "expression"),
    [
        pytest.param(
            lambda b: reference(b).update(author=[{"reference": "#nobody"}]), DOC + ".author[0].reference", id="author"
        ),
        pytest.param(
            lambda b: reference(b).update(authenticator={"reference": "#nobody"}),
            DOC + ".authenticator.reference",
            id="authenticator",
        ),
        pytest.param(
            lambda b: reference(b)["contained"][0].update(organization={"reference": "#nobody"}),
            DOC + ".author[0].resolve().organization.reference",
            id="a role's organisation",
        ),
        pytest.param(
            lambda b: the_list(b).update(source={"reference": "#nobody"}),
            "Bundle.entry[0].resource.source.reference",
            id="source",
        ),
        pytest.param(
            lambda b: reference(b)["contained"].append(reference(b)["contained"][0]),
            DOC + ".contained[4].id",
            id="a contained id twice",
        ),
        pytest.param(
            lambda b: reference(b)["contained"][0].pop("id"), DOC + ".contained[0].id", id="contained without id"
        ),
    ],
)
def test_references_to_nothing_are_not_fhir(change: Any, expression: str) -> None:
    error = refused(submit, changed(bundle(), change))
    assert (error.status, expressions(error.problems)) == (400, [expression])


PATCHES = [
    pytest.param(
        lambda b: b["entry"][2]["request"].update(url="DocumentReference/another"),
        "Bundle.entry[2].request.url",
        id="an entry that nothing replaces",
    ),
    pytest.param(
        lambda b: b["entry"][2]["resource"]["parameter"][0]["part"][1].update(valueString="DocumentReference.subject"),
        "Bundle.entry[2].resource.parameter",
        id="another element",
    ),
    pytest.param(
        lambda b: b["entry"][2]["resource"]["parameter"][0]["part"][2].update(valueCode="current"),
        "Bundle.entry[2].resource.parameter",
        id="another value",
    ),
    pytest.param(
        lambda b: b["entry"][2]["resource"]["parameter"].append(b["entry"][2]["resource"]["parameter"][0]),
        "Bundle.entry[2].resource.parameter",
        id="two operations",
    ),
    pytest.param(
        lambda b: b["entry"][2]["request"].update(method="POST"), "Bundle.entry[2].request.method", id="another method"
    ),
    pytest.param(
        lambda b: b["entry"][2]["request"].update(url="Patient/1"), "Bundle.entry[2].request.url", id="another resource"
    ),
    pytest.param(lambda b: reference(b).pop("relatesTo"), "Bundle.entry[2].request.url", id="a patch alone"),
    pytest.param(
        lambda b: reference(b)["relatesTo"].append(reference(b)["relatesTo"][0]),
        DOC + ".relatesTo[1]",
        id="twice the same",
    ),
]


@pytest.mark.parametrize(("change", "expression"), PATCHES)
def test_a_patch_only_supersedes_what_is_replaced(change: Any, expression: str) -> None:
    sent = bundle(document(replaces=OLD))
    assert submit(sent).documents[0].replaces == (OLD,)
    error = refused(submit, changed(sent, change))
    assert error.status == 422
    assert expression in expressions(error.problems)


def test_two_documents_may_not_replace_the_same_one() -> None:
    error = refused(submit, bundle(document(1, replaces=OLD), document(2, replaces=OLD)))
    assert error.status == 422


def test_two_documents_may_not_have_the_same_unique_id_or_the_same_bytes_entry() -> None:
    sent = bundle(document(1), document(2))

    def same_id(b: Json) -> None:
        b["entry"][3]["resource"]["masterIdentifier"]["value"] = "urn:oid:2.25.1"

    def same_content(b: Json) -> None:
        b["entry"][3]["resource"]["content"][0]["attachment"]["url"] = attachment(b)["url"]

    error = refused(submit, changed(sent, same_id))
    assert expressions(error.problems) == ["Bundle.entry[3].resource.masterIdentifier"]
    error = refused(submit, changed(sent, same_content))
    assert "Bundle.entry[3].resource.content[0].attachment.url" in expressions(error.problems)


def test_test_and_production_numbers_are_kept_apart() -> None:
    error = refused(lambda b: submit(b, systems=PRODUCTION_SYSTEMS), bundle())
    assert (error.status, error.problems[0].expression) == (422, "Bundle.entry[0].resource.subject")
    body = "1790399999123"
    production = {"system": INS_NIR, "value": body + ins_key(body)}
    error = refused(submit, changed(bundle(), lambda b: the_list(b).update(subject={"identifier": production})))
    assert error.status == 422


def test_a_fhir_document_that_is_none_is_refused() -> None:
    error = refused(submit, changed(bundle(fhir_sample()), lambda b: binary(b).update(type="collection")))
    assert (error.status, expressions(error.problems)) == (422, ["Bundle.entry[2].resource"])


def test_too_many_documents_are_refused_before_they_are_read() -> None:
    sent = bundle(document())
    for number in range(100):
        sent["entry"].append({**sent["entry"][1], "fullUrl": f"urn:uuid:{number}"})
    error = refused(submit, sent)
    assert (error.status, expressions(error.problems)) == (422, ["Bundle.entry"])
