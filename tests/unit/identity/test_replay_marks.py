"""One-time marks: the name says when they can go, and the store's create-once decides who was first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from fakes.clock import ManualClock
from fakes.objects import Fault, MemoryStore, PolicingStore, on
from sceau.identity.errors import Replayed, Unavailable
from sceau.identity.replay import SWEEP_MARGIN, MarkKind, ReplayMarks, is_sweepable, mark_name
from sceau.objects.scoped import StoreOperation

EXPIRES = datetime(2026, 3, 2, 9, 31, 20, tzinfo=UTC)


@pytest.fixture
def store() -> PolicingStore:
    return PolicingStore(MemoryStore(ManualClock()))


def test_a_mark_stands_in_the_minute_of_its_expiry_under_a_hash() -> None:
    name = mark_name(MarkKind.PROOF, EXPIRES, "jkt", "GET", "https://dmp.example.fr/", "one")
    assert name == "replay/20260302T0931/3e3d4265702457bee96d0714509b5d84ca44b5b777b9444ef6a04bae3f7204e5"


def test_no_two_lists_of_parts_and_no_two_kinds_share_a_name() -> None:
    names = {
        mark_name(kind, EXPIRES, *parts)
        for kind in MarkKind
        for parts in [("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""), ("", "abc")]
    }
    assert len(names) == 3 * 5


def test_the_second_claim_of_the_same_value_is_a_replay(store: PolicingStore) -> None:
    marks, other_process = ReplayMarks(store), ReplayMarks(store)
    marks.claim(MarkKind.PROOF, EXPIRES, "a")
    with pytest.raises(Replayed):
        other_process.claim(MarkKind.PROOF, EXPIRES, "a")
    marks.claim(MarkKind.PROOF, EXPIRES, "b")
    assert store.count() == 3


def test_of_16_parallel_claims_one_wins(store: PolicingStore) -> None:
    def claim(_: int) -> bool:
        try:
            ReplayMarks(store).claim(MarkKind.ASSERTION, EXPIRES, "a")
        except Replayed:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(claim, range(16))) == 1


@pytest.mark.parametrize("fault", Fault)
def test_when_the_store_does_not_answer_nothing_is_granted(store: PolicingStore, fault: Fault) -> None:
    store.faults = on(StoreOperation.CREATE, fault=fault)
    with pytest.raises(Unavailable):
        ReplayMarks(store).claim(MarkKind.PROOF, EXPIRES, "a")


def test_a_mark_is_swept_five_minutes_after_its_minute_and_not_before() -> None:
    name = mark_name(MarkKind.PROOF, EXPIRES, "a")
    end = datetime(2026, 3, 2, 9, 37, tzinfo=UTC)
    assert is_sweepable(name, end)
    assert not is_sweepable(name, end - timedelta(seconds=1))


@pytest.mark.parametrize(
    "name",
    [
        "replay/note",
        "replay/20260302T0931",
        "replay/2026-03-02T09:31/a",
        "replay/260302T0931/a",
        "replay/20260302T09310/a",
        "20260302T0931/a",
        "other/replay/20260302T0931/a",
    ],
)
def test_what_is_not_named_like_a_mark_is_never_swept(name: str) -> None:
    assert not is_sweepable(name, datetime(2126, 1, 1, tzinfo=UTC))


@given(after=st.timedeltas(timedelta(0), timedelta(days=400)), late=st.integers(0, 600))
def test_a_mark_outlives_what_it_marks_by_the_margin(after: timedelta, late: int) -> None:
    expires = EXPIRES + after
    now = expires + timedelta(seconds=late)
    swept = is_sweepable(mark_name(MarkKind.PROOF, expires, "a"), now)
    assert not (swept and now < expires + SWEEP_MARGIN)
    assert swept or now < expires + SWEEP_MARGIN + timedelta(minutes=1)
