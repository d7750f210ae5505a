"""Making proofs: few reads, checked before they are given, and none for what the log does not hold."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from fakes.objects import on
from sceau.audit.ids import parse_event_name
from sceau.audit.journal import JournalEvent, JournalReader
from sceau.audit.log.errors import LogDamaged, LogUnavailable, NotLogged
from sceau.audit.log.hashes import extends
from sceau.audit.log.places import CHECKPOINT, LOG, PENDING, RECORDS
from sceau.audit.log.proofs import verify_event
from sceau.audit.log.proving import ProofMaker
from sceau.audit.log.reading import LogReader
from sceau.audit.log.tiles import levels
from sceau.envelope.batch import BatchOpener
from sceau.keys.ports import KeyName
from sceau.objects.scoped import StoreOperation
from unit.audit.log.log_stand import LogStand

TENTH = timedelta(milliseconds=100)


def event_of(stand: LogStand, name: str) -> JournalEvent:
    opener = BatchOpener(stand.keys, KeyName.JOURNAL, clock=stand.clock)
    return JournalReader(stand.memory, opener).read(*parse_event_name(name))


def proof_of(stand: LogStand, name: str) -> bytes:
    maker = ProofMaker(stand.store)
    index = maker.index_of(*parse_event_name(name))
    assert index is not None
    return maker.prove(event_of(stand, name), index).encode()


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 600])
def test_every_event_is_proven_with_few_reads(size: int) -> None:
    stand = LogStand.new()
    names = stand.append(size, apart=TENTH)
    stand.seal()
    for name in names[:: max(1, size // 20)]:
        before = len(stand.store.calls)
        assert verify_event(event_of(stand, name).data, proof_of(stand, name), stand.vkeys)
        calls = stand.store.calls[before:]
        reads = [call for call in calls if call.operation is StoreOperation.READ]
        assert len(reads) <= 2 + levels(size), "the checkpoint, the right edge, and one tile for each level"
        assert len(calls) - len(reads) == 1, "one listing finds the index"


def test_proofs_hold_when_what_the_sealer_keeps_is_gone_or_of_another_size() -> None:
    stand = LogStand.new()
    names = stand.append(300, apart=TENTH)
    stand.seal()
    pending = stand.memory.read(PENDING)
    for data in (b"garbage", b"{}"):
        stand.memory.replace(PENDING, data, expected=stand.memory.read(PENDING).tag)
        assert verify_event(event_of(stand, names[7]).data, proof_of(stand, names[7]), stand.vkeys)
    stand.memory.delete(PENDING)
    assert verify_event(event_of(stand, names[7]).data, proof_of(stand, names[7]), stand.vkeys)
    stand.memory.replace(PENDING, pending.data, expected=None)
    old = stand.checkpoint
    stand.append(20, apart=TENTH)
    stand.seal()
    stand.memory.replace(CHECKPOINT, old, expected=stand.memory.read(CHECKPOINT).tag)
    assert b"\n300\n" in proof_of(stand, names[7])


def test_a_partial_tile_that_was_removed_is_cut_from_the_full_one() -> None:
    stand = LogStand.new()
    names = stand.append(200, apart=TENTH)
    stand.seal()
    old = stand.checkpoint
    stand.append(400, apart=TENTH)
    stand.seal()
    for name in stand.names(f"{LOG}tile/"):
        if ".p/" in name and "000.p" in name:
            stand.memory.delete(name)
    stand.memory.replace(CHECKPOINT, old, expected=stand.memory.read(CHECKPOINT).tag)
    assert verify_event(event_of(stand, names[150]).data, proof_of(stand, names[150]), stand.vkeys)
    log = LogReader(stand.memory)
    assert len(log.entries(0, 200)) == 200
    assert log.edge(200).size == 200


def test_each_log_goes_on_from_each_earlier_one() -> None:
    stand = LogStand.new()
    roots = {}
    for number in (3, 250, 10, 300):
        stand.append(number, apart=TENTH)
        stand.seal()
        newest = LogReader(stand.memory).checkpoint()
        assert newest is not None
        roots[newest[0].size] = newest[0].root
    log = LogReader(stand.memory)
    for new, new_root in roots.items():
        for old, old_root in roots.items():
            if old <= new:
                assert extends(old, old_root, new, new_root, log.consistency(old, new))


def test_what_the_log_does_not_hold_yet_has_no_proof() -> None:
    stand = LogStand.new()
    (name,) = stand.append(1)
    with pytest.raises(NotLogged):
        ProofMaker(stand.memory)
    stand.seal()
    (later,) = stand.append(1)
    maker = ProofMaker(stand.memory)
    assert maker.index_of(*parse_event_name(later)) is None
    with pytest.raises(NotLogged):
        maker.prove(event_of(stand, later), 1)
    stand.seal()
    assert maker.index_of(*parse_event_name(later)) is None, "as far as its own checkpoint goes"
    assert ProofMaker(stand.memory).index_of(*parse_event_name(later)) == 1
    assert maker.index_of(*parse_event_name(name)) == 0


def test_no_proof_is_given_that_does_not_hold() -> None:
    stand = LogStand.new()
    names = stand.append(10)
    stand.seal()
    maker, event = ProofMaker(stand.memory), event_of(stand, names[0])
    index = maker.index_of(*parse_event_name(names[0]))
    assert index is not None
    with pytest.raises(LogDamaged, match="not what the log holds"):
        maker.prove(event, (index + 1) % 10)
    with pytest.raises(LogDamaged, match="not what the log holds"):
        maker.prove(replace(event, entry=replace(event.entry, sealed_bytes=1)), index)
    stand.memory.create(f"{RECORDS}{event.record_id}/{event.event_id}.00", b"")
    for stray in stand.names(f"{RECORDS}{event.record_id}/{event.event_id}"):
        if not stray.endswith(".00"):
            stand.memory.delete(stray)
    with pytest.raises(LogDamaged, match="no index object"):
        maker.index_of(event.record_id, event.event_id)


@pytest.mark.parametrize("name", [CHECKPOINT, f"{LOG}tile/0/000.p/10"])
def test_a_store_that_does_not_answer_gives_no_proof(name: str) -> None:
    stand = LogStand.new()
    names = stand.append(10)
    stand.seal()
    stand.store.faults = on(StoreOperation.READ, name)
    with pytest.raises(LogUnavailable):
        proof_of(stand, names[3])
    stand.store.faults = on(StoreOperation.LIST)
    with pytest.raises(LogUnavailable):
        proof_of(stand, names[3])


def test_a_missing_or_malformed_tile_is_told() -> None:
    stand = LogStand.new()
    names = stand.append(10)
    stand.seal()
    tile = stand.memory.read(f"{LOG}tile/0/000.p/10")
    stand.memory.replace(f"{LOG}tile/0/000.p/10", tile.data[:-1], expected=tile.tag)
    with pytest.raises(LogDamaged, match="width 10"):
        proof_of(stand, names[3])
    stand.memory.delete(f"{LOG}tile/0/000.p/10")
    with pytest.raises(LogDamaged, match="missing"):
        proof_of(stand, names[3])
