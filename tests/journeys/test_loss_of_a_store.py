"""The whole store is lost, and a record sabotaged: what the patient had is there again, and the log verifies."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fixtures.service import LiveStage, played_stage
from sceau.cli.documents import DOMINIQUE
from sceau.cli.main import main
from sceau.objects.errors import ObjectAbsent
from sceau.objects.ports import ObjectStore
from sceau.records.ids import split_document_id
from sceau.records.repository import document_name, dossier_name
from sceau_schemas.stores import S3StoreSpec

FHIR = {"Accept": "application/fhir+json"}
FOR_RESTORE = '{"restore": "2099-01-01T00:00:00Z", "rewrap": "2099-01-01T00:00:00Z"}'

Command = Callable[..., int]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("local", marks=pytest.mark.xdist_group("backup-local")),
        pytest.param("s3", marks=[pytest.mark.slow, pytest.mark.xdist_group("live-s3")]),
    ],
)
def live(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveStage]:
    """A stage with what the journey left there."""
    with played_stage(tmp_path_factory.mktemp("backup") / "stage", request.param) as stage:
        yield stage


@pytest.fixture
def sceau(live: LiveStage, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command, as operations type it, on that stage."""
    settings = live.settings
    for name in ("folder", "origin", "issuer", "store_endpoint"):
        value = getattr(settings, name)
        if value is not None:
            monkeypatch.setenv(f"SCEAU_{name.upper()}", str(value))

    def run(*arguments: str) -> int:
        return main([*arguments, "--stage", settings.stage])

    return run


def seen(live: LiveStage) -> dict[str, Any]:
    """What the patient finds: documents with their bytes, and traces."""
    patient = live.session("patient")
    query = f"patient.identifier={DOMINIQUE.ins_system}|{DOMINIQUE.ins_value}&_count=200"
    bundle = _get(patient.request("GET", f"/fhir/DocumentReference?{query}", headers=FHIR))
    ids = [one["resource"]["id"] for one in bundle["entry"] if one["search"]["mode"] == "match"]
    found: dict[str, Any] = {}
    for one in ids:
        answer = patient.request("GET", f"/fhir/Binary/{one}", headers={"Accept": "*/*"})
        assert answer.status == 200
        found[one] = answer.data
    assert found
    return found


def traces(live: LiveStage, more: str = "") -> dict[str, str]:
    """The patient's traces: their types by id. `more`: parameters that they are asked for with."""
    day = datetime.now(UTC) - timedelta(days=1)
    target: str | None = f"/fhir/AuditEvent?date=ge{day:%Y-%m-%d}&_count=100{more}"
    told: dict[str, str] = {}
    patient = live.session("patient")
    while target:
        page = _get(patient.request("GET", target, headers=FHIR))
        told |= {one["resource"]["id"]: one["resource"]["type"]["code"] for one in page.get("entry", ())}
        target = next((link["url"] for link in page["link"] if link["relation"] == "next"), None)
    return told


def _get(answer: Any) -> dict[str, Any]:
    assert answer.status == 200
    parsed: dict[str, Any] = json.loads(answer.data)
    return parsed


def lose_everything(live: LiveStage) -> None:
    """Power is cut, and the disks are gone; keys, certificates and settings are where they were."""
    live.running.kill()
    if live.s3 is None:
        shutil.rmtree(live.folder.path / "store")
        return
    live.s3.kill()
    for part in ("data", "versions"):
        shutil.rmtree(live.folder.path / "s3" / part)
    live.s3.start()


def told(sceau: Command, backup: str, folder: Path, digest: str) -> tuple[int, bool]:
    """How a verification ends, and what it leaves for the evidence."""
    report = folder / "backup.json"
    status = sceau("backup", "verify", "--from", backup, "--expect", digest, "--report", str(report))
    read = json.loads(report.read_text("utf-8"))
    [finding] = read["findings"]
    assert (read["format"], finding["name"]) == (1, "the backup verifies")
    return status, finding["held"]


def test_after_the_loss_of_the_whole_store_the_patient_finds_everything_and_the_log_verifies(
    live: LiveStage,
    sceau: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    backup, keys = str(tmp_path / "second"), tmp_path / "vkeys"
    documents, before = seen(live), traces(live)
    assert sceau("log", "seal") == 0
    capsys.readouterr()
    assert sceau("log", "keys") == 0
    keys.write_text(capsys.readouterr().out, "utf-8")
    assert sceau("backup", "run", "--to", backup) == 0
    digest = capsys.readouterr().out.strip().rpartition(" ")[2]
    assert sceau("backup", "verify", "--from", backup, "--expect", digest) == 0
    assert told(sceau, backup, tmp_path, digest) == (0, True)
    assert told(sceau, backup, tmp_path, "0" * 64) == (1, False), "a run was taken away"
    assert sceau("restore", "--from", backup) == 1, "it is off"
    monkeypatch.setenv("SCEAU_STAGE__SWITCHED_ON", FOR_RESTORE)
    assert sceau("restore", "--from", backup) == 1
    assert "not empty" in capsys.readouterr().err

    lose_everything(live)
    assert sceau("restore", "--from", backup) == 0
    monkeypatch.delenv("SCEAU_STAGE__SWITCHED_ON")
    assert sceau("log", "verify", "--key", str(keys)) == 0
    live.running.start()
    assert seen(live) == documents
    assert before.keys() <= traces(live).keys()
    assert sceau("log", "seal") == 0
    assert sceau("log", "verify", "--key", str(keys)) == 0
    assert sceau("backup", "run", "--to", backup) == 0
    assert sceau("backup", "verify", "--from", backup, "--expect", digest) == 0


def test_a_sabotaged_record_is_as_it_was_before_and_the_patient_sees_who_did_it(
    live: LiveStage,
    sceau: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    documents = seen(live)
    named = split_document_id(next(iter(documents)))
    assert named is not None
    record_id, entry_id = named
    source: tuple[str, ...] = ()
    if live.s3 is None:
        source = ("--from", str(tmp_path / "second"))
        assert sceau("backup", "run", "--to", source[1]) == 0
    store = live.stage.store()
    at = datetime.now(UTC) + timedelta(seconds=1)
    _wait_until(store, at)
    dossier = store.read(dossier_name(record_id))
    store.replace(dossier_name(record_id), b"sceau-dossier 1\n\nnothing of ours", expected=dossier.tag)
    store.delete(document_name(record_id, entry_id))
    patient = live.session("patient")
    assert patient.request("GET", f"/fhir/Binary/{record_id}.{entry_id}", headers=FHIR).status >= 500

    monkeypatch.setenv("SCEAU_STAGE__SWITCHED_ON", FOR_RESTORE)
    restore = ("restore", "--record", record_id, "--at", at.isoformat(), *source)
    assert sceau(*restore) == 0
    assert "documents brought back: 1" in capsys.readouterr().out
    assert seen(live) == documents
    assert "restore" in traces(live).values()
    with pytest.raises(ObjectAbsent):
        store.read(document_name(record_id, entry_id))
    monkeypatch.setenv("SCEAU_STAGE__SWITCHED_ON", "{}")
    assert sceau(*restore) == 1
    assert "rewrap is off" in capsys.readouterr().err


def _wait_until(store: ObjectStore, at: datetime) -> None:
    """S3 dates versions to a second: what is done to the record is done in a later one."""
    while store.time() <= at + timedelta(seconds=1):
        store.read("configuration/pseudonym")


def test_the_stage_s_own_buckets_keep_no_backup(live: LiveStage) -> None:
    spec = live.stage.spec
    if isinstance(spec.store, S3StoreSpec):
        own = spec.store.model_dump() | {"lock_days": None}
        with pytest.raises(ValueError, match="one of the store's own"):
            type(spec).model_validate({**spec.model_dump(), "backup": own})
    else:
        own = {"adapter": "filesystem", "folder": spec.store.folder / "backup"}
        with pytest.raises(ValueError, match="the store's own"):
            type(spec).model_validate({**spec.model_dump(), "backup": own})
