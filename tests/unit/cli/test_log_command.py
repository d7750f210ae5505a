"""`sceau log …` and `sceau verify-proof`: what each prints, and when its status is not 0."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fakes.witness import FakeWitness
from sceau.audit.ids import parse_event_name
from sceau.audit.journal import JournalReader
from sceau.audit.log.errors import (
    LogError,
    LogUnavailable,
    NoteRefused,
    PolicyRefused,
    ProofRefused,
    QuorumMissed,
    StampRefused,
)
from sceau.audit.log.notes import ED25519, parse_vkeys
from sceau.audit.log.places import CHECKPOINT, COSIGNED, LOG, PENDING, RECORDS, VKEYS
from sceau.audit.log.proving import ProofMaker
from sceau.cli.log import add_log_commands
from sceau.cli.main import main
from sceau.envelope.batch import BatchOpener
from sceau.http.journals import journal_of
from sceau.http.vouching import Vouching
from sceau.keys.keyfile import create_key_file
from sceau.keys.ports import KeyName
from sceau.objects.errors import ObjectLocked
from sceau.objects.filesystem import FilesystemStore
from sceau.objects.ports import ObjectStore
from sceau.stage import Settings, Stage, load_stage
from sceau_schemas.log import LogSpec
from unit.audit.samples import EVENTS, RECORD

ROOT = Path(__file__).resolve().parents[3]

Run = Callable[..., int]
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    folder = tmp_path / "stage"
    stage = load_stage(Settings(chalicefile=ROOT / "chalicefile", stage="local", folder=folder))
    FilesystemStore.create_root(folder / "store")
    create_key_file(folder / "keys.json", clock=lambda: datetime.now(UTC))
    return stage


@pytest.fixture
def store(stage: Stage) -> ObjectStore:
    return stage.store()


@pytest.fixture
def run(stage: Stage) -> Run:
    def run(*arguments: str | Path) -> int:
        parser = argparse.ArgumentParser()
        add_log_commands(parser.add_subparsers(), lambda command: None, lambda _: stage)
        options = parser.parse_args([str(one) for one in arguments])
        return int(options.run(options))

    return run


@pytest.fixture
def keys(stage: Stage, run: Run, tmp_path: Path, capsys: Capture) -> Path:
    """A sealed journal of five events; the file of the log's public keys, as an operator makes it."""
    append(stage, 5)
    assert run("log", "seal") == 0
    capsys.readouterr()
    assert run("log", "keys") == 0
    file = tmp_path / "log.vkey"
    file.write_text(capsys.readouterr().out)
    return file


def append(stage: Stage, number: int) -> list[str]:
    journal = journal_of(stage.runtime("ingest"))
    return [journal.append(replace(EVENTS["retrieval"], record_id=RECORD)) for _ in range(number)]


def spoil(stage: Stage, name: str) -> None:
    path = Path(str(stage.spec.store.folder)) / "objects" / name  # type: ignore[union-attr]
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def test_a_good_log_verifies_live_and_as_a_copy(
    run: Run, keys: Path, tmp_path: Path, capsys: Capture, stage: Stage
) -> None:
    assert run("log", "verify", "--key", keys) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert "localhost:8443/journal: 5 entries, root " in said.out
    assert "events compared with their entries: 5, locked and alone under their names; 0 younger ones wait" in said.out
    assert said.out.endswith("Everything is as it must be.\n")
    copy = tmp_path / "copy"
    append(stage, 2)
    assert run("log", "copy", copy) == 0
    assert "files in" in capsys.readouterr().out
    assert run("log", "verify", "--key", keys, "--copy", copy) == 0
    assert "which a copy can say nothing more of; 2 younger ones wait" in capsys.readouterr().out
    kept = tmp_path / "kept"
    kept.write_bytes((copy / CHECKPOINT).read_bytes())
    assert run("log", "seal") == 0
    assert run("log", "copy", copy) == 0
    capsys.readouterr()
    assert run("log", "verify", "--key", keys, "--copy", copy, "--checkpoint", kept) == 0
    assert "checkpoints of this log that were compared: 3" in capsys.readouterr().out
    alone = tmp_path / "alone"
    assert run("log", "copy", alone, "--log-only") == 0
    assert not (alone / "journal/events").exists()
    assert run("log", "verify", "--key", keys, "--copy", alone, "--log-only") == 0


def test_what_is_wrong_is_told_with_its_place_and_the_status_is_1(
    run: Run, keys: Path, stage: Stage, store: ObjectStore, capsys: Capture
) -> None:
    event = next(store.list("journal/events/"))
    spoil(stage, event)
    assert run("log", "verify", "--key", keys) == 1
    said = capsys.readouterr()
    assert said.err.startswith(f"sceau: {event}: is not what was logged as entry ")
    assert said.out.endswith("NOT AS IT MUST BE: 1 findings.\n")
    spoil(stage, CHECKPOINT)
    assert run("log", "verify", "--key", keys) == 1
    assert f"sceau: {CHECKPOINT}: " in capsys.readouterr().err


def test_keys_that_are_not_the_log_s_verify_nothing(run: Run, keys: Path, tmp_path: Path, capsys: Capture) -> None:
    one = next(key for key in parse_vkeys(keys.read_text()) if key.kind == ED25519)
    keys.write_text(one.text())
    assert run("log", "verify", "--key", keys) == 1
    assert "There is no checkpoint that these keys signed: nothing could be verified." in capsys.readouterr().out
    for text in ("no key", "a+b+c"):
        keys.write_text(text)
        with pytest.raises(NoteRefused):
            run("log", "verify", "--key", keys)
    keys.write_bytes(b"\xff")
    for file in (keys, tmp_path / "absent"):
        with pytest.raises(LogUnavailable):
            run("log", "verify", "--key", file)


def test_without_a_key_nothing_is_believed(run: Run, capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        run("log", "verify")
    assert "--key" in capsys.readouterr().err


def test_a_copy_that_is_not_there_is_told(run: Run, keys: Path, tmp_path: Path) -> None:
    with pytest.raises(LogUnavailable, match="no folder"):
        run("log", "verify", "--key", keys, "--copy", tmp_path / "absent")


def test_the_status_tells_size_age_and_what_waits(run: Run, stage: Stage, capsys: Capture) -> None:
    assert run("log", "status") == 0
    assert capsys.readouterr().out.splitlines()[0] == "entries            0"
    append(stage, 3)
    assert run("log", "status") == 0
    assert "waiting            3 (3 up to 60 s)" in capsys.readouterr().out
    assert run("log", "status", "--limit", "0") == 1
    assert (
        "is not in the log yet: the newest checkpoint is older than its limit of 0 minutes" in capsys.readouterr().err
    )
    run("log", "seal")
    capsys.readouterr()
    assert run("log", "status", "--limit", "0") == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert [line.split()[0] for line in said.out.splitlines()] == ["entries", "newest", "being", "waiting"]
    assert said.out.splitlines()[0] == "entries            3"


@pytest.mark.parametrize("spoilt", [b"", b"{}", b"nothing", b"[]", b"\xff"])
def test_the_status_of_a_log_whose_state_is_spoilt_is_one_sentence_until_the_sealer_made_it_again(
    run: Run,
    keys: Path,
    stage: Stage,
    store: ObjectStore,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
    spoilt: bytes,
) -> None:
    store.replace(PENDING, spoilt, expected=store.read(PENDING).tag)
    monkeypatch.setattr("sceau.cli.main.load_stage", lambda _: stage)
    assert main(["log", "status", "--stage", "local"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert re.fullmatch(rf"sceau: {PENDING} can't be used \(.+\): the sealer's next run .+\n", said.err)
    assert run("log", "seal") == 1, "that is an alarm"
    capsys.readouterr()
    assert run("log", "status") == 0
    assert capsys.readouterr().out.splitlines()[0] == "entries            5"


def test_retention_is_proven_and_what_ends_too_early_is_listed(
    run: Run, keys: Path, store: ObjectStore, capsys: Capture
) -> None:
    assert run("log", "prove-retention") == 0
    assert capsys.readouterr().out == "objects whose lock ends before it may: 0\n"
    event = next(store.list("journal/events/"))
    other = event[:-4] + ("1111" if event.endswith("0000") else "0000")
    store.create(other, b"sealed")
    assert run("log", "prove-retention") == 1
    said = capsys.readouterr().out
    assert said.startswith(f"{other}: is not locked, and must be until ")
    assert said.endswith("objects whose lock ends before it may: 1\n")


def test_the_index_is_made_again(run: Run, keys: Path, store: ObjectStore, capsys: Capture) -> None:
    index = list(store.list(RECORDS))
    for name in index[:3]:
        store.delete(name)
    assert run("log", "verify", "--key", keys) == 1
    capsys.readouterr()
    assert run("log", "index") == 0
    assert capsys.readouterr().out == "index objects made: 3, there already: 2\n"
    assert list(store.list(RECORDS)) == index
    assert run("log", "verify", "--key", keys) == 0


def test_keys_rotate_with_an_overlap(run: Run, keys: Path, stage: Stage, capsys: Capture) -> None:
    assert run("log", "rotate-key") == 0
    new = capsys.readouterr().out
    append(stage, 1)
    assert run("log", "seal") == 0
    assert run("log", "verify", "--key", keys) == 0, "who knows the old key only goes on"
    assert run("log", "retire-keys") == 0
    append(stage, 1)
    assert run("log", "seal") == 0
    assert run("log", "verify", "--key", keys) == 1
    keys.write_text(keys.read_text() + new)
    assert run("log", "verify", "--key", keys) == 0
    capsys.readouterr()
    assert run("log", "keys") == 0
    assert set(capsys.readouterr().out.split()) == set(keys.read_text().split())


def test_a_log_without_entries_has_no_keys_to_show_nor_to_rotate(run: Run) -> None:
    for action in ("keys", "rotate-key", "retire-keys"):
        with pytest.raises(LogError):
            run("log", action)


def test_an_event_is_proven_offline(run: Run, keys: Path, stage: Stage, tmp_path: Path, capsys: Capture) -> None:
    (event_id,) = append(stage, 1)
    run("log", "seal")
    runtime = stage.runtime("traces")
    opener = BatchOpener(runtime.keys, KeyName.JOURNAL, clock=runtime.clock)
    event = JournalReader(runtime.store, opener).read(RECORD, event_id)
    maker = ProofMaker(runtime.store)
    index = maker.index_of(RECORD, event_id)
    assert index is not None
    (tmp_path / "event.json").write_bytes(event.data)
    (tmp_path / "event.tlog-proof").write_bytes(maker.prove(event, index).encode())
    capsys.readouterr()
    arguments = ("verify-proof", tmp_path / "event.json", tmp_path / "event.tlog-proof", "--key", keys)
    assert run(*arguments) == 0
    assert capsys.readouterr().out == (f"event {event_id} is entry 5 of localhost:8443/journal, which has 6 entries\n")
    (tmp_path / "event.json").write_bytes(event.data + b" ")
    with pytest.raises(ProofRefused, match="not the one that was logged"):
        run(*arguments)
    with pytest.raises(LogUnavailable):
        run("verify-proof", tmp_path / "absent", tmp_path / "event.tlog-proof", "--key", keys)


def test_a_refused_proof_is_one_sentence_and_a_status(tmp_path: Path) -> None:
    import subprocess
    import sys

    for name in ("event", "proof", "key"):
        (tmp_path / name).write_bytes(b"x")
    done = subprocess.run(
        [sys.executable, "-m", "sceau.cli", "verify-proof", "event", "proof", "--key", "key"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "layers"), str(ROOT / "schemas")))},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "sceau: not a verifier key (NAME+ID+KEY)\n"


def test_what_the_log_s_own_objects_are_locked_for_can_not_be_undone(
    run: Run, keys: Path, stage: Stage, store: ObjectStore
) -> None:
    for name in store.list(f"{LOG}checkpoints/"):
        with pytest.raises(ObjectLocked):
            store.delete(name)
    assert store.read(VKEYS).data.decode() == keys.read_text()


def test_a_proof_may_have_to_be_cosigned(
    run: Run, keys: Path, stage: Stage, store: ObjectStore, tmp_path: Path, capsys: Capture
) -> None:
    """`--policy`: a proof whose checkpoint lacks its quorum is refused; one that has it says who saw it, and when."""
    witness = FakeWitness("w1", lambda: datetime.now(UTC), lambda: parse_vkeys(keys.read_text()))
    policy, event, proof = tmp_path / "policy", tmp_path / "event", tmp_path / "event.tlog-proof"
    policy.write_text(f"{witness.line}\nquorum w1\n")
    record, event_id = parse_event_name(next(store.list("journal/events/")))
    runtime = stage.runtime("traces")
    reader = JournalReader(runtime.store, BatchOpener(runtime.keys, KeyName.JOURNAL, clock=runtime.clock))
    read = reader.read(record, event_id)
    event.write_bytes(read.data)

    def taken() -> int:
        maker = ProofMaker(store)
        index = maker.index_of(record, event_id)
        assert index is not None
        proof.write_bytes(maker.prove(read, index).encode())
        return run("verify-proof", event, proof, "--key", keys, "--policy", policy)

    with pytest.raises(QuorumMissed, match="lacks cosignatures"):
        taken()
    spec = stage.spec.model_copy(update={"log": LogSpec(policy=policy.read_text())})
    journal = replace(stage.runtime("journal"), spec=spec)
    assert Vouching(journal, asker=lambda _: witness).run()["witnesses_quorum"] == 1
    capsys.readouterr()
    assert taken() == 0
    assert re.search(r"^cosigned by w1 at 20\d\d-", capsys.readouterr().out, re.MULTILINE)
    policy.write_text("witness x\n")
    with pytest.raises(PolicyRefused):
        taken()


def test_the_whole_log_s_cosigned_checkpoints_are_verified_by_a_policy(
    run: Run, keys: Path, stage: Stage, store: ObjectStore, tmp_path: Path, capsys: Capture
) -> None:
    witness = FakeWitness("w1", lambda: datetime.now(UTC), lambda: parse_vkeys(keys.read_text()))
    policy, another, copy = tmp_path / "policy", tmp_path / "another", tmp_path / "copy"
    policy.write_text(f"{witness.line}\nquorum w1\n")
    another.write_text(f"{FakeWitness('w2', witness.clock, witness.keys).line}\nquorum w2\n")
    assert run("log", "verify", "--key", keys, "--policy", policy) == 1
    assert f"sceau: {COSIGNED}: is missing: no checkpoint is shown that has what the" in capsys.readouterr().err
    spec = stage.spec.model_copy(update={"log": LogSpec(policy=policy.read_text())})
    assert (
        Vouching(replace(stage.runtime("journal"), spec=spec), asker=lambda _: witness).run()["witnesses_quorum"] == 1
    )
    assert run("log", "copy", copy) == 0
    for where in ((), ("--copy", copy)):
        capsys.readouterr()
        assert run("log", "verify", "--key", keys, "--policy", policy, *where) == 0
        assert "cosigned checkpoints: 1, the newest of 5 entries" in capsys.readouterr().out
        assert run("log", "verify", "--key", keys, "--policy", another, *where) == 1
        lines = capsys.readouterr().err.splitlines()
        lacking = "the checkpoint lacks cosignatures that the policy wants: no witness cosigned it"
        assert [line.rpartition(": the checkpoint")[0].endswith(("cosigned", ".cosigned")) for line in lines] == [
            True
        ] * 2
        assert all(lacking in line for line in lines)
    (copy / COSIGNED).write_bytes(b"nothing")
    assert run("log", "verify", "--key", keys, "--copy", copy) == 1
    assert capsys.readouterr().err.startswith(f"sceau: {COSIGNED}: the note has no signatures")
    policy.write_text("witness x\n")
    with pytest.raises(PolicyRefused):
        run("log", "verify", "--key", keys, "--policy", policy)
    with pytest.raises(StampRefused):
        run("log", "verify", "--key", keys, "--stamp-roots", policy)
