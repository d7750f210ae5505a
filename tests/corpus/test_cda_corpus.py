"""The ANS's example documents and code lists, read in place: our parser and our tables against them."""

from __future__ import annotations

import base64
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from sceau.fhir.cda import CdaMismatch, NotCda, check_concerns
from sceau.fhir.codes import ListName, canonical_system, concept, concepts, document_type
from sceau.fhir.ins import INS_NIR_TEST, TEST_SYSTEMS, InvalidIns, Reason, check_ins
from sceau.fhir.media import check_media

DOCUMENTS = {  # type, and whether the patient's INS passes under the test system
    "AVC-EUNV_2022.01.xml": ("34133-9", True),
    "BIO-CR-BIO_2021.01_Microbiologie_V1.xml": ("11502-2", True),
    "BIO-CR-BIO_2024.01_CR-2nde-intention-PDF.xml": ("11502-2", True),
    "BIO-CR-BIO_2024.01_TSH_1.xml": ("11502-2", True),
    "BIO-TROD_2024.01_Angine.xml": ("96173-0", True),
    "BIO-TROD_2024.01_COVID-19.xml": ("96173-0", True),
    "CANCER-FRCP_2022.01_Appareil.xml": ("34794-8", True),
    "CARD-F-PRC-AVK_2022.01.xml": ("34133-9", True),
    "CNAM-HR_2021.01.xml": ("REMB", True),
    "CNAM-HR_2021.01_sans-info.xml": ("REMB", True),
    "CSE-CS9_2025.01.xml": ("CERT_DECL", False),
    "DLU-EHPAD-FLUDT_2022.01.xml": ("74207-2", True),
    "IMG_CR_IMG_2024.01_CDA-R2-Niveau-1.xml": ("18748-4", True),
    "LDL-EES_2022.01.xml": ("18761-7", True),
    "LDL-SES_2022.01.xml": ("11490-0", True),
    "OPH-CR-RTN_2022.01.xml": ("75492-9", True),
    "SDM-MR_2022.01.xml": ("34133-9", True),
    "TLM-DA_2022.01_TCG.xml": ("75496-0", True),
    "VAC-NOTE_2023.01.xml": ("87273-9", True),
    "VAC_2023.01.xml": ("11369-6", True),
    "VSM_1.4_2022.01.xml": ("SYNTH", True),
    "eP-MED-DM_2022.01_PosoStruct.xml": ("57833-6", True),
}
TEST_PATIENT = "279035121518989"


def test_every_document_of_the_corpus_is_in_the_table(shared: Path) -> None:
    assert {path.name for path in (shared / "corpus" / "cda").glob("*.xml")} == DOCUMENTS.keys()


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_a_real_document_is_a_cda_of_a_known_type_and_patient(shared: Path, name: str) -> None:
    code, valid_ins = DOCUMENTS[name]
    header = check_media("application/xml", (shared / "corpus" / "cda" / name).read_bytes()).header
    assert header is not None
    assert header.type_system is not None
    assert header.type_code == code
    found = document_type(header.type_system, code)
    assert found is not None
    assert found.class_code is not None
    [ins] = [i.extension for i in header.patient_ids if f"urn:oid:{i.root}" == INS_NIR_TEST]
    assert ins is not None
    check_concerns(header, INS_NIR_TEST, ins, found.system, code)
    if valid_ins:
        assert ins == TEST_PATIENT
        check_ins(INS_NIR_TEST, ins, TEST_SYSTEMS)
    else:
        with pytest.raises(InvalidIns) as caught:
            check_ins(INS_NIR_TEST, ins, TEST_SYSTEMS)
        assert caught.value.reason is Reason.KEY
    with pytest.raises(CdaMismatch):
        check_concerns(header, INS_NIR_TEST, "279030010100130", found.system, code)
    with pytest.raises(CdaMismatch):
        check_concerns(header, INS_NIR_TEST, ins, found.system, "11488-4")
    assert header.author_ids
    assert header.custodian_ids
    assert header.service_events[0].low
    assert header.confidentiality_codes == ("N",)


def test_the_guides_published_documents_are_no_cda(shared: Path) -> None:
    """80 bytes with no id, no code, no patient: the guide shows them in ITI-65 and ITI-105."""
    whole = (
        shared / "corpus" / "pdsm" / "DocumentReference-example-td2-iti105-publication-simplifiee.json"
    ).read_text()
    data = base64.b64decode(json.loads(whole)["content"][0]["attachment"]["data"], validate=True)
    assert len(data) == 80
    with pytest.raises(NotCda) as caught:
        check_media("application/xml", data)
    assert caught.value.element == "ClinicalDocument.id"


LISTS: dict[ListName, str] = {
    "J01": "JDV_J01_XdsAuthorSpecialty_CISIS.xml",
    "J02": "JDV_J02_XdsHealthcareFacilityTypeCode_CISIS.xml",
    "J04": "JDV_J04_XdsPracticeSettingCode_CISIS.xml",
    "J07": "JDV_J07_XdsTypeCode_CISIS.xml",
    "J08": "JDV_J08_XdsConfidentialityCode_CISIS.xml",
    "J11": "JDV_J11_RelationPatient_CISIS.xml",
    "J47": "JDV_J47_FunctionCode_CISIS.xml",
    "J231": "JDV_J231_XdsTypesIdentifiantsReferenceId_DMP.xml",
}
NEWER = {"J02", "J04", "J07", "J08"}  # ours are of the FHIR edition: a few labels were reworded since
REFERENCE_ID_TYPES = "1.2.250.1.213.1.1.4.347"  # the XML's name of what is urn:ietf:rfc:3986 in FHIR


@pytest.mark.parametrize("name", sorted(LISTS))
def test_a_table_and_its_xml_list_have_the_same_codes(shared: Path, name: ListName) -> None:
    tree = ET.parse(shared / "corpus" / "valuesets" / LISTS[name])  # noqa: S314 - a file of the test's own corpus
    theirs: dict[tuple[str, str], str] = {}
    for element in tree.iter("{urn:ihe:iti:svs:2008}Concept"):
        system = element.attrib["codeSystem"]
        if system == REFERENCE_ID_TYPES:
            system = "urn:ietf:rfc:3986"
        theirs[canonical_system(system), element.attrib["code"]] = element.attrib["displayName"].strip()
    ours = {(c.system, c.code): c.label for c in concepts(name)}
    if name == "J07":
        ours = {
            key: label
            for key, label in ours.items()
            if (found := document_type(*key)) is not None and found.edition == "2024-09-27"
        }
    assert ours.keys() == theirs.keys()
    if name not in NEWER:
        assert ours == theirs


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("J02", "JDV-J02-XdsHealthcareFacilityTypeCode-CISIS"),
        ("J04", "JDV-J04-XdsPracticeSettingCode-CISIS"),
        ("J06", "JDV-J06-XdsClassCode-CISIS"),
        ("J07", "JDV-J07-XdsTypeCode-CISIS"),
        ("J08", "JDV-J08-XdsConfidentialityCode-CISIS"),
        ("J10", "JDV-J10-XdsFormatCode-CISIS"),
    ],
)
def test_a_table_and_its_fhir_value_set_are_the_same(shared: Path, name: ListName, file: str) -> None:
    value_set = json.loads((shared / "profiles" / "nos" / f"ValueSet-{file}.json").read_text())
    theirs = {
        (include["system"], entry["code"]): entry["display"].strip()
        for include in value_set["compose"]["include"]
        for entry in include["concept"]
    }
    assert {(c.system, c.code): c.label for c in concepts(name)} == theirs


def test_every_system_of_the_tables_has_the_oid_that_the_nos_gives_it(shared: Path) -> None:
    checked = 0
    for path in (shared / "profiles" / "nos").glob("CodeSystem-*.json"):
        resource = json.loads(path.read_text())
        oid = resource["identifier"][0]["value"]
        if canonical_system(oid) != oid:
            assert canonical_system(oid) == resource["url"]
            checked += 1
    assert checked == 17


def test_every_class_of_the_tables_stands_in_the_class_system(shared: Path) -> None:
    classes = json.loads((shared / "profiles" / "nos" / "CodeSystem-TRE-A03-ClasseDocument.json").read_text())
    for entry in classes["concept"]:
        assert concept("J06", classes["url"], entry["code"]) is not None
