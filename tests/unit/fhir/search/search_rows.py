"""Rows and queries for the tests of the search."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from sceau.fhir.search import Query, parse_query, run
from sceau.records.ids import encode_id
from sceau_schemas.dossier import EntryRow, EntryVersion, SetRow, StoredCoding, StoredDocument, StoredIdentifier

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
RECORD = encode_id(bytes(range(16)))
OTHER_RECORD = encode_id(bytes(range(1, 17)))
PATIENT = ("patient", f"Patient/{RECORD}")
LOINC = "http://loinc.org"
TRE_A07 = "https://mos.esante.gouv.fr/NOS/TRE_A07-StatutVisibiliteDocument/FHIR/TRE-A07-StatutVisibiliteDocument"
TRE_A08 = "https://mos.esante.gouv.fr/NOS/TRE_A08-HL7Confidentiality/FHIR/TRE-A08-HL7Confidentiality"
NORMAL = StoredCoding(system=TRE_A08, code="N")


def entry_id(number: int) -> str:
    return encode_id(number.to_bytes(16, "big"))


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def span(first: str, last: str) -> str:
    return f"{at(first) if first else ''}/{at(last) if last else ''}"


def day(text: str) -> str:
    return span(f"{text}T00:00:00+00:00", f"{text}T23:59:59.999+00:00")


def entry(
    number: int = 1,
    *,
    status: Literal["current", "superseded", "entered-in-error"] = "current",
    labels: tuple[StoredCoding, ...] = (NORMAL,),
    archived: bool | None = None,
    updated: int = 1_750_000_000_000,
    identifiers: tuple[StoredIdentifier, ...] = (),
    replaces: tuple[str, ...] = (),
    terms: dict[str, tuple[str, ...]] | None = None,
) -> EntryRow:
    return EntryRow(
        id=entry_id(number),
        now=EntryVersion(version=1, updated=updated, event="e", status=status, labels=labels, archived=archived),
        submission_set=entry_id(0),
        document=StoredDocument(
            object_name="o", content_type="text/plain", size=1, sha256="0" * 64, sealed_sha256="0" * 64
        ),
        type_code="11502-2",
        identifiers=identifiers,
        depositor="laboratory",
        replaces=replaces,
        terms=terms or {},
    )


def submission_set(
    number: int = 1, *, kind: Literal["submissionset", "folder"] = "submissionset", **terms: str
) -> SetRow:
    return SetRow(
        id=entry_id(number),
        kind=kind,
        updated=1_750_000_000_000,
        event="e",
        entries=(),
        identifiers=(StoredIdentifier(system="urn:ietf:rfc:3986", value=f"urn:oid:1.2.{number}"),),
        depositor="laboratory",
        terms={name.replace("_", "."): (value,) for name, value in terms.items()},
    )


def asked(*pairs: tuple[str, str], resource: str = "DocumentReference", strict: bool = True) -> Query:
    return parse_query(resource, (PATIENT, *pairs), strict=strict, now=NOW, base_urls=("https://dmp.example/fhir",))


def found(rows: list[EntryRow], *pairs: tuple[str, str]) -> list[int]:
    """Return the numbers of the rows that the search finds, in ascending order."""
    page = run(asked(*pairs, ("_count", "200")), rows, lambda _: True, record_id=RECORD)
    return sorted(number for number in range(300) if entry_id(number) in {row.id for row in page.rows})


def sets_found(rows: list[SetRow], *pairs: tuple[str, str]) -> list[str]:
    return [row.id for row in run(asked(*pairs, resource="List"), rows, lambda _: True, record_id=RECORD).rows]
