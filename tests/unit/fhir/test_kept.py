"""What rests of a DocumentReference: a text with holes, which nothing that was sent can forge, fill or break."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from fixtures.bodies import ORIGIN, RECORD, bundle, changed, document, simple, stored, submit, submit_simple
from sceau.fhir.kept import fill_entry, keep_entry, parsed
from sceau.fhir.parse import Written, parse_json, write_json
from sceau.fhir.rules import IS_ARCHIVED
from sceau.records.errors import RecordDamaged
from sceau.records.ids import entry_uuid
from sceau_schemas.dossier import EntryRow, ShownEntry

OTHER = {"url": "urn:other", "valueString": "x"}
ARCHIVED = {"url": IS_ARCHIVED, "valueBoolean": True}


def row(archived: bool | None = None) -> EntryRow:
    (own, _), *_ = stored(submit(bundle(replace(document(), archived=archived))))[0]
    return own


def filled(resource: dict[str, Any], own: EntryRow) -> Any:
    """What leaves, and that it is JSON as strict as what is sent to us."""
    return parse_json(fill_entry(own, keep_entry(resource), record_id=RECORD, origin=ORIGIN).data)


def resource_of(**more: Any) -> dict[str, Any]:
    kept = submit(bundle()).documents[0].resource
    return {**kept, **more}


@pytest.mark.parametrize(
    ("others", "archived", "expected"),
    [
        ([], None, None),
        ([], True, [ARCHIVED]),
        ([OTHER], None, [OTHER]),
        ([OTHER], True, [OTHER, ARCHIVED]),
        ([OTHER, OTHER], False, [OTHER, OTHER, {**ARCHIVED, "valueBoolean": False}]),
    ],
)
def test_archived_stands_behind_the_other_extensions(others: list[Any], archived: bool | None, expected: Any) -> None:
    more = {"extension": others} if others else {}
    assert filled(resource_of(**more), row(archived)).get("extension") == expected


TEXTS = st.one_of(
    st.text(st.characters(min_codepoint=32, codec="utf-8"), min_size=1, max_size=30),
    st.sampled_from(
        [
            "\\u0000id",
            '"\\u0000id"',
            ',"\\u0000archived"',
            '"extension":"\\u0000extension",',
            "\\u0000copy",
            '"\\u0000decimal:1"',
            "\\",
            '"',
            "\t\n",
        ]
    ),
)


@given(TEXTS, TEXTS)
def test_no_text_that_was_sent_is_a_hole(description: str, title: str) -> None:
    resource = resource_of(description=description)
    resource["content"] = json.loads(json.dumps(resource["content"]))
    resource["content"][0]["attachment"]["title"] = title
    resource["extension"] = [{"url": "urn:x", "valueString": title}]
    told = filled(resource, row(True))
    assert told["description"] == description
    assert told["content"][0]["attachment"]["title"] == title
    assert told["extension"] == [{"url": "urn:x", "valueString": title}, ARCHIVED]
    assert told["id"].startswith(RECORD)


def test_only_what_can_change_is_a_hole() -> None:
    kept = keep_entry(resource_of())
    names = kept.split(b"\x00")[1::2]
    assert names == [b"id", b"version", b"updated", b"extension", b"url", b"subject", b"uuid", b"status", b"labels"]
    one = resource_of(relatesTo=[{"code": "replaces", "target": {"reference": "x"}}])
    assert b"\x00target0\x00" in keep_entry(one)


@pytest.mark.parametrize("archived", [None, True])
def test_what_a_search_reads_of_a_row_fills_it_likewise(archived: bool | None) -> None:
    own, kept = row(archived), keep_entry(resource_of())
    shown = ShownEntry.model_validate_json(own.model_dump_json(exclude_defaults=True))
    whole = fill_entry(own, kept, record_id=RECORD, origin=ORIGIN)
    assert fill_entry(shown, kept, record_id=RECORD, origin=ORIGIN) == whole
    assert parsed(whole)["identifier"][0]["value"] == f"urn:uuid:{entry_uuid(own.id)}"


def test_a_hole_that_nothing_fills_is_damage() -> None:
    with pytest.raises(RecordDamaged):
        fill_entry(row(), b'{"x":\x00unknown\x00}', record_id=RECORD, origin=ORIGIN)


def test_an_origin_is_written_as_json() -> None:
    own = row()
    written = fill_entry(own, keep_entry(resource_of()), record_id=RECORD, origin='https://a"b')
    assert parsed(written)["content"][0]["attachment"]["url"].startswith('https://a"b/fhir/Binary/')


def test_what_is_written_already_is_copied_wherever_it_stands() -> None:
    """Beside decimals, whose digits stay."""
    entry = Written("DocumentReference", "1", b'{"b":1.50}')
    value = {"a": parse_json(b"[2.500]"), "entry": [{"resource": entry}, {"resource": entry}], "z": "\x00copy"}
    # The last one can't come from outside: U+0000 is refused. Here it would be a copy too many.
    with pytest.raises(ValueError, match="zip"):
        write_json(value)
    del value["z"]
    assert write_json(value) == b'{"a":[2.500],"entry":[{"resource":{"b":1.50}},{"resource":{"b":1.50}}]}'
    assert write_json(entry) == b'{"b":1.50}'


def test_a_decimal_of_an_entry_keeps_its_digits() -> None:
    extension = parse_json(b'[{"url":"urn:x","valueDecimal":1.500}]')
    submission = submit_simple(changed(simple(), lambda r: r.update(extension=extension)))
    own, kept = stored(submission)[0][0]
    assert b'"valueDecimal":1.500' in kept
    assert b'"valueDecimal":1.500' in fill_entry(own, kept, record_id=RECORD, origin=ORIGIN).data
