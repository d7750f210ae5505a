"""A patient has the record deleted: when its days are over, nothing of it is in the store nor in the backup but traces.

Days are passed over by clocks that are handed in; stores that serve the service keep their own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from fixtures.service import LiveStage, played_stage
from journeys.test_loss_of_a_store import FHIR, seen, traces
from sceau.cli import bodies
from sceau.cli.documents import DOMINIQUE
from sceau.http.expunge import expunging_of
from sceau.http.runtime import Runtime
from sceau.http.upkeep import upkeep_of
from sceau.objects.filesystem import FilesystemStore, create_root
from sceau.objects.ports import ObjectStore
from sceau.objects.scoped import ScopedStore
from sceau.records.backup.copying import BackupRun, Report
from sceau.records.backup.verifying import verify_backup
from sceau.records.ids import split_document_id
from sceau.stage import scoped_store

KEPT, REQUESTED, IN_BACKUPS = timedelta(days=7), timedelta(days=30), timedelta(days=30)
A_DAY = timedelta(days=1)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("local", marks=pytest.mark.xdist_group("deletion-local")),
        pytest.param("s3", marks=[pytest.mark.slow, pytest.mark.xdist_group("live-s3")]),
    ],
)
def live(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveStage]:
    with played_stage(tmp_path_factory.mktemp("deletion") / "stage", request.param) as stage:
        yield stage


class Later:
    """A store some days later: by its clock, and by nothing else of it. What it wrote it dates as it did."""

    def __init__(self, store: ObjectStore, by: timedelta) -> None:
        self._store = store
        self._by = by

    def time(self) -> datetime:
        return self._store.time() + self._by

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def runtime(live: LiveStage, role: str, by: timedelta) -> Runtime:
    """A function's, or a tool's, with its own rights, some days later."""
    stage = live.stage
    rights = stage.file.functions.get(role) or stage.file.tools[role]
    now = stage.runtime(role) if role in stage.file.functions else stage.tool(role)
    store = scoped_store(cast(ObjectStore, Later(stage.store(), by)), rights)
    return replace(now, store=store, clock=lambda: datetime.now(UTC) + by)


def back_up(live: LiveStage, second: ObjectStore, by: timedelta) -> Report:
    source = runtime(live, "backup", by)
    assert isinstance(source.store, ScopedStore)
    with ThreadPoolExecutor(4) as pool:
        run = BackupRun(source.store, second, clock=source.clock, pool=pool, forgets_after=IN_BACKUPS)
        return run.run(live.stage.name)


def life(live: LiveStage, **said: Any) -> dict[str, Any]:
    """The opening of the record, put again by the patient."""
    patient = live.session("patient")
    found = json.loads(patient.request("GET", "/fhir/Consent", headers=FHIR).data)
    opening = next(
        one["resource"]["id"]
        for one in found["entry"]
        if one["resource"]["category"][0]["coding"][0]["code"]
        == bodies.consent_opening(DOMINIQUE)["category"][0]["coding"][0]["code"]
    )
    body = json.dumps({**bodies.consent_life(DOMINIQUE, **said), "id": opening}).encode()
    answer = patient.request(
        "PUT", f"/fhir/Consent/{opening}", body=body, headers={**FHIR, "Content-Type": "application/fhir+json"}
    )
    assert answer.status == 200, answer.data
    return dict(json.loads(answer.data))


def test_what_a_patient_has_deleted_is_nowhere_but_in_the_traces(live: LiveStage, tmp_path: Path) -> None:
    create_root(tmp_path / "second")
    second = FilesystemStore(tmp_path / "second", lambda: datetime.now(UTC))
    store = live.stage.store()
    named = split_document_id(next(iter(seen(live))))
    assert named is not None
    record, before, refused = named[0], traces(live), traces(live, "&outcome=4")

    def kept(of: ObjectStore, folder: str = "records/") -> int:
        return sum(one.versions + one.deletions for one in of.versions(f"{folder}{record}/"))

    others = [name for name in store.list("records/") if record not in name]
    assert back_up(live, second, timedelta()).problems == []
    assert kept(store) and kept(second, "objects/records/")

    # The patient closes it, and asks; the days of the request pass, and it is deleted.
    life(live, active=False, reason="Je ne veux plus de dossier.")
    assert life(live, active=False, deletion=True)["extension"][-1]["valueBoolean"] is True
    assert upkeep_of(runtime(live, "upkeep", REQUESTED - A_DAY)).run().due.deleted == 0
    assert upkeep_of(runtime(live, "upkeep", REQUESTED + timedelta(minutes=1))).run().due.deleted == 1
    assert not list(store.list(f"records/{record}/"))
    (mark,) = store.list("ended/")
    assert back_up(live, second, REQUESTED + A_DAY).problems == []

    # What the host keeps, goes a week later, and no sooner.
    assert expunging_of(runtime(live, "expunge", REQUESTED + KEPT - A_DAY)).run().removed == 0
    versions = kept(store)
    assert bool(versions) == (live.s3 is not None), "an S3 host keeps versions"
    report = expunging_of(runtime(live, "expunge", REQUESTED + KEPT + A_DAY)).run()
    assert (report.removed, report.failed, report.finished) == (versions, 0, True)
    assert kept(store) == 0
    assert list(store.list("expunged/")) == ["expunged/" + mark.removeprefix("ended/")]

    # And what the backup holds, thirty days after a run saw it gone.
    assert back_up(live, second, REQUESTED + IN_BACKUPS).aged_out == 0
    assert kept(second, "objects/records/")
    done = back_up(live, second, REQUESTED + IN_BACKUPS + 2 * A_DAY)
    assert done.aged_out and not done.problems
    assert kept(second, "objects/records/") == 0
    with ThreadPoolExecutor(4) as pool:
        then = datetime.now(UTC) + REQUESTED + IN_BACKUPS + 10 * A_DAY
        assert verify_backup(second, pool, now=then, forgets_after=IN_BACKUPS).findings == []
    assert [name for name in store.list("records/") if record not in name] == others

    # Its traces are there, and whoever held it reads them; nobody finds anything else. Only requests that were
    # refused on a document come a month later: nothing tells any more whether that was kept from the patient.
    after = traces(live)
    later = before.keys() - after.keys()
    assert later < refused.keys() and len(later) < len(refused)
    told = json.loads(
        live.session("patient").request("GET", f"/fhir/AuditEvent/{next(iter(before))}", headers=FHIR).data
    )
    assert told["resourceType"] == "AuditEvent"
    events = [name for name in store.list("journal/events/") if record in name]
    assert len(events) >= len(before) + 3, "closed, asked, deleted (and expunged)"
    for actor, status in (("hospital-physician", 403), ("patient", 403)):
        query = f"/fhir/DocumentReference?patient.identifier={DOMINIQUE.ins_system}|{DOMINIQUE.ins_value}"
        answer = live.session(actor).request("GET", query, headers=FHIR)
        assert answer.status == status, answer.data
        assert b"denied.no-record" in answer.data
