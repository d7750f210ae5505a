"""Which acts and results the ANS's example documents code: what a search by `event` would find them by."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from sceau.fhir.acts import MAX_CODES, MAX_ELEMENTS, Acts
from sceau.fhir.codes import CCAM, LOINC, NABM
from sceau.fhir.media import check_media

COUNTS = {  # codes of LOINC, CCAM, NABM
    "AVC-EUNV_2022.01.xml": (50, 9, 0),
    "BIO-CR-BIO_2021.01_Microbiologie_V1.xml": (12, 0, 1),
    "BIO-CR-BIO_2024.01_CR-2nde-intention-PDF.xml": (3, 0, 0),
    "BIO-CR-BIO_2024.01_TSH_1.xml": (5, 0, 0),
    "BIO-TROD_2024.01_Angine.xml": (2, 0, 0),
    "BIO-TROD_2024.01_COVID-19.xml": (2, 0, 0),
    "CANCER-FRCP_2022.01_Appareil.xml": (9, 0, 0),
    "CARD-F-PRC-AVK_2022.01.xml": (1, 0, 0),
    "CNAM-HR_2021.01.xml": (0, 5, 3),
    "CNAM-HR_2021.01_sans-info.xml": (0, 0, 0),
    "CSE-CS9_2025.01.xml": (6, 0, 0),
    "DLU-EHPAD-FLUDT_2022.01.xml": (9, 0, 0),
    "IMG_CR_IMG_2024.01_CDA-R2-Niveau-1.xml": (3, 3, 0),
    "LDL-EES_2022.01.xml": (0, 1, 0),
    "LDL-SES_2022.01.xml": (0, 0, 0),
    "OPH-CR-RTN_2022.01.xml": (0, 0, 0),
    "SDM-MR_2022.01.xml": (8, 0, 0),
    "TLM-DA_2022.01_TCG.xml": (10, 1, 0),
    "VAC-NOTE_2023.01.xml": (1, 0, 0),
    "VAC_2023.01.xml": (1, 0, 0),
    "VSM_1.4_2022.01.xml": (3, 1, 0),
    "eP-MED-DM_2022.01_PosoStruct.xml": (4, 0, 0),
}


def acts_of(shared: Path, name: str) -> Acts:
    return check_media("application/xml", (shared / "corpus" / "cda" / name).read_bytes()).acts


@pytest.mark.parametrize("name", sorted(COUNTS))
def test_each_document_gives_its_acts_without_a_note(shared: Path, name: str) -> None:
    got = acts_of(shared, name)
    counted = Counter(token.rpartition("|")[0] for token in got.tokens)
    assert (counted[LOINC], counted[CCAM], counted[NABM]) == COUNTS[name]
    assert got.notes == ()


def test_every_document_of_the_corpus_is_counted(shared: Path) -> None:
    assert {path.name for path in (shared / "corpus" / "cda").glob("*.xml")} == COUNTS.keys()


@pytest.mark.parametrize(
    ("name", "tokens"),
    [
        (  # header: biochemistry, serology, proteins; body: TSH and free T4
            "BIO-CR-BIO_2024.01_TSH_1.xml",
            [f"{LOINC}|{code}" for code in ("18719-5", "18727-8", "18718-7", "3016-3", "3024-7")],
        ),
        (  # three scans, each with its translation into CCAM; the body is a PDF
            "IMG_CR_IMG_2024.01_CDA-R2-Niveau-1.xml",
            [
                f"{LOINC}|24727-0",
                f"{CCAM}|ACQH004",
                f"{LOINC}|36235-0",
                f"{CCAM}|LCQH001",
                f"{LOINC}|24978-9",
                f"{CCAM}|ZBQH001",
            ],
        ),
        (  # dental, eye, breast imaging; TSH, its sampling, glucose: by the insurer's own OIDs of CCAM and NABM
            "CNAM-HR_2021.01.xml",
            [
                *(f"{CCAM}|{code}" for code in ("HBMD053", "BJQP002", "YYYY300", "QEQJ001", "YYYY600")),
                *(f"{NABM}|{code}" for code in ("1208", "9105", "552")),
            ],
        ),
        ("BIO-TROD_2024.01_Angine.xml", [f"{LOINC}|92894-5", f"{LOINC}|78012-2"]),  # and no comment
        ("VAC-NOTE_2023.01.xml", [f"{LOINC}|30973-2"]),  # the dose's number, but not the note's own type
    ],
)
def test_a_document_is_found_by_what_it_documents(shared: Path, name: str, tokens: list[str]) -> None:
    assert list(acts_of(shared, name).tokens) == tokens


def test_an_investigation_that_a_stroke_unit_did_is_found_and_a_planned_scan_is_not(shared: Path) -> None:
    assert f"{CCAM}|DEQP003" in acts_of(shared, "AVC-EUNV_2022.01.xml").tokens  # ECG
    whole = (shared / "corpus" / "cda" / "LDL-SES_2022.01.xml").read_bytes()
    assert b'code="ECQH010"' in whole  # a CT angiography in mood INT
    assert f"{CCAM}|ECQH010" not in acts_of(shared, "LDL-SES_2022.01.xml").tokens


def test_no_real_document_comes_near_the_limits(shared: Path) -> None:
    for name in COUNTS:
        assert len(acts_of(shared, name).tokens) < MAX_CODES / 5
        assert (shared / "corpus" / "cda" / name).read_bytes().count(b"<entry") < MAX_ELEMENTS / 50
