"""From a document entry or a submission set to the terms that a search compares: name → values in canonical form.

| kind | form |
|---|---|
| token of a code | `<canonical system>\\|<code>`; without system `\\|<code>` |
| token of an identifier | `<system>\\|<value>`, as given |
| date | `<low>/<high>`: first and last millisecond since the epoch that the precision covers; an open side is empty |
| string | folded: no case, no accents, single blanks |
| reference | the literal reference, as given (never one to a contained resource) |

The names are those of the search parameters (`fhir.search.parameters`). What changes after publication (status, labels,
archived) and what the row has of its own (ids, replaced entries) is no term. The patient's INS never is one.
"""

from __future__ import annotations

from collections.abc import Iterable

from sceau.fhir.codes import canonical_system
from sceau.fhir.ins import INS_SYSTEMS
from sceau.fhir.references import People
from sceau.fhir.search.dates import date_interval
from sceau.fhir.search.text import fold
from sceau_schemas.dossier import StoredIdentifier
from sceau_schemas.fhir.datatypes import CodeableConcept, Coding, Identifier as FhirIdentifier, Period
from sceau_schemas.fhir.documents import DocumentReference, List

Terms = dict[str, tuple[str, ...]]


def code_token(system: str | None, code: str) -> str:
    """Return the token of a code."""
    return f"{canonical_system(system) if system else ''}|{code}"


def identifier_token(identifier: StoredIdentifier) -> str:
    """Return the token of an identifier."""
    return f"{identifier.system}|{identifier.value}"


def date_term(text: str) -> str:
    """Return the term of a FHIR date, dateTime or instant, UTC where it has no zone. ValueError when it is none."""
    low, high = date_interval(text)
    return f"{low}/{high}"


def period_term(period: Period) -> str:
    """Return the term of a period, open where it has no start or no end."""
    low = date_interval(period.start)[0] if period.start else ""
    high = date_interval(period.end)[1] if period.end else ""
    return f"{low}/{high}"


def document_terms(document: DocumentReference, people: People, *, acts: Iterable[str] = ()) -> Terms:
    """Return the terms of a document entry. `people`: those behind its authors. `acts`: tokens of what it documents."""
    context = document.context
    content = document.content[0]
    period = context.period if context else None
    related = (context.related if context else None) or []
    return _without_empty(
        {
            "type": _concepts(document.type),
            "category": _concepts(*(document.category or ())),
            "facility": _concepts(context.facility_type if context else None),
            "setting": _concepts(context.practice_setting if context else None),
            "format": _codings([content.format] if content.format else ()),
            "event": [*_concepts(*((context.event if context else None) or ())), *acts],
            "identifier": _identifiers(document.master_identifier, *(document.identifier or ())),
            "date": [date_term(document.date)] if document.date else [],
            "creation": [date_term(content.attachment.creation)] if content.attachment.creation else [],
            "period": [period_term(period)] if period and (period.start or period.end) else [],
            "period-start": [date_term(period.start)] if period and period.start else [],
            "period-end": [date_term(period.end)] if period and period.end else [],
            "author": _literals(people.literals),
            "author.identifier": _stored(people.identifiers),
            "author.given": _folded(people.given),
            "author.family": _folded(people.family),
            "related": _literals(r.reference for r in related),
            "related.identifier": _identifiers(*(r.identifier for r in related)),
        }
    )


def set_terms(
    submission_set: List,
    *,
    designation: CodeableConcept | None,
    source_id: FhirIdentifier | None,
    source: People,
    organisations: People,
    archived: bool = False,
) -> Terms:
    """Return the terms of a submission set or folder, which is archived for good or never.

    `source`, `organisations`: those behind its source, and its authorOrg.
    """
    return _without_empty(
        {
            "code": _concepts(submission_set.code),
            "designationType": _concepts(designation),
            "sourceId": _identifiers(source_id),
            "identifier": _identifiers(*(submission_set.identifier or ())),
            "date": [date_term(submission_set.date)] if submission_set.date else [],
            "title": _folded([submission_set.title] if submission_set.title else []),
            "source": _literals(source.literals),
            "source.identifier": _stored(source.identifiers),
            "source.given": _folded(source.given),
            "source.family": _folded(source.family),
            "authorOrg": _literals(organisations.literals),
            "authorOrg.identifier": _stored(organisations.identifiers),
            "isArchived": ["|true"] if archived else [],
        }
    )


def _concepts(*concepts: CodeableConcept | None) -> list[str]:
    return [token for concept in concepts if concept for token in _codings(concept.coding or ())]


def _codings(codings: Iterable[Coding]) -> list[str]:
    return [code_token(coding.system, coding.code) for coding in codings if coding.code]


def _literals(references: Iterable[str | None]) -> list[str]:
    """No fragment: it names nothing outside its resource. No search (`Patient?identifier=…`): it may carry an INS."""
    return [r for r in references if r and not r.startswith("#") and "?" not in r]


def _identifiers(*identifiers: FhirIdentifier | None) -> list[str]:
    return [
        f"{i.system or ''}|{i.value}" for i in identifiers if i is not None and i.value and i.system not in INS_SYSTEMS
    ]


def _stored(identifiers: Iterable[StoredIdentifier]) -> list[str]:
    return [identifier_token(identifier) for identifier in identifiers]


def _folded(texts: Iterable[str]) -> list[str]:
    return [folded for text in texts if (folded := fold(text))]


def _without_empty(terms: dict[str, list[str]]) -> Terms:
    return {name: tuple(dict.fromkeys(values)) for name, values in terms.items() if values}
