"""The project's own sample documents: true enough to pass every check, and about nobody."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from lxml import etree

from sceau.cli.samples import AUTHORS, KINDS, PATIENTS, STRUCTURES, Patient, make_cda, make_pdf
from sceau.fhir.cda import check_concerns
from sceau.fhir.codes import check_coding, concept
from sceau.fhir.ins import PRODUCTION_SYSTEMS, TEST_SYSTEMS, InvalidIns, check_ins
from sceau.fhir.media import check_media

WHEN = datetime(2026, 3, 1, 10, 30, tzinfo=UTC)
V3 = "{urn:hl7-org:v3}"


def made(
    kind: str, patient: Patient = PATIENTS["basile"], when: datetime = WHEN, body_bytes: bytes | None = None
) -> bytes:
    insurer = kind == "care-history"
    return make_cda(
        kind,
        patient=patient,
        author=AUTHORS["insurer" if insurer else "hospital_physician"],
        structure=STRUCTURES["insurer" if insurer else "hospital"],
        document_id="urn:uuid:6d1c7fd4-38f1-4c2a-9a0d-0f4f1e9f4f11",
        when=when,
        body_bytes=body_bytes,
    )


def test_the_kinds_are_those_that_the_journey_needs() -> None:
    types = {kind.type_code for kind in KINDS.values()}
    assert types == {"11502-2", "18748-4", "11490-0", "11488-4", "87273-9", "57833-6", "68599-0", "REMB"}
    assert {kind.level for kind in KINDS.values() if kind.type_code == "18748-4"} == {1, 3}


@pytest.mark.parametrize("name", sorted(KINDS))
@pytest.mark.parametrize("who", sorted(PATIENTS))
def test_each_kind_for_each_patient_passes_every_check(name: str, who: str) -> None:
    kind, patient = KINDS[name], PATIENTS[who]
    header = check_media("application/xml", made(name, patient)).header
    assert header is not None
    check_concerns(header, patient.ins_system, patient.ins_value, kind.document_type.system, kind.type_code)
    assert check_coding("type", kind.document_type.system, kind.type_code).level == "ok"
    assert check_coding("format", kind.format_system, kind.format_code).level == "ok"
    assert kind.document_type.class_code is not None


@pytest.mark.parametrize("name", sorted(KINDS))
def test_the_same_arguments_give_the_same_bytes_and_others_give_others(name: str) -> None:
    assert made(name) == made(name)
    assert made(name) != made(name, when=WHEN.replace(minute=31))
    assert made(name) != made(name, PATIENTS["dune"])


@pytest.mark.parametrize("name", sorted(name for name, kind in KINDS.items() if kind.level == 1))
def test_a_level_1_carries_the_pdf_that_it_was_given(name: str) -> None:
    pdf = make_pdf("grand", size=100_000)
    for given in (None, pdf):
        text = etree.fromstring(made(name, body_bytes=given)).find(f"{V3}component/{V3}nonXMLBody/{V3}text")
        assert text is not None
        carried = base64.b64decode(text.text or "", validate=True)
        check_media("application/pdf", carried)
        assert given is None or carried == given


@pytest.mark.parametrize("name", sorted(name for name, kind in KINDS.items() if kind.level == 3))
def test_a_level_3_has_sections_and_coded_entries(name: str) -> None:
    root = etree.fromstring(made(name))
    sections = list(root.iterfind(f"{V3}component/{V3}structuredBody/{V3}component/{V3}section"))
    assert sections
    assert all(section.find(V3 + "text") is not None for section in sections)
    assert list(root.iter(V3 + "entry"))
    with pytest.raises(ValueError, match="structured"):
        made(name, body_bytes=b"%PDF-")


def test_a_biology_report_has_coded_observations_with_values() -> None:
    observations = list(etree.fromstring(made("biology")).iter(V3 + "observation"))
    assert len(observations) == 5
    for observation in observations:
        code, value = observation.find(V3 + "code"), observation.find(V3 + "value")
        assert code is not None
        assert value is not None
        assert re.fullmatch(r"\d+-\d", code.get("code", ""))
        assert value.get("unit")


def test_what_is_given_is_escaped() -> None:
    patient = replace(PATIENTS["basile"], birth_name='</family><x a="&amp;">', first_names=("<b>", "&"))
    root = etree.fromstring(made("biology", patient))
    assert next(name.text for name in root.iter(V3 + "family")) == patient.birth_name


def test_what_can_not_be_made_is_refused() -> None:
    with pytest.raises(KeyError):
        made("unknown")
    with pytest.raises(ValueError, match="zone"):
        made("biology", when=WHEN.replace(tzinfo=None))


def test_every_sample_patient_has_a_valid_test_ins_of_nobody() -> None:
    assert len({patient.ins_value for patient in PATIENTS.values()}) == len(PATIENTS)
    for patient in PATIENTS.values():
        check_ins(patient.ins_system, patient.ins_value, TEST_SYSTEMS)
        with pytest.raises(InvalidIns):
            check_ins(patient.ins_system, patient.ins_value, PRODUCTION_SYSTEMS)
        assert patient.birth_name.startswith("SPECIMEN")
        assert patient.ins_value[0] == {"M": "1", "F": "2"}[patient.gender]
        assert patient.ins_value[1:5] == f"{patient.birth_date:%y%m}"
        assert patient.ins_value[5:10] == patient.birth_place
        assert patient.birth_place.startswith("00") or patient.birth_place == "2A999"


def test_sample_professionals_and_structures_have_codes_of_the_lists() -> None:
    for author in AUTHORS.values():
        assert concept("J01", author.specialty_system, author.specialty) is not None
        assert author.device or author.identifier.startswith("8997")
    for structure in STRUCTURES.values():
        assert concept("J02", "1.2.250.1.71.4.2.4", structure.sector) is not None
        assert concept("J04", "1.2.250.1.213.1.1.4.9", structure.setting) is not None
    assert len({structure.identifier for structure in STRUCTURES.values()}) == len(STRUCTURES)
