"""The sealer with every call of store and key service failing in turn, dying at each, and meeting another at each.

After each: whatever is published verifies, against every earlier checkpoint; nothing was signed that is not so. Then a
clean run: every event is logged once, and bundles and tiles are, byte for byte, those of a run that was not disturbed.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import product

import pytest

from fakes.keys import on_calls as on_key_calls
from fakes.objects import Call, Fault, MemoryStore, PolicingStore, VersionedStore, on_calls
from sceau.audit.log.checkpoints import Checkpoint
from sceau.audit.log.errors import LogDamaged, LogError, LogUnavailable
from sceau.audit.log.identity import Identities, LogSigner
from sceau.audit.log.places import CHECKPOINT, COSIGNED, DATED, LOG, PENDING, TILES, VKEYS
from sceau.audit.log.report import Report
from sceau.objects.errors import ObjectStoreError
from sceau.objects.scoped import StoreOperation
from unit.audit.log.log_stand import ORIGIN, Killed, LogStand, killing, revived

Counted = Callable[[int], None]

OLD, NEW = 252, 6
"""Entries that are there, and events to seal: over the border of a tile, so that everything is written that can be."""

TENTH = timedelta(milliseconds=100)


@functools.cache
def world(old: int) -> LogStand:
    """A log of `old` entries, and events to seal."""
    stand = LogStand.new()
    if old:
        stand.append(old, apart=TENTH)
        stand.seal()
    stand.append(NEW, apart=TENTH)
    return stand


@functools.cache
def undisturbed(old: int) -> tuple[dict[str, bytes], range, range]:
    """What a run writes, and the numbers of its calls of store and key service."""
    stand = world(old).copy()
    assert stand.seal().sealed == NEW
    stand.require_good(events=old + NEW)
    return stand.tiles(), range(1, len(stand.store.calls) + 1), range(1, len(stand.keys.calls) + 1)


def run(stand: LogStand) -> Report | None:
    """One run; None when it died or said that it could not go on."""
    try:
        return stand.sealer().run()
    except (Killed, LogUnavailable):
        return None


def check(stand: LogStand, old: int, earlier: list[bytes], disturbed: Report | None = None) -> None:
    """What must hold whatever happened, and what a clean run makes of it."""
    assert stand.store.misuses == []
    revived(stand)
    if CHECKPOINT in stand.names(LOG):
        stand.require_good(*earlier)
        earlier = [*earlier, stand.checkpoint]
    assert stand.seal().finished
    stand.require_good(*earlier, events=old + NEW)
    if disturbed is None or not disturbed.unread:  # else what could not be read was sealed behind the others
        assert stand.tiles() == undisturbed(old)[0]
    assert stand.seal().sealed == 0


def cases(old: int) -> Iterator[tuple[LogStand, list[bytes]]]:
    """Endless copies of the world, with the checkpoint that it has."""
    while True:
        stand = world(old).copy()
        yield stand, [stand.checkpoint] if old else []


@pytest.mark.parametrize("old", [0, OLD])
def test_each_store_call_fails_in_turn(old: int, counted: Counted) -> None:
    _, calls, _ = undisturbed(old)
    done = 0
    for (number, fault), (stand, earlier) in zip(product(calls, Fault), cases(old), strict=False):
        stand.store.faults = on_calls(number, fault=fault)
        check(stand, old, earlier, run(stand))
        done += 1
    assert done == len(calls) * len(Fault)
    counted(done)


@pytest.mark.parametrize("old", [0, OLD])
def test_each_key_call_fails_in_turn(old: int, counted: Counted) -> None:
    _, _, calls = undisturbed(old)
    for number, (stand, earlier) in zip(calls, cases(old), strict=False):
        stand.keys.fails = on_key_calls(number)
        assert run(stand) is None, "a checkpoint without both signatures is none"
        check(stand, old, earlier)
    assert len(calls) >= 4
    counted(len(calls))


@pytest.mark.parametrize("old", [0, OLD])
def test_the_process_dies_before_and_after_each_store_call(old: int, counted: Counted) -> None:
    _, calls, _ = undisturbed(old)
    for (number, after), (stand, earlier) in zip(product(calls, (False, True)), cases(old), strict=False):
        killing(stand, number, after=after)
        report = run(stand)
        assert report is None or after, "a call that found nothing has no after"
        check(stand, old, earlier)
    counted(2 * len(calls))


@pytest.mark.parametrize("old", [0, OLD])
def test_more_events_come_before_a_batch_that_was_left_is_gone_on_with(old: int, counted: Counted) -> None:
    """What was fixed stays in its order, whatever sorts before it by now."""
    _, calls, _ = undisturbed(old)
    for number, (stand, earlier) in zip(calls, cases(old), strict=False):
        killing(stand, number, after=False)
        run(stand)
        revived(stand)
        stand.clock.advance(-timedelta(seconds=1))
        stand.append(5, apart=timedelta(milliseconds=1))
        stand.clock.advance(timedelta(minutes=1))
        stand.seal()
        stand.require_good(*earlier, events=old + NEW + 5)
    counted(len(calls))


@pytest.mark.parametrize("old", [0, OLD])
def test_another_sealer_does_it_all_at_each_call_of_one(old: int, counted: Counted) -> None:
    """Both end well, or one says that it could not; there is one log, with each event once."""
    _, calls, _ = undisturbed(old)
    for (number, after), (stand, earlier) in zip(product(calls, (False, True)), cases(old), strict=False):
        met = _meet(stand, number, after=after)
        stand.sealer().run()
        assert met(), "the other one ran"
        check(stand, old, earlier)
    counted(2 * len(calls))


@pytest.mark.parametrize("old", [0, OLD])
def test_two_sealers_go_on_with_what_a_third_left(old: int, counted: Counted) -> None:
    """One died when its batch was fixed; of the two that go on with it, one is held at each call by the other."""
    _, calls, _ = undisturbed(old)
    fixed = world(old).copy()
    fixing = next(call.number for call in _calls(old) if call.name == PENDING and call.operation == "replace")
    killing(fixed, fixing, after=True)
    assert run(fixed) is None
    revived(fixed)
    done = 0
    for number in calls:
        stand = fixed.copy()
        earlier = [stand.checkpoint] if old else []
        met = _meet(stand, number, after=False)
        stand.sealer().run()
        check(stand, old, earlier)
        done += met()
    assert done > 20
    counted(done)


def _calls(old: int) -> list[Call]:
    return _calls_of(world(old).copy())


def _calls_of(stand: LogStand) -> list[Call]:
    stand.seal()
    return stand.store.calls


def _meet(stand: LogStand, number: int, *, after: bool) -> Callable[[], bool]:
    """At this call of the stand's sealer, another one does a whole run."""
    ran: list[Report] = []

    def other(call: Call) -> None:
        if call.number == number and not ran:
            ran.append(stand.sealer(stand.memory).run())

    if after:
        stand.store.waits_after = other
        stand.store.waits = lambda call: None if call.number <= number or ran else ran.append(Report())
    else:
        stand.store.waits = other
    return lambda: bool(ran)


# --- what must stop a sealer -------------------------------------------------------------------------------------


def test_a_locked_tile_that_is_not_what_was_fixed_stops_the_sealer_before_it_signs(counted: Counted) -> None:
    for name in (f"{TILES}entries/000", f"{TILES}0/000"):
        stand = world(OLD).copy()
        before, notes = stand.checkpoint, stand.names(DATED)
        stand.memory.create(name, b"another's")
        with pytest.raises(LogDamaged, match=name):
            stand.sealer().run()
        assert (stand.checkpoint, stand.names(DATED)) == (before, notes)
        with pytest.raises(LogDamaged, match=name):
            stand.sealer().run()
    counted(2)


def test_bytes_that_change_between_writing_and_reading_again_are_never_signed(counted: Counted) -> None:
    """A bit that flips on the way to the disk has ended a public log before."""
    written = [call for call in _calls(OLD) if call.name.startswith(TILES) and call.operation != "read"]
    for call in written:
        stand = world(OLD).copy()
        before = stand.checkpoint
        flipped: list[str] = []

        def flip(made: Call, stand: LogStand = stand, wanted: str = call.name, flipped: list[str] = flipped) -> None:
            if made.name == wanted and made.operation is not StoreOperation.READ and not flipped:
                entry = stand.memory._entries[wanted]
                data = bytes([entry.data[0] ^ 1]) + entry.data[1:]
                stand.memory._entries[wanted] = type(entry)(data, entry.tag, entry.until, entry.written)
                flipped.append(wanted)

        stand.store.waits_after = flip
        with pytest.raises(LogDamaged, match=call.name):
            stand.sealer().run()
        assert flipped
        assert stand.checkpoint == before
    assert len(written) >= 5
    counted(len(written))


@pytest.mark.parametrize("damage", ["gone", "garbage", "rolled back", "another root"])
@pytest.mark.parametrize("old", [1, 250, 256, 300, 513])
def test_a_lost_or_altered_or_old_state_is_rebuilt_from_the_newest_checkpoint(old: int, damage: str) -> None:
    stand = LogStand.new()
    stand.append(old, apart=TENTH)
    stand.seal()
    previous = stand.memory.read(PENDING).data
    kept = [stand.checkpoint]
    stand.append(20, apart=TENTH)
    stand.seal()
    kept.append(stand.checkpoint)
    _spoil(stand.memory, damage, previous)
    stand.append(30, apart=TENTH)
    report = stand.seal()
    assert (report.rebuilt, report.sealed) == (True, 30)
    stand.require_good(*kept, events=old + 50)


def _spoil(memory: MemoryStore, damage: str, previous: bytes) -> None:
    if damage == "gone":
        memory.delete(PENDING)
        return
    data = memory.read(PENDING).data
    root = data[data.index(b'"root":"') + 8 :][:64]
    spoilt = {"garbage": b"{}", "rolled back": previous, "another root": data.replace(root, b"00" * 32)}[damage]
    memory.replace(PENDING, spoilt, expected=memory.read(PENDING).tag)


def test_a_state_that_is_lost_while_a_batch_is_half_written_goes_on_with_the_locked_bundle(counted: Counted) -> None:
    """A locked bundle can't be written again: what it holds must be what is sealed next."""
    _, calls, _ = undisturbed(OLD)
    done = 0
    for number in calls:
        stand = world(OLD).copy()
        earlier = [stand.checkpoint]
        killing(stand, number, after=False)
        run(stand)
        revived(stand)
        if f"{TILES}entries/000" not in stand.names(TILES):
            continue
        stand.memory.delete(PENDING)
        stand.clock.advance(-timedelta(seconds=1))
        stand.append(3, apart=timedelta(milliseconds=1))  # these would sort before the others
        stand.clock.advance(timedelta(minutes=1))
        assert stand.sealer().run().rebuilt
        for _ in range(2):
            stand.seal()
        stand.require_good(*earlier, events=OLD + NEW + 3)
        done += 1
    assert done > 10
    counted(done)


# --- what must stop a sealer: nothing is signed that a checkpoint of its own contradicts --------------------------


def stopped(stand: LogStand, match: str) -> None:
    """The sealer says that somebody must look, as often as it runs, and nothing is written or signed meanwhile."""
    before = {name: stand.memory.read(name).data for name in stand.names(LOG)}
    for _ in range(2):
        with pytest.raises(LogDamaged, match=match):
            stand.sealer().run()
    assert {name: stand.memory.read(name).data for name in stand.names(LOG)} == before


def grown(*sizes: int) -> tuple[LogStand, dict[int, bytes]]:
    """A log that was sealed at each of these sizes, and what the sealer kept at each; then events came."""
    stand, kept = LogStand.new(), {}
    for before, size in zip((0, *sizes), sizes, strict=False):
        stand.append(size - before, apart=TENTH)
        stand.seal()
        kept[size] = stand.memory.read(PENDING).data
    stand.append(2, apart=TENTH)
    return stand, kept


def put(memory: MemoryStore, name: str, data: bytes) -> None:
    memory.replace(name, data, expected=memory.read(name).tag if name in memory.list(name) else None)


def lost(stand: LogStand, *names: str) -> None:
    """As a host loses them that keeps no locks."""
    for name in names:
        stand.memory._entries.pop(name)


def dated_copies(stand: LogStand) -> list[str]:
    return stand.names(DATED)


@pytest.mark.parametrize("left", [[CHECKPOINT], [VKEYS], [f"{TILES}entries/000"], [f"{TILES}0/000.p/6"], [COSIGNED]])
def test_a_log_whose_state_and_checkpoints_are_all_gone_is_not_begun_anew(left: list[str]) -> None:
    """Whatever is left of it says that there was one."""
    stand, _ = grown(6) if left[0].endswith("p/6") else grown(300)
    put(stand.memory, COSIGNED, stand.checkpoint)
    lost(stand, *(name for name in stand.names(LOG) if name not in left))
    stopped(stand, f"{left[0]} says that there was a log")


def test_an_old_state_and_a_hidden_copy_fork_nothing_while_the_newest_checkpoint_is_in_sight() -> None:
    stand, kept = grown(300, 306)
    put(stand.memory, PENDING, kept[300])
    lost(stand, dated_copies(stand)[-1])
    stopped(stand, "has 306 entries, and the log stands at 300")


@pytest.mark.parametrize("damage", ["gone", "garbage"])
def test_a_lost_state_is_not_rebuilt_from_an_old_copy_while_the_newest_checkpoint_is_in_sight(damage: str) -> None:
    stand, _ = grown(300, 306)
    lost(stand, dated_copies(stand)[-1])
    _spoil(stand.memory, damage, b"")
    stopped(stand, "has 306 entries, and the log stands at 300")


def test_a_batch_that_was_fixed_is_not_ended_when_a_later_checkpoint_is_in_sight() -> None:
    """An old state may hold a batch: the checkpoint that it leads to is not the newest any more."""
    stand, _ = grown(300)
    revived(stand)
    fixing = next(
        call.number for call in _calls_of(stand.copy()) if (call.name, call.operation) == (PENDING, "replace")
    )
    killing(stand, fixing, after=True)
    assert run(stand) is None
    revived(stand)
    fixed = stand.memory.read(PENDING).data
    stand.seal()
    stand.append(3)
    stand.seal()
    put(stand.memory, PENDING, fixed)
    lost(stand, *dated_copies(stand)[1:])
    stopped(stand, "has 305 entries, and the log stands at 300 or 302")


def test_a_checkpoint_of_the_same_size_with_another_root_stops_the_sealer() -> None:
    stand, _ = grown(300)
    identity = Identities(stand.memory, stand.keys, random_bytes=bytes).ensure(ORIGIN)
    forked = LogSigner(identity, stand.keys).sign(Checkpoint(ORIGIN, 300, bytes(32)).text())
    put(stand.memory, CHECKPOINT, forked)
    stopped(stand, "has another root")


@pytest.mark.parametrize("old", ["garbage", "altered", "of a stranger", "gone", "rolled back"])
def test_a_checkpoint_that_is_not_where_the_log_stands_stops_the_sealer(old: str) -> None:
    """Who hides the newest copy can spoil the checkpoint too: that it is spoilt must be enough."""
    stand, _ = grown(300)
    first = stand.checkpoint
    stand.seal()
    stranger = LogSigner(
        Identities(MemoryStore(stand.clock), stand.keys, random_bytes=os.urandom).ensure("o"), stand.keys
    )
    if old == "gone":
        stand.memory.delete(CHECKPOINT)
    else:
        data = stand.checkpoint
        text = Checkpoint("o", 302, bytes(32)).text()
        spoilt = {"garbage": b"?", "altered": data[:-3], "of a stranger": stranger.sign(text), "rolled back": first}
        put(stand.memory, CHECKPOINT, spoilt[old])
    stand.append(3)
    stopped(stand, CHECKPOINT)
    put(stand.memory, CHECKPOINT, stand.memory.read(dated_copies(stand)[-1]).data)
    assert stand.seal().sealed == 3, "who looked, and found that it was that alone, puts the newest copy there"
    stand.require_good(first, events=305)


def test_what_is_put_in_the_checkpoint_s_place_while_a_batch_is_sealed_is_not_put_away() -> None:
    for spoilt in (b"?", None):
        stand, _ = grown(300)
        identity = Identities(stand.memory, stand.keys, random_bytes=bytes).ensure(ORIGIN)
        data = spoilt or LogSigner(identity, stand.keys).sign(Checkpoint(ORIGIN, 302, bytes(32)).text())

        def spoil(call: Call, stand: LogStand = stand, data: bytes = data) -> None:
            if call.name.startswith(DATED) and call.operation is StoreOperation.CREATE_LOCKED:
                put(stand.memory, CHECKPOINT, data)

        stand.store.waits_after = spoil
        with pytest.raises(LogDamaged, match=CHECKPOINT):
            stand.sealer().run()
        assert stand.checkpoint == data


@pytest.mark.parametrize("state", ["rolled back", "gone", "as it was"])
def test_a_deletion_mark_over_the_newest_copy_is_seen_though_no_lock_is_broken(state: str) -> None:
    """S3 lets who may delete put a mark before a locked version: `list` does not show it, and `read` finds nothing."""
    stand, kept = grown(300, 306)
    marked = VersionedStore.of(stand.memory, stand.clock)
    newest = dated_copies(stand)[-1]
    marked._entries.pop(newest)
    marked._keep(newest, None)
    if state == "rolled back":
        put(marked, PENDING, kept[300])
    elif state == "gone":
        marked.delete(PENDING)
    marked._entries.pop(CHECKPOINT)  # in sight it would tell, too
    stand.memory, stand.store = marked, PolicingStore(marked)
    stopped(stand, f"{newest} is hidden by a deletion")


def test_marks_over_a_whole_log_do_not_make_it_a_new_one() -> None:
    stand, _ = grown(300)
    marked = VersionedStore.of(stand.memory, stand.clock)
    for name in stand.names(LOG):
        marked._entries.pop(name)
        marked._keep(name, None)
    stand.memory, stand.store = marked, PolicingStore(marked)
    stopped(stand, "is hidden by a deletion")
    for name in [name for name in marked._kept if name.startswith(DATED)]:
        del marked._kept[name]
    stopped(stand, f"{CHECKPOINT} says that there was a log")


def test_something_newer_over_the_newest_copy_is_no_reason_to_go_on_from_the_one_before() -> None:
    stand, _ = grown(300, 306)
    marked = VersionedStore.of(stand.memory, stand.clock)
    newest = dated_copies(stand)[-1]
    marked._entries.pop(newest)
    marked.create(newest, b"no note")
    stand.memory, stand.store = marked, PolicingStore(marked)
    stopped(stand, "written over the newest dated checkpoint")


@pytest.mark.parametrize("old", [0, OLD])
def test_a_state_that_is_lost_before_its_checkpoint_is_shown_shows_it(old: int) -> None:
    """The dated copy is signed, so it counts, whether there are new events or not."""
    stand = world(old).copy()
    earlier = [stand.checkpoint] if old else []
    signed = next(
        call.number for call in _calls(old) if call.name.startswith(DATED) and call.operation == "create-locked"
    )
    killing(stand, signed, after=True)
    assert run(stand) is None
    revived(stand)
    stand.memory.delete(PENDING)
    report = stand.seal()
    assert (report.rebuilt, report.sealed, report.size) == (True, 0, old + NEW)
    stand.require_good(*earlier, events=old + NEW)
    assert stand.seal().rebuilt is False


def test_what_nobody_expected_of_the_store_is_no_success() -> None:
    assert issubclass(LogUnavailable, LogError) and not issubclass(LogError, ObjectStoreError)
