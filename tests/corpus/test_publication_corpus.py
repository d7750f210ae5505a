"""The ANS's real CDA documents through the real service: published by ITI-65, found, and read back byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fixtures.live_world import World, document_ids, expressions, found, issues, parsed, set_id_of, submission
from fixtures.service import live_stage
from sceau.cli.bodies import SampleDocument, consent_opening
from sceau.cli.documents import DOMINIQUE
from sceau.cli.samples import AUTHORS, STRUCTURES
from sceau.fhir import codes
from sceau.fhir.cda import CdaHeader, read_header
from sceau.fhir.ins import INS_NIR_TEST

pytestmark = pytest.mark.xdist_group("live")

BAD_KEY = "CSE-CS9_2025.01.xml"
"""A document whose patient has an INS that fails its key, as published."""
CORPUS = (
    "AVC-EUNV_2022.01.xml",
    "BIO-CR-BIO_2021.01_Microbiologie_V1.xml",
    "BIO-CR-BIO_2024.01_CR-2nde-intention-PDF.xml",
    "BIO-CR-BIO_2024.01_TSH_1.xml",
    "BIO-TROD_2024.01_Angine.xml",
    "BIO-TROD_2024.01_COVID-19.xml",
    "CANCER-FRCP_2022.01_Appareil.xml",
    "CARD-F-PRC-AVK_2022.01.xml",
    "CNAM-HR_2021.01.xml",
    "CNAM-HR_2021.01_sans-info.xml",
    "DLU-EHPAD-FLUDT_2022.01.xml",
    "IMG_CR_IMG_2024.01_CDA-R2-Niveau-1.xml",
    "LDL-EES_2022.01.xml",
    "LDL-SES_2022.01.xml",
    "OPH-CR-RTN_2022.01.xml",
    "SDM-MR_2022.01.xml",
    "TLM-DA_2022.01_TCG.xml",
    "VAC-NOTE_2023.01.xml",
    "VAC_2023.01.xml",
    "VSM_1.4_2022.01.xml",
    "eP-MED-DM_2022.01_PosoStruct.xml",
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A stage of its own, with the record of the patient whom the documents are about."""
    with live_stage(tmp_path_factory.mktemp("corpus") / "stage") as stage:
        made = World(stage)
        assert made.caller("insurer").post("/fhir/Consent", consent_opening(DOMINIQUE)).status == 201
        yield made


def header_of(path: Path) -> CdaHeader:
    return read_header(path.read_bytes())


def real(path: Path) -> SampleDocument:
    """A document with what its entry says, from its own header; reimbursements come from the insurer."""
    header = header_of(path)
    kind = codes.document_type(header.type_system or "", header.type_code or "")
    assert kind is not None
    by = "insurer" if kind.code == "REMB" else "laboratory"
    text = next((event.low for event in header.service_events if event.low), header.effective_time or "")
    return SampleDocument(
        data=path.read_bytes(),
        kind=kind,
        title=kind.label,
        format_system="http://ihe.net/fhir/ihe.formatcode.fhir/CodeSystem/formatcode",
        format_code="urn:ihe:iti:xds:2017:mimeTypeSufficient",
        author=AUTHORS["insurer" if by == "insurer" else "biologist"],
        structure=STRUCTURES[by],
        when=datetime.strptime(text[:8], "%Y%m%d").replace(tzinfo=UTC),
        unique_id=f"urn:oid:{header.document_ids[0].root}" if False else _unique(path),
    )


def _unique(path: Path) -> str:
    """Some of the documents share an id; the entry's uniqueId is made from the file's name."""
    import uuid

    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, path.name)}"
