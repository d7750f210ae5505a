"""The whole service on a real S3 server: the journey, the server's death, a network that cuts, starts that can't be."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fixtures.cutting_proxy import CuttingProxy, Trouble, cutting
from fixtures.service import LiveStage, live_stage, settings_of
from sceau.cli import bodies
from sceau.cli.documents import DOMINIQUE, JourneyDocuments
from sceau.cli.journey import Journey, Step
from sceau.cli.local_s3 import s3_of
from sceau.cli.local_stage import ensure_local_stage, register_clients
from sceau.cli.process import RunningService, ServiceNotStarted
from sceau.cli.samples import AUTHORS, STRUCTURES
from sceau.cli.session import Service, Session
from sceau.objects.s3.buckets import make_buckets
from sceau.objects.s3.client import Connection, make_client
from sceau.stage import load_stage
from sceau_schemas.stores import S3StoreSpec

pytestmark = pytest.mark.xdist_group("live-s3")

TODAY = f"/fhir/AuditEvent?date=ge{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"
FHIR = {"Content-Type": "application/fhir+json", "Accept": "application/fhir+json"}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveStage]:
    with live_stage(tmp_path_factory.mktemp("s3") / "stage", "s3") as stage:
        yield stage


def log_lines(live: LiveStage, since: int = 0) -> list[dict[str, Any]]:
    text = (live.folder.path / "service.log").read_text("utf-8")[since:]
    assert "Traceback" not in text
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def test_the_journey_is_the_same_on_an_s3_server(live: LiveStage) -> None:
    steps: list[Step] = []
    Journey(live.service, JourneyDocuments(None), live.restart, steps.append).play()
    assert {step.number for step in steps} == {"1", "2", "3a", "3b", "3c", "4", "5a", "5b", "6", "7", "8", "9"}
    assert all(step.trace for step in steps)


def test_its_objects_lie_in_the_buckets_of_the_chalicefile_and_events_are_locked(live: LiveStage) -> None:
    session = live.session("patient")
    answer = session.request("GET", TODAY, headers=FHIR)
    assert answer.status == 200
    store, spec = live.stage.store(), live.stage.spec
    assert isinstance(spec.store, S3StoreSpec)
    client = make_client(Connection(spec.store, live.stage.base, 1))
    events = list(store.list("journal/events/"))
    assert events
    for name in events:
        head = client.head_object(Bucket="sceau-events", Key=name)
        assert head["ObjectLockMode"] == "COMPLIANCE"
        years = (head["ObjectLockRetainUntilDate"] - datetime.now(UTC)).days
        assert years >= spec.retention_days - 1
    for bucket, prefix in (
        ("sceau-records", "journal/events/"),
        ("sceau-records", "journal/log/"),
        ("sceau-events", "records/"),
        ("sceau-log", "records/"),
    ):
        assert "Contents" not in client.list_objects_v2(Bucket=bucket, Prefix=prefix)


def test_while_the_server_is_away_the_answer_is_503_and_then_all_goes_on(live: LiveStage) -> None:
    assert live.s3 is not None
    session = live.session("hospital-physician")
    target = f"/fhir/Patient?identifier={DOMINIQUE.ins_system}|{DOMINIQUE.ins_value}"
    assert session.request("GET", target, headers=FHIR).status == 200
    size = (live.folder.path / "service.log").stat().st_size
    live.s3.kill()
    try:
        answer = session.request("GET", target, headers=FHIR)
    finally:
        live.s3.start()
    assert answer.status == 503
    assert answer.headers["Retry-After"] == "1"
    assert json.loads(answer.data)["issue"][0]["code"] == "transient"
    reasons = {line.get("reason") for line in log_lines(live, size) if line["event"] == "unavailable"}
    assert reasons <= {"no connection", "connection lost", "deadline", None} and reasons != {None}
    assert session.request("GET", target, headers=FHIR).status == 200


# A network that cuts


@pytest.mark.slow
def test_what_was_acknowledged_through_a_bad_network_is_found_with_its_traces(
    tmp_path: Path, counted: Callable[[int], None]
) -> None:
    """One of five requests to the store meets trouble. What answered 200 is there, once, and everything is traced."""
    dice, lock = random.Random(20261126), threading.Lock()  # noqa: S311 - the same troubles each time
    troubled, proxies = threading.Event(), []

    def choose(_: str, __: str) -> Trouble | None:
        with lock:
            meets = troubled.is_set() and dice.random() < 0.2
            # LATE would only wait for our own time-out of 5 s, each time; test_s3_servers.py has it.
            return dice.choice([one for one in Trouble if one is not Trouble.LATE]) if meets else None

    @contextmanager
    def between(endpoint: str, tls: Path) -> Iterator[str]:
        with cutting(endpoint, tls, choose) as proxy:
            proxies.append(proxy)
            yield proxy.endpoint

    with live_stage(tmp_path / "stage", "s3", between=between) as live:
        opened = live.session("insurer").request(
            "POST", "/fhir/Consent", _bytes(bodies.consent_opening(DOMINIQUE)), FHIR
        )
        assert opened.status == 201
        grant = bodies.consent_grant(DOMINIQUE, STRUCTURES["hospital"])
        assert live.session("patient").request("POST", "/fhir/Consent", _bytes(grant), FHIR).status == 201
        sessions = [live.session("laboratory") for _ in range(4)]
        troubled.set()
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda number: _publish(sessions[number % 4], number), range(60)))
        troubled.clear()
        assert {status for status, _ in answers} <= {200, 401, 503}, "the truth, or: try again"
        done = {number: ids for number, (status, ids) in enumerate(answers) if status == 200}
        assert len(done) > 30
        _check_all_found(live, done)
        proxy: CuttingProxy = proxies[0]
        assert sum(count for trouble, count in proxy.happened.items() if trouble) > 50
        log_lines(live)
        counted(sum(proxy.happened.values()))


def _publish(session: Session, number: int) -> tuple[int, list[str]]:
    """Publish one document, and again while the answer says so. The status, and the ids of what was made.

    401: the network repeated the replay mark, and its second try met the first. A fresh proof passes.
    """
    document = bodies.sample_document(
        "biology",
        patient=DOMINIQUE,
        author=AUTHORS["biologist"],
        structure=STRUCTURES["laboratory"],
        when=datetime(2026, 2, 1, 9, tzinfo=UTC),
        unique_id=f"urn:oid:2.25.{77000 + number}",
    )
    bundle = bodies.provide_bundle(
        [document], patient=DOMINIQUE, when=datetime(2026, 2, 1, 9, tzinfo=UTC), set_id=f"urn:oid:2.25.{78000 + number}"
    )
    for _ in range(6):
        answer = session.request("POST", "/fhir", _bytes(bundle), FHIR)
        if answer.status not in (401, 503):
            break
    if answer.status != 200:
        return answer.status, []
    locations = [entry["response"]["location"] for entry in json.loads(answer.data)["entry"]]
    return 200, [one.partition("/")[2] for one in locations if one.startswith("DocumentReference/")]


def _check_all_found(live: LiveStage, done: dict[int, list[str]]) -> None:
    physician = live.session("hospital-physician")
    query = f"patient.identifier={DOMINIQUE.ins_system}|{DOMINIQUE.ins_value}&_count=200"
    bundle = json.loads(physician.request("GET", f"/fhir/DocumentReference?{query}", headers=FHIR).data)
    found = [entry["resource"] for entry in bundle["entry"] if entry["search"]["mode"] == "match"]
    by_id = {one["id"]: one["masterIdentifier"]["value"] for one in found}
    assert len(set(by_id.values())) == len(by_id), "nothing is there twice"
    for number, ids in done.items():
        assert [by_id.get(one) for one in ids] == [f"urn:oid:2.25.{77000 + number}"]
    for one in by_id:
        answer = physician.request("GET", f"/fhir/Binary/{one}", headers={"Accept": "*/*"})
        assert answer.status == 200
    # Whatever the dossier holds was announced: each version names its event, and each event is there.
    traces: set[str] = set()
    target: str | None = f"{TODAY}&_count=100"
    patient = live.session("patient")
    while target:
        page = json.loads(patient.request("GET", target, headers=FHIR).data)
        traces |= {entry["resource"]["id"] for entry in page.get("entry", ())}
        target = next((link["url"] for link in page["link"] if link["relation"] == "next"), None)
    assert len(traces) >= len(by_id)


def _bytes(body: dict[str, Any]) -> bytes:
    return json.dumps(body).encode()


# Starts that can't be


@contextmanager
def unserved(folder: Path) -> Iterator[tuple[RunningService, Path]]:
    """A stage on a running S3 server, and its service, which was not started yet."""
    settings = settings_of(folder, "s3")
    stage = load_stage(settings)
    local, _ = ensure_local_stage(stage)
    with s3_of(stage, local):
        register_clients(stage, local)
        service = Service(str(settings.origin), str(settings.issuer), local)
        running = RunningService(settings, service)
        try:
            yield running, local.path
        finally:
            running.stop()
            service.close()


def refused(running: RunningService, folder: Path) -> str:
    """Why it did not start: one sentence, and no stack trace anywhere."""
    with pytest.raises(ServiceNotStarted) as told:
        running.start()
    text = (folder / "service.log").read_text("utf-8")
    assert "Traceback" not in text
    assert "secret" not in text.lower()
    assert "\n" not in str(told.value)
    return str(told.value)


def test_wrong_credentials_end_the_start_with_a_sentence(live: LiveStage, tmp_path: Path) -> None:
    with unserved(tmp_path / "stage") as (running, folder):
        file = folder / "s3" / "credentials"
        file.write_text("[default]\naws_access_key_id = nobody\naws_secret_access_key = wrong\n", "utf-8")
        assert "the store does not know the credentials" in refused(running, folder)
        file.unlink()
        assert "the credentials file credentials of the store is missing" in refused(running, folder)


def test_a_missing_bucket_and_one_in_another_place_end_the_start_with_a_sentence(
    live: LiveStage, tmp_path: Path
) -> None:
    with unserved(tmp_path / "stage") as (running, folder):
        stage = load_stage(running.settings)
        text = (stage.base / "chalicefile").read_text("utf-8")
        moved = tmp_path / "chalicefile"
        functions = tmp_path / "functions"
        functions.symlink_to(stage.base / "functions")
        running.settings = running.settings.model_copy(update={"chalicefile": moved})
        moved.write_text(text.replace('"sceau-events"', '"sceau-nowhere"'), "utf-8")
        assert "sceau-nowhere: a bucket of the store does not exist" in refused(running, folder)
        # Signed for and declared as one place, the bucket being in another: the server itself says so.
        assert isinstance(stage.spec.store, S3StoreSpec)
        client = make_client(Connection(stage.spec.store, stage.base, 1))
        make_buckets(client, "loopback", ["sceau-nowhere"], [])
        moved.write_text(text, "utf-8")
        running.start()
