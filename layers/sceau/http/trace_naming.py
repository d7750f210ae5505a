"""What an event names of a record: its entries, sets and folders, and other events. Pure.

An entry, set or folder is named by its id, as part of a FHIR id or as entryUUID, or by a business identifier. Ids are
read into one form, `name_of`, in which they compare; identifiers have one of their own, for their authors choose them:
none stands for an id, nor for the identifier of another system.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from typing import Final
from urllib.parse import parse_qsl

from sceau.audit import shapes
from sceau.audit.accesses import OF_DOCUMENTS, is_secret
from sceau.audit.ids import check_event_id
from sceau.audit.redact import REDACTED, hide_ins
from sceau.fhir.search.parameters import TABLES
from sceau.fhir.search.text import split_unescaped, unescape
from sceau.records.ids import entry_of_uuid, split_document_id
from sceau_schemas.audit import AuditEvent, Entity
from sceau_schemas.dossier import EntryRow, SetRow

_SECRET_REQUEST: Final = ("connexion_secrete", "true")
_BASE: Final = "/fhir/"
_NAMED_BY: Final = {"row.id", "row.identifiers", "row.replaces"}
_NAMING: Final = {
    kind: {name for one in table if _NAMED_BY.intersection(one.stored) for name in (one.name, *one.aliases)}
    for kind, table in TABLES.items()
} | {"AuditEvent": {"entity.identifier"}}
"""Of each resource, the search parameters whose values name entries, sets or folders."""


def name_of(text: str) -> str:
    """What a FHIR id, a reference, an entryUUID or a business identifier names: an entry-id, or the text."""
    last = text.rpartition("/")[2]
    pair = split_document_id(last)
    return pair[1] if pair else entry_of_uuid(last) or last


def names_of_row(row: EntryRow | SetRow) -> Iterator[str]:
    """All names of an entry, set or folder, as events have them: they hide an INS inside an identifier."""
    yield row.id
    for identifier in row.identifiers:
        for value in {identifier.value, hide_ins(identifier.value)} - {REDACTED}:  # which is that of every patient, too
            yield _identified(identifier.system, value)
            yield _identified("", value)


def tells_labels(entity: Entity) -> bool:
    """Whether it is of a document with its labels: where its digest stands, none means that it has none."""
    return any(detail.type == "sha256" for detail in entity.detail)


def names_in(event: AuditEvent) -> Iterator[str]:
    """Everything in an event that may name an entry, set or folder."""
    for entity in event.entity:
        yield from _names_of_entity(entity)
    for text in _requests(event):
        naming = _NAMING.get(_kind_asked(text), ())
        for name, value in _pairs(text):
            by_identifier = name.partition(":")[0] in naming
            for system, code in _tokens(value):
                yield name_of(code)
                if by_identifier:
                    yield _identified(system, code)


def names_without_labels(event: AuditEvent, *, asked: bool) -> Iterator[str]:
    """What it surely means for entries, sets or folders, and says no labels of. `asked`: in a search too.

    Not the set or folder that came with the documents which it tells the labels of.
    """
    with_documents = any(map(tells_labels, event.entity))
    for entity in event.entity:
        reference = entity.what.reference if entity.what else None
        is_new = with_documents and (entity.lifecycle is None or entity.lifecycle.code != shapes.AMENDMENT.code)
        if not (tells_labels(entity) or is_new) and (reference is None or reference.startswith(OF_DOCUMENTS)):
            yield from _names_of_entity(entity)
    for text in _requests(event) if asked else ():
        naming = _NAMING.get(_kind_asked(text), ())
        for name, value in _pairs(text):
            if name in naming:
                yield from (name_of(code) for _, code in _tokens(value))


def events_named(event: AuditEvent) -> Iterator[str]:
    """The events that an event names: read, reviewed, or searched for by id."""
    references = (entity.what.reference or "" for entity in event.entity if entity.what)
    asked = (code for value in _values_asked(event) for _, code in _tokens(value))
    for text in chain(references, asked):
        with suppress(ValueError):
            yield check_event_id(text.rpartition("/")[2].rpartition(".")[2])


def is_of_a_secret_session(event: AuditEvent) -> bool:
    """Whether it was done in a connexion secrète, or a token for one was asked for."""
    return is_secret(event) or any(_SECRET_REQUEST in _pairs(text) for text in _requests(event))


def _names_of_entity(entity: Entity) -> Iterator[str]:
    if entity.what is None or (entity.type is not None and entity.type.code == shapes.REQUEST_ID.code):
        return
    if entity.what.reference is not None:
        yield name_of(entity.what.reference.partition("/_history/")[0])
    if entity.what.identifier is not None:
        yield name_of(entity.what.identifier.value)
        yield _identified(entity.what.identifier.system or "", entity.what.identifier.value)


def _identified(system: str, value: str) -> str:
    """A business identifier as it compares. Without a system: of any."""
    return f"{system}|{value}"


def _tokens(value: str) -> Iterator[tuple[str, str]]:
    """The systems and codes that a parameter's value may name: with FHIR's escapes, and as it stands."""
    for one in value.split(","):
        system, _, code = one.rpartition("|")
        yield system, code
    for one in split_unescaped(value, ",") if "\\" in value else ():
        with suppress(ValueError):
            *systems, code = map(unescape, split_unescaped(one, "|"))
            yield "|".join(systems), code


def _values_asked(event: AuditEvent) -> Iterator[str]:
    for text in _requests(event):
        yield from (value for _, value in _pairs(text))


def _kind_asked(text: str) -> str:
    """The resource that a kept request searches."""
    address = text.partition("\n\n")[0].partition("?")[0]
    return address.partition(_BASE)[2].partition("/")[0]


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
