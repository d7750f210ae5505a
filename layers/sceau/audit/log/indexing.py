"""`sceau log index`: makes the index by record again, from log and events. It holds no key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sceau.audit.ids import EVENTS_PREFIX, parse_event_name
from sceau.audit.log.entries import decode_entry
from sceau.audit.log.errors import LogUnavailable
from sceau.audit.log.gathering import is_event
from sceau.audit.log.pairing import Pair, Pairing
from sceau.audit.log.places import index_name
from sceau.audit.log.reading import LogReader
from sceau.audit.log.tiles import WIDTH
from sceau.objects.errors import ObjectExists, ObjectStoreError
from sceau.objects.ports import ObjectStore


@dataclass(slots=True)
class Indexed:
    """How many index objects were made, were there already, and can't be made since the event is gone."""

    made: int = 0
    there: int = 0
    without_event: int = 0


def make_index(store: ObjectStore) -> Indexed:
    """Make every index object that is missing. What is wrong in the index stays: `sceau log verify` names it.

    Raises LogUnavailable, LogDamaged. Can be broken off and begun again at any time.
    """
    log, tally = LogReader(store), Indexed()
    newest = log.checkpoint()
    if newest is None:
        return tally
    size = newest[0].size
    try:
        pairing = Pairing(_events(store))
        for number in range(-(-size // WIDTH)):
            for index, entry in enumerate(log.entries(number, size), number * WIDTH):
                pairing.add(index, decode_entry(entry))
            _make(store, pairing.found(), tally)
        for pairs in pairing.rest():
            _make(store, pairs, tally)
    except ObjectStoreError as error:
        raise LogUnavailable("the index could not be made") from error
    tally.without_event = len(pairing.entries)
    return tally


def _events(store: ObjectStore) -> Iterator[tuple[str, str]]:
    return ((name, name) for name in store.list(EVENTS_PREFIX) if is_event(name))


def _make(store: ObjectStore, pairs: list[Pair[str]], tally: Indexed) -> None:
    for pair in pairs:
        try:
            store.create(index_name(*parse_event_name(pair.event), pair.index), b"")
        except ObjectExists:
            tally.there += 1
        else:
            tally.made += 1
