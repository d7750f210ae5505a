"""What a document takes over of those that it replaces: no replacement shows anybody what its target kept from them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, strategies as st

from sceau.access.labels import (
    INVISIBLE_PATIENT,
    INVISIBLE_REPRESENTATIVES,
    MASKED,
    VISIBILITY,
    Inherited,
    inherited,
)
from sceau.access.model import Act, ActorKind, DocumentFacts
from unit.access.space import MINOR, NOW, PHYSICIAN, YESTERDAY, actor, document, record, verdict

DAYS = timedelta(days=1)

documents = st.builds(
    lambda labels, days: document(*(labels or {"N"}), deposited=NOW - days * DAYS),
    st.frozensets(st.sampled_from(["N", "R", *sorted(VISIBILITY)])),
    st.integers(0, 80),
)


def succeeding(targets: list[DocumentFacts], *labels: str) -> DocumentFacts:
    """The facts of a document that is sent now with these labels, in place of the targets."""
    masks = inherited(targets)
    return document(*(frozenset(labels) | masks.labels), deposited=masks.hidden_since or NOW)


@pytest.mark.parametrize("mask", sorted(VISIBILITY))
def test_each_mask_goes_on(mask: str) -> None:
    assert inherited([document(mask)]).labels == {mask}
    assert inherited([document("R"), document(mask, "V")]).labels == {mask}


def test_the_producers_confidentiality_is_of_each_document() -> None:
    assert inherited([document("V"), document("N")]) == Inherited()


def test_what_replaces_nothing_takes_over_nothing() -> None:
    assert inherited([]) == Inherited()


def test_the_month_is_that_of_the_target_that_waits_the_longest() -> None:
    """One that is over, or never began, shows nothing of another that waits."""
    over, waits, unmarked = NOW - 40 * DAYS, NOW - 20 * DAYS, NOW - 3 * DAYS
    targets = [
        document(INVISIBLE_PATIENT, deposited=waits),
        document(INVISIBLE_PATIENT, deposited=over),
        document(MASKED, deposited=unmarked),
        document(INVISIBLE_REPRESENTATIVES, deposited=unmarked),
    ]
    assert inherited(targets).hidden_since == waits


def test_a_replacement_of_what_was_never_hidden_has_a_month_of_its_own() -> None:
    assert inherited([document(deposited=NOW - 50 * DAYS)]).hidden_since is None


def test_month_after_month_can_not_be_added_by_replacing() -> None:
    """An attack on the patient: each replacement hides it anew, a day before the month is over."""
    patient = actor(ActorKind.PATIENT)
    present = document(INVISIBLE_PATIENT, deposited=NOW)
    for month in range(1, 4):
        then = NOW + month * 29 * DAYS
        masks = inherited([present])
        present = document(INVISIBLE_PATIENT, deposited=masks.hidden_since or then)
        assert verdict(Act.READ_ENTRY, patient, record(), present, now=then).allowed is (month > 1)


def test_a_month_that_is_over_does_not_begin_again() -> None:
    over = document(INVISIBLE_PATIENT, deposited=NOW - 40 * DAYS)
    for labels in ((), (INVISIBLE_PATIENT,)):
        new = succeeding([over], *labels)
        assert verdict(Act.READ_ENTRY, actor(ActorKind.PATIENT), record(), new).allowed


@pytest.mark.parametrize("mask", [MASKED, INVISIBLE_REPRESENTATIVES])
def test_who_did_not_see_the_target_does_not_see_what_replaces_it(mask: str) -> None:
    reader = actor() if mask == MASKED else actor(ActorKind.REPRESENTATIVE)
    facts = record("structure", birth_date=MINOR)
    new = succeeding([document(mask)])
    assert not verdict(Act.READ_DOCUMENT, reader, facts, new).allowed
    assert verdict(Act.READ_DOCUMENT, reader, facts, document()).allowed


@given(st.lists(documents, max_size=3), st.frozensets(st.sampled_from(["N", "R", *sorted(VISIBILITY)])))
def test_nobody_sees_by_a_replacement_what_a_target_kept_from_them(
    targets: list[DocumentFacts], sent: frozenset[str]
) -> None:
    new = succeeding(targets, *sent)
    readers = (actor(), actor(ActorKind.PATIENT), actor(ActorKind.REPRESENTATIVE))
    facts = record("structure", birth_date=MINOR)
    for reader in readers:
        if verdict(Act.READ_DOCUMENT, reader, facts, new).allowed:
            assert all(verdict(Act.READ_DOCUMENT, reader, facts, one).allowed for one in targets)


@given(st.lists(documents, min_size=1, max_size=3), st.integers(0, 80))
def test_what_the_patient_waits_for_never_ends_later_than_without_the_replacement(
    targets: list[DocumentFacts], days: int
) -> None:
    """Where the targets hid something already: it is shown when the last of that would have been."""
    hidden = [one for one in targets if INVISIBLE_PATIENT in one.labels]
    new, then = succeeding(targets, INVISIBLE_PATIENT), NOW + days * DAYS
    patient = actor(ActorKind.PATIENT)
    if hidden and all(verdict(Act.READ_ENTRY, patient, record(), one, now=then).allowed for one in hidden):
        assert verdict(Act.READ_ENTRY, patient, record(), new, now=then).allowed


def test_the_order_of_the_targets_does_not_matter() -> None:
    targets = [document(MASKED), document(INVISIBLE_PATIENT), document(INVISIBLE_PATIENT, deposited=NOW - 9 * DAYS)]
    assert (
        inherited(targets) == inherited(targets[::-1]) == Inherited(frozenset({MASKED, INVISIBLE_PATIENT}), YESTERDAY)
    )


def test_the_author_still_sees_it() -> None:
    mine = replace(document(MASKED, deposited=YESTERDAY), author_professionals=frozenset({PHYSICIAN}))
    new = replace(succeeding([mine]), author_professionals=mine.author_professionals)
    assert verdict(Act.READ_DOCUMENT, actor(), record("structure"), new).allowed
