"""TD3.3a–d: a PATCH becomes the next version of a document entry: find, decide each act, trace, commit.

If we die: before the event, nothing happened; after it, an event says what was about to be done and no dossier version
carries it; after the commit, it is done.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from sceau.access.acts import may_ask
from sceau.access.facts import document_facts, facts_as_sent, record_facts
from sceau.access.labels import INVISIBLE_PATIENT, INVISIBLE_REPRESENTATIVES, MASKED
from sceau.access.model import Act, DocumentFacts, Reason, RecordFacts, Verdict
from sceau.audit.facts import Coding, Entity
from sceau.fhir.kept import fill_entry, parsed
from sceau.fhir.outcome import FhirError, Problem, unprocessable
from sceau.fhir.patches import DELETED, Patch, labels_after, masks_asked, unseen_labels_after
from sceau.fhir.resources import etag, etag_matches, last_modified, technical_identifier
from sceau.fhir.search.criteria import Query
from sceau.fhir.search.dates import millis
from sceau.fhir.search.match import matching
from sceau.http.call import Call
from sceau.http.commit import commit_with_retries
from sceau.http.message import Answer, resource_answer
from sceau.http.reading import RecordReader
from sceau.http.refusals import not_found, refused
from sceau.http.sight import Sight
from sceau.records.dossier import Dossier
from sceau.records.ids import document_id, split_document_id
from sceau.records.repository import Loaded, Records
from sceau_schemas.dossier import EntryRow, StoredCoding

CONFIRMATION = "sceau-confirm"
"""Header that confirms what can't be undone (EX_3.3-1045); its value is the act's name."""

_MASKS = (MASKED, INVISIBLE_PATIENT, INVISIBLE_REPRESENTATIVES)
_LIFTED = {
    MASKED: Act.UNMASK,
    INVISIBLE_PATIENT: Act.SHOW_TO_PATIENT,
    INVISIBLE_REPRESENTATIVES: Act.SHOW_TO_REPRESENTATIVES,
}


@dataclass(frozen=True, slots=True)
class _Target:
    """The entry that is meant, in the record as loaded. `readable`: the caller may read it, not only know of it."""

    loaded: Loaded
    facts: RecordFacts
    row: EntryRow
    readable: bool

    def known(self) -> DocumentFacts:
        """What a decision about it may rest on: its author, who may not read it, knows what was sent."""
        return document_facts(self.row) if self.readable else facts_as_sent(self.row)


@dataclass(frozen=True, slots=True)
class _Amended:
    """The entry as it now stands."""

    dossier: Dossier
    row: EntryRow
    readable: bool


_Events = dict[Entity, str]
"""What earlier attempts announced."""


class Amender:
    """Patches entries. `sleep` waits (seconds) between attempts."""

    def __init__(
        self,
        reader: RecordReader,
        records: Records,
        *,
        origin: str,
        sleep: Callable[[float], None],
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._reader = reader
        self._records = records
        self._origin = origin
        self._sleep = sleep
        self._random_bytes = random_bytes

    def amend(self, call: Call, patch: Patch, query: Query | None) -> Answer:
        """Patch the entry that the path names, or that `query` finds. Raises Refused (403, 404, 422), FhirError."""
        events: _Events = {}
        done = commit_with_retries(
            lambda: self._attempt(call, patch, query, events), sleep=self._sleep, random_bytes=self._random_bytes
        )
        facts = record_facts(done.dossier.record_id, done.dossier.head)
        sight = self._sight(call, done.dossier, facts, readable=done.readable)
        row = sight.seen(done.row)
        if not done.readable:
            # Whoever may only feed learns ids and status, as by TD3.1b: labels and version tell what others changed.
            return resource_answer(200, technical_identifier(row, record_id=facts.record_id))
        now = row.now
        headers = {"ETag": etag(now.version), "Last-Modified": last_modified(now.updated)}
        return resource_answer(200, sight.shown(row), headers)

    def _sight(self, call: Call, dossier: Dossier, facts: RecordFacts, *, readable: bool) -> Sight:
        act = Act.READ_ENTRY if readable else Act.FIND_IDENTIFIER
        return Sight(call, act, dossier, facts, origin=self._origin)

    def _attempt(self, call: Call, patch: Patch, query: Query | None, events: _Events) -> _Amended:
        target = self._target(call, patch, query)
        call.acts_for(document_facts(target.row).author_structures)
        sight = self._sight(call, target.loaded.dossier, target.facts, readable=target.readable)
        _check_version(call, target, sight)
        labels = self._labels(target, patch)
        archived = target.row.now.archived if patch.archived is None else patch.archived
        status = DELETED if patch.deleted else target.row.now.status
        _check_extension(target, patch)
        for act in _acts(target, labels, patch):
            self._require(call, act, target, labels)
        before = target.row.now
        if (labels, status, _is_archived(archived)) == (before.labels, before.status, _is_archived(before.archived)):
            call.trace(data=_entity(target.facts, target.row), reason="repeated")
            return _Amended(target.loaded.dossier, target.row, target.readable)
        changed = before.model_copy(
            update={"version": before.version + 1, "labels": labels, "archived": archived, "status": status}
        )
        row = target.row.model_copy(update={"now": changed, "earlier": (*target.row.earlier, before)})
        entity = _entity(target.facts, row)
        event = events.get(entity) or call.trace(data=entity)
        events[entity] = event  # a lost race that changed nothing here is announced already
        after = target.loaded.dossier.following(event, at=millis(call.now))
        made = changed.model_copy(update={"updated": after.head.updated, "event": event})
        dossier = after.with_changed_entry(row.model_copy(update={"now": made}))
        self._records.commit(dossier, replacing=target.loaded)
        return _Amended(dossier, row.model_copy(update={"now": made}), target.readable)

    def _target(self, call: Call, patch: Patch, query: Query | None) -> _Target:
        """The entry, if the caller may read it, or authored it. Raises Refused, FhirError 412."""
        pair = split_document_id(call.request.path_parameters.get("resource_id", ""))
        loaded, facts = self._reader.load_for_change(call)
        reading = call.decision(Act.READ_ENTRY, facts)
        authoring = call.decision(Act.FIND_IDENTIFIER, facts)
        deleting = call.decision(Act.DELETE, facts) if patch.deleted else None
        if not (reading.on(None).allowed or authoring.on(None).allowed):
            raise refused(_more_telling(reading.on(None), authoring.on(None)))
        if loaded is None:
            raise AssertionError("a change in an absent record was allowed")
        found = []
        for row in _named(loaded.dossier, pair, query):
            known = document_facts(row)
            before = replace(known, status="current") if deleting else known  # a deletion may come again
            readable = reading.on(before).allowed
            if (readable and known.status != DELETED) or any(
                one.on(known).allowed for one in (authoring, deleting) if one
            ):
                found.append((row, readable))
        if not found:
            missing = reading.on(None)
            kept_out = not missing.allowed and missing.reason is not Reason.DENIED_ACTOR
            raise refused(missing) if kept_out else not_found()
        if len(found) > 1:
            raise FhirError(412, Problem("multiple-matches", "the condition matches several entries"))
        return _Target(loaded, facts, *found[0])

    def _labels(self, target: _Target, patch: Patch) -> tuple[StoredCoding, ...]:
        before = target.row.now.labels
        return labels_after(before, patch) if target.readable else unseen_labels_after(before, patch)

    def _require(self, call: Call, act: Act, target: _Target, labels: tuple[StoredCoding, ...]) -> None:
        facts = target.known()
        if act is Act.MASK and target.readable:
            facts = replace(facts, labels=facts.labels & {label.code for label in labels})
        verdict = call.decide(act, target.facts, facts)
        if not verdict.allowed:
            raise not_found() if verdict.reason is Reason.DENIED_DELETED else refused(verdict)
        if act is Act.SHOW_TO_REPRESENTATIVES and call.request.header(CONFIRMATION) != act.value:
            text = f"this can't be undone: send it again with the header Sceau-Confirm: {act.value}"
            raise unprocessable(text, "securityLabel", rule="EX_3.3-1045", code="business-rule")


def _named(dossier: Dossier, pair: tuple[str, str] | None, query: Query | None) -> list[EntryRow]:
    """The entries that a path's id names (one at most), or that meet a condition."""
    entries = dossier.entries
    if query is not None:
        everywhere = range(len(entries))
        places = matching(query, dossier.record_id, entries.columns, everywhere, entries.position, deleted_too=True)
        return entries.rows_at(places)
    row = dossier.entries.row(pair[1]) if pair and pair[0] == dossier.record_id else None
    return [] if row is None else [row]


def check_may_change(call: Call) -> None:
    """Refuse at once whom scope or kind keeps from every change. Raises Refused."""
    denied = [may_ask(act, call.actor) for act in (Act.DELETE, Act.MASK, Act.UNMASK)]
    if all(verdict is not None for verdict in denied):
        call.require_ask(Act.DELETE)


def _acts(target: _Target, labels: tuple[StoredCoding, ...], patch: Patch) -> list[Act]:
    """The acts that a patch comes to."""
    acts = _relabelling(target.row, labels) if target.readable else _unseen_relabelling(target.row, patch)
    if patch.archived is not None:
        acts.append(Act.ARCHIVE)
    if patch.deleted:
        acts.append(Act.DELETE)
    return acts


def _relabelling(row: EntryRow, labels: tuple[StoredCoding, ...]) -> list[Act]:
    before, after = _codes(row.now.labels), _codes(labels)
    acts = [_LIFTED[label] for label in _MASKS if label in before - after]
    if MASKED in after - before:
        acts.append(Act.MASK)
    if {INVISIBLE_PATIENT, INVISIBLE_REPRESENTATIVES} & (after - before):
        acts.append(Act.HIDE_AFTERWARDS)
    return acts


def _unseen_relabelling(row: EntryRow, patch: Patch) -> list[Act]:
    """The same for who may not read the entry: by what is asked for and what was sent, never by the labels as they are.

    An act that is asked for is decided, also where there is nothing left to do: else the answer would tell whether
    others did it.
    """
    if not patch.labels:
        return []
    asked = _codes(masks_asked(patch))
    acts = [] if asked else [Act.SHOW_TO_PATIENT]
    if MASKED in asked:
        acts.append(Act.MASK)
    if asked - _codes(row.as_sent.labels) - {MASKED}:
        acts.append(Act.HIDE_AFTERWARDS)
    return acts


def _codes(labels: Iterable[StoredCoding]) -> frozenset[str]:
    return frozenset(label.code for label in labels)


def _more_telling(reading: Verdict, authoring: Verdict) -> Verdict:
    """Of two denials, that of the right which the kind of caller could have at all."""
    return authoring if reading.reason is Reason.DENIED_ACTOR else reading


def _is_archived(archived: bool | None) -> bool:
    return archived is True


def _check_version(call: Call, target: _Target, sight: Sight) -> None:
    """`sight`: the caller's, who counts the versions that it sees."""
    wanted = call.request.header("if-match")
    if wanted is None:
        return
    if not target.readable:
        text = "a caller that may not read the entry has no version of it to match"
        raise FhirError(400, Problem("not-supported", text, "If-Match"))
    if not etag_matches(wanted, sight.seen(target.row).now.version):
        raise FhirError(412, Problem("conflict", "the entry has another version by now"))


def _check_extension(target: _Target, patch: Patch) -> None:
    """An extension that was named by its number must be the isArchived one, which stands last. FhirError 405, 422."""
    if patch.extension_at is None:
        return
    others = 0
    if target.readable:
        dossier = target.loaded.dossier
        blob = dossier.entries.blob(target.row.id)
        shown = parsed(fill_entry(target.row, blob, record_id=dossier.record_id, origin=""))
        others = len(shown.get("extension", ())) - (target.row.now.archived is not None)
    if not target.readable or patch.extension_at < others:
        raise FhirError(405, Problem("not-supported", "only the isArchived extension can be patched", "extension"))
    if target.row.now.archived is None or patch.extension_at > others:
        raise unprocessable("there is no such extension", "extension", code="value")


def _entity(facts: RecordFacts, row: EntryRow) -> Entity:
    return Entity(
        reference=f"DocumentReference/{document_id(facts.record_id, row.id)}/_history/{row.now.version}",
        sha256=bytes.fromhex(row.document.sha256),
        labels=tuple(Coding(label.system or "", label.code) for label in row.now.labels),
    )
