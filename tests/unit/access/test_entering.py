"""Single facts of who gets in: a declaration in parts, a block that a setting overrides, whom a decision concerns."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from sceau.access.acts import may_ask
from sceau.access.clocks import paris_date
from sceau.access.decide import Decision
from sceau.access.grid import GridRefused
from sceau.access.labels import keeps_secret_sessions
from sceau.access.matrix import Rules
from sceau.access.model import Act, ActorKind, Identifier, Mode, Reason, RecordStatus
from sceau.access.scopes import covered
from sceau.access.standing import collects_for, may_know, may_know_why_closed
from sceau_schemas.rules import RuleSettings
from unit.access.space import (
    COLLEAGUE,
    DECLARED,
    EDITION,
    HOSPITAL,
    LABORATORY,
    NOW,
    PHYSICIAN,
    RULES,
    actor,
    breaking_glass,
    document,
    record,
    regulating,
    verdict,
)

OVERRIDING = Rules((EDITION,), RuleSettings(bris_de_glace_overrides_block=True))
BLOCKED = frozenset({PHYSICIAN})


@pytest.mark.parametrize(
    "missing",
    [
        {"reason_given": False},
        {"unable_to_consent": False},
        {"immediate_risk": False},
        {"until": NOW},
        {"until": NOW - timedelta(seconds=1)},
        {"reason_given": False, "unable_to_consent": False},
        {"unable_to_consent": False, "immediate_risk": False},
        {"reason_given": False, "immediate_risk": False},
    ],
)
@pytest.mark.parametrize("act", [Act.SEARCH, Act.PUBLISH])
def test_half_a_declaration_or_an_old_one_opens_nothing(act: Act, missing: dict[str, object]) -> None:
    told = replace(DECLARED, **missing)  # type: ignore[arg-type]
    found = verdict(act, actor(mode=Mode.BRIS_DE_GLACE, declaration=told), record("structure"), None)
    assert found.reason is Reason.DENIED_NOT_DECLARED


def test_a_declaration_serves_until_its_last_moment() -> None:
    told = replace(DECLARED, until=NOW + timedelta(milliseconds=1))
    assert verdict(Act.SEARCH, actor(mode=Mode.BRIS_DE_GLACE, declaration=told), record()).allowed


def test_a_block_is_overridden_by_the_setting_and_in_bris_de_glace_only() -> None:
    facts = record("structure", blocked=BLOCKED)
    for who, allowed in ((breaking_glass(), True), (actor(), False), (regulating(), False)):
        found = Decision(Act.SEARCH, who, facts, OVERRIDING, NOW).on(None)
        assert found.allowed is allowed
        assert Decision(Act.SEARCH, who, facts, RULES, NOW).on(None).reason is Reason.DENIED_BLOCKED


@pytest.mark.parametrize("act", [Act.FIND_IDENTIFIER, Act.PUBLISH, Act.REPLACE])
def test_the_setting_counts_for_feeding_and_finding_too(act: Act) -> None:
    facts, own = record(blocked=BLOCKED), document(author_structures=frozenset({HOSPITAL}))
    assert Decision(act, breaking_glass(), facts, OVERRIDING, NOW).on(own).allowed
    found = Decision(act, breaking_glass(), facts, RULES, NOW).on(own)
    assert (found.allowed, found.reason) == (False, Reason.DENIED_BLOCKED)


@pytest.mark.parametrize("act", [Act.DELETE, Act.COLLECT_CONSENT, Act.ACCEPT_MEDECIN_TRAITANT])
def test_what_is_no_emergency_s_stays_closed_to_whom_the_setting_lets_in(act: Act) -> None:
    found = Decision(act, breaking_glass(), record(blocked=BLOCKED, named=BLOCKED), OVERRIDING, NOW).on(document())
    assert found.reason is Reason.DENIED_MODE


def test_a_blocked_author_deletes_nothing_not_even_what_they_authored() -> None:
    own = document(author_professionals=frozenset({PHYSICIAN}))
    assert verdict(Act.DELETE, actor(), record(), own).allowed
    found = verdict(Act.DELETE, actor(), record(blocked=BLOCKED), own)
    assert (found.allowed, found.reason) == (False, Reason.DENIED_BLOCKED)
    assert verdict(Act.DELETE, actor(sectors=frozenset({"SA24"})), record(), own).reason is Reason.DENIED_INSURANCE


def test_who_gets_in_by_nothing_learns_of_no_document() -> None:
    found = verdict(Act.READ_DOCUMENT, actor(), record(), document(author_structures=frozenset({HOSPITAL})))
    assert found.reason is Reason.DENIED_NO_GRANT
    assert verdict(Act.MASK, actor(), record(), document()).reason is Reason.DENIED_NO_GRANT


@pytest.mark.parametrize("act", [Act.MASK, Act.ARCHIVE, Act.SHOW_TO_PATIENT])
def test_software_that_is_no_author_is_told_so_whatever_it_asks(act: Act) -> None:
    foreign = document("MASQUE_PS", "INVISIBLE_PATIENT", author_structures=frozenset({LABORATORY}))
    found = verdict(act, actor(ActorKind.SOFTWARE), record(), foreign)
    assert found.reason is Reason.DENIED_NOT_AUTHOR
    gone = document("MASQUE_PS", author_structures=frozenset({HOSPITAL}), status="entered-in-error")
    assert verdict(act, actor(ActorKind.SOFTWARE), record(), gone).reason is Reason.DENIED_DELETED


def test_reading_and_changing_are_judged_apart() -> None:
    awaiting = document("INVISIBLE_PATIENT", deposited=NOW - timedelta(days=1))
    assert verdict(Act.READ_DOCUMENT, actor(), record("structure"), awaiting).allowed
    assert verdict(Act.MASK, actor(), record("structure"), awaiting).reason is Reason.DENIED_LABELS_TOGETHER
    assert verdict(Act.SEARCH, actor(), record("structure"), awaiting).allowed


def test_the_dead_keep_their_traces_and_nobody_gets_in() -> None:
    facts = record("structure", status=RecordStatus.DECEASED)
    assert verdict(Act.SEARCH, actor(), facts).reason is Reason.DENIED_CLOSED
    assert verdict(Act.REOPEN_RECORD, actor(ActorKind.PATIENT), facts).reason is Reason.DENIED_STATE
    assert verdict(Act.CORRECT_DEATH, actor(ActorKind.INSURER), facts).allowed
    assert verdict(Act.READ_TRACES, actor(ActorKind.PATIENT), facts).allowed


def test_a_consent_is_collected_for_a_person_or_the_own_team() -> None:
    assert collects_for(actor(), HOSPITAL)
    assert collects_for(actor(), COLLEAGUE)
    assert not collects_for(actor(), LABORATORY)


def test_a_decision_concerns_whom_it_names() -> None:
    for opening in (True, False):
        assert may_know(actor(), HOSPITAL, opening=opening)
        assert may_know(actor(), PHYSICIAN, opening=opening)
        assert not may_know(actor(), LABORATORY, opening=opening)
        assert not may_know(actor(), COLLEAGUE, opening=opening)
        assert not may_know(actor(professional=None), None, opening=opening)


@pytest.mark.parametrize("grantee", [None, HOSPITAL])
@pytest.mark.parametrize("opening", [True, False])
def test_the_holders_side_knows_every_decision_and_the_insurer_the_opening(
    grantee: Identifier | None, opening: bool
) -> None:
    known = {kind for kind in ActorKind if may_know(actor(kind), grantee, opening=opening)}
    told = {ActorKind.PROFESSIONAL} if grantee else set()
    assert known == {ActorKind.PATIENT, ActorKind.REPRESENTATIVE} | told | ({ActorKind.INSURER} if opening else set())


def test_why_a_record_was_closed_is_the_holders() -> None:
    assert {kind for kind in ActorKind if may_know_why_closed(actor(kind))} == {
        ActorKind.PATIENT,
        ActorKind.REPRESENTATIVE,
    }


def test_a_minors_secret_sessions_are_kept_from_representatives() -> None:
    assert {kind for kind in ActorKind if keeps_secret_sessions(kind)} == {ActorKind.REPRESENTATIVE}


def test_a_wildcard_is_covered_by_a_wildcard_alone() -> None:
    assert covered("user/*.r", ["user/*.rs"])
    assert not covered("user/*.u", ["user/*.rs", "user/Patient.u"])
    assert not covered("user/*.r", ["user/Patient.r"])
    assert not covered("user/*.r", ["patient/*.r"])
    assert not covered("openid", ["user/*.cruds"])
    assert covered("user/Patient.r", ["user/*.r"])


@pytest.mark.parametrize(("count", "more"), [(19, None), (20, None), (21, "… and 1 more"), (22, "… and 2 more")])
def test_twenty_faults_of_a_grid_are_told_and_the_rest_counted(count: int, more: str | None) -> None:
    told = str(GridRefused([f"fault {number}" for number in range(count)])).splitlines()
    assert len(told) == min(count, 20) + (more is not None)
    assert (told[-1] == more) if more else told[-1].startswith("fault")


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        ("2024-03-30T22:59:59", 30),
        ("2024-03-30T23:00:00", 31),  # the clocks change on the 31st, a Sunday
        ("2024-03-25T22:30:00", 25),
        ("2024-03-31T22:00:00", 1),
        ("2027-10-30T22:00:00", 31),
        ("2027-10-25T22:30:00", 26),  # still summer: they change on the 31st
        ("2027-10-31T22:30:00", 31),
        ("2027-10-31T23:00:00", 1),
    ],
)
def test_the_day_in_paris_where_the_clocks_change_on_the_month_s_last_day(moment: str, day: int) -> None:
    assert paris_date(datetime.fromisoformat(f"{moment}+00:00")).day == day


@pytest.mark.parametrize("act", [act for act in Act if act is not Act.COUNT_REVIEWS])
def test_who_may_never_ask_is_denied_at_once(act: Act) -> None:
    early = may_ask(act, actor(ActorKind.OPERATIONS))
    assert early is not None
    assert early.allowed is False
    assert early.reason is Reason.DENIED_ACTOR
