"""What every object store must do: the text of `sceau.objects.ports`, on all adapters of `objects_fixtures.STORES`."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from secrets import token_hex
from threading import Barrier, Event

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from contract.objects_fixtures import (
    SHARED_STORES,
    STORES,
    StoreCase,
    count_up,
    count_up_elsewhere,
    number_of,
    race_to_create,
    whole_body,
    write_until_killed,
)
from fakes.clock import ManualClock
from sceau.objects.errors import InvalidObjectName, ObjectAbsent, ObjectChanged, ObjectExists, ObjectLocked
from sceau.objects.ports import Expunged, Listings, ObjectStore

DAY = timedelta(days=1)
THREADS = 16
PROCESSES = multiprocessing.get_context("spawn")


@pytest.fixture(params=list(STORES))
def case(request: pytest.FixtureRequest) -> StoreCase:
    return STORES[request.param](request)


@pytest.fixture(params=list(SHARED_STORES))
def shared(request: pytest.FixtureRequest) -> StoreCase:
    return STORES[request.param](request)


@pytest.fixture
def store(case: StoreCase) -> ObjectStore:
    return case.store


@pytest.fixture
def home() -> str:
    """A prefix of the test's own: live stores keep what earlier runs left."""
    return new_home()


def new_home() -> str:
    return f"probe/{token_hex(8)}/"


def everything(store: ObjectStore, home: str) -> dict[str, tuple[bytes, str]]:
    """All that can be seen under `home`, to assert that nothing changed."""
    objects = {name: store.read(name) for name in store.list(home)}
    return {name: (found.data, found.tag) for name, found in objects.items()}


# --- written once ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 50_000, 4 * 1024 * 1024])
def test_what_was_created_is_read_back(store: ObjectStore, home: str, size: int) -> None:
    data = (bytes(range(256)) * (size // 256 + 1))[:size]
    store.create(home + "a", data)
    assert store.read(home + "a").data == data


def test_a_name_is_created_once_and_keeps_its_first_content(store: ObjectStore, home: str) -> None:
    store.create(home + "a", b"first")
    before = everything(store, home)
    for durable in (True, False):
        with pytest.raises(ObjectExists):
            store.create(home + "a", b"second", durable=durable)
    assert everything(store, home) == before


def test_a_mark_that_need_not_survive_power_loss_is_seen_and_taken_at_once(store: ObjectStore, home: str) -> None:
    store.create(home + "mark", b"", durable=False)
    assert list(store.list(home)) == [home + "mark"]
    with pytest.raises(ObjectExists):
        store.create(home + "mark", b"", durable=False)


def test_an_absent_object_is_said_to_be_absent_by_every_operation(case: StoreCase, home: str) -> None:
    store = case.store
    store.create(home + "a/b", b"")
    for name in (home + "b", home + "a/c", home + "a/b.c"):
        for operation in (
            store.read,
            store.locked_until,
            store.written_at,
            store.delete,
            lambda name: store.extend_lock(name, case.now() + DAY),
        ):
            with pytest.raises(ObjectAbsent):
                operation(name)
    assert list(store.list(home)) == [home + "a/b"]


def test_a_deleted_object_is_gone_and_its_name_is_free(store: ObjectStore, home: str) -> None:
    store.create(home + "a/b", b"old")
    store.create(home + "a/c", b"neighbour")
    store.delete(home + "a/b")
    with pytest.raises(ObjectAbsent):
        store.read(home + "a/b")
    with pytest.raises(ObjectAbsent):
        store.delete(home + "a/b")
    assert list(store.list(home)) == [home + "a/c"]
    store.delete(home + "a/c")
    assert list(store.list(home)) == []
    store.create(home + "a/b", b"new")
    assert store.read(home + "a/b").data == b"new"


# --- compare-and-swap --------------------------------------------------------------------------------------------


def test_replacing_chains_tags(store: ObjectStore, home: str) -> None:
    first = store.replace(home + "a", b"1", expected=None)
    assert store.read(home + "a").tag == first
    second = store.replace(home + "a", b"2", expected=first)
    found = store.read(home + "a")
    assert (found.data, found.tag) == (b"2", second)
    assert first != second


def test_an_object_that_was_created_can_be_replaced_under_its_tag(store: ObjectStore, home: str) -> None:
    store.create(home + "a", b"1")
    tag = store.read(home + "a").tag
    assert store.read(home + "a").tag == tag, "reading must not change the tag"
    store.replace(home + "a", b"2", expected=tag)
    assert store.read(home + "a").data == b"2"


def test_a_swap_on_a_stale_tag_changes_nothing(store: ObjectStore, home: str) -> None:
    first = store.replace(home + "a", b"1", expected=None)
    store.replace(home + "a", b"2", expected=first)
    other = store.replace(home + "b", b"other", expected=None)
    before = everything(store, home)
    for expected in (first, other, None, "", "never-given"):
        with pytest.raises(ObjectChanged):
            store.replace(home + "a", b"3", expected=expected)
    assert everything(store, home) == before


def test_a_swap_of_an_object_that_is_gone_does_not_bring_it_back(store: ObjectStore, home: str) -> None:
    tag = store.replace(home + "a", b"1", expected=None)
    store.delete(home + "a")
    with pytest.raises(ObjectChanged):
        store.replace(home + "a", b"2", expected=tag)
    assert list(store.list(home)) == []


# --- age ---------------------------------------------------------------------------------------------------------

SECOND = timedelta(seconds=1)
"""How coarsely a store may count."""


def test_an_object_tells_when_it_was_written_and_looking_at_it_changes_nothing(case: StoreCase, home: str) -> None:
    store, before = case.store, case.dated_by()
    store.create(home + "a", b"1")
    store.create(home + "mark", b"", durable=False)
    store.replace(home + "dossier", b"1", expected=None)
    after = case.dated_by()
    for name in ("a", "mark", "dossier"):
        written = store.written_at(home + name)
        assert written.utcoffset() == timedelta(0)
        assert before - SECOND <= written <= after + SECOND
        store.read(home + name)
        list(store.list(home))
        assert store.written_at(home + name) == written


def test_what_is_written_again_is_dated_again(case: StoreCase, home: str) -> None:
    store = case.store
    tag = store.replace(home + "a", b"1", expected=None)
    store.create(home + "b", b"1")
    first = store.written_at(home + "b")
    if isinstance(case.dated_by, ManualClock):
        case.dated_by.advance(DAY)
    again = case.dated_by()
    store.replace(home + "a", b"2", expected=tag)
    with pytest.raises(ObjectExists):
        store.create(home + "b", b"2")
    assert store.written_at(home + "a") >= again - SECOND
    assert store.written_at(home + "b") == first


def test_a_longer_retention_makes_no_object_look_older(case: StoreCase, home: str) -> None:
    case.store.create(home + "a", b"")
    written = case.store.written_at(home + "a")
    case.store.extend_lock(home + "a", case.now() + DAY)
    assert case.store.written_at(home + "a") >= written


# --- listing -----------------------------------------------------------------------------------------------------


def test_names_come_in_byte_order_of_the_whole_name(store: ObjectStore, home: str) -> None:
    names = ["a-/z", "a.b", "a/-", "a/b", "a/b.c", "a/c/d", "a0", "aB", "a_", "ab/c", "abc", "B", "Z/z", "_", "0"]
    for name in reversed(names):
        store.create(home + name, b"")
    assert list(store.list(home)) == sorted(home + name for name in names)


PARTS = st.text("ab-.0", min_size=1, max_size=3).filter(lambda part: part not in {".", ".."})
NAMES = st.lists(PARTS, min_size=1, max_size=3).map("/".join)


def without_clashes(names: set[str]) -> set[str]:
    """File systems can't hold both x and x/y; no code of ours asks for it."""
    return {name for name in names if not any(other.startswith(name + "/") for other in names)}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.sets(NAMES, max_size=8).map(without_clashes), prefix=NAMES, cut=st.integers(0, 11), after=NAMES)
def test_a_listing_is_the_names_with_the_prefix_after_the_given_one(
    store: ObjectStore, names: set[str], prefix: str, cut: int, after: str
) -> None:
    home = new_home()
    for name in names:
        store.create(home + name, b"", durable=False)
    prefix = home + prefix[:cut]
    for start in ("", home, home + after, home + after + "/"):
        expected = sorted(home + name for name in names if (home + name).startswith(prefix) and home + name > start)
        assert list(store.list(prefix, after=start)) == expected


def test_a_listing_with_tags_shows_what_reading_shows_and_another_tag_for_other_bytes(
    store: ObjectStore, home: str
) -> None:
    """What a backup goes by: a name whose tag is the one that was copied holds what was copied."""
    assert isinstance(store, Listings)
    names = [f"{home}{name}" for name in ("a/b", "a.b", "b")]
    for name in names:
        store.create(name, name.encode())
    before = {one.name: one for one in store.entries(home)}
    assert list(before) == list(store.list(home)) == sorted(names)
    assert {one.name: one.tag for one in before.values()} == {name: store.read(name).tag for name in names}
    assert all(one.written_at == store.written_at(one.name) for one in before.values())
    store.replace(names[0], b"other", expected=before[names[0]].tag)
    after = {one.name: one.tag for one in store.entries(home)}
    assert {name for name in names if after[name] != before[name].tag} == {names[0]}
    assert [one.name for one in store.entries(f"{home}a", after=f"{home}a.b")] == [f"{home}a/b"]


def test_objects_that_stay_are_listed_once_while_others_come_and_go(store: ObjectStore, home: str) -> None:
    stay = [f"{home}{number:02}/stay" for number in range(8)]
    go = [f"{home}{number:02}/go" for number in range(8)]
    for name in stay + go:
        store.create(name, b"", durable=False)
    seen = []
    for name in store.list(home):
        seen.append(name)
        if go:
            store.delete(go.pop())
        last = store.read(stay[-1])
        store.replace(stay[-1], last.data + b".", expected=last.tag)
        store.create(f"{home}{len(seen):02}/new", b"", durable=False)
    assert [name for name in seen if name in stay] == stay


def test_an_object_that_was_just_created_is_in_the_next_listing(store: ObjectStore, home: str) -> None:
    for number in range(5):
        store.create(f"{home}{number}", b"")
        assert list(store.list(home, after=f"{home}{number - 1}" if number else "")) == [f"{home}{number}"]


def test_what_was_created_and_left_alone_is_one_version_and_not_hidden(store: ObjectStore, home: str) -> None:
    names = [f"{home}{name}" for name in ("a/b", "a.b", "b")]
    for name in names:
        store.create(name, b"x")
    kept = list(store.versions(home))
    assert [one.name for one in kept] == list(store.list(home)) == sorted(names)
    assert {(one.versions, one.hidden) for one in kept} == {(1, False)}
    assert [one.name for one in store.versions(f"{home}a", after=f"{home}a.b")] == [f"{home}a/b"]


def test_what_was_written_again_or_deleted_is_counted_or_not_kept(store: ObjectStore, home: str) -> None:
    """Who keeps earlier versions tells them all; of a deleted name, too, unless what is deleted there goes for good."""
    tag = store.replace(home + "a", b"1", expected=None)
    store.replace(home + "a", b"2", expected=tag)
    store.create(home + "b", b"1")
    store.delete(home + "b")
    kept = {one.name: one for one in store.versions(home)}
    assert not kept[home + "a"].hidden
    assert kept[home + "a"].versions in (1, 2)
    if home + "b" in kept:
        assert kept[home + "a"].versions == 2
        assert (kept[home + "b"].versions, kept[home + "b"].hidden) == (1, True)


def test_expunging_touches_nothing_that_can_be_read(case: StoreCase, home: str) -> None:
    """Nor what it replaced: whatever the dates, and however much may go."""
    store, later = case.store, case.now() + DAY
    tag = store.replace(home + "a", b"1", expected=None)
    store.replace(home + "a", b"2", expected=tag)
    store.create(home + "b", b"locked", locked_until=case.now() + DAY)
    before, kept = everything(store, home), list(store.versions(home))
    for name in ("a", "b", "never"):
        assert store.expunge(home + name, deleted_before=later, most=1000) == Expunged(0, 0)
    assert everything(store, home) == before
    assert list(store.versions(home)) == kept


def test_what_was_deleted_is_kept_until_its_time_and_then_goes_for_good_bit_by_bit(case: StoreCase) -> None:
    """Where the store keeps nothing, there is nothing to do; the neighbours stay in either case."""
    store, record = case.store, f"{case.records}{token_hex(13)}"
    name, beside = f"{record}/documents/a", f"{record}/documents/ab"
    for one in (name, beside):
        store.replace(one, b"2", expected=store.replace(one, b"1", expected=None))
    store.delete(name)
    assert store.expunge(name, deleted_before=case.now() - DAY, most=1000).removed == 0, "its deletion is too young"
    kept = {one.name: one for one in store.versions(record)}
    if name in kept:
        assert (kept[name].versions, kept[name].hidden, kept[name].deletions) == (2, True, 1)
        later = case.now() + DAY
        assert store.expunge(name, deleted_before=later, most=0) == Expunged(0, 3)
        assert [store.expunge(name, deleted_before=later, most=2) for _ in range(3)] == [
            *(Expunged(2, 1), Expunged(1, 0), Expunged(0, 0))
        ]
    assert [one.name for one in store.versions(record)] == [beside]
    assert store.read(beside).data == b"2"
    with pytest.raises(ObjectAbsent):
        store.read(name)
    store.create(name, b"anew")
    assert store.read(name).data == b"anew"
    for one in (name, beside):
        store.delete(one)
        store.expunge(one, deleted_before=case.now() + DAY, most=1000)


@pytest.mark.parametrize("bad", ["", "a/../b", "/a", "a/"])
def test_a_name_that_is_none_expunges_nothing(case: StoreCase, bad: str) -> None:
    with pytest.raises(InvalidObjectName):
        case.store.expunge(bad, deleted_before=case.now() + DAY, most=1)


def test_the_store_tells_the_time_that_it_locks_and_dates_by(case: StoreCase, home: str) -> None:
    before = case.now()
    case.store.create(home + "a", b"")
    told = case.store.time()
    assert told.utcoffset() == timedelta(0)
    assert before - 2 * SECOND <= told <= case.now() + 2 * SECOND


# --- retention ---------------------------------------------------------------------------------------------------


def test_a_locked_object_is_not_deleted_nor_replaced_nor_unlocked_earlier(case: StoreCase, home: str) -> None:
    store, until = case.store, case.now() + DAY
    store.create(home + "event", b"evidence", locked_until=until)
    before, end = everything(store, home), store.locked_until(home + "event")
    tag = store.read(home + "event").tag
    with pytest.raises(ObjectLocked):
        store.delete(home + "event")
    with pytest.raises(ObjectLocked):
        store.replace(home + "event", b"forged", expected=tag)
    with pytest.raises(ObjectChanged):
        store.replace(home + "event", b"forged", expected=None)
    with pytest.raises(ObjectExists):
        store.create(home + "event", b"forged")
    with pytest.raises(ObjectLocked):
        store.extend_lock(home + "event", until - timedelta(hours=1))
    assert everything(store, home) == before
    assert store.locked_until(home + "event") == end


def test_a_retention_is_read_back_and_never_shorter_than_asked_for(case: StoreCase, home: str) -> None:
    until = case.now().replace(microsecond=123_456) + DAY
    case.store.create(home + "event", b"", locked_until=until)
    case.store.create(home + "free", b"")
    end = case.store.locked_until(home + "event")
    assert end is not None
    assert until <= end < until + timedelta(seconds=1)
    assert end.utcoffset() == timedelta(0)
    assert case.store.locked_until(home + "free") is None


def test_a_retention_is_extended_and_the_object_stays_as_it_is(case: StoreCase, home: str) -> None:
    store, until = case.store, case.now().replace(microsecond=0) + DAY
    store.create(home + "event", b"evidence", locked_until=until)
    store.extend_lock(home + "event", until)  # sent again after a lost answer
    assert store.locked_until(home + "event") == until
    store.extend_lock(home + "event", until + DAY)
    assert store.locked_until(home + "event") == until + DAY
    assert store.read(home + "event").data == b"evidence"
    with pytest.raises(ObjectLocked):
        store.extend_lock(home + "event", until)
    assert store.locked_until(home + "event") == until + DAY


def test_an_object_without_retention_can_get_one(case: StoreCase, home: str) -> None:
    case.store.create(home + "tile", b"full")
    case.store.extend_lock(home + "tile", case.now() + DAY)
    with pytest.raises(ObjectLocked):
        case.store.delete(home + "tile")
    assert case.store.read(home + "tile").data == b"full"


def test_a_create_that_lost_does_not_lock_the_winner(case: StoreCase, home: str) -> None:
    case.store.create(home + "a", b"")
    with pytest.raises(ObjectExists):
        case.store.create(home + "a", b"", locked_until=case.now() + DAY)
    assert case.store.locked_until(home + "a") is None
    case.store.delete(home + "a")


@pytest.mark.parametrize("extended", [False, True])
def test_an_object_is_free_when_its_retention_is_over_and_not_before(
    case: StoreCase, home: str, extended: bool
) -> None:
    if case.clock is None:
        pytest.skip("the store's server keeps its own clock")
    store, end = case.store, case.clock() + 2 * DAY
    for name in (home + "deleted", home + "replaced"):
        store.create(name, b"1", locked_until=end - DAY if extended else end)
        if extended:
            store.extend_lock(name, end)
    tag = store.read(home + "replaced").tag
    case.clock.now = end - timedelta(milliseconds=1)
    with pytest.raises(ObjectLocked):
        store.delete(home + "deleted")
    with pytest.raises(ObjectLocked):
        store.replace(home + "replaced", b"2", expected=tag)
    case.clock.now = end
    store.delete(home + "deleted")
    store.replace(home + "replaced", b"2", expected=tag)
    assert {name: data for name, (data, _) in everything(store, home).items()} == {home + "replaced": b"2"}
    assert store.locked_until(home + "replaced") is None


# --- names -------------------------------------------------------------------------------------------------------

BAD_NAMES = [
    *("", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/..", "a/../b", "a/./b"),
    *("a b", "a\n", "a\0b", "a\\b", "a*", "a:b", "a%2e", "é", "a\N{FULLWIDTH SOLIDUS}b"),
    *("a" * 256, "b/" + "a" * 256, "/".join(["a" * 100] * 9)),
]


@pytest.mark.parametrize("bad", BAD_NAMES, ids=lambda bad: ascii(bad[:20]))
def test_names_outside_the_grammar_reach_nothing(case: StoreCase, home: str, bad: str) -> None:
    store = case.store
    store.create(home + "a", b"")
    before = everything(store, home)
    operations: list[Callable[[str], object]] = [
        lambda name: store.create(name, b"x"),
        lambda name: store.create(name, b"x", locked_until=case.now() + DAY),
        lambda name: store.replace(name, b"x", expected=None),
        store.read,
        store.delete,
        store.locked_until,
        store.written_at,
        lambda name: store.extend_lock(name, case.now() + DAY),
    ]
    for operation in operations:
        for name in {bad, home + bad} - {home}:
            with pytest.raises(InvalidObjectName):
                operation(name)
    with pytest.raises(InvalidObjectName):
        store.read(home)
    assert everything(store, home) == before


@pytest.mark.parametrize("bad", ["../", "/", "a//", "./a", "é", "a*", "b" * 256, "a/" * 451])
def test_prefixes_outside_the_grammar_are_refused(store: ObjectStore, home: str, bad: str) -> None:
    with pytest.raises(InvalidObjectName):
        list(store.list(home + bad))
    with pytest.raises(InvalidObjectName):
        list(store.versions(home + bad))


def test_the_longest_names_and_those_that_begin_with_a_dot_work(store: ObjectStore, home: str) -> None:
    names = [home + part for part in ("a" * 255, ".hidden", "...", "-", "/".join(["b" * 200] * 4), "/".join("c" * 430))]
    for name in names:
        store.create(name, name.encode())
    assert list(store.list(home)) == sorted(names)
    assert all(store.read(name).data == name.encode() for name in names)


# --- races -------------------------------------------------------------------------------------------------------


def test_of_16_threads_that_create_one_name_exactly_one_wins(store: ObjectStore, home: str) -> None:
    races = 20
    start = Barrier(THREADS)

    def race(me: int) -> set[int]:
        won = set()
        for number in range(races):
            start.wait(120)
            try:
                store.create(f"{home}{number:02}/x", b"%d" % me)
            except ObjectExists:
                continue
            won.add(number)
        return won

    with ThreadPoolExecutor(THREADS) as pool:
        wins = list(pool.map(race, range(THREADS)))
    assert sorted(number for won in wins for number in won) == list(range(races))
    for number in range(races):
        winner = int(store.read(f"{home}{number:02}/x").data)
        assert number in wins[winner]


def test_of_16_threads_that_swap_from_one_tag_exactly_one_wins(store: ObjectStore, home: str) -> None:
    start = Barrier(THREADS)

    def race(me: int) -> list[str | None]:
        tags: list[str | None] = []
        for number in range(8):
            start.wait(120)
            expected = store.read(f"{home}{number}").tag if number % 2 else None
            start.wait(120)
            try:
                tags.append(store.replace(f"{home}{number}", b"%d" % me, expected=expected))
            except ObjectChanged:
                tags.append(None)
        return tags

    for number in (1, 3, 5, 7):
        store.create(f"{home}{number}", b"")
    with ThreadPoolExecutor(THREADS) as pool:
        tags = list(pool.map(race, range(THREADS)))
    for number in range(8):
        found = store.read(f"{home}{number}")
        assert [mine[number] for mine in tags if mine[number]] == [found.tag]
        assert tags[int(found.data)][number] == found.tag


def test_16_threads_that_count_in_one_object_lose_no_update(store: ObjectStore, home: str) -> None:
    store.create(home + "counter", b"0")
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda _: count_up(store, home + "counter", 6), range(THREADS)))
    assert store.read(home + "counter").data == b"%d" % (THREADS * 6)


def test_creators_and_deleters_of_one_folder_do_not_disturb_each_other(store: ObjectStore, home: str) -> None:
    def create_and_delete(me: int) -> None:
        for number in range(15):
            name = f"{home}minute/{me}.{number}"
            store.create(name, b"", durable=False)
            assert store.read(name).data == b""
            store.delete(name)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(create_and_delete, range(4)))
    assert list(store.list(home)) == []


def test_readers_see_whole_objects_while_they_are_replaced(store: ObjectStore, home: str) -> None:
    tag = store.replace(home + "dossier", whole_body(0), expected=None)
    done = Event()

    def read() -> list[int]:
        seen = []
        while not done.is_set():
            seen.append(number_of(store.read(home + "dossier").data))
            assert list(store.list(home)) == [home + "dossier"]
        return seen

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        try:
            for number in range(1, 30):
                tag = store.replace(home + "dossier", whole_body(number), expected=tag)
        finally:
            done.set()
        for reader in readers:
            assert reader.result() == sorted(reader.result())


def test_of_several_processes_that_create_the_same_names_each_name_has_one_winner(shared: StoreCase, home: str) -> None:
    racers, races = 4, 100
    start = PROCESSES.Barrier(racers)
    pipes = [PROCESSES.Pipe(duplex=False) for _ in range(racers)]
    workers = [
        PROCESSES.Process(target=race_to_create, args=(shared.elsewhere, home, races, start, pipe[1])) for pipe in pipes
    ]
    for worker in workers:
        worker.start()
    wins = []
    for (won, worker_end), worker in zip(pipes, workers, strict=True):
        worker_end.close()
        wins.append(won.recv())
        won.close()
        worker.join(120)
        assert worker.exitcode == 0
    assert sorted(race for _, mine in wins for race in mine) == list(range(races))
    for content, mine in wins:
        assert all(shared.store.read(f"{home}{race:04}").data == content for race in mine)


def test_several_processes_that_count_in_one_object_lose_no_update(shared: StoreCase, home: str) -> None:
    counters, times = 4, 40
    shared.store.create(home + "counter", b"0")
    start = PROCESSES.Barrier(counters)
    args = (shared.elsewhere, home + "counter", times, start)
    workers = [PROCESSES.Process(target=count_up_elsewhere, args=args) for _ in range(counters)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0
    assert shared.store.read(home + "counter").data == b"%d" % (counters * times)


def test_a_writer_killed_at_any_time_leaves_whole_objects_and_all_it_acknowledged(shared: StoreCase) -> None:
    for acknowledgements in (1, 2, 5, 9, 14):
        home = new_home()
        receiver, sender = PROCESSES.Pipe(duplex=False)
        writer = PROCESSES.Process(target=write_until_killed, args=(shared.elsewhere, home, sender))
        writer.start()
        sender.close()
        for _ in range(acknowledgements):
            receiver.recv()
        writer.kill()
        writer.join(120)
        acknowledged = acknowledgements - 1
        while receiver.poll():
            try:
                acknowledged = receiver.recv()
            except EOFError:
                break
        receiver.close()
        names = list(shared.store.list(home))
        documents, dossier = names[:-1], names[-1]
        assert dossier == home + "dossier"
        assert documents == [f"{home}documents/{number:06}" for number in range(len(documents))]
        assert len(documents) in {acknowledged + 1, acknowledged + 2}
        assert [number_of(shared.store.read(name).data) for name in documents] == list(range(len(documents)))
        found = shared.store.read(dossier)
        assert number_of(found.data) in {acknowledged, acknowledged + 1}
        # Nothing that the dead held keeps the living out.
        shared.store.replace(dossier, b"next", expected=found.tag)
