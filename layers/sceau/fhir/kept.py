"""What rests of a DocumentReference beside its row: the resource as it leaves, as text with holes for what the row has.

So a search fills holes, and neither parses nor writes a resource for each of its hits. A hole is a name between two
U+0000, which no JSON text holds; what fills it is JSON. `docs/formats/dossier.md` lists the holes.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any, Final

from sceau.fhir.parse import Json, Written, read_stored, write_json
from sceau.fhir.rules import IS_ARCHIVED
from sceau.fhir.times import instant
from sceau.records.errors import RecordDamaged
from sceau.records.ids import decode_id, document_id
from sceau_schemas.dossier import EntryRow, EntryVersion, ShownEntry

_MARK: Final = "\x00"
_HOLE: Final = b"\x00"
_WHOLE: Final = re.compile(rb'"\\u0000([a-z]+[0-9]*)"')
_NO_OTHER_EXTENSION: Final = b'"extension":"\\u0000extension",'
_AFTER_OTHERS: Final = b',"\\u0000archived"'
_FILLED: Final = frozenset({"resourceType", "id", "meta", "extension"})


def keep_entry(resource: Json) -> bytes:
    """Return what rests of a DocumentReference. `resource`: all of it that never changes, as `submission` gives it."""
    meta = {"versionId": _mark("version"), "lastUpdated": _mark("updated"), **resource.get("meta", {})}
    others = resource.get("extension")
    made: Json = {
        "resourceType": "DocumentReference",
        "id": _mark("id"),
        "meta": meta,
        "extension": [*others, _mark("archived")] if others else _mark("extension"),
        **{name: value for name, value in resource.items() if name not in _FILLED},
        "identifier": [_mark("uuid"), *resource.get("identifier", ())],
        "status": _mark("status"),
        "securityLabel": _mark("labels"),
    }
    if "reference" not in resource["subject"]:
        made["subject"] = {"reference": _mark("subject"), **resource["subject"]}
    content = resource["content"][0]
    made["content"] = [{**content, "attachment": {**content["attachment"], "url": _mark("url")}}]
    if relations := resource.get("relatesTo"):
        made["relatesTo"] = [
            {**one, "target": {**one["target"], "reference": _mark(f"target{number}")}}
            for number, one in enumerate(relations)
        ]
    text = write_json(made)
    text = text.replace(_NO_OTHER_EXTENSION, b"\x00extension\x00").replace(_AFTER_OTHERS, b"\x00archived\x00")
    return _WHOLE.sub(b"\x00\\1\x00", text)


def fill_entry(
    row: EntryRow | ShownEntry, kept: bytes, *, record_id: str, origin: str, version: EntryVersion | None = None
) -> Written:
    """Return an entry's DocumentReference. `kept`: what rests beside the row. `version`: an earlier one; None: now.

    Raises RecordDamaged when a hole is of no known name.
    """
    at = version or row.now
    own_id = document_id(record_id, row.id)
    archived = b""
    if at.archived is not None:
        archived = b'{"url":"%b","valueBoolean":%b}' % (IS_ARCHIVED.encode(), b"true" if at.archived else b"false")
    fillings: dict[bytes, bytes] = {
        b"id": _text(own_id),
        b"version": _text(str(at.version)),
        b"updated": _text(instant(at.updated)),
        b"uuid": b'{"use":"official","system":"urn:ietf:rfc:3986","value":"urn:uuid:%b"}' % _uuid(row.id),
        b"status": _text(at.status),
        b"labels": _labels(tuple((label.system, label.code, label.display) for label in at.labels)),
        b"subject": _text(f"Patient/{record_id}"),
        b"url": b'"%b/fhir/%b/%b"' % (_escaped(origin), row.document.form.encode(), own_id.encode()),
        b"extension": b'"extension":[%b],' % archived if archived else b"",
        b"archived": b"," + archived if archived else b"",
    }
    for number, target in enumerate(row.replaces):
        fillings[b"target%d" % number] = _text(f"DocumentReference/{document_id(record_id, target)}")
    pieces = kept.split(_HOLE)
    try:
        pieces[1::2] = [fillings[name] for name in pieces[1::2]]
    except KeyError:
        raise RecordDamaged("an entry's resource has a hole that nothing fills") from None
    return Written("DocumentReference", own_id, b"".join(pieces))


def parsed(resource: Written) -> Json:
    """The resource as a value."""
    return read_stored(resource.data)


def _uuid(entry_id: str) -> bytes:
    """The entryUUID's text: `str(entry_uuid(…))` takes three times as long, and a search shows hundreds."""
    digits = decode_id(entry_id).hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}".encode()


@lru_cache(maxsize=4)
def _escaped(origin: str) -> bytes:
    """A stage's origin, as it stands inside a JSON string."""
    return write_json(origin)[1:-1]


def _mark(name: str) -> str:
    return _MARK + name


def _text(plain: str) -> bytes:
    """A JSON string of a text that needs no escapes: ids, codes and instants of ours."""
    return b'"%b"' % plain.encode()


@lru_cache(maxsize=256)
def _labels(labels: tuple[tuple[str | None, str, str | None], ...]) -> bytes:
    """Cached: the same few stand on every entry."""
    return json.dumps([_concept(*label) for label in labels], ensure_ascii=False, separators=(",", ":")).encode()


def _concept(system: str | None, code: str, display: str | None) -> Json:
    coding: dict[str, Any] = {"system": system, "code": code, "display": display}
    return {"coding": [{name: value for name, value in coding.items() if value is not None}]}
