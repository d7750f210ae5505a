"""What each act asks of store and key service, call by call: on a host, that is its latency and its price (issue 4).

All functions of a stage, as they are deployed, on a store and a key service that are watched. Not part of an act: what
is read again now and then (configuration, public keys, the list of revocations), the data key of a batch of events,
and the event that counts the last minute's unauthenticated requests.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from benchmarks.calls import EXPECTED
from benchmarks.functions import Functions, functions_of
from benchmarks.https import FHIR, RAW
from benchmarks.records import PEOPLE, RecordWriter, WrittenRecord, exam_search, publication
from benchmarks.stage import make_stage, quiet_log
from fakes.keys import PolicingKeys
from fakes.objects import PolicingStore
from sceau.cli.session import Session
from sceau.keys.ports import KeyName
from sceau.keys.scoped import KeyOperation
from sceau.objects.scoped import StoreOperation

EVENT, MARK = "create-locked journal", "create replay"
LOADED, COMMITTED = "read records", "replace records"


@dataclass
class World:
    """A stage whose functions are warm: one of each act was done. `store` and `keys` count from then on."""

    functions: Functions
    store: PolicingStore
    keys: PolicingKeys
    record: WrittenRecord
    laboratory: Session
    physician: Session

    def act(
        self, session: Session, method: str, target: str, headers: dict[str, str], body: bytes | None = None
    ) -> bytes:
        response = session.request(method, target, body, headers)
        assert response.status == 200, response.data
        return bytes(response.data)

    def publish(self, documents: int) -> str:
        """Returns the id of one of the entries."""
        answer = self.act(self.laboratory, "POST", "/fhir", FHIR, publication(self.record.patient, documents))
        locations = [entry["response"]["location"] for entry in json.loads(answer)["entry"]]
        return str(next(one.split("/")[1] for one in locations if one.startswith("DocumentReference/")))

    def search(self) -> None:
        self.act(self.physician, "GET", exam_search(self.record.patient), FHIR)

    def retrieve(self) -> None:
        self.act(self.physician, "GET", f"/fhir/Binary/{self.record.readable[0]}", RAW)

    def begin(self) -> None:
        self.store.calls.clear()
        self.keys.calls.clear()

    def store_calls(self) -> Counter[str]:
        calls = [call for call in self.store.calls if not call.name.startswith(("configuration/", "revoked/"))]
        of_no_record = [call for call in calls if call.name.rpartition("/")[2].startswith("0.")]
        return Counter(f"{call.operation} {call.name.partition('/')[0]}" for call in calls if call not in of_no_record)

    def key_calls(self) -> Counter[str]:
        return counted(self.keys)


def counted(keys: PolicingKeys) -> Counter[str]:
    """Calls of acts, by operation and key."""
    renewed = (KeyName.CONFIGURATION, KeyName.JOURNAL)
    calls = [call for call in keys.calls if call.key not in renewed]
    return Counter(f"{call.operation} {call.key}" for call in calls if call.operation is not KeyOperation.PUBLIC)


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    local = make_stage(tmp_path_factory.mktemp("calls") / "stage")
    store, keys = PolicingStore(local.stage.store()), PolicingKeys(local.stage.keys())
    with quiet_log(), functions_of(local, store=store, keys=keys) as functions:
        record = RecordWriter(local.stage).write(PEOPLE["dominique"], 12)
        sessions = functions.session("laboratory"), functions.session("hospital-physician")
        world = World(functions, store, keys, record, *sessions)
        world.publish(1)
        world.search()
        yield world


@pytest.fixture
def world(warm: World) -> World:
    warm.begin()
    return warm


@pytest.mark.parametrize("documents", [1, 3])
def test_a_publication_asks_four_and_two_times_and_once_more_for_each_document(world: World, documents: int) -> None:
    world.publish(documents)
    assert world.store_calls() == {MARK: 1, LOADED: 1, EVENT: 1, "create records": documents, COMMITTED: 1}
    assert world.key_calls() == {"unwrap dossier": 1, "wrap content": documents, "wrap dossier": 1}


def test_a_search_asks_three_times_and_once(world: World) -> None:
    world.search()
    assert world.store_calls() == {MARK: 1, LOADED: 1, EVENT: 1}
    assert world.key_calls() == {"unwrap dossier": 1}


def test_a_retrieval_asks_four_times_and_twice(world: World) -> None:
    world.retrieve()
    assert world.store_calls() == {MARK: 1, LOADED: 2, EVENT: 1}
    assert world.key_calls() == {"unwrap dossier": 1, "unwrap content": 1}


def test_a_token_asks_four_times_and_once(world: World) -> None:
    world.functions.session("hospital-physician")
    assert world.store_calls() == {MARK: 3, EVENT: 1}
    assert world.key_calls() == {"sign tokens": 1}


def test_what_is_read_again_now_and_then_is_not_asked_for_by_each_act(world: World) -> None:
    world.search()
    world.begin()
    for _ in range(3):
        world.search()
    assert world.store_calls().total() == 9
    assert len(world.store.calls) <= 9 + 2  # the list of revocations, and the count of refusals, at a minute's turn
    assert world.store.count(StoreOperation.READ, "configuration/") == 0
    assert world.key_calls().total() == 3
    assert len(world.keys.calls) <= 3 + 2  # the public token keys, and a new batch of events


def test_what_the_benchmark_holds_acts_to_is_the_same(world: World) -> None:
    assert {name: EXPECTED[name] for name in ("search", "retrieve", "token")} == {
        "search": (3, 1),
        "retrieve": (4, 2),
        "token": (4, 1),
    }
    assert EXPECTED["publish.1"] == (5, 3)
    assert EXPECTED["publish.3"] == (7, 5)
