"""The whole journey on keys in an HSM (SoftHSM2), and in the custody of an HSM and a key file; made by the command."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.softhsm import require_softhsm
from fixtures.ports import free_port
from sceau.cli import main as command
from sceau.cli.local_stage import ensure_local_stage
from sceau.keys.pkcs11_library import shared_library
from sceau.keys.ports import KeyName
from sceau.keys.wrapped import Form
from sceau.records.inventory import RECORDS, take_inventory
from sceau.stage import Settings, load_stage

ROOT = Path(__file__).resolve().parents[2]
KEY_FILE = '[stages.local.key_service]\nadapter = "local"\nfile = ".local/keys.json"\n'
HSM = """adapter = "pkcs11"
module = "{module}"
token = "sceau"
prefix = "sceau"
pin_file = ".local/softhsm/pin"
softhsm_configuration = ".local/softhsm/softhsm2.conf"
"""
CUSTODY = (
    '[stages.local.key_service]\nadapter = "custody"\n'
    "[stages.local.key_service.first]\n" + HSM + "[stages.local.key_service.second]\n"
    'adapter = "local"\nfile = ".local/keys.json"\n'
)


KEYS, BINDS = [f"key {key}" for key in KeyName], "associated data binds"
CHECKED = [
    *(f"first service: {name}" for name in (*KEYS, BINDS)),
    *(f"second service: {name}" for name in ("key dossier", "key content", "key probe", BINDS)),
    f"custody: {BINDS}",
]


@pytest.mark.xdist_group("live")
@pytest.mark.parametrize(
    ("service", "forms"),
    [
        ("[stages.local.key_service]\n" + HSM, {"dossier": Form.PKCS11_GCM, "content": Form.PKCS11_GCM}),
        (CUSTODY, {"dossier": Form.CUSTODY, "content": Form.CUSTODY}),
    ],
    ids=["an HSM", "custody of an HSM and a key file"],
)
def test_the_journey_is_the_same(
    service: str,
    forms: dict[str, Form],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    module = require_softhsm()
    text = (ROOT / "chalicefile").read_text("utf-8")
    assert text.count(KEY_FILE) == 1
    (tmp_path / "chalicefile").write_text(text.replace(KEY_FILE, service.format(module=module)), "utf-8")
    (tmp_path / "functions").symlink_to(ROOT / "functions")
    monkeypatch.setenv("SCEAU_CHALICEFILE", str(tmp_path / "chalicefile"))
    monkeypatch.setenv("SOFTHSM2_CONF", os.environ.get("SOFTHSM2_CONF", "/dev/null"))

    for _ in range(2):  # a second start finds what the first one made
        status = command.main(["journey", "--port", str(free_port(2))])
        said = capsys.readouterr()
        assert status == 0, said.err
        assert "calls answered as they must" in said.out

    stage = load_stage(Settings(chalicefile=tmp_path / "chalicefile", stage="local"))
    inventory = take_inventory(stage.tool("inventory").store, (RECORDS,))
    assert {key: under.form for key, under in inventory.counts} == forms
    assert inventory.unreadable == []
    assert command.main(["stage", "check", "local"]) == 0
    checked = [line[7:59].strip() for line in capsys.readouterr().out.splitlines()][4:]
    assert checked == (CHECKED if Form.CUSTODY in forms.values() else [*KEYS, BINDS])
    pin = (tmp_path / ".local" / "softhsm" / "pin").read_text()
    assert (tmp_path / ".local" / "softhsm" / "pin").stat().st_mode & 0o777 == 0o600
    assert pin not in (tmp_path / ".local" / "service.log").read_text()


# Starts that can't be: a sentence, no stack trace, and nothing of the stage touched.


def _wrong_pin(folder: Path) -> None:
    (folder / "softhsm" / "pin").write_text("000000\n")


def _open_pin(folder: Path) -> None:
    (folder / "softhsm" / "pin").chmod(0o644)


def _no_token(folder: Path) -> None:
    shutil.rmtree(folder / "softhsm" / "tokens")
    (folder / "softhsm" / "tokens").mkdir()


SPOILT: dict[str, tuple[Callable[[Path], None], str]] = {
    "a wrong PIN": (_wrong_pin, "the token sceau refused the PIN"),
    "a PIN that everybody may read": (_open_pin, "chmod o-rwx it"),
    "no token": (_no_token, "has no token labelled sceau"),
}


@pytest.mark.xdist_group("live")
@pytest.mark.parametrize(("spoil", "sentence"), SPOILT.values(), ids=SPOILT)
def test_an_hsm_that_can_not_be_used_ends_the_start_with_a_sentence(
    spoil: Callable[[Path], None],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = (ROOT / "chalicefile").read_text("utf-8")
    service = "[stages.local.key_service]\n" + HSM.format(module=require_softhsm())
    (tmp_path / "chalicefile").write_text(text.replace(KEY_FILE, service), "utf-8")
    (tmp_path / "functions").symlink_to(ROOT / "functions")
    monkeypatch.setenv("SCEAU_CHALICEFILE", str(tmp_path / "chalicefile"))
    monkeypatch.setenv("SOFTHSM2_CONF", os.environ.get("SOFTHSM2_CONF", "/dev/null"))
    ensure_local_stage(load_stage(Settings(chalicefile=tmp_path / "chalicefile", stage="local")))
    folder = tmp_path / ".local"
    before = sorted(str(path) for path in (folder / "store").rglob("*"))
    forget_softhsm(tmp_path)
    spoil(folder)

    assert command.main(["journey", "--port", str(free_port(2))]) == 1
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert line.startswith("sceau: ") and sentence in line
    assert "Traceback" not in said.out + said.err
    assert "000000" not in said.out + said.err
    assert sorted(str(path) for path in (folder / "store").rglob("*")) == before
    assert command.main(["stage", "check", "local"]) == 1
    assert "sceau: key service does not hold: " in capsys.readouterr().err


def forget_softhsm(folder: Path) -> None:
    """As a new process begins: this one is logged in to the stage's token, and its module knows it."""
    other = folder / "other.conf"
    other.write_text(f"directories.tokendir = {folder}\n", "utf-8")
    shared_library(require_softhsm()).use_softhsm(other)
