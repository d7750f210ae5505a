"""`sceau upkeep run`: what it prints, and when its status is not 0."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sceau.cli.upkeep import add_upkeep_command
from sceau.keys.keyfile import create_key_file
from sceau.objects.filesystem import FilesystemStore
from sceau.objects.ports import ObjectStore
from sceau.records.ids import encode_id
from sceau.records.repository import document_name, dossier_name
from sceau.stage import Settings, Stage, load_stage

ROOT = Path(__file__).resolve().parents[3]
RECORD = encode_id(bytes(16))
LONG_AGO = 1_500_000_000

Run = Callable[..., int]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    stage = load_stage(Settings(chalicefile=ROOT / "chalicefile", stage="local", folder=tmp_path))
    FilesystemStore.create_root(tmp_path / "store")
    create_key_file(tmp_path / "keys.json", clock=lambda: datetime.now(UTC))
    return stage


@pytest.fixture
def store(stage: Stage) -> ObjectStore:
    return stage.store()


@pytest.fixture
def run(stage: Stage) -> Run:
    def run(*arguments: str) -> int:
        parser = argparse.ArgumentParser()
        common: list[argparse.ArgumentParser] = []
        add_upkeep_command(parser.add_subparsers(), common.append, lambda _: stage)
        assert common
        options = parser.parse_args(arguments)
        return int(options.run(options))

    return run


def file_of(stage: Stage, name: str) -> Path:
    return stage.base / str(stage.spec.folder) / "store" / "objects" / name


def age(stage: Stage, name: str) -> None:
    os.utime(file_of(stage, name), (LONG_AGO, LONG_AGO))


def test_it_sweeps_once_and_prints_what_it_did(
    run: Run, stage: Stage, store: ObjectStore, capsys: pytest.CaptureFixture[str]
) -> None:
    soon = (datetime.now(UTC) + timedelta(minutes=2)).strftime("%Y%m%dT%H%M")
    store.create("replay/20200101T0000/a", b"", durable=False)
    store.create("replay/20200101T0001/a", b"", durable=False)
    store.create(f"replay/{soon}/a", b"", durable=False)
    store.create("revoked/20200101T0000/a", b"")
    assert run("upkeep", "run") == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert [line.split() for line in said.out.splitlines()[:-1]] == [
        ["swept", "kept"],
        ["replay", "marks", "2", "1"],
        ["revocations", "1", "0"],
        ["documents", "0", "0"],
        ["records", "0", "0", "deleted,", "and", "closed,", "since", "their", "time", "was", "over"],
        ["locks", "0", "0", "made", "longer,", "and", "long", "enough"],
    ]
    assert list(store.list("")) == [f"replay/{soon}/a"]


def test_a_damaged_dossier_and_a_lost_one_are_named_and_the_status_says_so(
    run: Run, stage: Stage, store: ObjectStore, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = encode_id(bytes([1]) * 16)
    for record in (RECORD, lost):
        store.create(document_name(record, RECORD), b"sealed")
        age(stage, document_name(record, RECORD))
    store.replace(dossier_name(RECORD), b"damaged", expected=None)
    assert run("upkeep", "run") == 1
    assert capsys.readouterr().err.splitlines() == [
        f"sceau: {dossier_name(RECORD)} is damaged; nothing of that record was deleted",
        f"sceau: {dossier_name(lost)} is gone; nothing of that record was deleted",
    ]
    kept = [document_name(RECORD, RECORD), dossier_name(RECORD), document_name(lost, RECORD)]
    assert list(store.list("")) == sorted(kept), "nothing of either record went"


def test_what_the_store_does_not_answer_for_is_told(
    run: Run, stage: Stage, store: ObjectStore, capsys: pytest.CaptureFixture[str]
) -> None:
    store.create("revoked/20200101T0000/a", b"")
    path = file_of(stage, "revoked/20200101T0000/a")
    path.write_bytes(b"a file that is no object")
    assert run("upkeep", "run") == 1
    assert capsys.readouterr().err == "sceau: calls that the store did not answer: 1; run it again\n"
    assert path.exists()


def test_the_command_has_one_action(run: Run) -> None:
    for arguments in (["upkeep"], ["upkeep", "stop"]):
        with pytest.raises(SystemExit):
            run(*arguments)
