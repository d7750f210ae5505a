"""A submission that was made before: the same request sent again has one effect, and the same answer (api.md, 409)."""

from __future__ import annotations

from dataclasses import dataclass

from sceau.fhir.submission import NewDocument, Submission
from sceau.http.commit import conflict
from sceau.http.filing import same_folders
from sceau.http.targets import entry_meant
from sceau.records.dossier import Dossier
from sceau_schemas.dossier import EntryRow, SetRow, StoredIdentifier


@dataclass(frozen=True, slots=True)
class FirstTime:
    """What a submission became when it came first: its set, and the entries of its documents in their order."""

    row: SetRow
    entries: tuple[EntryRow, ...]


def find_repeated(dossier: Dossier, submission: Submission, client_id: str) -> FirstTime | None:
    """Return what the same submission of this client became; None for a new one.

    The same: every business identifier is there, on entries with the same bytes that replaced the same entries, in one
    set with the same identifiers and folders and no further entries. FhirError 409: one that is known only in part, or
    with other content.
    """
    owners = [dossier.find(document.identifiers[0]) for document in submission.documents]
    if not any((*owners, *_other_owners(dossier, submission))):
        return None
    rows = [dossier.entries.row(owner) if owner else None for owner in owners]
    entries = tuple(row for row in rows if row is not None)
    if len(entries) != len(owners):
        raise conflict("some business identifiers of the submission are in the record already, others are not")
    found = dossier.sets.row(entries[0].submission_set)
    if found is None or sorted(found.entries) != sorted(row.id for row in entries):
        raise conflict("these documents are in the record already, in another submission set")
    first = FirstTime(found, entries)
    if found.depositor != client_id or not _is_same(dossier, submission, first):
        raise conflict("a business identifier of the submission is in the record already, with other content")
    return first


def _replaced_alike(dossier: Dossier, row: EntryRow, document: NewDocument) -> bool:
    """A care history replaces the one before it whether the request names that or not."""
    named = frozenset(entry_meant(dossier, target) for target in document.replaces)
    return frozenset(row.replaces) == named or (document.care_history is not None and not named)


def _other_owners(dossier: Dossier, submission: Submission) -> list[str | None]:
    """Who has the identifiers of what the submission makes, masterIdentifiers apart."""
    claimed: list[StoredIdentifier] = [
        *(identifier for document in submission.documents for identifier in document.identifiers[1:]),
        *submission.set_identifiers,
        *(one for folder in submission.folders if folder.target is None for one in folder.identifiers),
    ]
    return [dossier.find(identifier) for identifier in claimed]


def _is_same(dossier: Dossier, submission: Submission, first: FirstTime) -> bool:
    same_documents = all(
        row.document.sha256 == document.sha256
        and row.identifiers == document.identifiers
        and _replaced_alike(dossier, row, document)
        for row, document in zip(first.entries, submission.documents, strict=True)
    )
    return (
        same_documents
        and first.row.identifiers == submission.set_identifiers
        and same_folders(dossier, submission, first.row, [row.id for row in first.entries])
    )
