"""Revoked tokens: known to every process within 30 s, and nobody guesses without the list."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from fakes.clock import ManualClock
from fakes.objects import Call, Fault, MemoryStore, PolicingStore, on
from sceau.identity.errors import Unavailable
from sceau.identity.revocation import RevocationList, revoke
from sceau.objects.scoped import StoreOperation

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
EXPIRES = NOW + timedelta(seconds=300)


@pytest.fixture
def store() -> PolicingStore:
    return PolicingStore(MemoryStore(ManualClock(NOW)))


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_a_revoked_token_is_known_at_the_next_listing(store: PolicingStore) -> None:
    known = RevocationList(store)
    assert not known.is_revoked("a", EXPIRES, NOW)
    revoke(store, "a", EXPIRES)
    assert not known.is_revoked("a", EXPIRES, after(29))  # the price of few listings, stated in the docstring
    assert known.is_revoked("a", EXPIRES, after(30))
    assert not known.is_revoked("b", EXPIRES, after(30))
    assert store.count(StoreOperation.LIST) == 2


def test_a_new_process_knows_it_at_once(store: PolicingStore) -> None:
    revoke(store, "a", EXPIRES)
    assert RevocationList(store).is_revoked("a", EXPIRES, NOW)


def test_a_clock_that_is_set_back_makes_the_list_be_read_again(store: PolicingStore) -> None:
    known = RevocationList(store)
    known.is_revoked("a", EXPIRES, NOW)
    revoke(store, "a", EXPIRES)
    assert known.is_revoked("a", EXPIRES, after(-3600))


def test_names_of_long_expired_tokens_are_not_listed(store: PolicingStore) -> None:
    revoke(store, "old", after(-600))
    revoke(store, "a", EXPIRES)
    known = RevocationList(store)
    assert known.is_revoked("a", EXPIRES, NOW)
    assert not known.is_revoked("old", after(-600), NOW)


def test_revoking_twice_is_revoking_once_and_is_durable(store: PolicingStore) -> None:
    revoke(store, "a", EXPIRES)
    revoke(store, "a", EXPIRES)
    assert list(store.inner.list("revoked/")) == [
        "revoked/20260302T0935/ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    ]


def test_without_the_list_every_token_is_refused(store: PolicingStore) -> None:
    known = RevocationList(store)
    known.is_revoked("a", EXPIRES, NOW)
    store.faults = on(StoreOperation.LIST)
    with pytest.raises(Unavailable):
        known.is_revoked("a", EXPIRES, after(30))
    store.faults = lambda _: None
    assert not known.is_revoked("a", EXPIRES, after(31))


@pytest.mark.parametrize("fault", Fault)
def test_a_revocation_that_may_not_be_written_is_told(store: PolicingStore, fault: Fault) -> None:
    store.faults = on(StoreOperation.CREATE, fault=fault)
    with pytest.raises(Unavailable):
        revoke(store, "a", EXPIRES)
    store.faults = lambda _: None
    revoke(store, "a", EXPIRES)
    assert RevocationList(store).is_revoked("a", EXPIRES, NOW)


def test_while_one_thread_lists_the_others_go_on_with_a_list_of_under_a_minute(store: PolicingStore) -> None:
    known = RevocationList(store)
    known.is_revoked("a", EXPIRES, NOW)
    listing, go_on = threading.Event(), threading.Event()

    def wait(call: Call) -> None:
        if call.operation is StoreOperation.LIST:
            listing.set()
            assert go_on.wait(120)

    store.waits = wait
    slow = threading.Thread(target=lambda: known.is_revoked("a", EXPIRES, after(40)))
    slow.start()
    assert listing.wait(120)
    assert not known.is_revoked("a", EXPIRES, after(40))  # would wait for ever if it listed, or took the lock
    go_on.set()
    slow.join(120)
    assert store.count(StoreOperation.LIST) == 2
