"""The folders of a submission, in its record: what each will hold, and what is refused.

A folder holds documents that its depositor authored, of the submission or of the record; any other is as unknown. It
only grows, and nothing else of it changes: MHD lets a recipient ask for that, as XDS does (ITI-65, 2:3.65.4.1.2.1).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from sceau.access.facts import document_facts, record_facts
from sceau.access.model import Act, DocumentFacts, Reason
from sceau.fhir.folders import Member, NewFolder
from sceau.fhir.outcome import unprocessable
from sceau.fhir.parse import Json, read_stored, write_json
from sceau.fhir.references import Target
from sceau.fhir.submission import Submission
from sceau.http.call import Call
from sceau.http.commit import conflict
from sceau.http.refusals import not_found, unseen
from sceau.http.targets import entry_meant
from sceau.records.dossier import Dossier
from sceau_schemas.dossier import FolderVersion, SetFolder, SetRow

_NOT_COMPARED = ("meta", "date", "text")


@dataclass(frozen=True, slots=True)
class Filed:
    """A folder as a submission leaves it.

    `entries`: all of it, in order of arrival. `before`: the folder that is added to; None: a new one.
    """

    id: str
    entries: tuple[str, ...]
    listed: bool
    before: SetRow | None = None

    @property
    def grows(self) -> bool:
        """Whether it has a new version; a new folder has its first."""
        return self.before is None or len(self.entries) > len(self.before.entries)

    @property
    def stored(self) -> SetFolder:
        """What the submission set keeps of it."""
        version = 1 if self.before is None else self.before.version + self.grows
        return SetFolder(id=self.id, version=version, listed=self.listed)


def file_folders(
    call: Call, dossier: Dossier, submission: Submission, *, new_ids: Sequence[str], entry_ids: Sequence[str]
) -> tuple[Filed, ...]:
    """Decide what becomes of the submission's folders.

    `new_ids`: one for each folder, of which those that are added to take no notice. `entry_ids`: of its documents.
    Raises Refused 404 (a folder or a document that is not the caller's), FhirError 409, 422.
    """
    return tuple(
        _file(call, dossier, folder, new_id, entry_ids)
        for folder, new_id in zip(submission.folders, new_ids, strict=True)
    )


def _file(call: Call, dossier: Dossier, folder: NewFolder, new_id: str, entry_ids: Sequence[str]) -> Filed:
    before = None if folder.target is None else _own_folder(call, dossier, folder.target)
    named = [
        entry_ids[member] if isinstance(member, int) else _filable(call, dossier, member) for member in folder.members
    ]
    if before is None:
        return Filed(new_id, tuple(dict.fromkeys(named)), folder.listed)
    _check_same(dossier, folder, before)
    left_out = set(before.entries).difference(named)
    if any(_denied(call, dossier, entry_id) is not Reason.DENIED_DELETED for entry_id in left_out):
        raise conflict("a folder only grows: the update leaves out documents that it holds")
    return Filed(before.id, tuple(dict.fromkeys((*before.entries, *named))), folder.listed, before)


def _filable(call: Call, dossier: Dossier, target: Target) -> str:
    """The entry of the record that the caller may put into a folder. Raises Refused 404."""
    entry_id = entry_meant(dossier, target)
    if entry_id is None or entry_id not in dossier.entries:
        raise not_found()
    reason = _denied(call, dossier, entry_id)
    if reason is not None:  # what the caller did not author it may not even know of
        raise call.unseen(reason, record_facts(dossier.record_id, dossier.head), _facts(dossier, entry_id))
    return entry_id


def _denied(call: Call, dossier: Dossier, entry_id: str) -> Reason | None:
    """Why the caller may not file an entry of the record; None when it may.

    Who may replace an entry may file it: both are for its author, as long as it is not deleted.
    """
    verdict = call.decide(Act.REPLACE, record_facts(dossier.record_id, dossier.head), _facts(dossier, entry_id))
    return None if verdict.allowed else verdict.reason


def _facts(dossier: Dossier, entry_id: str) -> DocumentFacts:
    row = dossier.entries.row(entry_id)
    if row is None:
        raise AssertionError("an entry of a folder is not in its record")
    return document_facts(row)


def _own_folder(call: Call, dossier: Dossier, target: str) -> SetRow:
    """The folder that the caller's client made, of documents that are all the caller's. Raises Refused 404."""
    folder_id = entry_meant(dossier, target)
    row = dossier.sets.row(folder_id) if folder_id else None
    if row is None or row.kind != "folder" or row.depositor != call.actor.client_id:
        raise not_found()
    denied = {_denied(call, dossier, entry_id) for entry_id in row.entries} - {None, Reason.DENIED_DELETED}
    if denied:
        raise unseen(Reason.DENIED_NOT_AUTHOR)
    return row


def _check_same(dossier: Dossier, folder: NewFolder, before: SetRow) -> None:
    kept = read_stored(dossier.sets.blob(before.id))
    if _compared(folder.resource) != _compared(kept):
        text = "documents can be added to a folder; nothing else of it can be changed"
        raise unprocessable(text, folder.at, rule="ITI-65", code="business-rule")


def _compared(resource: Json) -> Json:
    """What must stay: all but what a client may make anew each time. Of these too, the folder keeps its first."""
    return {name: value for name, value in resource.items() if name.removeprefix("_") not in _NOT_COMPARED}


def with_folders(
    dossier: Dossier, submission: Submission, filed: Iterable[Filed], *, depositor: str, millis: int, event: str
) -> Dossier:
    """The record's next version with its new folders, and those that grow. `millis`, `event`: of the commit."""
    for folder, one in zip(submission.folders, filed, strict=True):
        before = one.before
        if before is None:
            row = SetRow(
                id=one.id,
                kind="folder",
                updated=millis,
                event=event,
                entries=one.entries,
                identifiers=folder.identifiers,
                depositor=depositor,
                terms=folder.terms,
            )
            dossier = dossier.with_set(row, write_json(folder.resource))
        elif one.grows:
            past = FolderVersion(updated=before.updated, event=before.event, size=len(before.entries))
            now = {"version": one.stored.version, "updated": millis, "event": event, "entries": one.entries}
            dossier = dossier.with_changed_set(before.model_copy(update={**now, "earlier": (*before.earlier, past)}))
    return dossier


def same_folders(dossier: Dossier, submission: Submission, found: SetRow, entry_ids: Sequence[str]) -> bool:
    """Whether a submission set brought the folders that `submission` brings: the same ones, with the same documents.

    `found`: the set. `entry_ids`: of the submission's documents, which the set holds.
    """
    return len(found.folders) == len(submission.folders) and all(
        _is_same(dossier, found, made, folder, entry_ids)
        for made, folder in zip(found.folders, submission.folders, strict=True)
    )


def _is_same(dossier: Dossier, found: SetRow, made: SetFolder, folder: NewFolder, entry_ids: Sequence[str]) -> bool:
    row = dossier.sets.row(made.id)
    if row is None:
        raise AssertionError("a folder of a submission set is not in its record")
    sizes = (0, *(version.size for version in row.earlier), len(row.entries))
    brought, whole = row.entries[sizes[made.version - 1] : sizes[made.version]], row.entries[: sizes[made.version]]
    first = row.earlier[0].event if row.earlier else row.event
    if folder.target is None:
        same = first == found.event and set(folder.identifiers) == set(row.identifiers)
    else:
        same = first != found.event and entry_meant(dossier, folder.target) == made.id
    named = _named(dossier, folder.members, entry_ids)
    return same and made.listed == folder.listed and named <= {*whole} and named >= {*brought}


def _named(dossier: Dossier, members: Collection[Member], entry_ids: Sequence[str]) -> set[str | None]:
    return {entry_ids[one] if isinstance(one, int) else entry_meant(dossier, one) for one in members}
