"""The habilitation matrix: what ships has a source each, what is unknown denies, editions have their days."""

from __future__ import annotations

import dataclasses
from datetime import UTC, date, datetime

import pytest
from pydantic import ValidationError

from sceau.access.matrix import (
    _TABLE,
    Cell,
    Change,
    Matrix,
    Rules,
    changes,
    from_stored,
    read_table,
    shipped_matrix,
    shipped_rules,
    to_stored,
)
from sceau.access.model import Act, Reason
from sceau.fhir.codes import DocumentType, concept, concepts, document_type
from sceau_schemas.rules import RuleSettings, StoredMatrices, StoredMatrix
from unit.access.space import actor, document, record, verdict

CATEGORIES = {"10", "11", "31", "42", "43", "44", "45", "52", "60", "90", "95"}
"""The arrêté's eleven, which are classes of TRE_A03."""

NURSE_SEES = {
    *("83981-1", "47420-5", "11502-2", "15507-7", "56445-0", "PROT_ALD", "DOCPAT03", "DOCPAT05", "DOCPAT06"),
}
NURSE_DOES_NOT = {"75496-0", "68599-0", "83901-9", "68817-6", "89601-9"}
DENTIST_DOES_NOT = {"80788-3", "75496-0", "83981-1", "83901-9", "68599-0"}


def document_type_codes() -> list[DocumentType]:
    """Every type of JDV_J07."""
    return [kind for one in concepts("J07") if (kind := document_type(one.system, one.code))]


def matrix(version: str = "one", day: str = "2026-01-01", **rows: dict[str, Cell]) -> Matrix:
    return Matrix(version, date.fromisoformat(day), "tests", {name.lstrip("_"): row for name, row in rows.items()})


def test_a_doctor_sees_every_type_of_the_categories_but_the_attestation_of_residence() -> None:
    row = shipped_matrix().rows["10"]
    of_the_categories = {kind.code for kind in document_type_codes() if kind.class_code in CATEGORIES}
    assert row.keys() == of_the_categories
    assert {code for code, cell in row.items() if cell is Cell.DENY} == {"ATTEST-RESID"}
    assert len(row) > 100


def test_nurses_and_dentists_have_the_cells_that_were_found_and_no_others() -> None:
    rows = shipped_matrix().rows
    assert rows.keys() == {"10", "60", "40"}
    assert {code for code, cell in rows["60"].items() if cell is Cell.ALLOW} == NURSE_SEES
    assert {code for code, cell in rows["60"].items() if cell is Cell.DENY} == NURSE_DOES_NOT
    assert rows["40"] == dict.fromkeys(DENTIST_DOES_NOT, Cell.DENY)


def test_cells_that_never_took_effect_are_there_and_count_for_nothing() -> None:
    lines = ["# version: v", "# effective_from: 2026-01-01", "# source: s", "330\t11488-4\tallow\tsuspended\tx"]
    found, cells = read_table(lines)
    assert found.rows == {}
    assert [(one.column, one.cell, one.in_force, one.source) for one in cells] == [("330", Cell.ALLOW, False, "x")]
    assert "330" not in shipped_matrix().rows


def test_every_shipped_line_has_a_source_and_known_codes() -> None:
    _, cells = read_table(_TABLE.read_text("utf-8").splitlines())
    known = {kind.code for kind in document_type_codes()}
    assert {one.type_code for one in cells} <= known
    assert all(one.source for one in cells)
    assert {one.column for one in cells if not one.in_force} == {"330"}
    for column in {one.column for one in cells if one.in_force}:
        assert concept("J01", "urn:oid:1.2.250.1.213.1.1.4.5", f"G15_{column}"), column


def test_a_table_that_contradicts_itself_is_refused() -> None:
    head = ["# version: v", "# effective_from: 2026-01-01", "# source: s"]
    with pytest.raises(ValueError, match="10 and 11502-2 stand twice"):
        read_table([*head, "10\t11502-2\tallow\tin-force\tx", "10\t11502-2\tdeny\tin-force\ty"])
    with pytest.raises(ValueError, match="maybe"):
        read_table([*head, "10\t11502-2\tmaybe\tin-force\tx"])


def test_what_is_unknown_is_counted() -> None:
    counted = matrix(_10={"a": Cell.ALLOW, "b": Cell.DENY}, _60={"a": Cell.ALLOW}).count()
    assert counted == {Cell.ALLOW: 2, Cell.DENY: 1, Cell.UNKNOWN: 19 * 87 - 3}
    assert matrix(_10={str(number): Cell.ALLOW for number in range(100)}).count()[Cell.UNKNOWN] == 18 * 87
    many = Matrix("m", date(2026, 1, 1), "s", {str(column): {"a": Cell.DENY} for column in range(20)})
    assert many.count() == {Cell.ALLOW: 0, Cell.DENY: 20, Cell.UNKNOWN: 20 * 86}


def test_a_role_has_its_own_column_where_there_is_one() -> None:
    found = matrix(_10={"a": Cell.ALLOW}, _330={"a": Cell.DENY})
    assert found.cell("10", "a") is Cell.ALLOW
    assert found.cell("10", "a", "330") is Cell.DENY
    assert found.cell("10", "a", "353") is Cell.ALLOW
    assert found.cell("10", "b") is Cell.UNKNOWN
    assert found.cell("99", "a") is Cell.UNKNOWN
    assert found.cell(None, "a") is Cell.UNKNOWN
    assert found.cell(None, "a", "330") is Cell.DENY


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_an_edition_is_in_force_from_its_day_in_paris() -> None:
    old, new = matrix("old", "2025-01-01"), matrix("new", "2026-07-01")
    for editions in ((old, new), (new, old)):
        rules = Rules(editions, RuleSettings())
        assert rules.matrix(at("2024-12-31T22:59")) is None
        assert rules.matrix(at("2024-12-31T23:00")) is old
        assert rules.matrix(at("2026-06-30T21:59")) is old
        assert rules.matrix(at("2026-06-30T22:00")) is new


def test_of_two_editions_of_one_day_the_one_loaded_later_counts() -> None:
    first, second = matrix("first"), matrix("second")
    assert Rules((first, second), RuleSettings()).matrix(at("2026-02-01T00:00")) is second


def test_a_loaded_edition_replaces_the_shipped_one_as_a_whole() -> None:
    loaded = matrix("official", "2026-01-01", _10={"68599-0": Cell.ALLOW})
    rules = Rules((*shipped_rules().editions, loaded), RuleSettings())
    found = verdict(Act.READ_ENTRY, actor(), record("structure"), document(), rules=rules)
    assert (found.reason, found.matrix) == (Reason.DENIED_MATRIX_UNKNOWN, "official")


def test_changes_name_each_cell_that_differs() -> None:
    before = matrix(_10={"a": Cell.ALLOW, "b": Cell.DENY}, _60={"a": Cell.ALLOW})
    after = matrix("two", _10={"a": Cell.ALLOW, "b": Cell.ALLOW, "c": Cell.DENY})
    assert changes(before, after) == [
        Change("10", "b", Cell.DENY, Cell.ALLOW),
        Change("10", "c", Cell.UNKNOWN, Cell.DENY),
        Change("60", "a", Cell.ALLOW, Cell.UNKNOWN),
    ]
    assert changes(before, before) == []


def test_what_rests_comes_back_the_same() -> None:
    kept = to_stored(shipped_matrix())
    assert dataclasses.asdict(from_stored(kept)) == dataclasses.asdict(shipped_matrix())
    assert kept.deny == {
        "10": ("ATTEST-RESID",),
        "40": tuple(sorted(DENTIST_DOES_NOT)),
        "60": tuple(sorted(NURSE_DOES_NOT)),
    }


def test_the_stored_form_is_pinned() -> None:
    edition = to_stored(matrix("v1", "2026-07-01", _10={"b": Cell.DENY, "a": Cell.ALLOW}))
    assert StoredMatrices(editions=(edition,)).model_dump_json() == (
        '{"format":1,"editions":[{"version":"v1","effective_from":"2026-07-01","source":"tests",'
        '"allow":{"10":["a"]},"deny":{"10":["b"]}}]}'
    )


@pytest.mark.parametrize(
    "changed",
    [{"version": "Édition 1"}, {"effective_from": "2026-13-01"}, {"deny": {"10": ("a",)}}, {"allow": {"a b": ()}}],
)
def test_an_edition_that_can_not_be_is_refused(changed: dict[str, object]) -> None:
    good = {"version": "v1", "effective_from": "2026-07-01", "source": "s", "allow": {"10": ("a",)}, "deny": {}}
    StoredMatrix.model_validate(good)
    with pytest.raises(ValidationError):
        StoredMatrix.model_validate(good | changed)


def test_an_edition_stands_once() -> None:
    edition = to_stored(matrix("v1"))
    with pytest.raises(ValidationError, match="twice"):
        StoredMatrices(editions=(edition, edition))
