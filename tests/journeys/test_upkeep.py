"""Sweeping beside the running service: what is over goes, and whatever was published is still there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fixtures.service import ROOT, LiveStage, live_stage
from sceau.cli.documents import JourneyDocuments
from sceau.cli.journey import Journey
from sceau.cli.session import ins_of
from sceau.identity.replay import minute_of
from sceau.objects.ports import ObjectStore
from sceau.records.ids import encode_id, split_document_id
from sceau.records.repository import document_name, dossier_name

DAY = timedelta(days=1)
NOBODY = encode_id(bytes(range(16)))


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveStage]:
    """A stage of this module's own: what is made old here, other tests must not meet."""
    with live_stage(tmp_path_factory.mktemp("upkeep") / "stage") as stage:
        yield stage


def upkeep_run(live: LiveStage) -> subprocess.CompletedProcess[str]:
    """The command, as an operator types it."""
    return subprocess.run(
        [sys.executable, "-m", "sceau.cli", "upkeep", "run", "--folder", str(live.folder.path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "layers"), str(ROOT / "schemas")))},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def file_of(live: LiveStage, name: str) -> Path:
    return live.stage.base / live.folder.path / "store" / "objects" / name


def make_old(live: LiveStage, name: str, age: timedelta) -> None:
    then = (datetime.now(UTC) - age).timestamp()
    os.utime(file_of(live, name), (then, then))


def names(store: ObjectStore, prefix: str) -> set[str]:
    return set(store.list(prefix))


def swept_lines(live: LiveStage) -> list[dict[str, object]]:
    """What the runs in the service's process logged so far."""
    lines = (live.folder.path / "service.log").read_text("utf-8").splitlines()
    parsed = [json.loads(line) for line in lines if line.startswith("{")]
    return [line for line in parsed if line["event"] == "swept"]


@pytest.mark.xdist_group("live")
def test_what_is_over_is_swept_and_what_was_published_stays(live: LiveStage) -> None:
    documents = JourneyDocuments(None)
    Journey(live.service, documents, live.restart, lambda _: None).play()
    store = live.stage.store()
    marks, stored = names(store, "replay/"), {one for one in names(store, "records/") if "/documents/" in one}
    assert marks, "proofs and assertions leave marks"
    assert len(stored) >= 5

    # What is over: marks of yesterday, and what attempts to publish left behind three days ago.
    yesterday = minute_of(datetime.now(UTC) - DAY)
    record = next(iter(stored)).split("/")[1]
    over = {f"replay/{yesterday}/{'a' * 64}", f"replay/20260101T0000/{'b' * 64}", f"revoked/{yesterday}/{'c' * 64}"}
    over |= {document_name(record, NOBODY), document_name(record, encode_id(bytes([8]) * 16))}
    # What is not: an upload that may wait for its commit; a document whose dossier is lost; a token just revoked.
    waiting, orphan = document_name(record, encode_id(bytes([7]) * 16)), document_name(NOBODY, NOBODY)
    revoked = f"revoked/{minute_of(datetime.now(UTC) + timedelta(minutes=4))}/{'d' * 64}"
    for name in sorted(over | {waiting, orphan, revoked}):
        store.create(name, b"")
    dossiers = {dossier_name(one.split("/")[1]) for one in stored}
    for name in sorted(stored | dossiers | {orphan} | {one for one in over if one.startswith("records/")}):
        make_old(live, name, 3 * DAY)
    make_old(live, waiting, DAY - timedelta(minutes=1))

    done = upkeep_run(live)

    assert done.returncode == 1, "a folder without its dossier is told"
    lost = f"sceau: records/{NOBODY}/dossier is gone; nothing of that record was deleted\n"
    assert done.stderr == lost
    swept = {line.split()[0]: line.split()[-2:] for line in done.stdout.splitlines()[1:4]}
    assert swept["replay"][0] == "2"
    assert swept["revocations"] == ["1", "1"]
    assert swept["documents"] == ["2", str(len(stored) + 2)]
    assert not names(store, "") & over
    assert marks <= names(store, "replay/"), "marks of the last minutes are kept"
    assert stored | {waiting, orphan} <= names(store, "records/")
    assert revoked in names(store, "revoked/")

    # Every document of the journey is found and retrieved, by the service that ran all the while.
    physician = live.session("hospital-physician")
    query = f"/fhir/DocumentReference?patient.identifier={ins_of('dominique')}&_count=200"
    found = json.loads(physician.request("GET", query, headers={"Accept": "application/fhir+json"}).data)
    resources = [entry["resource"] for entry in found["entry"] if entry["search"]["mode"] == "match"]
    retrieved = set()
    for resource in resources:
        answer = physician.request("GET", f"/fhir/Binary/{resource['id']}", headers={"Accept": "*/*"})
        assert answer.status == 200
        retrieved.add(answer.data)
        pair = split_document_id(resource["id"])
        assert pair is not None
        assert document_name(*pair) in stored
    assert len(resources) >= 5
    assert set(documents.sent) <= retrieved

    again = upkeep_run(live)
    assert (again.returncode, again.stderr) == (1, lost), "told as long as it is so"
    assert orphan in names(store, "records/")
    store.delete(orphan)
    again = upkeep_run(live)
    assert (again.returncode, again.stderr) == (0, "")


@pytest.mark.xdist_group("live")
def test_the_service_sweeps_by_itself_when_it_starts(live: LiveStage) -> None:
    store = live.stage.store()
    over = f"replay/20260101T0000/{'e' * 64}"
    live.running.kill()
    store.create(over, b"", durable=False)
    runs_before = len(swept_lines(live))
    live.running.start()
    pool, deadline = live.service.pool(), time.monotonic() + 20
    while len(swept_lines(live)) == runs_before and time.monotonic() < deadline:
        pool.request("GET", f"{live.service.origin}/healthz/retrieval")  # the service answers while it sweeps
    pool.clear()
    (line,) = swept_lines(live)[runs_before:]
    assert over not in names(store, "replay/")
    assert line["replay_swept"] == 1
    assert line["dossiers_damaged"] == line["failed"] == 0
    assert "records/" not in json.dumps(line)
