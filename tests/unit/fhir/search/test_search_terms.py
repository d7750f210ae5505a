"""What `fhir.terms` stores is what the table reads: each parameter finds a document that has everything."""

from __future__ import annotations

import pytest

from sceau.fhir.references import people_behind, scope_of
from sceau.fhir.search import TABLES
from sceau.fhir.terms import document_terms
from sceau_schemas.fhir.documents import DocumentReference
from unit.fhir.search.search_rows import entry, found

DOCUMENT = {
    "resourceType": "DocumentReference",
    "contained": [
        {
            "resourceType": "Practitioner",
            "id": "author",
            "identifier": [{"system": "urn:oid:1.2.250.1.71.4.2.1", "value": "810000000001"}],
            "name": [{"family": "Lefèvre", "given": ["Éloïse"]}],
        }
    ],
    "masterIdentifier": {"system": "urn:ietf:rfc:3986", "value": "urn:oid:1.2.3"},
    "status": "current",
    "type": {"coding": [{"system": "http://loinc.org", "code": "11502-2"}]},
    "category": [
        {
            "coding": [
                {
                    "system": "https://mos.esante.gouv.fr/NOS/TRE_A03-ClasseDocument/FHIR/TRE-A03-ClasseDocument",
                    "code": "10",
                }
            ]
        }
    ],
    "date": "2026-06-10T09:00:00.000+02:00",
    "author": [{"reference": "#author"}, {"reference": "Organization/o"}],
    "content": [
        {
            "attachment": {"contentType": "text/plain", "creation": "2026-06-09"},
            "format": {"system": "http://ihe.net/fhir/ihe.formatcode.fhir/CodeSystem/formatcode", "code": "urn:ihe:x"},
        }
    ],
    "context": {
        "event": [{"coding": [{"system": "http://loinc.org", "code": "718-7"}]}],
        "period": {"start": "2026-06-08T08:00:00+02:00", "end": "2026-06-09"},
        "facilityType": {"coding": [{"system": "http://snomed.info/sct", "code": "22232009"}]},
        "practiceSetting": {"coding": [{"system": "http://snomed.info/sct", "code": "394802001"}]},
        "related": [
            {"reference": "ServiceRequest/r"},
            {"identifier": {"system": "urn:oid:1.2", "value": "ACC1"}},
        ],
    },
}

QUERIES = {
    "type": "urn:oid:2.16.840.1.113883.6.1|11502-2",
    "category": "urn:oid:1.2.250.1.213.1.1.4.1|10",
    "facility": "http://snomed.info/sct|22232009",
    "setting": "394802001",
    "format": "http://ihe.net/fhir/ihe.formatcode.fhir/CodeSystem/formatcode|urn:ihe:x",
    "event": "http://loinc.org|718-7",
    "date": "2026-06-10T07:00:00Z",
    "creation": "2026-06-09",
    "period": "ge2026-06-09",
    "period-start": "2026-06-08T06:00Z",
    "period-end": "2026-06-09",
    "author": "Organization/o",
    "author.identifier": "urn:oid:1.2.250.1.71.4.2.1|810000000001",
    "author.given": "eloise",
    "author.family": "LEFÈVRE",
    "related": "ServiceRequest/r",
    "related:identifier": "urn:oid:1.2|ACC1",
}


def test_every_parameter_that_reads_a_term_is_tried_here() -> None:
    reading = {
        p.name for p in TABLES["DocumentReference"] if any(not stored.startswith("row.") for stored in p.stored)
    }  # fmt: skip
    assert reading == set(QUERIES)


@pytest.mark.parametrize("name", QUERIES)
def test_a_published_document_is_found_by(name: str) -> None:
    document = DocumentReference.model_validate(DOCUMENT)
    scope = scope_of(document, "DocumentReference")
    people = people_behind(document.author or [], scope, "DocumentReference.author")
    rows = [entry(1, terms=document_terms(document, people)), entry(2)]
    assert found(rows, (name, QUERIES[name])) == [1]
