"""The header of a CDA document, and whether it concerns its entry. Attacks: tests/security/test_xml.py."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from sceau.cli.samples import AUTHORS, KINDS, PATIENTS, STRUCTURES, make_cda
from sceau.fhir.cda import (
    PATIENT_ID,
    TYPE_CODE,
    CdaError,
    CdaHeader,
    CdaMismatch,
    InstanceId,
    NotCda,
    ServiceEvent,
    UnsafeXml,
    check_concerns,
    read_header,
)
from sceau.fhir.codes import LOINC, TRE_A05
from sceau.fhir.ins import INS_NIA, INS_NIR_TEST

WHEN = datetime(2026, 3, 1, 10, 30, tzinfo=UTC)
PATIENT = PATIENTS["amarante"]
OTHER = PATIENTS["basile"]


def sample(kind: str = "biology", *, replaces: str | None = None) -> bytes:
    return make_cda(
        kind,
        patient=PATIENT,
        author=AUTHORS["biologist"],
        structure=STRUCTURES["laboratory"],
        document_id="urn:oid:1.2.250.1.99.1",
        when=WHEN,
        replaces=replaces,
    )


def changed(old: str, new: str, data: bytes | None = None) -> bytes:
    text = (sample() if data is None else data).decode()
    assert text.count(old) == 1, f"{old} stands {text.count(old)} times"
    return text.replace(old, new).encode()


def concerns(data: bytes | CdaHeader, **others: str) -> None:
    header = read_header(data) if isinstance(data, bytes) else data
    asked = {
        "ins_system": INS_NIR_TEST,
        "ins_value": PATIENT.ins_value,
        "type_system": LOINC,
        "type_code": "11502-2",
    } | others
    check_concerns(header, **asked)


def mismatch(data: bytes | CdaHeader, **others: str) -> str | None:
    with pytest.raises(CdaMismatch) as caught:
        concerns(data, **others)
    for secret in (PATIENT.ins_value, OTHER.ins_value, PATIENT.birth_name, "279035121518989"):
        assert secret not in str(caught.value)
    return caught.value.element


PATIENT_ROLE_ID = f'<id root="1.2.250.1.213.1.4.10" extension="{PATIENT.ins_value}"/>'


def test_every_field_of_the_header_is_read() -> None:
    header = read_header(sample())
    assert header == CdaHeader(
        document_id=InstanceId("1.2.250.1.99.1"),
        set_id=InstanceId("1.2.250.1.99.1"),
        version_number=1,
        type_code="11502-2",
        type_system="2.16.840.1.113883.6.1",
        confidentiality_codes=("N",),
        effective_time="20260301103000+0000",
        language="fr-FR",
        title="Compte rendu de biologie",
        patient_ids=(InstanceId("1.2.250.1.213.1.4.10", PATIENT.ins_value),),
        author_ids=(InstanceId("1.2.250.1.71.4.2.1", "899700000101"),),
        custodian_ids=(InstanceId("1.2.250.1.71.4.2.2", "1000000101"),),
        service_events=(
            ServiceEvent("11502-2", "2.16.840.1.113883.6.1", "20260301103000+0000", "20260301103000+0000"),
        ),
        template_ids=("2.16.840.1.113883.2.8.2.1", "1.2.250.1.213.1.1.1.1"),
    )


def test_a_header_shown_in_a_log_names_nobody() -> None:
    data = changed("<title>Compte rendu de biologie</title>", "<title>Bilan de SPECIMEN</title>")
    header = read_header(data)
    assert header.title == "Bilan de SPECIMEN"
    assert PATIENT.ins_value not in repr(header)
    assert "SPECIMEN" not in repr(header)


def test_a_replacement_keeps_the_set_and_has_the_next_version() -> None:
    header = read_header(sample(replaces="urn:oid:1.2.250.1.99.0"))
    assert (header.document_id, header.set_id, header.version_number) == (
        InstanceId("1.2.250.1.99.1"),
        InstanceId("1.2.250.1.99.0"),
        2,
    )


def test_what_is_optional_may_be_absent() -> None:
    text = sample().decode()
    for name in ("effectiveTime", "languageCode", "setId", "versionNumber", "confidentialityCode"):
        text = re.sub(f"<{name} [^>]*/>", "", text, count=1)
    for name in ("title", "author", "custodian", "documentationOf"):
        text = re.sub(f"<{name}>.*?</{name}>", "", text, count=1)
    header = read_header(text.encode())
    assert (header.title, header.effective_time, header.language) == (None, None, None)
    assert (header.set_id, header.version_number) == (None, None)
    assert header.confidentiality_codes == ()
    assert header.author_ids == ()
    assert header.custodian_ids == ()
    assert header.service_events == ()
    concerns(header)


def test_identifiers_with_a_nullflavor_identify_nothing() -> None:
    header = read_header(changed(PATIENT_ROLE_ID, '<id nullFlavor="UNK"/>' + PATIENT_ROLE_ID + "<id/>"))
    assert header.patient_ids == (InstanceId("1.2.250.1.213.1.4.10", PATIENT.ins_value),)
    concerns(header)


def test_a_period_may_be_one_moment_or_open() -> None:
    period = (
        '<effectiveTime><low value="20260301103000+0000"/><high value="20260301103000+0000"/></effectiveTime><performer'
    )
    one = read_header(changed(period, '<effectiveTime value="2026"/><performer')).service_events[0]
    assert (one.low, one.high) == ("2026", "2026")
    open_ended = read_header(changed(period, '<effectiveTime><low value="2026"/></effectiveTime><performer'))
    assert (open_ended.service_events[0].low, open_ended.service_events[0].high) == ("2026", None)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_sample_kind_concerns_its_patient_and_type(kind: str) -> None:
    wanted = KINDS[kind].document_type
    concerns(sample(kind), type_system=wanted.system, type_code=wanted.code)


def test_a_type_is_the_same_by_oid_and_by_url() -> None:
    concerns(sample(), type_system="urn:oid:2.16.840.1.113883.6.1")
    concerns(sample("care-history"), type_system=TRE_A05, type_code="REMB")


def test_local_identifiers_of_the_patient_are_not_looked_at() -> None:
    concerns(changed(PATIENT_ROLE_ID, '<id root="1.2.3.4" extension="IPP-1"/>' + PATIENT_ROLE_ID))


def test_a_document_of_another_patient_is_refused() -> None:
    assert mismatch(sample(), ins_value=OTHER.ins_value) == PATIENT_ID


def test_a_document_that_identifies_by_another_ins_system_is_refused() -> None:
    assert mismatch(sample(), ins_system=INS_NIA) == PATIENT_ID


@pytest.mark.parametrize(
    "ids",
    [
        '<id nullFlavor="UNK"/>',
        '<id root="1.2.250.1.213.1.4.10"/>',
        f'<id root="1.2.3.4" extension="{PATIENT.ins_value}"/>',
        f'<id root="1.2.250.1.213.1.4.10" extension="{PATIENT.ins_value} "/>',
        f'<id nullFlavor="NI" root="1.2.250.1.213.1.4.10" extension="{PATIENT.ins_value}"/>',
        PATIENT_ROLE_ID + f'<id root="1.2.250.1.213.1.4.10" extension="{OTHER.ins_value}"/>',
        PATIENT_ROLE_ID + f'<id root="1.2.250.1.213.1.4.9" extension="{OTHER.ins_value}"/>',
        PATIENT_ROLE_ID + '<id root="1.2.250.1.213.1.4.10"/>',
    ],
)
def test_a_document_about_two_people_or_nobody_is_refused(ids: str) -> None:
    assert mismatch(changed(PATIENT_ROLE_ID, ids)) == PATIENT_ID


def test_a_document_of_another_type_is_refused() -> None:
    assert mismatch(sample(), type_code="11488-4") == TYPE_CODE
    assert mismatch(sample(), type_system=TRE_A05) == TYPE_CODE


@pytest.mark.parametrize(
    "code",
    [
        '<code nullFlavor="UNK"/>',
        '<code code="11502-2"/>',
        '<code codeSystem="2.16.840.1.113883.6.1"/>',
        '<code nullFlavor="OTH" code="11502-2" codeSystem="2.16.840.1.113883.6.1"/>',
        '<code code="11502-2" codeSystem="2.16.840.1.113883.6.1.1"/>',
        '<code nullFlavor="UNK"><translation code="11502-2" codeSystem="2.16.840.1.113883.6.1"/></code>',
    ],
)
def test_a_document_without_a_usable_type_is_refused(code: str) -> None:
    whole = '<code code="11502-2" codeSystem="2.16.840.1.113883.6.1" displayName="CR d\'examens biologiques"/><title>'
    assert mismatch(changed(whole, code + "<title>")) == TYPE_CODE


def not_cda(data: bytes) -> NotCda:
    with pytest.raises(NotCda) as caught:
        read_header(data)
    return caught.value


def test_the_guides_empty_example_is_no_cda() -> None:
    for declaration in (b"", b'<?xml version="1.0" encoding="UTF-8"?>'):
        error = not_cda(declaration + b'<ClinicalDocument xmlns="urn:hl7-org:v3"/>')
        assert error.element == "ClinicalDocument.id"
        assert "not a CDA document" in str(error)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"   ",
        b"%PDF-1.4",
        b'{"resourceType": "Bundle"}',
        b"<",
        b"<a",
        b"<a/><b/>",
        b"<a></b>",
        b"<a/>",
        b"<ClinicalDocument/>",
        b'<ClinicalDocument xmlns="urn:hl7-org:v2"/>',
        b'<clinicalDocument xmlns="urn:hl7-org:v3"/>',
        b'<x:ClinicalDocument xmlns:x="urn:x"/>',
        b'<a xmlns="urn:hl7-org:v3"><ClinicalDocument/></a>',
        b"<!-- only a comment -->",
        b"<?xml version='1.0'?>",
        b"<?xml version='1.0'",
        b"<!-- never closed",
        b"<a>\xff</a>",
        b"text before <a/>",
        b"\xef\xbb\xbf",
    ],
)
def test_what_is_no_xml_or_no_clinicaldocument_is_no_cda(data: bytes) -> None:
    not_cda(data)


def test_a_truncated_document_is_refused_wherever_it_was_cut() -> None:
    whole = sample()
    for end in range(0, len(whole) - 1, 37):
        with pytest.raises(NotCda):
            read_header(whole[:end])


@pytest.mark.parametrize("name", ["id", "code", "recordTarget", "component"])
def test_a_document_without_a_required_part_is_no_cda(name: str) -> None:
    text = sample().decode()
    parts = {
        "id": '<id root="1.2.250.1.99.1"/>',
        "code": text[text.index("<code ") : text.index("<title>")],
        "recordTarget": text[text.index("<recordTarget>") : text.index("<author>")],
        "component": text[text.index("<component>") : text.index("</ClinicalDocument>")],
    }
    assert not_cda(text.replace(parts[name], "", 1).encode()).element == f"ClinicalDocument.{name}"
    assert not_cda(text.replace(parts[name], parts[name] * 2, 1).encode()).element == f"ClinicalDocument.{name}"


def test_a_second_patient_after_the_body_is_found() -> None:
    text = sample().decode()
    second = text[text.index("<recordTarget>") : text.index("<author>")].replace(PATIENT.ins_value, OTHER.ins_value)
    assert not_cda(text.replace("</ClinicalDocument>", second + "</ClinicalDocument>").encode()).element == (
        "ClinicalDocument.recordTarget"
    )


def test_two_patients_in_one_record_target_are_refused() -> None:
    text = sample().decode()
    role = text[text.index("<patientRole>") : text.index("</recordTarget>")]
    assert not_cda(text.replace(role, role * 2).encode()).element == "ClinicalDocument.recordTarget.patientRole"


def test_an_id_that_says_nothing_is_no_document_id() -> None:
    assert not_cda(changed('<id root="1.2.250.1.99.1"/>', '<id nullFlavor="NI"/>')).element == "ClinicalDocument.id"


def test_elements_of_other_namespaces_are_not_taken_for_the_headers() -> None:
    patient = f'<patientRole><id root="1.2.250.1.213.1.4.10" extension="{OTHER.ins_value}"/></patientRole>'
    other = f'<x:recordTarget xmlns:x="urn:x">{patient}</x:recordTarget>'
    concerns(changed("</recordTarget>", "</recordTarget>" + other))


def test_byte_order_mark_latin_and_prefixes_are_read_alike() -> None:
    plain = read_header(sample())
    assert read_header(b"\xef\xbb\xbf" + sample()) == plain
    assert plain.title is not None
    for encoding in ("ISO-8859-1", "iso-8859-15", "us-ascii", "utf-8"):
        text = sample().decode().replace("UTF-8", encoding, 1).replace(plain.title, "Synthèse d'été", 1)
        data = text.encode(encoding, "xmlcharrefreplace")
        assert read_header(data) == replace(plain, title="Synthèse d'été")
    prefixed = sample().decode().replace("<", "<h:").replace("<h:/", "</h:").replace("<h:?", "<?")
    assert read_header(prefixed.replace("xmlns=", "xmlns:h=", 1).encode()) == plain


def test_the_largest_size_is_the_callers_to_lower() -> None:
    data = sample()
    read_header(data, max_bytes=len(data))
    with pytest.raises(UnsafeXml):
        read_header(data, max_bytes=len(data) - 1)


@pytest.mark.parametrize("version", ["", "x", "-1", "1.5", "٣", "1" * 40])
def test_a_version_that_is_no_number_is_none(version: str) -> None:
    data = changed('<versionNumber value="1"/>', f'<versionNumber value="{version}"/>')
    assert read_header(data).version_number is None


def test_no_error_repeats_the_document() -> None:
    name = PATIENT.birth_name
    for data in (
        changed(f'<family qualifier="BR">{name}</family>', f"<{name}>"),
        changed(f'<family qualifier="BR">{name}</family>', f"&{name};"),
        changed(f'<family qualifier="BR">{name}</family>', f'<a {name}="1" {name}="2"/>'),
        b'<?xml version="1.0" encoding="' + name.encode() + b'"?><a/>',
    ):
        with pytest.raises(CdaError) as caught:
            read_header(data)
        assert name not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
