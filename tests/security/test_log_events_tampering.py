"""What can be done to the events by who has the disk, and that `sceau log verify` finds it and names them.

Each on a real journal of more than 66,000 events and its log. Verifiers of logs know nothing of events.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest

from benchmarks.events import EventWriter, SteppingClock, Written
from sceau.audit.ids import event_time
from sceau.audit.log.places import LOG, RECORDS as INDEX
from sceau.audit.verify.sources import LiveSource
from sceau.objects.ports import Kept
from security.log_world import RECORDS, Built, Found, World, texts

pytestmark = pytest.mark.slow

BUNDLE, TILE = f"{LOG}tile/entries/100", f"{LOG}tile/0/100"


def name_of(world: World, number: int) -> str:
    return world.events[number].name


def moved(world: World, number: int) -> None:
    """An event is put under another record: out of a patient's sight."""
    written, name = world.events[number], name_of(world, number)
    world.put(name.replace(written.record, RECORDS[7]), world.read(name), until=world.clock() + timedelta(days=5000))
    world.remove(name)


def slipped_in(world: World, _: int) -> None:
    """An event is made up later, for a time that was sealed long ago."""
    then = SteppingClock(event_time(world.events[0].event_id))
    EventWriter(world.root, world.keys, then, RECORDS[9:10]).write(1)


def index_object(world: World, number: int) -> str:
    written = world.events[number]
    return next(iter(world.store.list(f"{INDEX}{written.record}/{written.event_id}.")))


def renamed_index(world: World, number: int) -> None:
    name = index_object(world, number)
    world.remove(name)
    world.put(f"{name.rpartition('.')[0]}.17", b"")


EVENT_CASES: dict[str, tuple[Callable[[World, int], object], str]] = {
    "an event is altered": (
        lambda w, n: w.flip(name_of(w, n), 600),
        r"{name}: is not what was logged as entry \d+: its bytes were altered",
    ),
    "an event is deleted": (lambda w, n: w.remove(name_of(w, n)), r"entry \d+: its event is missing: {name}"),
    "an event and its index are deleted": (
        lambda w, n: w.remove(index_object(w, n), name_of(w, n)),
        r"entry \d+: its event is missing: an event that no index object names",
    ),
    "an event is moved to another record": (moved, r"entry \d+: its event is missing: {name}"),
    "an event is made up for the past": (
        slipped_in,
        rf"journal/events/.*/{RECORDS[9]}\..*: is an event that the log does not hold",
    ),
    "an event's lock is taken away": (lambda w, n: w.unlocked(name_of(w, n)), r"{name}: is not locked"),
    "an event's lock is shortened": (
        lambda w, n: w.put(name_of(w, n), w.read(name_of(w, n)), until=w.clock() + timedelta(days=365)),
        r"{name}: is locked until 2027-\d\d-\d\d only, and must be until 2036-",
    ),
    "something is put among the events": (
        lambda w, _: w.put("journal/events/2026-03-02/notes", b"x"),
        r"journal/events/2026-03-02/notes: is no event's name",
    ),
    "an index object is deleted": (
        lambda w, n: w.remove(index_object(w, n)),
        r"entry \d+: has no index object below journal/records/",
    ),
    "an index object says another index": (
        renamed_index,
        r"{event}\.17: is wrong: entry 17 of the log is of another event",
    ),
}


@dataclass(frozen=True)
class Damaged:
    """What the verifier says of a journal to which all of EVENT_CASES were done, and to which event each was."""

    said: list[str]
    done_to: dict[str, Written]


@pytest.fixture(scope="module")
def damaged(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Damaged:
    """One verification for all: what is wrong with one event hides nothing that is wrong with another."""
    world = built.world.linked(tmp_path_factory.mktemp("damaged") / "store")
    numbers = dict(zip(EVENT_CASES, range(4000, 66_000, 6000), strict=False))
    for name, number in numbers.items():
        EVENT_CASES[name][0](world, number)
    return Damaged(texts(world.verify()), {name: world.events[number] for name, number in numbers.items()})


@pytest.mark.parametrize("name", EVENT_CASES)
def test_what_is_done_to_the_events_is_found(name: str, damaged: Damaged, found: Found) -> None:
    written = damaged.done_to[name]
    pattern = EVENT_CASES[name][1].replace("{name}", re.escape(written.name)).replace("{event}", written.event_id)
    ours = next((text for text in damaged.said if re.fullmatch(f".*{pattern}.*", text)), None)
    assert ours, damaged.said
    found(f"sceau log verify: {re.sub(r'[a-z2-7]{26}[.]', '…', ours)}")


def test_nothing_else_is_said_than_what_was_done(damaged: Damaged) -> None:
    """An event that is moved is missing, and there is one too many; one that is gone lacks its index, or keeps it."""
    assert len(damaged.said) <= 2 * len(EVENT_CASES), damaged.said


class Versions(LiveSource):
    """A store that keeps versions (S3), in which something was put before a locked object."""

    def __init__(self, world: World, changed: Kept) -> None:
        super().__init__(world.store)
        self._changed = changed

    def kept(self, prefix: str) -> Iterator[Kept]:
        return (self._changed if one.name == self._changed.name else one for one in super().kept(prefix))

    def read(self, name: str) -> bytes | None:
        return None if self._changed.hidden and name == self._changed.name else super().read(name)


@pytest.mark.parametrize("name", ["an event", "a full tile", "a bundle"])
@pytest.mark.parametrize("what", ["a delete marker", "a newer version"])
def test_what_is_put_before_a_locked_object_is_found(name: str, what: str, built: Built, found: Found) -> None:
    world = built.world  # nothing is changed in it: the store says what is put there
    place = {"an event": name_of(world, 4000), "a full tile": TILE, "a bundle": BUNDLE}[name]
    kept = Kept(place, 1, hidden=True) if what == "a delete marker" else Kept(place, 2, hidden=False)
    said = texts(world.verify(source=Versions(world, kept), with_events=name == "an event"))
    expected = f"{place}: " + (
        "is hidden by a deletion" if kept.hidden else "has 2 versions: something else was written"
    )
    ours = next((text for text in said if text.startswith(expected)), None)
    assert ours, said[:5]
    found(f"{what} over {name}: sceau log verify: {ours.rpartition(': ')[2]}")


def test_an_old_dossier_that_was_put_back_is_found(world: World, found: Found) -> None:
    """Its events saw version 12, and three minutes later version 9."""
    record = RECORDS[:1]
    for version, wait in ((12, timedelta(minutes=3)), (9, timedelta(0))):
        writer = EventWriter(world.root, world.keys, world.clock, record)
        writer.write(1, version=lambda _, version=version: version)  # type: ignore[misc]
        world.clock.now += wait
    world.seal()
    (said,) = texts(world.verify())
    assert re.search(
        r"saw version 9 of its record's dossier, after .* saw version 12: an old dossier was put back", said
    )
    found(f"sceau log verify: {said.rpartition(': ')[2]}")
