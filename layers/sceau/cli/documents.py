"""The journey's documents: real CDA of the ANS's public corpus where that folder is, samples of our own elsewhere."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path

from sceau.cli.bodies import SampleDocument, sample_document
from sceau.cli.samples import AUTHORS, STRUCTURES, Patient
from sceau.fhir import codes
from sceau.fhir.cda import CdaHeader, read_header
from sceau.fhir.ins import INS_NIR_TEST

CORPUS = Path("shared") / "corpus" / "cda"
"""Beside the checkout: other people's files, read in place and never copied."""

_THREE = ("BIO-CR-BIO_2024.01_TSH_1.xml", "BIO-CR-BIO_2021.01_Microbiologie_V1.xml", "BIO-TROD_2024.01_Angine.xml")
_ONE = "BIO-CR-BIO_2024.01_CR-2nde-intention-PDF.xml"
_FORMATS = {
    "11502-2": (
        "https://mos.esante.gouv.fr/NOS/TRE_A11-IheFormatCode/FHIR/TRE-A11-IheFormatCode",
        "urn:ihe:lab:xd-lab:2008",
    )
}
_OTHER_FORMAT = (
    "http://ihe.net/fhir/ihe.formatcode.fhir/CodeSystem/formatcode",
    "urn:ihe:iti:xds:2017:mimeTypeSufficient",
)
_SAMPLE_DAY = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)

DOMINIQUE = Patient(
    ins_value="279035121518989",
    birth_name="PAT-TROIS",
    first_names=("DOMINIQUE", "MARIE-LOUISE"),
    birth_date=date(1979, 3, 28),
    gender="F",
    birth_place="51215",
    ins_system=INS_NIR_TEST,
)
"""The test identity that the ANS's public samples carry, and the development issuer's `dominique`."""


@dataclass(slots=True)
class JourneyDocuments:
    """What the laboratory publishes. `corpus`: the folder of real documents; None: samples of our own.

    `sent` gathers the bytes of all that was handed out, to compare with what comes back.
    """

    corpus: Path | None
    patient: Patient = DOMINIQUE
    sent: list[bytes] = field(default_factory=list)

    @property
    def source(self) -> str:
        """Where the documents are from, for people."""
        return "public CDA documents of the ANS" if self.corpus else "sample CDA documents of the project"

    @property
    def exam_type(self) -> str:
        """The type that step 4 asks for: laboratory results."""
        return "http://loinc.org|11502-2"

    @property
    def exam_day(self) -> date:
        """The day of the exam that step 4 asks for: that of the replacement."""
        return self._first().when.date()

    def three(self) -> list[SampleDocument]:
        """The first submission set."""
        if self.corpus is not None:
            documents = [self._real(self.corpus / name) for name in _THREE]
        else:
            documents = [self._sample(kind) for kind in ("biology", "imaging", "vaccination-note")]
        return [self._noted(document) for document in documents]

    def one(self) -> SampleDocument:
        """The document of the simplified publication."""
        return self._noted(self._real(self.corpus / _ONE) if self.corpus else self._sample("discharge-letter"))

    def replacement(self, replaces: str) -> SampleDocument:
        """A newer edition of the first document; `replaces` is that one's FHIR id."""
        return self._noted(replace(self._first(), replaces=replaces))

    def _first(self) -> SampleDocument:
        return self._real(self.corpus / _THREE[0]) if self.corpus else self._sample("biology")

    def _noted(self, document: SampleDocument) -> SampleDocument:
        self.sent.append(document.data)
        return document

    def _sample(self, kind: str) -> SampleDocument:
        return sample_document(
            kind,
            patient=self.patient,
            author=AUTHORS["biologist"],
            structure=STRUCTURES["laboratory"],
            when=_SAMPLE_DAY,
            unique_id=_uuid(),
        )

    def _real(self, path: Path) -> SampleDocument:
        data = path.read_bytes()
        header = read_header(data)
        kind = codes.document_type(header.type_system or "", header.type_code or "")
        if kind is None:
            raise ValueError(f"{path.name} is of a type that is not in JDV_J07")
        format_system, format_code = _FORMATS.get(kind.code, _OTHER_FORMAT)
        return SampleDocument(
            data=data,
            kind=kind,
            title=kind.label,
            format_system=format_system,
            format_code=format_code,
            author=AUTHORS["biologist"],
            structure=STRUCTURES["laboratory"],
            when=_when(header),
            unique_id=_uuid(),
        )


def journey_documents(base: Path) -> JourneyDocuments:
    """The documents for a checkout at `base`."""
    corpus = base.parent / CORPUS
    return JourneyDocuments(corpus if corpus.is_dir() else None)


def _when(header: CdaHeader) -> datetime:
    """When the act was done, else when the document was made: an HL7 timestamp to the day at least."""
    starts = [event.low for event in header.service_events if event.low]
    text = starts[0] if starts else header.effective_time or ""
    return datetime.strptime(text[:8], "%Y%m%d").replace(tzinfo=UTC)


def _uuid() -> str:
    return f"urn:uuid:{uuid.uuid4()}"
