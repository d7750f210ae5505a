"""What must hold of everything that rests, whatever happened: read with all keys, as no function may."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fixtures.columns import check_columns
from fixtures.inprocess import World, key_service
from sceau.audit.ids import parse_event_name
from sceau.audit.journal import JournalReader
from sceau.envelope.batch import BatchOpener
from sceau.envelope.messages import Envelope
from sceau.keys.ports import KeyName
from sceau.records.dossier import Dossier
from sceau.records.repository import Records
from sceau_schemas.audit import AuditEvent


@dataclass(slots=True)
class Whole:
    """All dossiers and events of a world."""

    dossiers: dict[str, Dossier]
    events: dict[str, AuditEvent]

    def the_record(self) -> Dossier | None:
        """The one record that these tests are about."""
        assert len(self.dossiers) <= 1
        return next(iter(self.dossiers.values()), None)


def read_whole(world: World) -> Whole:
    """Open everything. Asserts that all of it opens, and that nothing exists without its trace."""
    keys = key_service()
    records = Records(world.memory, Envelope(keys))
    events = dict(_events(world))
    dossiers = {}
    for name in world.memory.list("records/"):
        record_id, _, rest = name.removeprefix("records/").partition("/")
        if rest != "dossier":
            continue
        loaded = records.load(record_id)
        assert loaded is not None
        dossiers[record_id] = loaded.dossier
        _check(loaded.dossier, records, events)
    return Whole(dossiers, events)


def _check(dossier: Dossier, records: Records, events: dict[str, AuditEvent]) -> None:
    head = dossier.head
    assert len(dossier.commits) == head.version
    for announced in dossier.commits:
        assert events[announced].outcome == "0", "a version without its event"
    check_columns(dossier.entries)
    for row in dossier.entries.rows():
        for version in (row.now, *row.earlier):
            assert events[version.event].outcome == "0", "an entry's version without its event"
        assert row.fallen_out or records.read_document(dossier.record_id, row.id, row.document)
        assert dossier.sets.row(row.submission_set) is not None, "a document without its submission set"
    for own_set in dossier.sets.rows():
        for event in (own_set.event, *(version.event for version in own_set.earlier)):
            assert events[event].outcome == "0", "a set's version without its event"
        assert all(entry in dossier.entries for entry in own_set.entries), "a set without its documents"
        assert all(folder.id in dossier.sets for folder in own_set.folders), "a set without its folders"
    names = [row.document.object_name for row in dossier.entries.rows() if not row.fallen_out]
    assert sorted(names) == list(dossier.object_names)


def _events(world: World) -> Iterator[tuple[str, AuditEvent]]:
    opener = BatchOpener(key_service(), KeyName.JOURNAL, clock=world.clock)
    reader = JournalReader(world.memory, opener)
    for name in world.memory.list("journal/events/"):
        record_id, event_id = parse_event_name(name)
        yield event_id, AuditEvent.model_validate_json(reader.read(record_id, event_id).data)


def state(dossier: Dossier | None) -> object:
    """What a record holds, apart from who announced it when: two attempts that had one effect compare equal."""
    if dossier is None:
        return None
    head = dossier.head
    return (
        head.status,
        head.version,
        [(one.kind, one.status, one.grantee, one.version) for one in head.consents],
        sorted(
            ([(one.system, one.value) for one in row.identifiers], row.now.status, row.now.version, row.document.sha256)
            for row in dossier.entries.rows()
        ),
        sorted(
            (row.kind, [(one.system, one.value) for one in row.identifiers], row.version, len(row.entries))
            for row in dossier.sets.rows()
        ),
    )
