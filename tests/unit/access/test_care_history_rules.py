"""The insurer's care history: what is not accepted of a minor, and when nobody reads it any more."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from sceau.access.clocks import fallen_out, months_before
from sceau.access.facts import document_facts, kept_secret
from sceau.access.model import Act, ActorKind, DocumentFacts, Identifier, Reason
from sceau_schemas.dossier import EntryRow, EntryVersion, StoredCoding, StoredDocument, StoredIdentifier
from unit.access.space import (
    HOSPITAL,
    LABORATORY,
    MAJOR,
    MINOR,
    NOW,
    PHYSICIAN,
    actor,
    document,
    record,
    verdict,
)

SECRET = "INVISIBLE_REPRESENTANTS_LEGAUX"
DAY = date(2026, 10, 5)
INSURER = actor(ActorKind.INSURER)
READERS = [actor(), actor(ActorKind.PATIENT), actor(ActorKind.REPRESENTATIVE)]
READS = [Act.SEARCH, Act.SEARCH_SETS, Act.READ_ENTRY, Act.READ_SET, Act.READ_DOCUMENT]


def history(*acts: tuple[date, Identifier], labels: tuple[str, ...] = ("N",), **more: object) -> DocumentFacts:
    facts: dict[str, object] = {
        "type_code": "REMB",
        "author_structures": frozenset({HOSPITAL}),  # the insurer of these tests
        "acts": frozenset(acts),
        "covers_until": NOW.date(),
    }
    return document(*labels, **facts | more)


def fed(birth_date: str, secret: set[tuple[date, Identifier]], one: DocumentFacts) -> Reason:
    facts = record(birth_date=birth_date, kept_secret=frozenset(secret))
    return verdict(Act.PUBLISH, INSURER, facts, one).reason


def test_a_minors_opposed_acts_are_not_accepted() -> None:
    secret = {(DAY, LABORATORY), (DAY, PHYSICIAN)}
    for told in ((DAY, LABORATORY), (DAY, PHYSICIAN)):
        assert fed(MINOR, secret, history(told, (DAY, HOSPITAL))) is Reason.DENIED_OPPOSED_ACT


@pytest.mark.parametrize(
    "told",
    [
        (DAY + timedelta(days=1), LABORATORY),
        (DAY, HOSPITAL),
        (DAY, Identifier("urn:oid:1.2.3", LABORATORY.value)),
    ],
)
def test_another_days_or_anothers_acts_are(told: tuple[date, Identifier]) -> None:
    assert fed(MINOR, {(DAY, LABORATORY)}, history(told)) is Reason.ALLOWED_FEEDING
    assert fed(MINOR, set(), history((DAY, LABORATORY))) is Reason.ALLOWED_FEEDING


def test_from_majority_on_nothing_is_opposed() -> None:
    assert fed(MAJOR, {(DAY, LABORATORY)}, history((DAY, LABORATORY))) is Reason.ALLOWED_FEEDING


@pytest.mark.parametrize("label", [SECRET, "MASQUE_PS", "INVISIBLE_PATIENT"])
def test_a_minors_history_hides_itself_from_nobody(label: str) -> None:
    assert fed(MINOR, set(), history(labels=(label,))) is Reason.DENIED_OPPOSED_ACT


def test_who_may_be_a_minor_is_treated_as_one() -> None:
    assert fed("2008", {(DAY, LABORATORY)}, history((DAY, LABORATORY))) is Reason.DENIED_OPPOSED_ACT


# What falls out


@pytest.mark.parametrize("act", READS)
@pytest.mark.parametrize("who", READERS, ids=lambda one: str(one.kind))
def test_a_replaced_history_is_read_by_nobody(act: Act, who: object) -> None:
    facts = record("structure", birth_date=MINOR)
    old = history(status="superseded")
    assert verdict(act, who, facts, old).reason is Reason.DENIED_FALLEN_OUT  # type: ignore[arg-type]
    # Any other document that was replaced is.
    replaced = document(status="superseded")
    assert verdict(act, who, facts, replaced).allowed  # type: ignore[arg-type]


@pytest.mark.parametrize(("days", "gone"), [(0, False), (-1, True), (1, False)])
def test_a_history_whose_last_month_is_past_is_read_by_nobody(days: int, gone: bool) -> None:
    until = date(2024, 11, 23) + timedelta(days=days)  # NOW is 23 November 2026
    found = verdict(Act.READ_DOCUMENT, actor(ActorKind.PATIENT), record(), history(covers_until=until))
    assert (found.reason is Reason.DENIED_FALLEN_OUT) is gone


def test_its_traces_stay_and_the_insurer_finds_its_id() -> None:
    old = history(status="superseded")
    assert verdict(Act.READ_TRACES, actor(ActorKind.PATIENT), record(), old).allowed
    assert verdict(Act.FIND_IDENTIFIER, INSURER, record(), old).allowed


def test_months_before() -> None:
    assert months_before(date(2026, 3, 31), 1) == date(2026, 2, 28)
    assert months_before(date(2026, 1, 15), 24) == date(2024, 1, 15)
    assert months_before(date(2026, 1, 15), 1) == date(2025, 12, 15)
    assert months_before(date(2, 1, 1), 24) == date.min
    assert months_before(date(1, 3, 15), 2) == date(1, 1, 15)
    assert months_before(date(1, 3, 15), 3) == date.min
    assert not fallen_out(date(2024, 11, 24), datetime(2026, 11, 23, 23, 30, tzinfo=UTC))  # the 24th in Paris
    assert fallen_out(date(2024, 11, 23), datetime(2026, 11, 23, 23, 30, tzinfo=UTC))


# What is kept secret, by what rests


def millis(day: date, hour: int = 12) -> int:
    return int(datetime(day.year, day.month, day.day, hour, tzinfo=UTC).timestamp() * 1000)


def row(label: str, status: str = "current", *, period: str = "", creation: str = "") -> EntryRow:
    version = EntryVersion(
        version=1,
        updated=millis(DAY),
        event="x",
        status=status,  # type: ignore[arg-type]
        labels=(StoredCoding(code=label),),
    )
    stored = StoredDocument(
        object_name="x", content_type="application/pdf", size=1, sha256="0" * 64, sealed_sha256="0" * 64
    )
    return EntryRow(
        id="b" * 26,
        now=version,
        submission_set="c" * 26,
        document=stored,
        type_code="11502-2",
        identifiers=(),
        author_structures=(StoredIdentifier(system=LABORATORY.system, value=LABORATORY.value),),
        author_professionals=(StoredIdentifier(system=PHYSICIAN.system, value=PHYSICIAN.value),),
        depositor="x",
        terms={name: (term,) for name, term in (("period", period), ("creation", creation)) if term},
    )


def days(*rows: EntryRow) -> set[date]:
    return {day for day, _ in kept_secret(rows)}


def test_what_is_kept_secret_is_who_authored_it_on_the_days_of_the_act() -> None:
    one = row(SECRET, period=f"{millis(DAY)}/")
    assert kept_secret([one]) == {(DAY, LABORATORY), (DAY, PHYSICIAN)}
    stay = row(SECRET, period=f"{millis(DAY)}/{millis(DAY + timedelta(days=3))}")
    assert days(stay) == {DAY + timedelta(days=number) for number in range(4)}
    assert len(days(row(SECRET, period=f"{millis(date(2000, 1, 1))}/{millis(DAY)}"))) == 401
    assert days(row(SECRET, period=f"/{millis(DAY)}")) == {DAY}
    assert days(row(SECRET, creation=f"{millis(DAY)}/{millis(DAY)}")) == {DAY}
    assert days(row(SECRET, period=f"{millis(DAY, 23)}/")) == {DAY + timedelta(days=1)}  # in Paris
    assert days(row(SECRET)) == set()
    later = DAY + timedelta(days=9)
    assert days(one, row(SECRET, period=f"{millis(later)}/")) == {DAY, later}


def test_other_labels_and_what_was_deleted_are_no_secret() -> None:
    period = f"{millis(DAY)}/"
    assert (
        days(row("N", period=period), row("MASQUE_PS", period=period), row("INVISIBLE_PATIENT", period=period)) == set()
    )
    assert days(row(SECRET, "entered-in-error", period=period)) == set()
    assert days(row(SECRET, "superseded", period=period)) == {DAY}


def test_the_facts_of_a_stored_history() -> None:
    stored = row("N").model_copy(update={"type_code": "REMB", "covers": ("2024-11-01", "2026-10-31")})
    assert document_facts(stored).covers_until == date(2026, 10, 31)
    assert document_facts(row("N")).covers_until is None
