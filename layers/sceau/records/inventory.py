"""What each version of each key still protects: counted by what sealed objects say in clear. No key, nothing opened.

Earlier versions of objects, which hosts keep for a while, are not listed and so not counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from sceau.envelope.errors import MessageRefused
from sceau.envelope.messages import read_wrapped
from sceau.keys.wrapped import WrappedUnder, wrapped_under
from sceau.objects.errors import ObjectAbsent
from sceau.objects.ports import ImmutableObjects
from sceau.records.dossier import split_object
from sceau.records.errors import RecordDamaged

HEADER_BYTES: Final = 8192
"""Enough of a sealed message to read what it says of itself."""

RECORDS: Final = "records/"
EVENTS: Final = "journal/events/"
CONFIGURATION: Final = "configuration/"


@dataclass(slots=True)
class Inventory:
    """Objects by the name of their key and what they are wrapped under. `unreadable`: names of others."""

    counts: Counter[tuple[str, WrappedUnder]] = field(default_factory=Counter)
    unreadable: list[str] = field(default_factory=list)

    def of(self, key: str) -> dict[WrappedUnder, int]:
        """How many objects need each version of a key."""
        found = {under: count for (name, under), count in self.counts.items() if name == key}
        return dict(sorted(found.items(), key=lambda one: (one[0].form, _sortable(one[0].version))))


def take_inventory(
    store: ImmutableObjects,
    prefixes: tuple[str, ...] = (CONFIGURATION, RECORDS, EVENTS),
    *,
    looked_at: Callable[[int], None] = lambda _: None,
) -> Inventory:
    """Look at every sealed object below the prefixes; `looked_at` is told how many, now and then.

    Raises ObjectStoreUnavailable, also in the middle: a count that is not whole would mislead.
    """
    inventory = Inventory()
    for number, name in enumerate(_names(store, prefixes), 1):
        try:
            inventory.counts[_of(store, name)] += 1
        except ObjectAbsent:
            continue  # replaced or swept meanwhile
        except (MessageRefused, RecordDamaged, ValueError):
            inventory.unreadable.append(name)
        if number % 1000 == 0:
            looked_at(number)
    return inventory


def _names(store: ImmutableObjects, prefixes: tuple[str, ...]) -> Iterator[str]:
    for prefix in prefixes:
        yield from store.list(prefix)


def _of(store: ImmutableObjects, name: str) -> tuple[str, WrappedUnder]:
    if name.endswith("/dossier"):
        _, _, message = split_object(store.read(name).data)
    else:
        message = store.read(name).data[:HEADER_BYTES]
    key, wrapped = read_wrapped(message)
    return key, wrapped_under(wrapped)


def _sortable(version: str) -> tuple[int, str]:
    return (int(version), "") if version.isdecimal() else (0, version)
