"""What the owner of the log's keys can do: nobody finds it who has seen nothing before; an earlier checkpoint finds it.

And what a patient, and a witness, can check with a proof alone. On a real log of more than 66,000 entries.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from benchmarks.events import RETENTION, EventWriter
from fixtures.damage import last_bit_flipped
from fixtures.logcheck import Verdict, built_logcheck
from sceau.audit.ids import event_name
from sceau.audit.journal import JournalEvent
from sceau.audit.log.checkpoints import Checkpoint
from sceau.audit.log.entries import entry_of
from sceau.audit.log.errors import ClockRefused, NoteRefused, ProofRefused
from sceau.audit.log.hashes import leaf_hash
from sceau.audit.log.places import CHECKPOINT, LOG, PENDING, RECORDS as INDEX, dated_name, parse_dated, parse_index
from sceau.audit.log.proofs import verify_event
from sceau.audit.log.proving import ProofMaker
from sceau.audit.log.reading import LogReader
from sceau.audit.log.sealer import Sealer
from sceau.audit.log.state import root_of_edge
from security.log_world import FORK, ORIGIN, RECORDS, SIZE, SIZES, Built, Found, World, dated, texts

pytestmark = pytest.mark.slow

CUT = 260 * 256
"""A size at which nobody signed."""


def cut_and_signed(world: World) -> None:
    """The last entries, their events, their index and the checkpoints of them are taken away; the rest is signed."""
    for name in list(world.store.list(INDEX)):
        record, event_id, index = parse_index(name)
        if index >= CUT:
            world.remove(name, event_name(record, event_id))
    world.remove(f"{LOG}tile/entries/260.p/40", f"{LOG}tile/0/260.p/40", PENDING)
    world.remove(*(name for name in list(dated(world)) if parse_dated(name)[1] > CUT))
    note = world.sign(Checkpoint(ORIGIN, CUT, root_of_edge(LogReader(world.store).edge(CUT))))
    world.put(dated_name(world.clock(), CUT), note, until=world.clock() + timedelta(days=5000))
    world.put(CHECKPOINT, note)


def test_a_log_that_was_cut_and_signed_again_is_found_by_who_kept_a_checkpoint(
    world: World, tmp_path: Path, found: Found
) -> None:
    cut_and_signed(world)
    assert texts(world.verify()) == [], "the keys' owner can do it: nobody finds it who has seen nothing before"
    assert built_logcheck().check(world.plain(tmp_path / "plain"), world.ed25519).good
    (said,) = texts(world.verify(world.notes[SIZE], with_events=False))
    assert said == f"kept 0: was signed for {SIZE} entries, and the log has {CUT}: it was cut, or rolled back"
    found(f"nobody without an earlier checkpoint; with one, sceau log verify: {said}")


def forked(fork: World, to: Path) -> World:
    """From an entry on, another log: other events, the same keys, a checkpoint of the same size."""
    other = fork.linked(to)
    other.clock.now += timedelta(seconds=30)
    other.events += EventWriter(other.root, other.keys, other.clock, RECORDS).write(SIZE - FORK)
    other.seal()
    other.clock.now += timedelta(minutes=1)
    return other


def test_a_fork_is_found_by_who_kept_a_checkpoint_of_the_other_branch(
    built: Built, tmp_path: Path, found: Found
) -> None:
    world, fork = built.world, built.fork
    other = forked(fork, tmp_path / "fork")
    assert texts(other.verify(world.notes[FORK])) == [], "up to where they part they are the same"
    assert built_logcheck().check(other.plain(tmp_path / "plain"), world.ed25519).good
    (said,) = texts(other.verify(world.notes[SIZE], with_events=False))
    assert said == f"kept 0: was signed for other entries: the first {SIZE} of the log have another root"
    # A patient's proof holds a checkpoint: it tells the branches apart as well.
    proof = proof_of(world, SIZE - 10)
    assert verify_event(world.events[SIZE - 10].data, proof, world.vkeys)
    (again,) = texts(other.verify(proof.partition(b"\n\n")[2], with_events=False))
    assert again == said
    found(f"nobody without an earlier checkpoint; with one, or with a patient's proof, sceau log verify: {said}")


def test_a_store_that_is_rolled_back_whole_is_found_by_who_kept_a_later_checkpoint(
    built: Built, tmp_path: Path, found: Found
) -> None:
    world, fork = built.world, built.fork
    old = fork.linked(tmp_path / "old")
    assert texts(old.verify()) == []
    (said,) = texts(old.verify(world.notes[SIZE], with_events=False))
    assert said == f"kept 0: was signed for {SIZE} entries, and the log has {FORK}: it was cut, or rolled back"
    found(f"nobody without a later checkpoint; with one, sceau log verify: {said}")


def test_no_proof_leads_from_one_branch_to_the_other(built: Built, tmp_path: Path) -> None:
    """What a witness asks for before it signs: that the new tree begins with the old one."""
    world, fork = built.world, built.fork
    other = forked(fork, tmp_path / "fork")
    note = other.read(CHECKPOINT)
    check = proofs_of(world, world.notes[SIZES[4]], world.notes[SIZE], tmp_path)
    assert check.good, check.text
    wrong = proofs_of(world, world.notes[SIZES[4]], note, tmp_path)
    assert not wrong.good


def proof_of(world: World, number: int) -> bytes:
    written, maker = world.events[number], ProofMaker(world.store)
    index = maker.index_of(written.record, written.event_id)
    assert index is not None
    entry = entry_of(written.name, world.read(written.name))
    event = JournalEvent(written.record, written.event_id, written.data, written.opening, 7, entry)
    return maker.prove(event, index).encode()


@pytest.mark.parametrize("number", [0, 255, 256, 40_000, 65_535, 65_536, SIZE - 1])
def test_each_event_can_be_proven_and_no_other_in_its_place(built: Built, number: int, found: Found) -> None:
    world = built.world
    written, proof = world.events[number], proof_of(world, number)
    assert verify_event(written.data, proof, world.vkeys).event_id == written.event_id
    recoded = written.data.replace(b'":"', b'": "')
    for event in (
        recoded,
        world.events[number - 1].data,
        written.data + b"\n",
        written.data.replace(b"xxx", b"xxy", 1),
    ):
        with pytest.raises(ProofRefused, match="not the one that was logged"):
            verify_event(event, proof, world.vkeys)
    forged = proof.replace(b"\n66600\n", b"\n66601\n")
    with pytest.raises(NoteRefused, match="is wrong"):
        verify_event(written.data, forged, world.vkeys)
    found("the patient's proof: the event is not the one that was logged: its bytes, or the opening, are others")


@dataclass(frozen=True)
class Given:
    """Two signed notes, and what proves that an entry is in the newer, and that it goes on from the older."""

    notes: tuple[bytes, bytes]
    index: int
    entry: bytes
    inclusion: list[bytes]
    consistency: list[bytes]

    def check(self, world: World, folder: Path) -> Verdict:
        """What another implementation says of it."""
        return built_logcheck().check_proofs(
            folder,
            world.vkeys,
            notes=self.notes,
            index=self.index,
            entry=self.entry,
            inclusion=self.inclusion,
            consistency=self.consistency,
        )


def proofs_of(world: World, old: bytes, new: bytes, folder: Path) -> Verdict:
    log = LogReader(world.store)
    size, before = (int(note.split(b"\n")[1]) for note in (new, old))
    entry, inclusion = log.entries(40_000 // 256, size)[40_000 % 256], log.inclusion(40_000, size)
    return Given((old, new), 40_000, entry, inclusion, log.consistency(before, size)).check(world, folder)


@pytest.mark.parametrize("size", SIZES[4:-1])
def test_another_implementation_accepts_our_proofs_and_no_others(built: Built, size: int, tmp_path: Path) -> None:
    world = built.world
    good = proofs_of(world, world.notes[size], world.notes[SIZE], tmp_path)
    assert good.good and "consistency ok" in good.text, good.text
    log = LogReader(world.store)
    entry = log.entries(0, SIZE)[5]
    given = Given((world.notes[size], world.notes[SIZE]), 5, entry, log.inclusion(5, SIZE), log.consistency(size, SIZE))
    assert given.check(world, tmp_path).good
    wrong = {
        "index": replace(given, index=6),
        "entry": replace(given, entry=last_bit_flipped(entry)),
        "inclusion": replace(given, inclusion=[leaf_hash(b"x"), *given.inclusion[1:]]),
        "consistency": replace(given, consistency=given.consistency[:-1]),
        "notes": replace(given, notes=(given.notes[0], given.notes[1].replace(b"66600", b"66601"))),
    }
    for what, one in wrong.items():
        assert not one.check(world, tmp_path).good, what


@pytest.mark.parametrize("apart", [timedelta(days=1), timedelta(days=-1)])
def test_a_sealer_a_day_off_seals_nothing(world: World, apart: timedelta) -> None:
    before = world.read(CHECKPOINT)
    wrong: Callable[[], datetime] = lambda: world.clock() + apart  # noqa: E731
    EventWriter(world.root, world.keys, world.clock, RECORDS).write(3)
    with pytest.raises(ClockRefused):
        Sealer(world.store, world.keys, origin=ORIGIN, clock=wrong, retention=RETENTION, pool=ThreadPoolExecutor).run()
    assert world.read(CHECKPOINT) == before
