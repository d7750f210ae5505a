"""`sceau clients` and `sceau issuers`: what they print, what they refuse, and that secrets stay sealed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fixtures.service import ROOT
from sceau.cli.local_stage import ensure_local_stage, trust_issuers
from sceau.cli.main import main
from sceau.identity.client import generate_client_key
from sceau.stage import Settings, load_stage
from sceau_schemas.configuration import IntrospectionAccess, TrustedIssuer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("registry") / "stage"
    stage = load_stage(Settings(chalicefile=ROOT / "chalicefile", stage="local", folder=folder))
    ensure_local_stage(stage)
    access = IntrospectionAccess(url="https://psc.example/introspect", user="sceau", password="the-secret")
    issuer = TrustedIssuer(
        name="psc",
        kind="prosanteconnect",
        issuer="https://psc.example",
        jwks_url="https://psc.example/certs",
        userinfo_url="https://psc.example/userinfo",
        introspection=access,
        algorithms=("RS256",),
        acr=("eidas2",),
        max_age_seconds=120,
    )
    trust_issuers(stage, [issuer])
    return folder


def registration(**changes: Any) -> dict[str, Any]:
    _, public = generate_client_key()
    return {
        "client_id": "new-laboratory",
        "name": "Another laboratory",
        "kind": "software",
        "keys": [public],
        "structures": [{"system": "urn:oid:1.2.250.1.71.4.2.2", "value": "1000000999"}],
        "scopes": ["system/DocumentReference.c"],
        "grants": ["client_credentials"],
        **changes,
    }


def run(folder: Path, *words: str) -> int:
    return main([*words, "--folder", str(folder)])


def test_a_client_is_registered_shown_and_removed(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "client.json"
    file.write_text(json.dumps(registration()))
    assert run(folder, "clients", "put", str(file)) == 0
    assert run(folder, "clients", "list") == 0
    assert "new-laboratory" in capsys.readouterr().out
    assert run(folder, "clients", "show", "new-laboratory") == 0
    assert json.loads(capsys.readouterr().out)["scopes"] == ["system/DocumentReference.c"]
    assert run(folder, "clients", "remove", "new-laboratory") == 0
    capsys.readouterr()
    assert run(folder, "clients", "show", "new-laboratory") == 1
    assert capsys.readouterr().err == "sceau: there is no client new-laboratory\n"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scopes": ["user/DocumentReference.r"]}, "scopes of the level system/"),
        ({"scopes": ["system/DocumentReference.x"]}, "is not a scope"),
        ({"kind": "somebody"}, "kind"),
        ({"keys": [{"kty": "EC", "d": "private", "kid": "1"}]}, "private members"),
        ({"structures": []}, "names the structures"),
        ({"client_id": "../escape"}, "client_id"),
    ],
)
def test_a_registration_that_can_not_be_is_refused_and_nothing_is_written(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], said: str
) -> None:
    file = tmp_path / "client.json"
    file.write_text(json.dumps(registration(**changes)))
    assert run(folder, "clients", "list") == 0
    before = capsys.readouterr().out
    assert run(folder, "clients", "put", str(file)) == 1
    refusal = capsys.readouterr().err
    assert said in refusal
    assert refusal.count("\n") == 1
    assert run(folder, "clients", "list") == 0
    assert capsys.readouterr().out == before


def test_an_issuer_is_shown_without_its_secret(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "issuers", "list") == 0
    assert "https://psc.example" in capsys.readouterr().out
    assert run(folder, "issuers", "show", "psc") == 0
    shown = capsys.readouterr().out
    assert "the-secret" not in shown
    assert json.loads(shown)["introspection"]["user"] == "sceau"


def test_a_file_that_is_not_there_is_one_sentence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "issuers", "put", "nowhere.json") == 1
    assert capsys.readouterr().err == "sceau: nowhere.json can't be read: No such file or directory\n"
