"""The fake must catch misuse, and fail exactly as it is told to: fault harnesses and budgets of calls stand on it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Event, Thread

import pytest

from fakes.clock import ManualClock
from fakes.objects import Call, Fault, MemoryStore, MisusedStoreError, PolicingStore, on, on_calls
from sceau.objects.errors import InvalidObjectName, ObjectAbsent, ObjectExists, ObjectStoreUnavailable
from sceau.objects.scoped import StoreOperation

CLOCK = ManualClock()
UNTIL = CLOCK() + timedelta(days=1)
DOSSIER, DOCUMENT, EVENT = "records/r/dossier", "records/r/documents/e", "journal/events/2026-03-02/09/30/r.e"


@pytest.fixture
def store() -> PolicingStore:
    return PolicingStore(MemoryStore(CLOCK))


@pytest.mark.parametrize(
    "misuse",
    [
        lambda store: store.create(EVENT, b""),
        lambda store: store.replace(EVENT, b"", expected=None),
        lambda store: store.replace(DOCUMENT, b"", expected=None),
        lambda store: store.create(DOCUMENT, b"", durable=False),
        lambda store: store.create("revoked/1/a", b"", durable=False),
        lambda store: store.create(DOSSIER, b""),
        lambda store: store.delete("journal/log/checkpoint"),
        lambda store: store.delete(EVENT),
        lambda store: store.replace("configuration/pseudonym", b"", expected=None),
        lambda store: store.create("somewhere/else", b""),
        lambda store: store.create("records/r", b""),
        lambda store: store.create(EVENT, b"", locked_until=datetime(2036, 1, 1)),  # noqa: DTZ001 - the misuse
        lambda store: store.extend_lock(EVENT, datetime(2036, 1, 1)),  # noqa: DTZ001 - the misuse
        lambda store: store.read(DOCUMENT),
        lambda store: store.locked_until(DOCUMENT),
    ],
)
def test_misuse_is_an_assertion_that_fails_even_if_it_is_swallowed(
    store: PolicingStore, misuse: Callable[[PolicingStore], object]
) -> None:
    with pytest.raises(MisusedStoreError):
        misuse(store)
    assert len(store.misuses) == 1
    assert list(store.inner.list("")) == []


def test_what_the_architecture_does_is_no_misuse(store: PolicingStore) -> None:
    with pytest.raises(ObjectAbsent):
        store.read(DOSSIER)
    tag = store.replace(DOSSIER, b"1", expected=None)
    store.replace(DOSSIER, b"2", expected=tag)
    store.create(DOCUMENT, b"")
    store.create(EVENT, b"", locked_until=UNTIL)
    store.extend_lock(EVENT, UNTIL + timedelta(days=1))
    store.create("configuration/pseudonym", b"")
    store.replace("configuration/clients/lab", b"", expected=None)
    store.create("due/2026-03-02/r", b"")
    store.create("replay/1/a", b"", durable=False)
    store.delete("replay/1/a")
    store.delete(DOCUMENT)
    with pytest.raises(ObjectAbsent):
        store.read(DOCUMENT)  # it was there
    with pytest.raises(InvalidObjectName):
        store.create("../x", b"")
    assert store.misuses == []


def test_calls_are_recorded_numbered_and_counted(store: PolicingStore) -> None:
    store.create(DOCUMENT, b"")
    store.read(DOCUMENT)
    list(store.list("records/"))
    store.create(EVENT, b"", locked_until=UNTIL)
    store.locked_until(EVENT)
    store.written_at(EVENT)
    assert store.calls == [
        Call(1, StoreOperation.CREATE, DOCUMENT),
        Call(2, StoreOperation.READ, DOCUMENT),
        Call(3, StoreOperation.LIST, "records/"),
        Call(4, StoreOperation.CREATE_LOCKED, EVENT),
        Call(5, StoreOperation.READ, EVENT),
        Call(6, StoreOperation.LIST, EVENT),
    ]
    assert store.count() == 6
    assert store.count(StoreOperation.READ) == 2
    assert store.count(prefix="records/") == 3
    assert store.count(StoreOperation.READ, "journal/") == 1


@pytest.mark.parametrize(
    ("fault", "written", "maybe_written"),
    [(Fault.FAILS, False, False), (Fault.FAILS_UNSURE, False, True), (Fault.FAILS_AFTER_WRITING, True, True)],
)
def test_each_fault_does_what_it_says(store: PolicingStore, fault: Fault, written: bool, maybe_written: bool) -> None:
    store.faults = on_calls(2, fault=fault)
    store.create(DOCUMENT + "1", b"")
    with pytest.raises(ObjectStoreUnavailable) as raised:
        store.create(DOCUMENT + "2", b"")
    store.create(DOCUMENT + "3", b"")
    assert raised.value.maybe_written == maybe_written
    assert (DOCUMENT + "2" in store.inner.list("")) == written
    assert store.count() == 3


@pytest.mark.parametrize("fault", list(Fault))
def test_a_read_or_listing_that_fails_has_written_nothing(store: PolicingStore, fault: Fault) -> None:
    store.create(DOCUMENT, b"")
    store.faults = lambda _: fault
    for act in (
        lambda: store.read(DOCUMENT),
        lambda: store.written_at(DOCUMENT),
        lambda: list(store.list("records/")),
    ):
        with pytest.raises(ObjectStoreUnavailable) as raised:
            act()
        assert not raised.value.maybe_written


def test_a_listing_breaks_off_after_its_names(store: PolicingStore) -> None:
    store.create(DOCUMENT, b"")
    store.faults = on(StoreOperation.LIST, fault=Fault.FAILS_AFTER_WRITING)
    names = store.list("records/")
    assert next(names) == DOCUMENT
    with pytest.raises(ObjectStoreUnavailable):
        next(names)


def test_a_refusal_whose_answer_is_lost_looks_like_any_lost_answer(store: PolicingStore) -> None:
    store.create(DOCUMENT, b"first")
    store.faults = on(StoreOperation.CREATE, fault=Fault.FAILS_AFTER_WRITING)
    with pytest.raises(ObjectStoreUnavailable) as raised:
        store.create(DOCUMENT, b"second")
    assert raised.value.maybe_written
    store.faults = lambda _: None
    with pytest.raises(ObjectExists):
        store.create(DOCUMENT, b"second")
    assert store.read(DOCUMENT).data == b"first"


def test_faults_can_be_aimed_at_an_operation_and_a_pattern(store: PolicingStore) -> None:
    store.faults = on(StoreOperation.REPLACE, "records/*/dossier")
    store.create(DOCUMENT, b"")
    store.replace("configuration/clients", b"", expected=None)
    with pytest.raises(ObjectStoreUnavailable):
        store.replace(DOSSIER, b"", expected=None)


@pytest.mark.parametrize("after", [False, True])
def test_a_call_can_be_held_before_it_takes_effect_or_before_it_answers(store: PolicingStore, after: bool) -> None:
    reached, go = Event(), Event()

    def hold(call: Call) -> None:
        if call.operation is StoreOperation.CREATE:
            reached.set()
            assert go.wait(120)

    if after:
        store.waits_after = hold
    else:
        store.waits = hold
    writer = Thread(target=store.create, args=(DOCUMENT, b""))
    writer.start()
    assert reached.wait(120)
    assert list(store.list("records/")) == ([DOCUMENT] if after else [])
    assert writer.is_alive()
    go.set()
    writer.join(120)
    assert list(store.list("records/")) == [DOCUMENT]
