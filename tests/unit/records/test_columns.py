"""Columns say what the rows say, after any additions and changes; and ask each distinct value once."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, strategies as st

from fixtures.columns import check_columns
from sceau.records.columns import FACTS, Columns, Values, cells, read_facts
from sceau.records.errors import RecordDamaged
from sceau.records.table import PackedTable
from sceau_schemas.dossier import EntryRow, SetRow, StoredCoding, StoredIdentifier
from unit.records.test_dossier import a_set, an_id, entry

TEXTS = st.text(st.characters(min_codepoint=9, exclude_characters="\x1e\x1f", codec="utf-8"), max_size=12)
TERMS = st.dictionaries(
    st.sampled_from(["type", "event", "date", "author.given"]),
    st.lists(TEXTS.filter(bool), min_size=1, max_size=3).map(tuple),
    max_size=4,
)
VERSIONS = st.fixed_dictionaries(
    {
        "status": st.sampled_from(["current", "superseded", "entered-in-error"]),
        "archived": st.sampled_from([None, True, False]),
        "updated": st.integers(0, 2**50),
        "labels": st.lists(st.sampled_from(["N", "MASQUE_PS"]), max_size=2).map(
            lambda codes: tuple(StoredCoding(system="s", code=code) for code in codes)
        ),
    }
)


def changed(row: EntryRow, version: dict[str, object], terms: dict[str, tuple[str, ...]]) -> EntryRow:
    return row.model_copy(update={"now": row.now.model_copy(update=version), "terms": terms})


@given(st.lists(st.tuples(st.integers(1, 6), VERSIONS, TERMS), max_size=12))
def test_columns_say_what_the_rows_say(steps: list[tuple[int, dict[str, object], dict[str, tuple[str, ...]]]]) -> None:
    table = PackedTable(EntryRow)
    rows: dict[int, EntryRow] = {}
    for number, version, terms in steps:
        known = number in rows
        rows[number] = changed(entry(number), version, terms)
        table = table.replaced(rows[number]) if known else table.added(rows[number], b"{}")
        check_columns(table)
    assert table.rows() == [row for _, row in rows.items()]
    again, end = PackedTable.decode(EntryRow, b"".join(table.encode()), 0)
    assert end == len(b"".join(table.encode()))
    assert again.columns == table.columns
    whole = PackedTable.of(EntryRow, [(row, b"{}") for row in rows.values()])
    check_columns(whole)
    assert whole.rows() == table.rows()


def test_a_row_that_was_changed_leaves_nothing_of_what_it_was() -> None:
    """What an entry was stands in its earlier versions, with the rest of the row, and in no column."""
    before = PackedTable(EntryRow).added(changed(entry(1), {}, {"author.given": ("anne",)}), b"{}")
    after = before.replaced(changed(entry(1), {"status": "superseded"}, {}))
    assert b"anne" in before.columns.encode()
    assert b"anne" not in after.columns.encode()
    check_columns(after)


def test_each_distinct_value_is_asked_once() -> None:
    columns = Columns.of([changed(entry(number), {}, {"type": (f"t{number % 3}",)}) for number in range(1, 200)])
    asked: Counter[Values] = Counter()

    def accepts(values: Values) -> bool:
        asked[values] += 1
        return values == ("t1",)

    found = list(columns.holding("type", accepts, range(199)))
    assert found == [row for row in range(199) if (row + 1) % 3 == 1]
    assert set(asked.values()) == {1}
    assert len(asked) == 3


def test_a_column_that_no_row_has_holds_nothing() -> None:
    columns = Columns.of([entry(1), entry(2)])
    assert list(columns.holding("event", bool, range(2))) == []
    assert list(columns.holding("event", lambda values: not values, range(2))) == [0, 1]


def test_the_facts_are_all_that_a_decision_needs_and_nothing_of_the_patient() -> None:
    row = changed(entry(1), {"labels": (StoredCoding(code="MASQUE_PS"),)}, {"author.family": ("essai",)})
    row = row.model_copy(update={"author_structures": (StoredIdentifier(system="s", value="1"),)})
    columns = Columns.of([row])
    assert read_facts(columns.values(columns.column(FACTS)[0])) == row.facts()
    assert "essai" not in cells(row)[FACTS][0]


def test_what_a_set_says_of_itself() -> None:
    folder = a_set(1, an_id(2)).model_copy(update={"kind": "folder", "terms": {"isArchived": ("|true",)}})
    made = cells(folder)
    assert made["row.kind"] == ("folder",)
    assert made["row.archived"] == ("true",)
    assert "row.archived" not in cells(a_set(1))
    assert FACTS not in made


def test_what_is_shown_of_a_row_is_the_rows() -> None:
    rows = [changed(entry(number), {"archived": True}, {"type": ("t",)}) for number in (1, 2, 3)]
    table = PackedTable.of(EntryRow, [(row, b"{}") for row in rows])
    assert table.rows_at([2, 0]) == [rows[2], rows[0]]
    for shown, row in zip(table.shown_at([2, 0]), (rows[2], rows[0]), strict=True):
        assert (shown.id, shown.now, shown.replaces, shown.document.form) == (row.id, row.now, row.replaces, "Binary")


def test_only_entries_have_columns_at_rest() -> None:
    table = PackedTable(SetRow).added(a_set(1, an_id(2)), b"{}")
    assert table.columns == Columns()
    assert b"row.kind" not in b"".join(table.encode())


@pytest.mark.parametrize("value", ["a\x1eb", "a\x1fb"])
def test_a_separator_in_a_value_is_never_written(value: str) -> None:
    """It would shift all values behind it, and entries would be decided by the facts of others."""
    row = changed(entry(1), {}, {"type": ("x", value)})
    with pytest.raises(ValueError, match="separator"):
        Columns().added(row)
    with pytest.raises(ValueError, match="separator"):
        Columns.of([row])


@pytest.mark.parametrize("values", [(), ("",), ("{}",), ("not json",)])
def test_facts_that_are_none_are_damage(values: Values) -> None:
    with pytest.raises(RecordDamaged):
        read_facts(values)


@given(st.integers(0, 4000), st.integers(1, 255))
def test_damaged_columns_never_end_in_another_error(position: int, change: int) -> None:
    data = bytearray(Columns.of([entry(1), entry(2)]).encode())
    data[position % len(data)] ^= change
    try:
        found, _ = Columns.decode(bytes(data), 0, 2)
        for column in found.numbers.values():
            for number in column:
                found.values(number)
    except RecordDamaged:
        pass
