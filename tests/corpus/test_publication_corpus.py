"""The ANS's real CDA documents through the real service: published by ITI-65, found, and read back byte for byte."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fixtures.live_world import (
    World,
    alone,
    document_ids,
    expressions,
    found,
    ids,
    issues,
    submission,
)
from fixtures.service import live_stage
from sceau.cli.bodies import SampleDocument, consent_opening
from sceau.cli.documents import DOMINIQUE
from sceau.cli.samples import AUTHORS, STRUCTURES
from sceau.fhir import codes
from sceau.fhir.cda import read_header
from sceau.fhir.ins import INS_NIR_TEST, InvalidIns, check_ins

pytestmark = pytest.mark.xdist_group("corpus")

CORPUS = Path(__file__).resolve().parents[2].parent / "shared" / "corpus" / "cda"
NAMES = sorted(path.name for path in CORPUS.glob("*.xml"))

CARE_HISTORIES = ("CNAM-HR_2021.01.xml", "CNAM-HR_2021.01_sans-info.xml")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A stage of its own, with the record of the patient whom the documents are about."""
    with live_stage(tmp_path_factory.mktemp("corpus") / "stage") as stage:
        made = World(stage)
        assert made.caller("insurer").post("/fhir/Consent", consent_opening(DOMINIQUE)).status == 201
        yield made


def real(name: str) -> SampleDocument:
    """A document with what its entry says, from its own header. Reimbursements are the insurer's, all else the lab's.

    Some of the documents share an id: the entry's uniqueId is made from the file's name.
    """
    data = (CORPUS / name).read_bytes()
    header = read_header(data)
    kind = codes.document_type(header.type_system or "", header.type_code or "")
    assert kind is not None
    insurer = kind.code == "REMB"
    text = next((event.low for event in header.service_events if event.low), header.effective_time or "")
    return SampleDocument(
        data=data,
        kind=kind,
        title=kind.label,
        format_system="http://ihe.net/fhir/ihe.formatcode.fhir/CodeSystem/formatcode",
        format_code="urn:ihe:iti:xds:2017:mimeTypeSufficient",
        author=AUTHORS["insurer" if insurer else "biologist"],
        structure=STRUCTURES["insurer" if insurer else "laboratory"],
        when=datetime.strptime(text[:8], "%Y%m%d").replace(tzinfo=UTC),
        unique_id=f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, name)}",
    )


def ins_of(name: str) -> str:
    """The INS in a document's header, right or wrong."""
    patients = read_header((CORPUS / name).read_bytes()).patient_ids
    (value,) = (one.extension for one in patients if f"urn:oid:{one.root}" == INS_NIR_TEST)
    assert value is not None
    return value


def has_good_key(name: str) -> bool:
    try:
        check_ins(INS_NIR_TEST, ins_of(name), {INS_NIR_TEST})
    except InvalidIns:
        return False
    return True


def test_the_corpus_is_there_and_all_but_one_can_be_published(shared: Path) -> None:
    assert shared / "corpus" / "cda" == CORPUS
    assert len(NAMES) == 22
    assert [name for name in NAMES if not has_good_key(name)] == ["CSE-CS9_2025.01.xml"]


@pytest.mark.parametrize("name", NAMES)
def test_a_real_document_is_published_and_read_back(shared: Path, world: World, name: str) -> None:
    if not has_good_key(name):
        refuse(world, name)
        return
    if name in CARE_HISTORIES:
        refuse_old(world, name)
        return
    document = real(name)
    sender = world.caller("laboratory")
    body = submission(DOMINIQUE, document)
    answer = sender.post("/fhir", body)
    assert answer.status == 200, answer.data
    (own,) = document_ids(answer)
    holder = world.holder(DOMINIQUE)
    raw = holder.get(f"/fhir/Binary/{own}", Accept="application/xml")
    assert (raw.status, raw.headers["Content-Type"]) == (200, "application/xml")
    assert raw.data == (shared / "corpus" / "cda" / name).read_bytes()
    assert raw.headers["ETag"] == f'"{hashlib.sha256(raw.data).hexdigest()}"'
    # "Has this been done?": by its type and the day of its act.
    query = f"patient={holder.record_id}&type={document.kind.system}|{document.kind.code}&status=current"
    assert own in ids(holder.get(f"/fhir/DocumentReference?{query}&period=ge{document.when:%Y-%m-%d}"))
    (entry,) = found(holder.get(f"/fhir/DocumentReference?patient={holder.record_id}&_id={own}"))
    assert entry["content"][0]["attachment"]["size"] == len(raw.data)
    with world.unchanged():
        assert sender.post("/fhir", body).data == answer.data


def refuse_old(world: World, name: str) -> None:
    """The published care histories end in 2019: all their months fell out long ago. Of this year, the first passes."""
    insurer = world.caller("insurer")
    with world.refused("refused.422"):
        answer = insurer.post("/fhir", submission(DOMINIQUE, real(name)))
    assert expressions(issues(answer, 422)) == ["Bundle.entry[1].resource.content[0].attachment"]
    data, year = real(name).data, datetime.now(UTC).year - 1
    recent = data.replace(b'"2019', f'"{year}'.encode()).replace(b">2019", f">{year}".encode())
    sent = replace(real(name), data=recent, unique_id=f"urn:uuid:{uuid.uuid4()}")
    assert insurer.post("/fhir", submission(DOMINIQUE, sent)).status == 200


def refuse(world: World, name: str) -> None:
    """A patient whose INS fails its key: the element is named, whichever way the document comes."""
    patient = replace(DOMINIQUE, ins_value=ins_of(name))
    lab = world.caller("laboratory")
    for path, body, named in (
        ("/fhir", submission(patient, real(name)), "Bundle.entry[0].resource.subject"),
        ("/fhir/DocumentReference", alone(patient, real(name)), "DocumentReference.subject"),
    ):
        with world.refused("refused.422"):
            answer = lab.post(path, body)
        (issue,) = issues(answer, 422)
        assert expressions([issue]) == [named]
        assert issue["details"] == {"text": "INS"}
        assert patient.ins_value.encode() not in answer.data
    # Under the INS of somebody else the document is refused for what it says itself.
    with world.refused("refused.422"):
        answer = lab.post("/fhir", submission(DOMINIQUE, real(name)))
    assert "Bundle.entry[1].resource.subject" in expressions(issues(answer, 422))


def test_the_whole_corpus_as_one_set(shared: Path, world: World) -> None:
    """Nineteen documents of the laboratory at once, all or nothing."""
    documents = [real(name) for name in NAMES if has_good_key(name)]
    sent = [replace(one, unique_id=f"urn:uuid:{uuid.uuid4()}") for one in documents if one.kind.code != "REMB"]
    answer = world.caller("laboratory").post("/fhir", submission(DOMINIQUE, *sent))
    assert answer.status == 200, answer.data
    holder = world.holder(DOMINIQUE)
    back = [holder.get(f"/fhir/Binary/{own}", Accept="*/*").data for own in document_ids(answer)]
    assert back == [one.data for one in sent]
