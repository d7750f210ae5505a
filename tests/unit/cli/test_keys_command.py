"""`sceau keys …` on a key file, and on two services in custody: made, rotated, counted, moved, retired."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from fakes.softhsm import require_softhsm
from fixtures.inprocess import ROOT
from sceau.cli import main as command
from sceau.envelope.messages import Envelope
from sceau.http.runtime import utc_now
from sceau.keys.errors import KeyVersionGone
from sceau.keys.ports import KeyName
from sceau.objects.filesystem import FilesystemStore
from sceau.records.dossier import Dossier
from sceau.records.repository import Records
from sceau.stage import Settings, Stage, load_stage
from unit.records.test_dossier import RECORD, commits, entry, head, next_version

KEY_FILE = '[stages.local.key_service]\nadapter = "local"\nfile = ".local/keys.json"\n'
HSM = """adapter = "pkcs11"
module = "{module}"
token = "sceau"
prefix = "sceau"
pin_file = ".local/softhsm/pin"
softhsm_configuration = ".local/softhsm/softhsm2.conf"
"""


def written(folder: Path, service: str = KEY_FILE, *, on: bool = True) -> Path:
    """The project's chalicefile with another key service, in a folder of its own."""
    text = (ROOT / "chalicefile").read_text("utf-8")
    assert text.count(KEY_FILE) == 1
    until = (utc_now() + timedelta(days=1)).isoformat(timespec="seconds")
    switch = f"\n[stages.local.switched_on]\nrewrap = {until}\n" if on else ""
    (folder / "chalicefile").write_text(text.replace(KEY_FILE, service + switch), "utf-8")
    return folder / "chalicefile"


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a chalicefile and an empty store, in which the command runs."""
    (tmp_path / ".local").mkdir()
    FilesystemStore.create_root(tmp_path / ".local" / "store")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCEAU_CHALICEFILE", str(tmp_path / "chalicefile"))
    return tmp_path


def stage(base: Path) -> Stage:
    return load_stage(Settings(chalicefile=base / "chalicefile", stage="local"))


class Told:
    """Runs the command; keeps what it said."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str, status: int = 0) -> str:
        self._capsys.readouterr()
        assert command.main(["keys", *arguments]) == status
        said = self._capsys.readouterr()
        return said.err if status else said.out


@pytest.fixture
def sceau(capsys: pytest.CaptureFixture[str]) -> Told:
    return Told(capsys)


def publish(base: Path, number: int) -> None:
    """A record with one document, or one document more in it."""
    here = stage(base)
    records = Records(here.store(), Envelope(here.keys()))
    loaded = records.load(RECORD)
    row = entry(number)
    stored, sealed = records.seal_document(RECORD, row.id, b"document", "application/pdf")
    records.upload(stored, sealed)
    dossier = next_version(loaded.dossier) if loaded else Dossier(head(), commits())
    records.commit(dossier.with_entry(row.model_copy(update={"document": stored}), b"{}"), replacing=loaded)


def counts(said: str) -> list[tuple[str, str, str, int]]:
    """(key, form, version, objects) of each line of `status`."""
    rows, last = [], ""
    for line in said.splitlines():
        match = re.match(r"(\S*) +(\S+) +version (.+?) {2,}(\d+)", line)
        if match:
            last = match[1] or last
            rows.append((last, match[2], match[3], int(match[4])))
    return rows


def test_a_rotation_from_its_beginning_to_its_end(base: Path, sceau: Told) -> None:
    written(base)
    assert "dossier, content" in sceau("create")
    assert sceau("create") == "all keys are there\n"
    publish(base, 1)
    assert counts(sceau("status")) == [("dossier", "local", "1", 1), ("content", "local", "1", 1)]

    assert sceau("rotate", "content") == "version 2 of content wraps from now on\n"
    assert sceau("rotate", "dossier") == "version 2 of dossier wraps from now on\n"
    publish(base, 2)
    assert counts(sceau("status")) == [
        ("dossier", "local", "2", 1),
        ("content", "local", "1", 1),
        ("content", "local", "2", 1),
    ]
    assert "1 objects need version 1 of content" in sceau("retire", "content", "1", status=1)

    said = sceau("rewrap")
    assert "1 records sealed anew, with 1 documents" in said
    # The object that the dossier left behind stays until it is swept, and is counted until then.
    left = counts(sceau("status"))
    assert ("content", "local", "2", 2) in left
    assert "0 records sealed anew" in sceau("rewrap")

    assert "is disabled" in sceau("retire", "content", "1", "--even-so")
    records = Records(stage(base).store(), Envelope(stage(base).keys()))
    loaded = records.load(RECORD)
    assert loaded is not None
    for row in loaded.dossier.entries.rows():
        assert records.read_document(RECORD, row.id, row.document) == b"document"


def test_a_version_that_something_needs_can_be_retired_by_force_and_holds_what_it_held(base: Path, sceau: Told) -> None:
    written(base)
    sceau("create")
    publish(base, 1)
    sceau("rotate", "content")
    sceau("retire", "content", "1", "--even-so")
    assert "1 objects need a version that is gone" in sceau("rewrap", status=1)
    records = Records(stage(base).store(), Envelope(stage(base).keys()))
    loaded = records.load(RECORD)
    assert loaded is not None
    (row,) = loaded.dossier.entries.rows()
    with pytest.raises(KeyVersionGone):
        records.read_document(RECORD, row.id, row.document)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("retire", "content", "1"), "version 1 of content is in use"),
        (("retire", "tokens", "7"), "no version 7 of tokens"),
        (("retire", "tokens", "1", "--service", "second"), "in custody"),
    ],
)
def test_what_can_not_be_retired_is_told(arguments: tuple[str, ...], said: str, base: Path, sceau: Told) -> None:
    written(base)
    sceau("create")
    assert said in sceau(*arguments, status=1)


def test_rewrap_is_off_unless_the_stage_has_it_switched_on(base: Path, sceau: Told) -> None:
    written(base, on=False)
    sceau("create")
    said = sceau("rewrap", status=1)
    assert said == (
        "sceau: rewrap is off on stage local: switch it on, until a date, in [stages.local.switched_on] of the "
        "chalicefile\n"
    )


def test_what_is_no_sealed_object_is_named_and_keeps_every_version(base: Path, sceau: Told) -> None:
    written(base)
    sceau("create")
    stage(base).store().create(f"records/{RECORD}/documents/x", b"not sealed")
    assert f"records/{RECORD}/documents/x is no sealed object of ours" in sceau("status", status=1)
    sceau("rotate", "content")
    assert "1 can't be read" in sceau("retire", "content", "1", status=1)


def test_keys_of_clouds_are_not_made_from_here(base: Path, sceau: Told) -> None:
    keys = "\n".join(f'{key} = ["00000000-0000-4000-8000-{n:012}"]' for n, key in enumerate(KeyName, 1))
    service = '[stages.local.key_service]\nadapter = "scaleway"\nregion = "fr-par"\n[stages.local.key_service.keys]\n'
    written(base, f"{service}{keys}\n")
    for arguments in (("create",), ("rotate", "content"), ("retire", "content", "1", "--even-so")):
        assert "made by the infrastructure code" in sceau(*arguments, status=1)


def test_a_stage_moves_into_the_custody_of_a_file_and_an_hsm(base: Path, sceau: Told) -> None:
    module = require_softhsm()
    written(base)
    sceau("create")
    publish(base, 1)

    first = KEY_FILE.replace("key_service]", "key_service.first]")
    second = "[stages.local.key_service.second]\n" + HSM.format(module=module)
    whole = '[stages.local.key_service]\nadapter = "custody"\nsingle = true\n' + first + second
    written(base, whole)
    said = sceau("create")
    assert "first service: all keys are there" in said
    assert "second service: dossier, content" in said
    assert "with 1 documents" in sceau("rewrap")

    written(base, whole.replace("single = true\n", ""))
    publish(base, 2)
    assert ("content", "custody", "1 and 1", 2) in counts(sceau("status"))
    assert sceau("rotate", "content").splitlines() == [
        "first service: version 2 of content wraps from now on",
        "second service: version 2 of content wraps from now on",
    ]
    assert "need version 1 of content" in sceau("retire", "content", "1", "--service", "second", status=1)
    assert "name the service" in sceau("retire", "content", "1", "--even-so", status=1)
    assert "with 2 documents" in sceau("rewrap")
    assert "is destroyed on the token sceau" in sceau("retire", "content", "1", "--service", "second", "--even-so")
    records = Records(stage(base).store(), Envelope(stage(base).keys()))
    loaded = records.load(RECORD)
    assert loaded is not None
    for row in loaded.dossier.entries.rows():
        assert records.read_document(RECORD, row.id, row.document) == b"document"


def test_without_softhsm_a_stage_on_it_says_how_to_get_it(
    base: Path, sceau: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(base, "[stages.local.key_service]\n" + HSM.format(module="/usr/lib/softhsm/libsofthsm2.so"))
    monkeypatch.setenv("PATH", str(base))
    assert "apt-get install softhsm2" in sceau("create", status=1)
    assert not (base / ".local" / "softhsm").exists()
