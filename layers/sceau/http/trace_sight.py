"""Which events of a record its reader may see: the same decision as on documents, and no way round it.

An event about a document that the reader can't see is not shown at all: its bytes are what was committed to, so nothing
can be taken out of it. It is shown once the document may be. The event of a submission with several documents waits for
the last of them. A submission set or folder whose documents are all hidden is hidden with them, and an event that names
a hidden event, with that one.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from itertools import chain
from typing import Final
from urllib.parse import parse_qsl

from sceau.access.labels import keeps_secret_sessions
from sceau.access.model import Actor
from sceau.audit.accesses import is_secret
from sceau.audit.ids import check_event_id
from sceau.fhir.search.text import split_unescaped, unescape
from sceau.records.ids import entry_uuid, split_document_id
from sceau_schemas.audit import AuditEvent
from sceau_schemas.dossier import EntryRow, SetRow

_SECRET_REQUEST: Final = ("connexion_secrete", "true")
_DEEPEST: Final = 8
"""How far an event is followed that names one that names one."""

_MOST_NAMED: Final = 400
"""Named events that one request reads at most."""


class TraceSight:
    """What `actor` may see of a record's events. For one request.

    `hidden`: the entries, sets and folders that it can't see. `event(id)` reads an event of the record; None: it can't
    be read.
    """

    def __init__(
        self,
        actor: Actor,
        hidden: Collection[EntryRow | SetRow],
        event: Callable[[str], AuditEvent | None] = lambda _: None,
    ) -> None:
        self._hidden = frozenset(row.id for row in hidden)
        self._named = frozenset(name for row in hidden for name in _names(row))
        self._keeps_secrets = keeps_secret_sessions(actor.kind)
        self._event = event
        self._shown_named: dict[str, bool] = {}

    def __call__(self, event: AuditEvent) -> bool:
        """Whether an event is shown."""
        return self._shows(event, _DEEPEST)

    def _shows(self, event: AuditEvent, depth: int) -> bool:
        # Of the callers that read events, only a minor is shown what another reader, the representative, is not.
        if self._keeps_secrets and (
            _is_secret(event) or not all(self._may_name(one, depth) for one in _events_named(event))
        ):
            return False
        return not any(self._tells(entity.what.reference if entity.what else None) for entity in event.entity) and not (
            self._named and any(self._asks_for(value) for value in _values_asked(event))
        )

    def _may_name(self, event_id: str, depth: int) -> bool:
        """Whether a named event is shown. What would take too much reading to know, is not."""
        if event_id not in self._shown_named:
            if depth == 0 or len(self._shown_named) >= _MOST_NAMED:
                return False
            named = self._event(event_id)
            self._shown_named[event_id] = named is None or self._shows(named, depth - 1)
        return self._shown_named[event_id]

    def _tells(self, reference: str | None) -> bool:
        """Whether a reference is to something hidden (a document's entry, its bytes, a set, a folder)."""
        pair = split_document_id((reference or "").partition("/")[2].partition("/")[0])
        return pair is not None and pair[1] in self._hidden

    def _asks_for(self, value: str) -> bool:
        """Whether a search named something hidden: by identifier, entryUUID, or id."""
        for token in _tokens(value):
            name = token.rpartition("/")[2]
            pair = split_document_id(name)
            if name in self._named or (pair is not None and pair[1] in self._hidden):
                return True
        return False


def _tokens(value: str) -> Iterator[str]:
    """What a parameter's value may name: read with FHIR's escapes, and as it stands where they are none."""
    yield from (one.rpartition("|")[2] for one in value.split(","))
    for one in split_unescaped(value, ","):
        with suppress(ValueError):
            yield unescape(split_unescaped(one, "|")[-1])


def _names(row: EntryRow | SetRow) -> Iterator[str]:
    yield f"urn:uuid:{entry_uuid(row.id)}"
    for identifier in row.identifiers:
        yield identifier.value.rpartition("/")[2]


def _events_named(event: AuditEvent) -> Iterator[str]:
    """The events that an event names: read, reviewed, or searched for by id."""
    references = (entity.what.reference or "" for entity in event.entity if entity.what)
    asked = (token for value in _values_asked(event) for token in _tokens(value))
    for text in chain(references, asked):
        with suppress(ValueError):
            yield check_event_id(text.rpartition("/")[2].rpartition(".")[2])


def _is_secret(event: AuditEvent) -> bool:
    """Whether it was done in a connexion secrète, or a token for one was asked for."""
    return is_secret(event) or any(_SECRET_REQUEST in _pairs(text) for text in _requests(event))


def _values_asked(event: AuditEvent) -> Iterator[str]:
    for text in _requests(event):
        yield from (value for _, value in _pairs(text))


def _pairs(text: str) -> list[tuple[str, str]]:
    """The parameters of a kept request: of its query string, and of its form, below an empty line."""
    first, _, form = text.partition("\n\n")
    return parse_qsl(first.partition("?")[2], keep_blank_values=True) + parse_qsl(form, keep_blank_values=True)


def _requests(event: AuditEvent) -> Iterator[str]:
    for entity in event.entity:
        if entity.query is not None:
            try:
                yield base64.b64decode(entity.query).decode("utf-8", "replace")
            except binascii.Error:
                continue  # no request of ours: what it says, nobody can read
