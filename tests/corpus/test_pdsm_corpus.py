"""The published examples of the PDSm guides, read in place: refused as they are, each for its reason; accepted once
that reason is gone. The table of reasons is that of `docs/conformance.md`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fixtures.bodies import Json, expressions, submit, submit_simple
from sceau.cli.samples import AUTHORS, PATIENTS, STRUCTURES, make_cda, make_pdf
from sceau.fhir.ins import INS_NIR, PRODUCTION_SYSTEMS, ins_key
from sceau.fhir.outcome import FhirError
from sceau.fhir.submission import Submission
from sceau_schemas.dossier import StoredIdentifier

SET = "Bundle-example-td2-iti65-lot-soumission.json"
ALONE = "DocumentReference-example-td2-iti105-publication-simplifiee.json"
ANSWER = "DocumentReference-doc-x-id.json"
REPAIRED_SET = "repaired/Bundle-pdsm-provide-fixed.json"
REPAIRED_ENTRY = "repaired/DocumentReference-pdsm-fixed.json"

PUBLISHED_INS = "123456789012345"
CORRECTED_INS = PUBLISHED_INS[:13] + ins_key(PUBLISHED_INS[:13])
MISSPELT = "StatusVisibiliteDocument"


def judged(sent: Json) -> Submission:
    """Judge a body as its type of resource asks, on a service that accepts production numbers."""
    judge = submit if sent["resourceType"] == "Bundle" else submit_simple
    return judge(sent, systems=PRODUCTION_SYSTEMS)


def read(shared: Path, name: str) -> Any:
    return json.loads((shared / "corpus" / "pdsm" / name).read_text("utf-8"))


def corrected_ins(sent: Json) -> Json:
    corrected: Json = json.loads(json.dumps(sent).replace(PUBLISHED_INS, CORRECTED_INS))
    return corrected


def cda() -> bytes:
    """A CDA of the example's patient and type, of our own making: the published one is an empty element."""
    return make_cda(
        "consultation-pdf",
        patient=replace(PATIENTS["basile"], ins_system=INS_NIR, ins_value=CORRECTED_INS),
        author=AUTHORS["general_practitioner"],
        structure=STRUCTURES["practice"],
        document_id="urn:oid:1.2.250.1.213.1.4.8.99999.2",
        when=datetime(2026, 6, 12, 8, 0, tzinfo=UTC),
    )


def described(attachment: Json, data: bytes) -> None:
    attachment["size"] = len(data)
    attachment["hash"] = base64.b64encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()


def with_document(sent: Json) -> Json:
    data = cda()
    if sent["resourceType"] == "Bundle":
        sent["entry"][2]["resource"]["data"] = base64.b64encode(data).decode()
        described(sent["entry"][1]["resource"]["content"][0]["attachment"], data)
    else:
        sent["content"][0]["attachment"]["data"] = base64.b64encode(data).decode()
    return sent


def with_subject(sent: Json) -> Json:
    """The literal reference, which nothing in the bundle resolves, becomes the INS of the contained Patient."""
    subject = {"identifier": sent["entry"][1]["resource"]["contained"][2]["identifier"][0]}
    for position in (0, 1):
        sent["entry"][position]["resource"]["subject"] = subject
    return sent


def with_label_and_pdf(sent: Json) -> Json:
    entry = sent["entry"][1]["resource"]
    coding = entry["securityLabel"][0]["coding"][0]
    assert MISSPELT in coding["system"]
    coding["system"] = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
    data = make_pdf("CR")
    sent["entry"][3]["resource"]["data"] = base64.b64encode(data).decode()
    described(entry["content"][0]["attachment"], data)
    return sent


def unchanged(sent: Json) -> Json:
    return sent


DATA = "Bundle.entry[2].resource.data"
REPLACED = "Bundle.entry[1].resource"


@pytest.mark.parametrize(
    ("name", "change", "refused_at"),
    [
        pytest.param(SET, unchanged, ["Bundle.entry[0].resource.subject"], id="td2: the NIR key is wrong"),
        pytest.param(SET, corrected_ins, [DATA], id="td2: the CDA is an empty element"),
        pytest.param(ALONE, unchanged, ["DocumentReference.subject"], id="iti105: the NIR key is wrong"),
        pytest.param(
            ALONE,
            corrected_ins,
            ["DocumentReference.content[0].attachment.data"],
            id="iti105: the CDA is an empty element",
        ),
        pytest.param(
            ANSWER,
            unchanged,
            ["DocumentReference.content[0].attachment.url", "DocumentReference.content[0].attachment.data"],
            id="doc-x-id: an answer, without its document",
        ),
        pytest.param(
            REPAIRED_SET,
            unchanged,
            ["Bundle.entry[0].resource.subject.reference"],
            id="repaired set: the subject is a literal reference that nothing resolves",
        ),
        pytest.param(
            REPAIRED_SET,
            with_subject,
            [
                f"{REPLACED}.securityLabel[0].coding[0]",
                f"{REPLACED}.content[0].attachment.hash",
                "Bundle.entry[3].resource.data",
            ],
            id="repaired set: misspelt label, another hash, five bytes that are no PDF",
        ),
        pytest.param(
            REPAIRED_ENTRY,
            unchanged,
            ["DocumentReference.content[0].attachment.url", "DocumentReference.content[0].attachment.data"],
            id="repaired entry: an answer, without its document",
        ),
    ],
)
def test_a_published_example_is_refused_for_its_reason(
    shared: Path, name: str, change: Callable[[Json], Json], refused_at: list[str]
) -> None:
    with pytest.raises(FhirError) as caught:
        judged(change(read(shared, name)))
    assert (caught.value.status, expressions(caught.value.problems)) == (422, refused_at)
    for problem in caught.value.problems:
        assert PUBLISHED_INS not in problem.text
        assert CORRECTED_INS not in problem.text


def test_every_published_example_is_judged_here_and_listed_in_the_page(shared: Path) -> None:
    folder = shared / "corpus" / "pdsm"
    published = {path.relative_to(folder).as_posix() for path in folder.rglob("*.json")}
    assert published == {SET, ALONE, ANSWER, REPAIRED_SET, REPAIRED_ENTRY}
    page = (Path(__file__).resolve().parents[2] / "docs" / "conformance.md").read_text("utf-8")
    table = page.partition("## The published examples")[2].partition("\n## ")[0]
    assert {name.removesuffix(".json") for name in published} == set(re.findall(r"^\| `([^`]+)`", table, re.MULTILINE))


def test_the_example_of_td2_is_accepted_once_ins_and_document_are_true(shared: Path) -> None:
    got = judged(with_document(corrected_ins(read(shared, SET))))
    assert got.patient.value == CORRECTED_INS
    assert got.documents[0].type_code == "11488-4"
    assert got.documents[0].author_professionals[0].value == "899700218896"
    # The example names no structure: `decide` will refuse it to software, which publishes for a structure only.
    assert got.documents[0].author_structures == ()
    at = "Bundle.entry[1].resource"
    assert expressions(got.warnings) == [
        f"{at}.category[0].coding[0]",  # class 11, but 11488-4 is of class 10
        f"{at}.content[0].format",
        f"{at}.context.facilityType.coding[0]",
        f"{at}.context.practiceSetting.coding[0]",
    ]


def test_the_example_of_iti_105_is_accepted_once_ins_and_document_are_true(shared: Path) -> None:
    got = judged(with_document(corrected_ins(read(shared, ALONE))))
    assert [label.code for label in got.documents[0].labels] == ["N"]
    assert got.set_resource["source"] == {"reference": "#practitioner-author"}
    assert got.warnings == ()


def test_the_repaired_replacement_is_accepted_once_it_says_whom_it_is_about(shared: Path) -> None:
    got = judged(with_label_and_pdf(with_subject(read(shared, REPAIRED_SET))))
    assert got.documents[0].replaces == ("doc-old",)
    assert got.patches == ()
    assert got.documents[0].identifiers == (
        StoredIdentifier(system="urn:ietf:rfc:3986", value="urn:uuid:55555555-5555-4555-8555-555555555555"),
    )
    assert [entry.kind.value for entry in got.entries] == ["submission-set", "document-reference", "patch", "content"]
