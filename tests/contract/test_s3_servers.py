"""The S3 store on real servers, where it gets rough: races between processes, a network that cuts, wrong credentials,
missing buckets, versions and marks. moto has no place here: it is no server."""

from __future__ import annotations

import multiprocessing
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any

import pytest

from contract.objects_fixtures import commit_elsewhere, race_to_create
from fixtures.cutting_proxy import CuttingProxy, Trouble, cutting
from fixtures.s3_servers import KINDS, LOCKED, RECORDS, Place, S3Servers, open_store
from sceau.objects.deadline import within
from sceau.objects.errors import (
    ObjectAbsent,
    ObjectChanged,
    ObjectExists,
    ObjectLocked,
    ObjectStoreUnavailable,
)
from sceau.objects.ports import Expunged, Kept
from sceau.objects.s3.calls import CALL_SECONDS
from sceau.objects.s3.store import S3Store

PROCESSES = multiprocessing.get_context("spawn")
DAY = timedelta(days=1)


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, s3_servers: S3Servers) -> Place:
    return s3_servers.place(request.param)


@pytest.fixture
def store(place: Place, s3_servers: S3Servers) -> S3Store:
    return s3_servers.store(next(kind for kind, one in s3_servers.places.items() if one is place))


@pytest.fixture
def home() -> str:
    return f"probe/{token_hex(8)}/"


# Races between processes. The bars are the issue's: 16 processes, 500 swaps each; 1,000 races.


@pytest.mark.slow
def test_16_processes_that_commit_500_times_each_to_one_dossier_lose_no_update(
    place: Place, store: S3Store, counted: Callable[[int], None]
) -> None:
    racers, times = 16, 500
    name = f"records/{token_hex(13)}/dossier"
    store.create(name, b"0")
    start = PROCESSES.Barrier(racers)
    pipes = [PROCESSES.Pipe(duplex=False) for _ in range(racers)]
    workers = [
        PROCESSES.Process(target=commit_elsewhere, args=(Opened(place), name, times, start, pipe[1])) for pipe in pipes
    ]
    for worker in workers:
        worker.start()
    tries = 0
    for (tried, ours), worker in zip(pipes, workers, strict=True):
        ours.close()
        tries += tried.recv()
        tried.close()
        worker.join(120)
        assert worker.exitcode == 0
    assert store.read(name).data == b"%d" % (racers * times)
    assert tries > racers * times, "they did race"
    counted(racers * times)


@pytest.mark.slow
def test_of_16_processes_that_create_one_name_exactly_one_wins_each_of_1000_races(
    place: Place, store: S3Store, home: str, counted: Callable[[int], None]
) -> None:
    racers, races = 16, 1000
    start = PROCESSES.Barrier(racers)
    pipes = [PROCESSES.Pipe(duplex=False) for _ in range(racers)]
    workers = [
        PROCESSES.Process(target=race_to_create, args=(Opened(place), home, races, start, pipe[1])) for pipe in pipes
    ]
    for worker in workers:
        worker.start()
    wins = []
    for (won, ours), worker in zip(pipes, workers, strict=True):
        ours.close()
        wins.append(won.recv())
        won.close()
        worker.join(120)
        assert worker.exitcode == 0
    assert sorted(race for _, mine in wins for race in mine) == list(range(races))
    for content, mine in wins:
        assert all(store.read(f"{home}{race:04}").data == content for race in mine)
    counted(races)


class Opened:
    """Opens the same store in another process: picklable."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def __call__(self) -> S3Store:
        return open_store(self._place)


# A network that cuts, delays and repeats

ROUNDS = 40
SHARE = 0.35


@pytest.fixture
def troubled(place: Place) -> Iterator[tuple[S3Store, CuttingProxy]]:
    """A store behind a proxy that makes trouble of a third of all requests; attempts there wait for half a second."""
    dice = random.Random(20261126)  # noqa: S311 - the same troubles each time
    lock = threading.Lock()

    def choose(_: str, __: str) -> Trouble | None:
        with lock:
            return dice.choice(list(Trouble)) if dice.random() < SHARE else None

    with cutting(place.spec.origin, place.base / "tls", choose, late_seconds=0.8) as proxy:
        behind = place.elsewhere(endpoint=proxy.endpoint)
        yield S3Store(behind.calls(attempt_seconds=0.5), behind.spec.buckets), proxy


@dataclass
class Ledger:
    """A record's documents, and an object to which many append by compare-and-swap; `direct` goes past the proxy."""

    behind: S3Store
    direct: S3Store
    record: str
    lock: threading.Lock = field(default_factory=threading.Lock)
    kept: dict[str, bytes] = field(default_factory=dict)
    swapped: list[bytes] = field(default_factory=list)
    unknown: list[bytes] = field(default_factory=list)

    def create(self, name: str, mine: bytes) -> None:
        try:
            self.behind.create(name, mine)
        except ObjectStoreUnavailable as error:
            if not error.maybe_written:
                with pytest.raises(ObjectAbsent):
                    self.direct.read(name)
            return
        except ObjectExists:
            # The network sent it twice, and only the refusal came back.
            assert self.direct.read(name).data == mine
        with self.lock:
            self.kept[name] = mine

    def append(self, mine: bytes) -> None:
        while True:
            try:
                seen = self.behind.read(f"{self.record}/dossier")
                self.behind.replace(f"{self.record}/dossier", seen.data + mine, expected=seen.tag)
            except ObjectChanged:
                # A repeated request can be refused by what itself has done: then it is there, and was not announced.
                if mine in self.entries():
                    return self._note(self.unknown, mine)
            except ObjectStoreUnavailable as error:
                return self._note(self.unknown, mine) if error.maybe_written else None
            else:
                return self._note(self.swapped, mine)

    def entries(self) -> list[bytes]:
        return [entry + b";" for entry in self.direct.read(f"{self.record}/dossier").data.split(b";")[:-1]]

    def _note(self, where: list[bytes], mine: bytes) -> None:
        with self.lock:
            where.append(mine)


@pytest.mark.slow
def test_what_was_acknowledged_through_a_bad_network_is_there_and_nothing_is_there_twice(
    troubled: tuple[S3Store, CuttingProxy], store: S3Store, counted: Callable[[int], None]
) -> None:
    behind, proxy = troubled
    ledger = Ledger(behind, store, f"records/{token_hex(13)}")
    store.create(f"{ledger.record}/dossier", b"")

    def work(me: int) -> None:
        for number in range(ROUNDS):
            mine = b"%d.%d;" % (me, number)
            ledger.create(f"{ledger.record}/documents/{me:02}.{number:03}", mine)
            ledger.append(mine)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    entries = ledger.entries()
    assert len(entries) == len(set(entries)), "nothing twice"
    assert set(ledger.swapped) <= set(entries), "what was acknowledged is there"
    assert set(entries) <= {*ledger.swapped, *ledger.unknown}, "what was said not to be there is not"
    assert all(store.read(name).data == mine for name, mine in ledger.kept.items())
    assert len(ledger.kept) > 8 * ROUNDS * 0.9, "most get through"
    assert all(proxy.happened[trouble] > 0 for trouble in Trouble), "every kind of trouble was met"
    counted(sum(proxy.happened.values()))


@pytest.mark.slow
def test_a_mark_is_granted_once_whatever_the_network_does(
    troubled: tuple[S3Store, CuttingProxy], store: S3Store, counted: Callable[[int], None]
) -> None:
    """Several processes claim the same proof: never do two of them get it."""
    behind, _ = troubled
    minute = token_hex(6)

    def claim(number: int) -> bool:
        try:
            behind.create(f"replay/{minute}/{number:04}", b"", durable=False)
        except (ObjectExists, ObjectStoreUnavailable):
            return False
        return True

    marks = [number for number in range(150) for _ in range(4)]
    with ThreadPoolExecutor(8) as pool:
        granted = list(pool.map(claim, marks))
    winners = [mark for mark, won in zip(marks, granted, strict=True) if won]
    assert len(winners) == len(set(winners)), "granted twice"
    assert set(winners) <= {int(name.rpartition("/")[2]) for name in store.list(f"replay/{minute}/")}
    assert len(winners) > 120
    counted(len(marks))


@pytest.mark.parametrize("trouble", [Trouble.CUT_AFTER, Trouble.CUT_WITHIN, Trouble.BROKEN, Trouble.LATE])
def test_a_write_whose_first_answer_is_lost_is_reported_as_it_is(
    place: Place, store: S3Store, home: str, trouble: Trouble
) -> None:
    first = {"left": 0}

    def choose(method: str, _: str) -> Trouble | None:
        first["left"] -= method == "PUT"
        return trouble if method == "PUT" and first["left"] >= 0 else None

    with cutting(place.spec.origin, place.base / "tls", choose, late_seconds=0.6) as proxy:
        near = place.elsewhere(endpoint=proxy.endpoint)
        behind = S3Store(near.calls(attempt_seconds=0.4), near.spec.buckets)
        document, dossier = f"records/{token_hex(13)}/documents/a", f"records/{token_hex(13)}/dossier"
        first["left"] = 1
        behind.create(document, b"sealed")
        first["left"] = 1
        tag = behind.replace(dossier, b"1", expected=None)
        first["left"] = 1
        behind.create(home + "mark", b"")
        assert proxy.happened[trouble] == 3
    assert store.read(document).data == b"sealed"
    assert (store.read(dossier).data, store.read(dossier).tag) == (b"1", tag)
    assert [one.versions for one in store.versions(document)] == [1]
    assert [one.versions for one in store.versions(dossier)] == [1]


def test_a_deadline_is_kept_when_nobody_answers(place: Place, store: S3Store) -> None:
    def choose(_: str, __: str) -> Trouble | None:
        return Trouble.LATE

    with cutting(place.spec.origin, place.base / "tls", choose, late_seconds=30.0) as proxy:
        near = place.elsewhere(endpoint=proxy.endpoint)
        behind = S3Store(near.calls(), near.spec.buckets)
        started = datetime.now(UTC)
        with within(0.7), pytest.raises(ObjectStoreUnavailable) as refused:
            behind.read(f"records/{token_hex(13)}/dossier")
        assert datetime.now(UTC) - started < timedelta(seconds=10)
        assert not refused.value.maybe_written


# What is wrong with a stage


def opened(place: Place, **changes: Any) -> S3Store:
    changed = place.elsewhere(**changes)
    return S3Store(changed.calls(), changed.spec.buckets)


def test_wrong_credentials_are_a_sentence_and_write_nothing(
    place: Place, store: S3Store, tmp_path: Any, home: str
) -> None:
    for key, secret in ((None, "wrong"), ("nobody", "wrong")):
        lines = (place.base / "credentials").read_text("utf-8").splitlines()
        own = lines[1].partition(" = ")[2]
        file = tmp_path / f"{key}"
        file.write_text(f"[default]\naws_access_key_id = {key or own}\naws_secret_access_key = {secret}\n", "utf-8")
        wrong = opened(place, credentials_file=file)
        with pytest.raises(ObjectStoreUnavailable, match="credentials") as refused:
            wrong.create(home + "a", b"x")
        assert not refused.value.maybe_written
        with pytest.raises(ObjectStoreUnavailable, match="credentials"):
            wrong.locations()
    assert list(store.list(home)) == []


def test_a_missing_bucket_is_a_sentence(place: Place, home: str) -> None:
    missing = opened(place, buckets={"": "sceau-nowhere", "journal/": LOCKED})
    for act in (missing.read, lambda name: missing.create(name, b""), lambda name: list(missing.list(name))):
        with pytest.raises(ObjectStoreUnavailable, match=r"bucket of the store does not exist"):
            act(home + "a")
    with pytest.raises(ObjectStoreUnavailable, match=r"sceau-nowhere: a bucket of the store does not exist"):
        missing.locations()


def test_a_bucket_without_object_lock_takes_no_event_and_says_what_it_needs(place: Place, store: S3Store) -> None:
    """versitygw refuses, and has written it all the same: so it is not said not to be there."""
    swapped = opened(place, buckets={"": LOCKED, "journal/": RECORDS})
    name = f"journal/events/{token_hex(8)}"
    with pytest.raises(ObjectStoreUnavailable, match="needs Object Lock") as refused:
        swapped.create(name, b"event", locked_until=datetime.now(UTC) + DAY)
    assert refused.value.maybe_written


def test_a_server_of_another_region_is_a_sentence(place: Place, home: str) -> None:
    elsewhere = opened(place, region="fr-elsewhere")
    with pytest.raises(ObjectStoreUnavailable) as refused:
        elsewhere.create(home + "a", b"x")
    assert not refused.value.maybe_written
    assert "\n" not in str(refused.value)


def test_a_certificate_of_another_authority_is_refused_at_once(place: Place, tmp_path: Any) -> None:
    from sceau.cli.certificates import create_loopback_certificates

    create_loopback_certificates(tmp_path, datetime.now(UTC))
    other = opened(place, ca_file=tmp_path / "ca.pem")
    started = datetime.now(UTC)
    with pytest.raises(ObjectStoreUnavailable, match="certificate") as refused:
        other.locations()
    assert not refused.value.maybe_written
    assert datetime.now(UTC) - started < timedelta(seconds=CALL_SECONDS / 2)


def test_a_server_that_is_away_is_unavailable_within_the_deadline_and_back_afterwards(
    s3_servers: S3Servers, place: Place, store: S3Store, home: str
) -> None:
    kind = next(kind for kind, one in s3_servers.places.items() if one is place)
    server = s3_servers.servers[kind]
    store.create(home + "a", b"1", locked_until=datetime.now(UTC) + DAY)
    server.kill()
    try:
        with within(1), pytest.raises(ObjectStoreUnavailable) as refused:
            store.create(home + "b", b"2")
        # Connections that were open when it died leave it open.
        assert refused.value.reason in {"no connection", "connection lost"}
    finally:
        server.start()
    assert store.read(home + "a").data == b"1"
    with pytest.raises(ObjectLocked):
        store.delete(home + "a")
    store.create(home + "c", b"3")


# Versions and marks


def test_what_is_deleted_in_a_record_can_be_brought_back_and_elsewhere_it_is_gone(
    place: Place, store: S3Store, home: str
) -> None:
    document = f"records/{token_hex(13)}/documents/{token_hex(13)}"
    store.create(document, b"sealed")
    store.delete(document)
    with pytest.raises(ObjectAbsent):
        store.read(document)
    with pytest.raises(ObjectAbsent):
        store.delete(document)
    assert list(store.list(document)) == []
    assert list(store.versions(document)) == [Kept(document, 1, hidden=True, deletions=1)]
    deletion, kept = store.history(document)
    assert (deletion.is_deletion, kept.is_deletion) == (True, False)
    assert store.read_version(document, kept.id) == b"sealed"
    with pytest.raises(ObjectAbsent):
        store.read_version(document, deletion.id)

    tag = store.replace(home + "a", b"1", expected=None)
    store.replace(home + "a", b"2", expected=tag)
    assert list(store.versions(home)) == [Kept(home + "a", 2, hidden=False)]
    store.delete(home + "a")
    assert list(store.versions(home)) == []


def test_every_content_of_a_replaced_object_can_be_read_by_its_version(store: S3Store) -> None:
    dossier = f"records/{token_hex(13)}/dossier"
    tag = None
    for number in range(5):
        tag = store.replace(dossier, b"%d" % number, expected=tag)
    store.create(f"{dossier}.other", b"")
    history = store.history(dossier)
    assert [store.read_version(dossier, version.id) for version in history] == [b"4", b"3", b"2", b"1", b"0"]
    assert [version.written_at for version in history] == sorted((one.written_at for one in history), reverse=True)
    assert not any(version.is_deletion for version in history)
    assert store.history(f"{dossier}.none") == ()
    for nothing in ("no-version", history[0].id[:-1]):
        with pytest.raises(ObjectAbsent):
            store.read_version(dossier, nothing)


def test_each_version_and_each_deletion_is_dated_when_it_was_written_and_not_when_it_was_replaced(
    store: S3Store,
) -> None:
    """By which `sceau restore --record` finds what was there at a time."""
    dossier, second = f"records/{token_hex(13)}/dossier", timedelta(seconds=1)

    periods = []

    def done(act: Callable[[], Any]) -> Any:
        """Do it, note by the store's clock when, and let two seconds pass."""
        begin = store.time()
        result = act()
        end = store.time()
        while store.time() < end + 2 * second:
            store.locations()
        periods.append((begin - 1.5 * second, end + 1.5 * second))
        return result

    tag = done(lambda: store.replace(dossier, b"0", expected=None))
    done(lambda: store.replace(dossier, b"1", expected=tag))
    done(lambda: store.delete(dossier))
    history = list(reversed(store.history(dossier)))
    assert [one.is_deletion for one in history] == [False, False, True]
    dates = [one.written_at for one in history]
    assert all(begin <= date <= end for date, (begin, end) in zip(dates, periods, strict=True)), (dates, periods)


def test_over_a_deletion_mark_a_name_is_free_again_but_on_versitygw(
    store: S3Store, request: pytest.FixtureRequest
) -> None:
    """versitygw takes the mark for an object: there the mark must go before a deleted dossier can be restored."""
    dossier = f"records/{token_hex(13)}/dossier"
    store.create(dossier, b"0")
    store.delete(dossier)
    if request.node.callspec.params["place"] == "versitygw":
        with pytest.raises(ObjectExists):
            store.create(dossier, b"1")
        with pytest.raises(ObjectChanged):
            store.replace(dossier, b"1", expected=None)
    else:
        store.replace(dossier, b"1", expected=None)
        assert store.read(dossier).data == b"1"


def test_a_record_that_was_deleted_is_expunged_and_may_be_opened_again(store: S3Store) -> None:
    """On versitygw, too, where the mark had taken its name."""
    record = f"records/{token_hex(13)}"
    dossier, document = f"{record}/dossier", f"{record}/documents/{token_hex(13)}"
    tag = None
    for number in range(4):
        tag = store.replace(dossier, b"%d" % number, expected=tag)
    store.create(document, b"sealed")
    for name in (document, dossier):
        store.delete(name)
    deleted = store.time()
    for name in (document, dossier):
        assert store.expunge(name, deleted_before=deleted - DAY, most=100).removed == 0
    assert {one.name: one.versions for one in store.versions(f"{record}/")} == {dossier: 4, document: 1}
    assert store.expunge(dossier, deleted_before=deleted + DAY, most=3) == Expunged(3, 2)
    with pytest.raises(ObjectAbsent):
        store.read(dossier)
    assert store.expunge(dossier, deleted_before=deleted + DAY, most=100) == Expunged(2, 0)
    assert store.history(dossier) == ()
    store.replace(dossier, b"another life", expected=None)
    assert store.expunge(document, deleted_before=deleted + DAY, most=100) == Expunged(2, 0)
    assert store.expunge(dossier, deleted_before=deleted + DAY, most=100) == Expunged(0, 0)
    assert [(one.name, one.versions) for one in store.versions(f"{record}/")] == [(dossier, 1)]
    assert store.read(dossier).data == b"another life"


def test_what_is_locked_is_not_expunged_and_goes_on_being_hidden(store: S3Store, home: str) -> None:
    store.create(home + "a", b"evidence", locked_until=datetime.now(UTC) + DAY)
    raw = store._calls._client  # as whoever holds the bucket's credentials could
    place = store._naming.place(home + "a")
    raw.delete_object(**place)
    with pytest.raises((ObjectLocked, ObjectStoreUnavailable)):  # versitygw does not tell of a version why
        store.expunge(home + "a", deleted_before=datetime.now(UTC) + DAY, most=10)
    assert list(store.versions(home)) == [Kept(home + "a", 1, hidden=True, deletions=1)]


def test_a_lock_that_is_over_frees_the_object_by_the_server_s_clock(store: S3Store, home: str) -> None:
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=5)
    store.create(home + "event", b"evidence", locked_until=until)
    refusals = 0
    while True:
        try:
            store.delete(home + "event")
        except ObjectLocked:
            refusals += 1
            continue
        break
    assert refusals > 0
    assert datetime.now(UTC) >= until - timedelta(seconds=1)
    assert list(store.versions(home)) == []


def test_a_plain_put_over_a_locked_event_does_not_take_it_away_and_is_seen(
    place: Place, store: S3Store, home: str
) -> None:
    """Whoever holds a writer's credentials can cover an event, not change it: versions tell."""
    store.create(home + "event", b"evidence", locked_until=datetime.now(UTC) + DAY)
    place.client().put_object(Bucket=LOCKED, Key=home + "event", Body=b"forged")
    assert list(store.versions(home)) == [Kept(home + "event", 2, hidden=False)]
    place.client().delete_object(Bucket=LOCKED, Key=home + "event")
    assert list(store.versions(home)) == [Kept(home + "event", 2, hidden=True, deletions=1)]


def test_listings_go_over_pages_of_a_thousand(store: S3Store, home: str) -> None:
    names = [f"{home}{number:04}" for number in range(1005)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: store.create(name, b""), names))
    assert list(store.list(home)) == names
    assert [one.name for one in store.versions(home)] == names
    assert list(store.list(home, after=names[998])) == names[999:]
